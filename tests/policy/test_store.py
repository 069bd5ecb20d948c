"""Files and folders of policies, and which belong to a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.errors import ConfigError
from proxy.policy.store import PolicySet, load_policies, policy_files


def document(resource: str, element: str = "Resource") -> str:
    return f'Statement: {{Effect: Deny, Principal: "*", Action: "s3:*", {element}: "{resource}"}}\n'


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_folders_are_read_recursively_without_tests_and_dot_files(tmp_path: Path) -> None:
    for name in (
        "b.yaml",
        "a.yml",
        "sub/c.json",
        "b.test.yaml",
        ".hidden.yaml",
        ".git/d.yaml",
        "notes.md",
        "sub/e.test.json",
    ):
        write(tmp_path, name, document("arn:aws:s3:::b"))
    assert [str(path.relative_to(tmp_path)) for path in policy_files(tmp_path)] == ["a.yml", "b.yaml", "sub/c.json"]
    assert len(load_policies([tmp_path, tmp_path / "b.yaml"], "bucket").files) == 3


def test_an_empty_folder_holds_no_policies(tmp_path: Path) -> None:
    loaded = load_policies([tmp_path], "bucket")
    assert loaded.files == ()
    assert loaded.for_bucket("b").files == ()
    assert loaded.revision == PolicySet().revision


def test_the_mistakes_of_all_files_come_together(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", document("nonsense"))
    write(tmp_path, "b.yaml", "Statement: *")
    write(tmp_path, "c.yaml", document("arn:aws:s3:::b"))
    with pytest.raises(ConfigError) as caught:
        load_policies([tmp_path, tmp_path / "missing.yaml"], "bucket")
    assert [Path(found.span.file).name for found in caught.value.diagnostics] == ["a.yaml", "b.yaml", "missing.yaml"]


@pytest.mark.parametrize(
    ("resource", "bucket", "wanted"),
    [
        ("arn:aws:s3:::b", "b", True),
        ("arn:aws:s3:::b/*", "b", True),
        ("arn:aws:s3:::b/*", "b2", False),
        ("arn:aws:s3:::b2/*", "b", False),
        ("arn:aws:s3:::b*", "b2", True),
        ("arn:aws:s3:::b?/x", "b2", True),
        ("arn:aws:s3:::b?/x", "b", True),
        ("arn:aws:s3:::h*data/x", "hr", True),
        ("arn:aws:s3:::*", "anything", True),
        ("arn:aws:s3:::${aws:username}/*", "anything", True),
        ("arn:aws-cn:s3:::b", "b", True),
    ],
)
def test_a_bare_document_is_about_the_buckets_its_resources_can_name(
    resource: str, bucket: str, wanted: bool, tmp_path: Path
) -> None:
    write(tmp_path, "p.yaml", "Version: 2012-10-17\n" + document(resource))
    assert bool(load_policies([tmp_path], "bucket").for_bucket(bucket).files) is wanted


def test_not_resource_names_its_bucket_too(tmp_path: Path) -> None:
    write(tmp_path, "p.yaml", document("arn:aws:s3:::b/public/*", "NotResource"))
    assert load_policies([tmp_path], "bucket").for_bucket("b").files


def test_a_wrapper_names_its_buckets_by_pattern(tmp_path: Path) -> None:
    write(tmp_path, "p.yaml", "bucket: hr-*\npolicy: {" + document("arn:aws:s3:::*").strip() + "}")
    loaded = load_policies([tmp_path], "bucket")
    assert loaded.for_bucket("hr-1").files
    assert not loaded.for_bucket("sales").files


def test_buckets_with_the_same_policies_share_them_and_names_are_forgotten_in_time(tmp_path: Path) -> None:
    write(tmp_path, "p.yaml", document("arn:aws:s3:::b*"))
    loaded = load_policies([tmp_path], "bucket")
    assert loaded.for_bucket("b1") is loaded.for_bucket("b2")
    for number in range(10_000):
        loaded.for_bucket(f"x{number}")
    assert len(loaded._by_bucket) <= 4096


def test_the_revision_changes_with_any_content_and_not_with_the_place(tmp_path: Path) -> None:
    write(tmp_path / "one", "a.yaml", document("arn:aws:s3:::b"))
    write(tmp_path / "two", "z.yaml", document("arn:aws:s3:::b"))
    write(tmp_path / "three", "a.yaml", document("arn:aws:s3:::c"))
    one, two, three = (load_policies([tmp_path / name], "bucket") for name in ("one", "two", "three"))
    assert one.revision == two.revision != three.revision
    assert one.keys_read() == frozenset()

"""Commands about stored objects, on what a running proxy stored."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.chain import records
from proxy.audit.journal import journal_places
from proxy.cli.exits import Exit
from proxy.cli.main import main
from proxy.envelope.sizes import FRAME, MIN_PART
from tests.conftest import Store
from tests.server.envelope.conftest import KEY, Sealed, sealed_proxy
from tests.server.envelope.test_interop import opened
from tests.server.envelope.test_multipart import leftovers, upload
from tests.server.envelope.test_single import refused

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def sealed(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("sealed"), moto_store, extra="audit: {path: keys.jsonl}") as running:
        yield running


def run(sealed: Sealed, *words: str) -> int:
    command = [*words[:2]] if words[0] == "object" else [words[0]]
    return main([*command, "--config", str(sealed.folder / "config.yaml"), *words[len(command) :]])


def test_whole_objects_verify_and_damaged_ones_do_not(sealed: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = sealed.bucket()
    sealed.client.put_object(Bucket=bucket, Key="one", Body=b"x" * (2 * FRAME), ChecksumAlgorithm="CRC32")
    upload(sealed.client, bucket, {1: os.urandom(MIN_PART), 2: b"end"}, "parts")
    assert run(sealed, "object", "verify", bucket, "one") == Exit.CLEAN
    assert run(sealed, "object", "verify", bucket, "parts") == Exit.CLEAN
    assert f"{MIN_PART + 3} bytes" in capsys.readouterr().out
    raw = sealed.direct.get_object(Bucket=bucket, Key="one")["Body"].read()
    sealed.rewrite(bucket, "one", body=raw[:-1] + bytes([raw[-1] ^ 1]))
    assert run(sealed, "object", "verify", bucket, "one") == Exit.BAD_NEWS
    sealed.direct.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert run(sealed, "object", "verify", bucket, "plain") == Exit.BAD_NEWS
    assert run(sealed, "object", "verify", bucket, "none") == Exit.ERROR


def test_an_exported_object_is_a_message_of_the_official_sdk(sealed: Sealed, tmp_path: Path) -> None:
    bucket, parts = sealed.bucket(), {1: os.urandom(MIN_PART), 2: b"end"}
    upload(sealed.client, bucket, parts)
    output = tmp_path / "message"
    assert run(sealed, "object", "export", bucket, "key", "--output", str(output)) == Exit.CLEAN
    assert opened(output.read_bytes(), "hr@2", KEY) == b"".join(parts.values())
    assert run(sealed, "object", "export", bucket, "none", "--output", str(tmp_path / "other")) == Exit.ERROR
    assert sorted(path.name for path in tmp_path.iterdir()) == ["message"]


def test_an_object_renamed_behind_the_proxy_gets_its_name_back(sealed: Sealed) -> None:
    bucket, other = sealed.bucket(), sealed.bucket()
    sealed.client.put_object(Bucket=bucket, Key="old", Body=b"text", Metadata={"own": "x"})
    sealed.direct.copy_object(Bucket=other, Key="new", CopySource=f"{bucket}/old")
    assert refused(sealed.client.get_object, Bucket=other, Key="new")[0] == 500
    assert run(sealed, "object", "rebind", other, "new", "--from", f"{bucket}/wrong") == Exit.BAD_NEWS
    assert run(sealed, "object", "rebind", other, "new", "--from", f"{bucket}/old") == Exit.CLEAN
    got = sealed.client.get_object(Bucket=other, Key="new")
    assert (got["Body"].read(), got["Metadata"]) == (b"text", {"own": "x"})


def renamed_by_parts(sealed: Sealed, bucket: str, old: str, new: str, part: int) -> None:
    """Rename as tools do that know nothing of parts: metadata kept, another number of parts."""
    found = sealed.direct.head_object(Bucket=bucket, Key=old)
    # Without an ACL moto cannot tell the ACL of such objects.
    made = {"Bucket": bucket, "Key": new, "Metadata": found["Metadata"], "ContentType": "a/b", "ACL": "public-read"}
    upload_id = sealed.direct.create_multipart_upload(**made)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, found["ContentLength"], part), 1):
        copied = sealed.direct.upload_part_copy(
            Bucket=bucket, Key=new, UploadId=upload_id, PartNumber=number, CopySource=f"{bucket}/{old}",
            CopySourceRange=f"bytes={start}-{min(start + part, found['ContentLength']) - 1}",
        )  # fmt: skip
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    sealed.direct.complete_multipart_upload(
        Bucket=bucket, Key=new, UploadId=upload_id, MultipartUpload={"Parts": parts}
    )
    sealed.direct.delete_object(Bucket=bucket, Key=old)


@pytest.mark.parametrize("layout", [{1: MIN_PART + 5, 3: MIN_PART}, {2: MIN_PART, 4: MIN_PART + 1, 5: 70}, {1: 5}])
def test_an_object_of_parts_renamed_behind_the_proxy_gets_its_name_and_its_parts_back(
    sealed: Sealed, layout: dict[int, int]
) -> None:
    bucket, parts = sealed.bucket(), {number: os.urandom(size) for number, size in layout.items()}
    whole = b"".join(parts.values())
    upload(sealed.client, bucket, parts, "old", Metadata={"own": "x"})
    before = sealed.direct.head_object(Bucket=bucket, Key="old")
    renamed_by_parts(sealed, bucket, "old", "new", 6 * 2**20)
    sealed.direct.put_object_tagging(Bucket=bucket, Key="new", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    assert refused(sealed.client.get_object, Bucket=bucket, Key="new")[0] == 500
    assert run(sealed, "object", "rebind", bucket, "new", "--from", f"{bucket}/other") == Exit.BAD_NEWS
    assert run(sealed, "object", "rebind", bucket, "new", "--from", f"{bucket}/old") == Exit.CLEAN
    got = sealed.client.get_object(Bucket=bucket, Key="new")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (whole, {"own": "x"}, "a/b")
    assert sealed.client.get_object_tagging(Bucket=bucket, Key="new")["TagSet"] == [{"Key": "k", "Value": "v"}]
    [row] = sealed.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert row["Size"] == len(whole)
    after = sealed.direct.head_object(Bucket=bucket, Key="new")
    assert after["ETag"].rpartition("-")[2] == before["ETag"].rpartition("-")[2]
    assert "Uploads" not in sealed.direct.list_multipart_uploads(Bucket=bucket)
    assert leftovers(sealed, bucket) == [], "the mark of the copy is gone"
    assert run(sealed, "object", "verify", bucket, "new") == Exit.CLEAN


def test_an_old_version_is_bound_anew_as_the_newest(sealed: Sealed) -> None:
    bucket = sealed.bucket()
    sealed.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    sealed.client.put_object(Bucket=bucket, Key="old", Body=b"text")
    version = sealed.direct.copy_object(Bucket=bucket, Key="new", CopySource=f"{bucket}/old")["VersionId"]
    sealed.client.put_object(Bucket=bucket, Key="new", Body=b"another")
    command = ["object", "rebind", bucket, "new", "--from", f"{bucket}/old"]
    assert run(sealed, *command, "--version-id", version) == Exit.CLEAN
    assert sealed.client.get_object(Bucket=bucket, Key="new")["Body"].read() == b"text"
    assert len(sealed.direct.list_object_versions(Bucket=bucket, Prefix="new")["Versions"]) == 3


def test_binding_anew_goes_on_record_and_only_encrypted_objects_are(sealed: Sealed) -> None:
    bucket = sealed.bucket()
    sealed.client.put_object(Bucket=bucket, Key="old", Body=b"text")
    sealed.direct.copy_object(Bucket=bucket, Key="recorded", CopySource=f"{bucket}/old")
    assert run(sealed, "object", "rebind", bucket, "recorded", "--from", f"{bucket}/old") == Exit.CLEAN
    found = [row for row in records(journal_places(sealed.folder / "keys.jsonl")) if row.get("object") == "recorded"]
    contexts: list[Any] = [row["context"] for row in found]
    assert [
        (row["action"], row["operation"], seen["aws:s3:arn"]) for row, seen in zip(found, contexts, strict=True)
    ] == [
        ("kms:ReEncryptFrom", "object rebind", f"arn:aws:s3:::{bucket}/old"),
        ("kms:ReEncryptTo", "object rebind", f"arn:aws:s3:::{bucket}/recorded"),
    ]
    sealed.direct.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert run(sealed, "object", "rebind", bucket, "plain", "--from", f"{bucket}/old") == Exit.BAD_NEWS
    assert run(sealed, "object", "rebind", bucket, "none", "--from", f"{bucket}/old") == Exit.ERROR


def test_sweeping_deletes_what_ended_uploads_left_and_nothing_else(
    sealed: Sealed, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = sealed.bucket()
    gone, alive = (sealed.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in "ab")
    sealed.client.upload_part(Bucket=bucket, Key="a", UploadId=gone, PartNumber=1, Body=b"spilled")
    sealed.direct.abort_multipart_upload(Bucket=bucket, Key="a", UploadId=gone)
    assert run(sealed, "sweep", "--bucket", bucket, "--dry-run") == Exit.CLEAN
    assert "2 would be deleted" in capsys.readouterr().out
    assert run(sealed, "sweep", "--bucket", bucket) == Exit.CLEAN
    assert "2 were deleted" in capsys.readouterr().out
    assert sealed.direct.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    sealed.client.upload_part(Bucket=bucket, Key="b", UploadId=alive, PartNumber=1, Body=b"goes on")


def test_a_name_that_is_none_and_a_place_that_is_not_there_are_said(
    sealed: Sealed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = sealed.bucket()
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    for origin in ("nothing", "/", "bucket/", "/key"):
        with pytest.raises(SystemExit) as ended:
            run(sealed, "object", "rebind", bucket, "key", "--from", origin)
        assert ended.value.code == Exit.ERROR
        assert "is not BUCKET/KEY" in capsys.readouterr().err
    output = tmp_path / "none" / "file"
    assert run(sealed, "object", "export", bucket, "key", "--output", str(output)) == Exit.ERROR
    assert f"{output}.part: No such file or directory" in capsys.readouterr().err

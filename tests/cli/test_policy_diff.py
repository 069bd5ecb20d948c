"""`policy diff`: exit codes, directions, what is printed, and every report from one run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.cli.main import main

OLD = """\
Version: "2012-10-17"
Statement:
  - Sid: Tls
    Effect: Deny
    Principal: "*"
    Action: s3:*
    Resource: [arn:aws:s3:::b, arn:aws:s3:::b/*]
    Condition: {Bool: {aws:SecureTransport: "false"}}
  - Sid: Reads
    Effect: Allow
    Principal: {AWS: arn:aws:iam::123456789012:user/alice}
    Action: s3:GetObject
    Resource: arn:aws:s3:::b/*
"""
MORE = (
    OLD.replace("user/alice", "user/bob")
    .replace("{AWS: ", "{AWS: [arn:aws:iam::123456789012:user/alice, ")
    .replace("bob}", "bob]}")
)
OPEN = OLD.replace("[arn:aws:s3:::b, arn:aws:s3:::b/*]", "arn:aws:s3:::b/*")
LESS = OLD.replace("s3:GetObject", "s3:GetObjectTagging")
SAME = OLD.replace("  - Sid: Tls", "  # reworded\n  - Sid: OnlyTls")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GITHUB_ACTIONS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    for name, text in (("old", OLD), ("more", MORE), ("open", OPEN), ("less", LESS), ("same", SAME)):
        Path(f"{name}.yaml").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["old.yaml", "same.yaml"], 0),
        (["old.yaml", "more.yaml"], 1),
        (["old.yaml", "more.yaml", "--allow-less"], 1),
        (["old.yaml", "more.yaml", "--allow-more"], 0),
        (["more.yaml", "old.yaml", "--allow-less"], 0),
        (["old.yaml", "less.yaml", "--allow-more"], 1),
        (["old.yaml", "less.yaml", "--allow-more", "--allow-less"], 0),
        (["old.yaml", "open.yaml"], 1),
        (["old.yaml", "missing.yaml"], 2),
    ],
)
def test_the_exit_code_says_whether_all_differences_are_accepted(words: list[str], code: int) -> None:
    assert main(["policy", "diff", *words]) == code


def test_nothing_to_compare_is_no_success(here: Path) -> None:
    for name in ("empty", "void"):
        (here / name).mkdir()
    assert main(["policy", "diff", "empty", "void"]) == 3


def test_a_broken_policy_is_shown_with_its_place(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "broken.yaml").write_text(OLD.replace("s3:GetObject", "s3:GetObjct"))
    assert main(["policy", "diff", "old.yaml", "broken.yaml"]) == 2
    assert "broken.yaml:12:13: error" in capsys.readouterr().err


def test_each_difference_has_an_example_and_its_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    main(["policy", "diff", "old.yaml", "open.yaml"])
    out = capsys.readouterr().out
    assert "access gained: " in out
    assert "s3:ListBucket arn:aws:s3:::b" in out
    assert "aws:SecureTransport: false" in out
    assert "old:       explicitly denied by `Tls` (old.yaml:3:5)" in out
    assert "checked 2 policies, 4 statements, " in out


def test_json_has_requests_that_can_be_decided_again(capsys: pytest.CaptureFixture[str]) -> None:
    main(["policy", "diff", "old.yaml", "more.yaml", "--output", "json"])
    report = json.loads(capsys.readouterr().out)
    assert report["exhaustive"] is True
    assert report["cells"] > 0
    gained = [one for one in report["differences"] if one["change"] == "gains"]
    assert {
        "principal": "arn:aws:iam::123456789012:user/bob",
        "principal_account": "123456789012",
        "action": "s3:GetObject",
        "resource": "arn:aws:s3:::b/x",
        "resource_account": "123456789012",
        "context": {"aws:SecureTransport": "true"},
    } in [one["request"] for one in gained]
    assert all(one["new"]["decision"] == "allow" for one in gained)


def test_an_answer_that_is_not_exhaustive_fails_unless_that_is_accepted(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = OLD.replace("arn:aws:s3:::b/*\n", "arn:aws:s3:::b/${aws:username}/*\n")
    (here / "home.yaml").write_text(home)
    wider = home.replace("b/${aws:username}/*", "b/${aws:username}/*, arn:aws:s3:::b/${aws:username}/a/*")
    wider = wider.replace("Resource: arn:aws:s3:::b/$", "Resource: [arn:aws:s3:::b/$").replace("/a/*", "/a/*]")
    (here / "wider.yaml").write_text(
        wider.replace("[arn:aws:s3:::b/$", '["arn:aws:s3:::b/$')
        .replace("/*, arn", '/*", "arn')
        .replace("/a/*]", '/a/*"]')
    )
    assert main(["policy", "diff", "home.yaml", "wider.yaml"]) == 1
    assert "not exhaustive: policy variables" in capsys.readouterr().out
    assert main(["policy", "diff", "home.yaml", "wider.yaml", "--allow-partial"]) == 0


def test_every_format_comes_from_one_run(here: Path) -> None:
    formats = ("text", "json", "junit", "sarif", "github", "markdown")
    words = [word for name in formats for word in ("--output", f"{name}=out.{name}")]
    assert main(["policy", "diff", "old.yaml", "open.yaml", *words]) == 1
    for name in formats:
        assert "ListBucket" in (here / f"out.{name}").read_text(), name
    (run,) = json.loads((here / "out.sarif").read_text())["runs"]
    assert {result["ruleId"] for result in run["results"]} >= {"access-gained"}


def test_folders_are_compared_with_identity_policies_by_their_place(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identity = '{Version: "2012-10-17", Statement: [{Effect: Allow, Action: "s3:GetObject", Resource: "*"}]}'
    for side, action in (("one", "s3:GetObject"), ("two", "s3:GetObjectTagging")):
        (here / side / "identity").mkdir(parents=True)
        (here / side / "identity" / "reader.yaml").write_text(identity.replace("s3:GetObject", action))
        (here / side / "goal.yaml").write_text('{goal: g, never: [{Action: "s3:*"}]}')
    assert main(["policy", "diff", "one", "two"]) == 1
    out = capsys.readouterr().out
    assert "the caller has identity/reader.yaml" in out
    assert "access lost: " in out
    assert "checked 2 policies, 2 statements" in out

"""`policy prove`: exit codes, goals by name and by file, parameters, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.cli.main import main

GUARDED = """\
Version: "2012-10-17"
Statement:
  - Sid: Tls
    Effect: Deny
    Principal: "*"
    Action: s3:*
    Resource: [arn:aws:s3:::b, arn:aws:s3:::b/*]
    Condition: {Bool: {aws:SecureTransport: "false"}}
  - Sid: OneKey
    Effect: Deny
    Principal: "*"
    Action: [s3:PutObject, s3:UpdateObjectEncryption]
    Resource: arn:aws:s3:::b/*
    Condition: {StringNotEquals: {s3:x-amz-server-side-encryption-aws-kms-key-id: KEY}}
"""
LEAKY = GUARDED.replace("[arn:aws:s3:::b, arn:aws:s3:::b/*]", "arn:aws:s3:::b/*")
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GITHUB_ACTIONS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("guarded.yaml").write_text(GUARDED.replace("KEY", KEY))
    Path("leaky.yaml").write_text(LEAKY.replace("KEY", KEY))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["guarded.yaml", "--goal", "tls-only"], 0),
        (["leaky.yaml", "--goal", "tls-only"], 1),
        (["guarded.yaml", "--goal", "tls-only", "--goal", "nothing-anonymous"], 0),
        (["guarded.yaml", "--goal", "only-this-key", "--set", f"key={KEY}"], 0),
        (["guarded.yaml", "--goal", "only-this-key", "--set", f"key={KEY}x"], 1),
        (["guarded.yaml", "--goal", "only-this-key"], 2),
        (["guarded.yaml", "--goal", "tls-only", "--set", "key=x"], 2),
        (["guarded.yaml", "--goal", "no-such-goal"], 2),
        (["missing.yaml", "--goal", "tls-only"], 2),
    ],
)
def test_the_exit_code_says_whether_the_goals_hold(words: list[str], code: int) -> None:
    assert main(["policy", "prove", *words]) == code


def test_no_policies_prove_nothing(here: Path) -> None:
    (here / "empty").mkdir()
    assert main(["policy", "prove", "empty", "--goal", "tls-only"]) == 3


def test_a_goal_of_ones_own_is_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.yaml").write_text('goal: nobody deletes\nnever: [{Action: "s3:Delete*"}]\n')
    assert main(["policy", "prove", "guarded.yaml", "--goal", "mine.yaml"]) == 1
    assert "`nobody deletes` does not hold" in capsys.readouterr().out


def test_a_wrong_parameter_is_a_usage_error_with_advice(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["policy", "prove", "guarded.yaml", "--goal", "tls-only", "--set", "key"])
    assert caught.value.code == 2
    assert "is not NAME=VALUE" in capsys.readouterr().err


def test_it_says_for_how_many_cells_a_goal_holds(capsys: pytest.CaptureFixture[str]) -> None:
    main(["policy", "prove", "guarded.yaml", "--goal", "tls-only"])
    out = capsys.readouterr().out
    assert "holds for all " in out
    assert " cells: nothing without TLS" in out
    assert "checked 1 policy, 2 statements, 1 goal" in out


def test_a_counterexample_is_a_request_with_the_statements_that_allow_it(capsys: pytest.CaptureFixture[str]) -> None:
    main(["policy", "prove", "leaky.yaml", "--goal", "tls-only", "--output", "json"])
    (answer,) = json.loads(capsys.readouterr().out)["goals"]
    assert answer["holds"] is False
    assert answer["exhaustive"] is True
    (found,) = answer["counterexamples"]
    assert found["request"]["action"] == "s3:ListBucket"
    assert found["request"]["resource"] == "arn:aws:s3:::b"
    assert found["request"]["context"] == {"aws:SecureTransport": "false"}
    assert found["verdict"]["decision"] == "allow"


def test_every_format_comes_from_one_run(here: Path) -> None:
    formats = ("text", "json", "junit", "sarif", "github", "markdown")
    words = [word for name in formats for word in ("--output", f"{name}=out.{name}")]
    assert main(["policy", "prove", "leaky.yaml", "--goal", "tls-only", *words]) == 1
    for name in formats:
        assert "ListBucket" in (here / f"out.{name}").read_text(), name


def test_a_proof_that_is_not_exhaustive_fails_unless_that_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["policy", "prove", "guarded.yaml", "--goal", "tls-only", "--seconds", "0"]
    assert main(words) == 1
    assert "not settled: nothing without TLS" in capsys.readouterr().out
    assert main([*words, "--allow-partial"]) == 0

"""`policy explain`: the verdict first, then the reasons, then what nearly matched; and --batch."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from proxy.cli.main import main

ALICE = "arn:aws:iam::123456789012:user/alice"
POLICY = """\
Version: "2012-10-17"
Statement:
  - Sid: NeedsTls
    Effect: Deny
    Principal: "*"
    Action: "s3:*"
    Resource: [arn:aws:s3:::bucket, arn:aws:s3:::bucket/*]
    Condition: {Bool: {aws:SecureTransport: "false"}}
  - Sid: TeamReads
    Effect: Allow
    Principal: "*"
    Action: s3:GetObject
    Resource: arn:aws:s3:::bucket/team/*
    Condition: {IpAddress: {aws:SourceIp: 10.0.0.0/8}}
"""
IDENTITY = """{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Put*", "Resource": "*"}}"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(POLICY)
    (tmp_path / "i.json").write_text(IDENTITY)
    return tmp_path


def explain(*arguments: str) -> int:
    return main(["policy", "explain", "p.yaml", "--principal", ALICE, *arguments])


GET = ("--http", "GET /bucket/team/report.pdf")


def test_the_verdict_comes_first_then_the_statement_with_its_place(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(*GET, "--tls", "none") == 1
    captured = capsys.readouterr()
    assert captured.out == (
        "explicit_deny: denied by a statement\n"
        f"  s3:GetObject on arn:aws:s3:::bucket/team/report.pdf by {ALICE}\n"
        "  decided by Deny `NeedsTls` (p.yaml:3:5)\n"
        "    Bool `aws:SecureTransport` `false` (got `false`): holds\n"
        "nearest misses:\n"
        "  Allow `TeamReads` (p.yaml:9:5) matched principal, action and resource, failed condition "
        "IpAddress `aws:SourceIp` `10.0.0.0/8` (got `192.0.2.1`)\n"
    )
    assert captured.err == "asked: policies 1, statements 2\n"


def test_an_implicit_deny_says_who_would_have_had_to_allow(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("--action", "s3:DeleteObject", "--resource", "arn:aws:s3:::bucket/a") == 1
    out = capsys.readouterr().out
    assert out.startswith("implicit_deny: denied, because nothing allows it\n")
    assert "an identity policy of the caller would have to allow it\n" in out
    assert "failed condition Bool `aws:SecureTransport` `false` (got nothing: the key is absent)" in out


def test_an_allowed_request_exits_with_0_and_an_expectation_turns_it_round(files: Path) -> None:
    inside = (*GET, "--source-ip", "10.1.2.3")
    assert explain(*inside) == 0
    assert explain(*inside, "--expect", "allow") == 0
    assert explain(*inside, "--expect", "deny") == 1
    assert explain(*GET, "--expect", "deny") == 0


def test_a_request_of_several_questions_shows_the_one_that_settled_it(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put = ("--http", "PUT /bucket/a", "--header", "x-amz-acl: private", "--identity", "i.json")
    assert explain(*put) == 0
    assert "also asked:\n  allow s3:PutObjectAcl on arn:aws:s3:::bucket/a\n" in capsys.readouterr().out


def test_json_has_the_decision_and_the_explanation(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(*GET, "--tls", "none", "--output", "json") == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["decision"], data["statements"]) == ("explicit_deny", ["NeedsTls"])
    assert data["questions"][0]["action"] == "s3:GetObject"
    assert data["explanation"].startswith("explicit_deny")


def test_condition_keys_are_given_one_by_one_and_twice_is_a_list(files: Path) -> None:
    (files / "p.yaml").write_text(
        POLICY.replace("IpAddress: {aws:SourceIp: 10.0.0.0/8}", "ForAllValues:StringEquals: {aws:TagKeys: [a, b]}")
    )
    base = ("--action", "s3:GetObject", "--resource", "arn:aws:s3:::bucket/team/a")
    assert explain(*base, "--context", "aws:TagKeys=a", "--context", "AWS:tagkeys=b") == 0
    assert explain(*base, "--context", "aws:TagKeys=a", "--context", "aws:TagKeys=c") == 1


def test_the_body_of_a_request_is_read_from_a_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "delete.xml").write_text("<Delete><Object><Key>a</Key></Object></Delete>")
    assert explain("--http", "POST /bucket?delete", "--body", "delete.xml") == 1
    assert "s3:DeleteObject on arn:aws:s3:::bucket/a" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing is asked"),
        (("--action", "s3:GetObject"), "nothing is asked"),
        (("--http", "GET"), "`GET` is no request"),
        ((*GET, "--action", "s3:GetObject"), "--http says action and resource itself"),
        ((*GET, "--header", "x"), "`x` is no header"),
        ((*GET, "--context", "x"), "`x` is no condition key with a value"),
        ((*GET, "--context", "aws:SourceIpp=x"), "did you mean `aws:SourceIp`?"),
        ((*GET, "--identity", "gone.yaml"), "there is no such file"),
        ((*GET, "--body", "gone.xml"), "cannot read `gone.xml`"),
        (("--http", "GET /bucket?frobnicate"), "the proxy refuses this request before any policy is asked"),
        ((*GET, "--batch", "-"), "policies are in the lines of --batch"),
    ],
)
def test_a_usage_error_is_exit_code_2_with_a_remedy(
    files: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(*arguments) == 2
    assert message in capsys.readouterr().err


def test_nobody_and_nothing_to_ask_are_told_apart(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "explain", "p.yaml", *GET]) == 2
    assert "nobody asks" in capsys.readouterr().err
    (files / "empty").mkdir()
    assert main(["policy", "explain", "empty", "--principal", "anonymous", *GET]) == 3
    (files / "p.yaml").write_text("Statement: []")
    assert explain(*GET) == 2
    assert "p.yaml:1:12: error missing-element" in capsys.readouterr().err


LINE = '{"policy": null, "request": {"principal": "*", "action": "s3:GetObject", "resource": "arn:aws:s3:::b/k"}}\n'
ANSWER = '{"decision": "implicit_deny", "statements": [], "error": null}\n'


@pytest.mark.parametrize("command", ["explain", "simulate"])
def test_batch_answers_line_by_line_and_always_exits_with_0(
    files: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "lines").write_text(LINE + "{\n" + LINE)
    assert main(["policy", command, "--batch", "lines"]) == 0
    first, second, third = capsys.readouterr().out.splitlines(keepends=True)
    assert (first, json.loads(second)["decision"], third) == (ANSWER, None, ANSWER)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LINE.encode())))
    assert main(["policy", command, "--batch", "-"]) == 0
    assert capsys.readouterr().out == ANSWER
    assert main(["policy", command, "--batch", "gone"]) == 2
    assert "gone:1:1: error unreadable" in capsys.readouterr().err

"""`policy lint`: exit codes, what is read, what is hidden, and every report from one run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.cli.main import main

ROOT = Path(__file__).parents[2]
CLEAN = """\
Version: "2012-10-17"
Statement:
  - Sid: Reads
    Effect: Allow
    Principal: {AWS: arn:aws:iam::123456789012:user/alice}
    Action: s3:GetObject
    Resource: arn:aws:s3:::b/*
"""
WRONG = CLEAN.replace("s3:GetObject", "s3:GetObjct")
PUBLIC = CLEAN.replace("{AWS: arn:aws:iam::123456789012:user/alice}", '"*"')
IDLE = CLEAN.replace("arn:aws:s3:::b/*", "[arn:aws:s3:::b/*, arn:aws:s3:::b]")
COLON = CLEAN.replace("arn:aws:s3:::b/*", "arn:aws:s3:::")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GITHUB_ACTIONS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return name


def lint(*arguments: str) -> int:
    return main(["policy", "lint", *arguments])


def test_a_clean_policy_is_exit_code_0_and_says_what_was_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(write("a.yaml", CLEAN)) == 0
    assert capsys.readouterr().out == "checked 1 policy, 1 statement\n"


def test_a_mistake_is_exit_code_1_with_place_and_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(write("policies/a.yaml", WRONG)) == 1
    assert capsys.readouterr().out == (
        "policies/a.yaml:6:13: error S3W014 [unknown-action] unknown action `s3:GetObjct`\n"
        "        Action: s3:GetObjct\n"
        "                ^^^^^^^^^^^\n"
        "    help: did you mean `s3:GetObject`?\n"
        "checked 1 policy, 1 statement: 1 error\n"
    )


@pytest.mark.parametrize(
    "text", [COLON, "a: [", "\t", "", "x", "[]", "{}", "Version: 2012-10-17", "a: *b", "\x00", "é\x07"]
)
def test_a_file_that_is_no_policy_is_a_finding_with_a_place(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(write("a.yaml", text)) == 1
    assert capsys.readouterr().out.startswith("a.yaml:")


def test_bytes_that_are_no_text_and_files_too_large_are_findings(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_bytes(b"Version: \xff\xfe")
    Path("b.yaml").write_bytes(b"#" * (1 << 20) + b"\n")
    assert lint("a.yaml", "b.yaml") == 1
    output = capsys.readouterr().out
    assert "a.yaml:1:1: error S3W001 [invalid-yaml] the file is not UTF-8 text" in output
    assert "b.yaml:1:1: error S3W001 [invalid-yaml] the file is larger than 1048576 bytes" in output


@pytest.mark.parametrize(
    ("text", "fail_on", "code"),
    [
        (PUBLIC, "error", 0),
        (PUBLIC, "security-warning", 1),
        (PUBLIC, "warning", 1),
        (PUBLIC, "suggestion", 1),
        (PUBLIC, "never", 0),
        (WRONG, "never", 0),
        (WRONG, "security-warning", 1),
        (IDLE, "warning", 0),
        (IDLE, "suggestion", 1),
        (CLEAN, "suggestion", 0),
    ],
)
@pytest.mark.parametrize("format", ["text", "json", "junit", "sarif", "github", "markdown"])
def test_fail_on_says_what_is_bad_news_whatever_the_format(text: str, fail_on: str, code: int, format: str) -> None:
    assert lint("--fail-on", fail_on, "--output", format, write("a.yaml", text)) == code


def test_a_file_that_is_not_there_is_exit_code_2_and_the_others_are_still_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lint(write("a.yaml", WRONG), "none.yaml") == 2
    captured = capsys.readouterr()
    assert "none.yaml:1:1: error unreadable cannot read the file: No such file or directory" in captured.err
    assert "a.yaml:6:13" in captured.out


def test_what_cannot_be_opened_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(f"{write('a.yaml', CLEAN)}/b.yaml") == 2
    assert "cannot read the file: Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--fail-on", "x", "."], ["--output", "x", "."], ["--kind", "x", "."]])
def test_usage_errors_are_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        lint(*arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("format", ["text", "json", "junit", "sarif", "github", "markdown"])
def test_when_nothing_was_checked_it_is_exit_code_3(format: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    write("empty/.hidden.yaml", WRONG)
    write("empty/notes.txt", "x")
    assert lint("--output", format, "empty") == 3
    assert "nothing was checked" in capsys.readouterr().out or format == "junit"


def test_tests_and_goals_are_told_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    write("p/a.yaml", CLEAN)
    write("p/a.test.yaml", "cases: []")
    write("p/goals/tls.yaml", "goal: TLS\nnever: []")
    assert lint("p") == 0
    captured = capsys.readouterr()
    assert captured.out == "checked 1 policy, 1 statement\n"
    assert captured.err == "s3warden: `p/goals/tls.yaml` is a goal to prove, not a policy: skipped\n"
    assert lint("p/a.test.yaml") == 3


def test_a_file_named_twice_is_checked_once(capsys: pytest.CaptureFixture[str]) -> None:
    write("p/a.yaml", CLEAN)
    assert lint("p", "p/a.yaml", "./p/../p") == 0
    assert capsys.readouterr().out == "checked 1 policy, 1 statement\n"


def test_standard_input_is_a_policy_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(WRONG.encode())))
    assert lint("-") == 1
    assert capsys.readouterr().out.startswith("<stdin>:6:13: error S3W014")


def test_the_kind_can_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    identity = write("a.yaml", CLEAN.replace("    Principal: {AWS: arn:aws:iam::123456789012:user/alice}\n", ""))
    assert lint(identity) == 0
    assert lint("--kind", "bucket", identity) == 1
    assert "the statement has no `Principal`" in capsys.readouterr().out


def test_a_mapped_key_can_be_named() -> None:
    text = CLEAN + "    Condition: {StringEquals: {aws:SourceVpce: vpce-1a2b3c4d}}\n"
    assert lint(write("a.yaml", text)) == 1
    assert lint("--mapped-key", "aws:SourceVpce", "a.yaml") == 0


def test_a_suppression_needs_a_reason_and_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    comment = '"*" # s3warden: ignore[S3W060]'
    assert lint("--fail-on", "warning", write("a.yaml", PUBLIC.replace('"*"', f"{comment} our website"))) == 0
    assert capsys.readouterr().out == "checked 1 policy, 1 statement: 1 suppressed\n"
    assert lint("--fail-on", "warning", write("a.yaml", PUBLIC.replace('"*"', comment))) == 1
    assert "S3W101 [bad-suppression] the comment gives no reason" in capsys.readouterr().out


def test_a_baseline_hides_today_s_findings_and_not_tomorrow_s(capsys: pytest.CaptureFixture[str]) -> None:
    write("p/a.yaml", PUBLIC)
    assert lint("--write-baseline", "baseline.json", "p") == 0
    assert lint("--fail-on", "suggestion", "--baseline", "baseline.json", "p") == 0
    assert capsys.readouterr().out == "checked 1 policy, 1 statement: 1 in the baseline\n"
    moved = PUBLIC.replace("Statement:", "Id: x\n\nStatement:")
    assert lint("--fail-on", "suggestion", "--baseline", "baseline.json", write("p/a.yaml", moved)) == 0
    write("p/b.yaml", PUBLIC)
    assert lint("--fail-on", "suggestion", "--baseline", "baseline.json", "p") == 1
    write("p/b.yaml", CLEAN)
    write("p/a.yaml", CLEAN)
    capsys.readouterr()
    assert lint("--fail-on", "warning", "--baseline", "baseline.json", "p") == 1
    assert "baseline.json:3:5: warning S3W102" in capsys.readouterr().out


def test_a_baseline_does_not_hide_what_the_proxy_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint("--write-baseline", "baseline.json", write("a.yaml", WRONG)) == 0
    assert capsys.readouterr().err == "wrote baseline.json, without 1 that the proxy refuses\n"
    assert lint("--baseline", "baseline.json", "a.yaml") == 1


def test_a_bad_baseline_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    write("a.yaml", CLEAN)
    assert lint("--baseline", "none.json", "a.yaml") == 2
    assert lint("--baseline", write("b.json", "[]"), "a.yaml") == 2
    assert lint("--write-baseline", "none/b.json", "a.yaml") == 2
    assert "b.json:1:1: error invalid-document not a baseline" in capsys.readouterr().err


def test_one_run_can_write_all_reports(capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: f"out.{name}" for name in ("json", "junit", "sarif", "github", "markdown")}
    outputs = [word for name, file in files.items() for word in ("--output", f"{name}={file}")]
    assert lint(*outputs, "--output", "text", write("a.yaml", WRONG)) == 1
    assert "S3W014" in capsys.readouterr().out
    assert all("S3W014" in Path(file).read_text() for file in files.values())
    sarif = json.loads(Path("out.sarif").read_text())
    assert sarif["runs"][0]["tool"]["driver"]["rules"][0]["help"]["markdown"].startswith("# S3W014: unknown-action")


def test_a_report_that_cannot_be_written_is_exit_code_2() -> None:
    assert lint("--output", "json=none/x.json", write("a.yaml", CLEAN)) == 2


def test_github_actions_gets_annotations_by_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert lint(write("a.yaml", WRONG)) == 1
    assert "::error file=a.yaml,line=6,col=13,endColumn=24,title=S3W014 unknown-action::" in capsys.readouterr().out


def test_the_policies_that_ship_are_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert lint("--fail-on", "suggestion", "policies") == 0


def test_it_works_as_a_command_without_colours_in_a_pipe() -> None:
    write("a.yaml", WRONG)
    command = [sys.executable, "-m", "proxy", "policy", "lint", "a.yaml"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    plain = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert plain.returncode == 1
    assert "\x1b" not in plain.stdout
    coloured = subprocess.run(command, capture_output=True, text=True, env={**environ, "FORCE_COLOR": "1"})
    assert coloured.returncode == 1
    assert "\x1b[1;31merror\x1b[0m" in coloured.stdout


ODD = st.text(st.sampled_from(list("{}[]:,\"'&*!|>%@`#-? \n\tabVersionStatemet012.${}\\\u202eé\x00")), max_size=120)


def lint_quietly(*arguments: str) -> tuple[int, str]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        return lint(*arguments), out.getvalue()


SAME_FOLDER = [HealthCheck.function_scoped_fixture]  # each example writes its file anew


@given(ODD, st.sampled_from(["text", "json", "junit", "sarif", "github", "markdown"]))
@settings(max_examples=120, deadline=None, suppress_health_check=SAME_FOLDER)
def test_no_file_is_a_traceback(text: str, format: str) -> None:
    write("odd.yaml", text)
    assert lint_quietly("--output", format, "odd.yaml")[0] in (0, 1)


@given(st.integers(0, len(CLEAN)), st.integers(0, 20), ODD)
@settings(max_examples=120, deadline=None, suppress_health_check=SAME_FOLDER)
def test_a_damaged_policy_is_told_with_a_place(start: int, length: int, put: str) -> None:
    write("odd.yaml", CLEAN[:start] + put + CLEAN[start + length :])
    code, out = lint_quietly("--output", "json", "odd.yaml")
    found = json.loads(out)["findings"]
    assert code == (1 if any(finding["severity"] == "error" for finding in found) else 0)
    assert all(finding["line"] >= 1 and finding["column"] >= 1 for finding in found)

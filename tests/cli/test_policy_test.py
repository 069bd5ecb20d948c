"""`policy test`: exit codes, formats, and the tests that ship with the product."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from proxy.cli.main import main

ROOT = Path(__file__).parents[2]
POLICY = """\
Version: "2012-10-17"
Statement:
  - Sid: NeedsTls
    Effect: Deny
    Principal: "*"
    Action: "s3:*"
    Resource: [arn:aws:s3:::bucket, arn:aws:s3:::bucket/*]
    Condition: {Bool: {aws:SecureTransport: "false"}}
  - {Sid: Public, Effect: Allow, Principal: "*", Action: s3:GetObject, Resource: arn:aws:s3:::bucket/public/*}
"""
PLAIN = "  - {name: plain, http: {method: GET, path: /bucket/public/a, tls: none}, expect: deny, sid: NeedsTls}\n"
READ = "  - {name: read, http: {method: GET, path: /bucket/public/a}, expect: allow, sid: Public}\n"
WRONG = "  - {name: wrong, http: {method: GET, path: /bucket/a}, expect: allow}\n"
OTHER = "  - {name: other, http: {method: GET, path: /bucket/a}, expect: implicit_deny}\n"


def place(folder: Path, *tests: str) -> str:
    (folder / "p.yaml").write_text(POLICY)
    (folder / "p.test.yaml").write_text("defaults: {principal: anonymous}\ntests:\n" + "".join(tests))
    return str(folder)


def test_tests_that_pass_are_good_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "test", place(tmp_path, PLAIN, READ)]) == 0
    assert capsys.readouterr().out == "checked 1 policy, 2 statements, 2 tests\n"


def test_a_failed_expectation_is_bad_news_and_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "test", place(tmp_path, READ, WRONG)]) == 1
    out = capsys.readouterr().out
    assert "p.test.yaml:4:12: failed: wrong\n" in out
    assert "expected allow, got implicit_deny\n" in out
    assert "Allow `Public`" in out
    assert "matched principal and action, did not match resource" in out
    assert out.endswith("checked 1 policy, 2 statements, 2 tests: 1 failed\n")


def test_the_junit_form_has_a_case_per_expectation(tmp_path: Path) -> None:
    file = tmp_path / "out.xml"
    assert main(["policy", "test", place(tmp_path, PLAIN, WRONG), "--output", f"junit={file}"]) == 1
    suite = ElementTree.parse(file).getroot()[0]  # noqa: S314  our own file
    assert suite.attrib["name"].endswith("p.test.yaml")
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "1")
    assert "nearest misses" in (suite[1][0].text or "")


def test_coverage_tells_what_is_not_exercised_and_a_threshold_makes_it_bad_news(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place(tmp_path, READ)
    assert main(["policy", "test", folder, "--coverage"]) == 0
    assert "suggestion not-exercised no test's request matches `NeedsTls`" in capsys.readouterr().out
    assert main(["policy", "test", folder, "--threshold", "90", "--output", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["coverage"]["statements"] == {"exercised": 1, "all": 2}
    assert main(["policy", "test", place(tmp_path, READ, PLAIN), "--threshold", "100"]) == 0


def test_a_mutant_that_no_test_notices_is_bad_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "test", place(tmp_path, READ), "--mutate"]) == 1
    out = capsys.readouterr().out
    assert "warning surviving-mutant no test fails when `NeedsTls` says Allow instead of Deny" in out
    assert main(["policy", "test", place(tmp_path, READ, PLAIN, OTHER), "--mutate"]) == 0
    assert "mutants: 3 of 3 were noticed" in capsys.readouterr().out


def test_mutants_are_not_tried_while_tests_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "test", place(tmp_path, WRONG), "--mutate"]) == 1
    assert "mutants: not tried" in capsys.readouterr().out


def test_no_tests_are_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "test", str(tmp_path)]) == 3
    captured = capsys.readouterr()
    assert "nothing was checked" in captured.out
    assert "NAME.test.yaml" in captured.err


@pytest.mark.parametrize("broken", ["tests: [", "{}", "\x00", "policies: [gone.yaml]\ntests: []"])
def test_a_broken_file_is_exit_code_2_with_its_place(
    tmp_path: Path, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place(tmp_path)
    (tmp_path / "p.test.yaml").write_text(broken)
    assert main(["policy", "test", str(tmp_path)]) == 2
    assert f"{tmp_path}/p.test.yaml:" in capsys.readouterr().err


def test_a_broken_policy_and_a_path_that_is_not_there_are_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place(tmp_path, READ)
    (tmp_path / "p.yaml").write_text(POLICY.replace("GetObject", "GetObjct"))
    assert main(["policy", "test", folder]) == 2
    assert "did you mean `s3:GetObject`?" in capsys.readouterr().err
    assert main(["policy", "test", str(tmp_path / "gone")]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_what_ships_is_tested_whole(capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(ROOT / "policies" / name) for name in ("buckets", "library")]
    assert main(["policy", "test", *folders, "--threshold", "100", "--mutate"]) == 0
    assert "coverage 100.0 %" in capsys.readouterr().out

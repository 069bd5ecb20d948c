"""GitHub annotations that cannot be forged, and Markdown that stays a table."""

from __future__ import annotations

import re
from collections.abc import Callable

from proxy.cli.reports import Case, Problem, Report
from proxy.cli.reports.pages import MAX_ANNOTATIONS, write_github, write_markdown
from proxy.diagnostics import Severity, Span


def test_an_annotation_names_file_line_and_rule(report: Callable[..., Report], problem: Callable[..., Problem]) -> None:
    first, summary = write_github(report(problem(12))).splitlines()
    assert first == (
        "::error file=policies/a.yaml,line=12,col=9,endColumn=20,title=S3W014 unknown-action::"
        "unknown action `s3:GetObjct`%0Ahelp: did you mean `s3:GetObject`?"
    )
    assert summary == "checked 7 policies, 31 statements: 1 error"


def test_what_a_file_says_can_neither_end_a_command_nor_begin_one(nasty: Report) -> None:
    lines = write_github(nasty).splitlines()
    assert all(re.match(r"::(error|warning|notice) file=|checked ", line) for line in lines)
    place = lines[0].split("::")[1]
    assert "päth/ü b%2Cc%3A%25.yaml" in place
    assert "a%25b%0D%0Ac:d,e" in lines[0]


def test_ten_of_a_level_are_shown_the_worst_first_and_the_cut_is_told(
    report: Callable[..., Report], problem: Callable[..., Problem]
) -> None:
    warnings = [problem(number, Severity.WARNING) for number in range(1, 13)]
    lines = write_github(report(*warnings, problem(99, Severity.SECURITY_WARNING), problem(100))).splitlines()
    assert lines[0].startswith("::error ")
    assert "line=99," in lines[1]
    assert sum(line.startswith("::warning ") for line in lines) == MAX_ANNOTATIONS
    assert lines[-2].endswith("GitHub shows 10 per level: 3 of level warning")


def test_a_failed_case_is_an_annotation(report: Callable[..., Report]) -> None:
    case = Case("a.test.yaml", "reads: all", "failed", "expected allow", Span("a.test.yaml", 3))
    lines = write_github(report(cases=(case,))).splitlines()
    assert lines[0] == "::error file=a.test.yaml,line=3,col=1,title=reads%3A all::expected allow"


def test_markdown_is_a_table_with_a_verdict(report: Callable[..., Report], problem: Callable[..., Problem]) -> None:
    lines = write_markdown(report(problem(12))).splitlines()
    assert lines[0] == "## ❌ s3warden policy lint"
    assert lines[-1] == (
        "| `policies/a.yaml:12:9` | error | S3W014 unknown-action | "
        "unknown action `s3:GetObjct`<br>did you mean `s3:GetObject`? |"
    )
    assert write_markdown(report()).startswith("## ✅ ")


def test_nothing_breaks_out_of_a_cell(nasty: Report) -> None:
    rows = [line for line in write_markdown(nasty).splitlines() if line.startswith("| `")]
    assert len(rows) == 2
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 5
        assert "<f>" not in row


def test_a_body_is_a_block_whatever_is_in_it() -> None:
    report = Report("policy explain", {"request": 1}, False, body="```\nallow\n")
    assert "````text\n```\nallow\n````" in write_markdown(report)
    assert write_markdown(Report("x", {"request": 1}, False, body="b", markdown="*own*")).endswith("*own*\n")

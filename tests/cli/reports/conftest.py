"""Reports to write: problems with everything that a format could trip over."""

from __future__ import annotations

import pytest

from proxy.cli.reports import Case, Problem, Report, RuleText
from proxy.diagnostics import Severity, Span

NASTY = 'a%b\r\nc:d,e <f> & "g" | `h` *i* ]]> \u202e\x1b[31m\x00 é 😀'


def make_problem(number: int = 1, severity: Severity = Severity.ERROR, **changes: object) -> Problem:
    values: dict[str, object] = {
        "rule": "S3W014",
        "name": "unknown-action",
        "severity": severity,
        "message": "unknown action `s3:GetObjct`",
        "span": Span("policies/a.yaml", number, 9, 11),
        "help": "did you mean `s3:GetObject`?",
        "snippet": "Action: s3:GetObjct",
        "fingerprint": f"{number:032x}",
        "failing": severity is Severity.ERROR,
        "sid": "Reads",
        "pointer": "/Statement/0/Action",
        **changes,
    }
    return Problem(**values)  # type: ignore[arg-type]  # the values are those of the fields


def make_report(*problems: Problem, cases: tuple[Case, ...] = ()) -> Report:
    return Report(
        command="policy lint",
        checked={"policy": 7, "statement": 31},
        failed=any(problem.failing for problem in problems),
        problems=problems,
        cases=cases,
        rules={"S3W014": RuleText("There is no such action.", Severity.ERROR, "# S3W014\n\nWhy.")},
    )


@pytest.fixture(scope="session")
def problem() -> type[Problem]:
    return make_problem  # type: ignore[return-value]  # it is called like the class, with defaults


@pytest.fixture(scope="session")
def report() -> type[Report]:
    return make_report  # type: ignore[return-value]  # likewise


@pytest.fixture(scope="session")
def nasty() -> Report:
    """Everything in one report, in every text the worst one."""
    span = Span("päth/ü b,c:%.yaml", 1, 3, 2)
    bad = make_problem(message=NASTY, help=NASTY, snippet=NASTY, span=span, sid=NASTY, pointer=NASTY)
    cases = (
        Case(span.file, NASTY, "failed", NASTY, span),
        Case(span.file, "passes", "passed"),
        Case("other", "waits", "skipped", "not today"),
    )
    return make_report(bad, make_problem(2, Severity.WARNING), cases=cases)

"""What every report says of itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.cli.reports import Case, Problem, Report
from proxy.cli.reports.model import visible
from proxy.diagnostics import Severity


@pytest.mark.parametrize(
    ("checked", "summary"),
    [
        ({"policy": 7, "statement": 31}, "checked 7 policies, 31 statements"),
        ({"policy": 1, "statement": 0, "test": 1}, "checked 1 policy, 0 statements, 1 test"),
        ({"request": 12345}, "checked 12,345 requests"),
        ({"policy": 0, "statement": 0}, "nothing was checked"),
    ],
)
def test_a_report_says_how_much_was_looked_at(checked: dict[str, int], summary: str) -> None:
    assert Report("policy lint", checked, failed=False).summary == summary


def test_a_report_counts_what_was_found(problem: Callable[..., Problem]) -> None:
    problems = tuple(problem(1, severity) for severity in (*Severity, Severity.WARNING))
    cases = (Case("s", "a", "failed"), Case("s", "b", "passed"))
    summary = Report("x", {"policy": 1}, True, problems, cases, notes=("2 suppressed",)).summary
    assert summary == (
        "checked 1 policy: 1 error, 1 security warning, 2 warnings, 1 suggestion, 1 failed, 2 suppressed"
    )


def test_characters_that_act_or_hide_are_shown() -> None:
    assert visible("a\u202eb\x1b[0m\u200b\U000e0041\ud800\n\té😀") == (
        "a\\u202eb\\u001b[0m\\u200b\\U000e0041\\ud800\n\té😀"
    )

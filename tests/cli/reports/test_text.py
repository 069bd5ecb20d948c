"""Text: place, source line, caret, help; colours where they are wanted."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest

from proxy.cli.reports import Case, Problem, Report
from proxy.cli.reports.text import wants_colour, write
from proxy.diagnostics import Severity, Span


def test_a_problem_is_shown_with_place_rule_caret_and_help(
    report: Callable[..., Report], problem: Callable[..., Problem]
) -> None:
    written = write(report(problem(12)))
    assert written == (
        "policies/a.yaml:12:9: error S3W014 [unknown-action] unknown action `s3:GetObjct`\n"
        "    Action: s3:GetObjct\n"
        "            ^^^^^^^^^^^\n"
        "    help: did you mean `s3:GetObject`?\n"
        "checked 7 policies, 31 statements: 1 error\n"
    )


def test_problems_come_in_the_order_of_the_files(
    report: Callable[..., Report], problem: Callable[..., Problem]
) -> None:
    written = write(report(problem(30), problem(2, Severity.WARNING)))
    assert written.index("a.yaml:2:") < written.index("a.yaml:30:")


def test_the_caret_stands_below_its_place_after_tabs_and_escaped_characters(
    report: Callable[..., Report], problem: Callable[..., Problem]
) -> None:
    tabbed = write(report(problem(snippet="\t\tAction: x", span=Span("a", 1, 11, 1)))).splitlines()
    assert tabbed[1:3] == ["    \t\tAction: x", "    \t\t        ^"]
    hidden = write(report(problem(snippet="a\u202eb: c", span=Span("a", 1, 6, 1)))).splitlines()
    assert hidden[1:3] == ["    a\\u202eb: c", "              ^"]


def test_failed_cases_are_told_with_their_reason(report: Callable[..., Report]) -> None:
    cases = (
        Case("a.test.yaml", "reads", "failed", "expected allow\ngot deny", Span("a.test.yaml", 3)),
        Case("a.test.yaml", "writes", "passed"),
    )
    assert write(report(cases=cases)) == (
        "a.test.yaml:3:1: failed: reads\n    expected allow\n    got deny\n"
        "checked 7 policies, 31 statements: 1 failed\n"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "wanted"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (io.StringIO(), {}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals_and_those_who_ask(
    stream: io.StringIO, environ: dict[str, str], wanted: bool
) -> None:
    assert wants_colour(stream, environ) is wanted


def test_colours_change_nothing_but_colours(nasty: Report) -> None:
    coloured = write(nasty, colour=True)
    assert "\x1b[1;31merror\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == write(nasty)


def test_nothing_from_a_file_acts_on_the_terminal(nasty: Report) -> None:
    written = write(nasty)
    assert not any(char in written for char in "\x1b\x00\r\u202e")

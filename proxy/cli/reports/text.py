"""Text for people: place, rule, message, source line with a caret, help, and a summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from proxy.cli.reports.model import Problem, Report, by_place, visible
from proxy.diagnostics import Severity

_COLOURS = {
    Severity.ERROR: "31",
    Severity.SECURITY_WARNING: "35",
    Severity.WARNING: "33",
    Severity.SUGGESTION: "36",
}


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether to colour. Sources: https://no-color.org, https://force-color.org."""
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or (stream.isatty() and environ.get("TERM") != "dumb")


def write(report: Report, *, colour: bool = False) -> str:
    """Write the report as text."""
    blocks = [_problem(problem, colour) for problem in by_place(report.problems)]
    if report.body:
        blocks.append(visible(report.body.rstrip("\n")))
    for case in report.cases:
        if case.outcome == "failed":
            where = f"{case.span}: " if case.span else ""
            blocks.append(_paint(f"{where}failed: {visible(case.name)}", "31", colour))
            blocks.extend(f"    {line}" for line in visible(case.text).splitlines())
    return "\n".join([*blocks, _paint(report.summary, "1", colour)]) + "\n"


def _problem(problem: Problem, colour: bool) -> str:
    severity = _paint(problem.severity.value, f"1;{_COLOURS[problem.severity]}", colour)
    rule = f"{problem.rule} [{problem.name}]" if problem.name else problem.rule
    lines = [f"{_paint(visible(str(problem.span)), '1', colour)}: {severity} {rule} {visible(problem.message)}"]
    if problem.snippet:
        lines += _snippet(problem, colour)
    if problem.help:
        lines.append(f"    {_paint('help:', '32', colour)} {visible(problem.help)}")
    return "\n".join(lines)


def _snippet(problem: Problem, colour: bool) -> list[str]:
    start = problem.span.column - 1
    before, rest = problem.snippet[:start], problem.snippet[start:]
    marked = visible(rest[: max(1, problem.span.length)])
    # Tabs stay tabs, so that the caret stands below its place whatever their width.
    pad = "".join(char if char == "\t" else " " for char in visible(before))
    caret = _paint("^" * max(1, len(marked)), _COLOURS[problem.severity], colour)
    return [f"    {visible(problem.snippet)}", f"    {pad}{caret}"]


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text

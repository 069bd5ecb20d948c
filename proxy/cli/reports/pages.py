"""GitHub annotations, and Markdown for summaries and comments.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands.
"""

from __future__ import annotations

from collections import Counter

from proxy.cli.reports.model import Problem, Report, by_place, by_severity, visible
from proxy.diagnostics import Severity, Span

MAX_ANNOTATIONS = 10  # GitHub shows so many per level and step, and drops the others without a word
_MAX_ROWS = 200  # a comment on GitHub takes 65,536 characters
_LEVELS = {
    Severity.ERROR: "error",
    Severity.SECURITY_WARNING: "warning",
    Severity.WARNING: "warning",
    Severity.SUGGESTION: "notice",
}


def write_github(report: Report) -> str:
    """Write workflow commands, the worst first, and how many were cut."""
    shown: Counter[str] = Counter()
    cut: Counter[str] = Counter()
    lines = []
    entries: list[tuple[str, Span | None, str, str]] = [
        (_LEVELS[problem.severity], problem.span, problem.title, problem.advice)
        for problem in by_severity(report.problems)
    ]
    entries += [("error", c.span, c.name, c.text or c.name) for c in report.cases if c.outcome == "failed"]
    for level, span, title, text in entries:
        if shown[level] >= MAX_ANNOTATIONS:
            cut[level] += 1
            continue
        shown[level] += 1
        lines.append(f"::{level} {_place(span)}title={_property(title)}::{_data(text)}")
    if cut:
        what = ", ".join(f"{number} of level {level}" for level, number in cut.items())
        lines.append(f"not shown as annotations, since GitHub shows {MAX_ANNOTATIONS} per level: {what}")
    return "\n".join([*lines, report.summary]) + "\n"


def _place(span: Span | None) -> str:
    if span is None:
        return ""
    if not span.line:
        return f"file={_property(span.file)},"
    end = f",endColumn={span.column + span.length}" if span.length else ""
    return f"file={_property(span.file)},line={span.line},col={span.column}{end},"


def _data(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return visible(escaped)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def write_markdown(report: Report) -> str:
    """Write a heading, the summary, and a table of problems."""
    verdict = "❌" if report.failed else "✅"
    lines = [f"## {verdict} s3warden {report.command}", "", visible(report.summary), ""]
    problems = by_place(report.problems)
    if problems:
        lines += ["| Place | Severity | Rule | Finding |", "| --- | --- | --- | --- |"]
        lines += [_row(problem) for problem in problems[:_MAX_ROWS]]
        if len(problems) > _MAX_ROWS:
            lines += ["", f"{len(problems) - _MAX_ROWS} more are not shown."]
        lines.append("")
    failed = [case for case in report.cases if case.outcome == "failed"]
    for case in failed[:_MAX_ROWS]:
        where = f" (`{case.span}`)" if case.span else ""
        lines += [f"### {_cell(case.name)}{where}", "", *_block(case.text), ""]
    if report.markdown:
        lines += [report.markdown.rstrip("\n"), ""]
    elif report.body:
        lines += [*_block(report.body), ""]
    return "\n".join(lines)


def _row(problem: Problem) -> str:
    remedy = f"<br>{_cell(problem.help)}" if problem.help else ""
    cells = (f"`{_code(str(problem.span))}`", problem.severity.value, problem.title, _cell(problem.message) + remedy)
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    return visible(text).replace("`", "'").replace("|", "\\|").replace("\n", " ")


def _cell(text: str) -> str:
    """Write text with its `code` kept: outside of it, what Markdown would act on is escaped."""
    pieces = visible(text).replace("\n", " ").replace("|", "\\|").split("`")
    if len(pieces) % 2 == 0:
        pieces = ["'".join(pieces)]
    for place in range(0, len(pieces), 2):
        pieces[place] = pieces[place].replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_").replace("[", "\\[")
    return "`".join(pieces)


def _block(text: str) -> list[str]:
    shown = visible(text.rstrip("\n"))
    fence = "```"
    while fence in shown:
        fence += "`"
    return [f"{fence}text", *shown.splitlines(), fence]

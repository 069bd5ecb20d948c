"""JSON of our own, and JUnit XML.

Source for JUnit: https://github.com/testmoapp/junitxml, which describes what the common readers take.
"""

from __future__ import annotations

import json
from xml.sax.saxutils import escape, quoteattr

from proxy.cli.reports.model import Case, Problem, Report, by_place, visible


def write_json(report: Report) -> str:
    """Write the report as one JSON object; members are only ever added."""
    data: dict[str, object] = {
        "version": 1,
        "command": report.command,
        "checked": dict(report.checked),
        "failed": report.failed,
        "summary": report.summary,
        "findings": [_finding(problem) for problem in by_place(report.problems)],
    }
    if report.cases:
        data["cases"] = [_case(case) for case in report.cases]
    return json.dumps({**data, **report.data}, indent=2) + "\n"


def _finding(problem: Problem) -> dict[str, object]:
    return {
        "rule": problem.rule,
        "name": problem.name,
        "severity": problem.severity.value,
        "message": problem.message,
        "help": problem.help,
        "file": problem.span.file,
        "line": problem.span.line,
        "column": problem.span.column,
        "length": problem.span.length,
        "sid": problem.sid,
        "pointer": problem.pointer,
        "fingerprint": problem.fingerprint,
        "failing": problem.failing,
    }


def _case(case: Case) -> dict[str, object]:
    place = {"file": case.span.file, "line": case.span.line, "column": case.span.column} if case.span else {}
    return {"suite": case.suite, "name": case.name, "outcome": case.outcome, "text": case.text, **place}


def write_junit(report: Report) -> str:
    """Write a suite per file and a case per expectation; a problem is a failed case of its file."""
    cases = list(report.cases)
    for problem in by_place(report.problems):
        text = f"{problem.span}: {problem.severity.value} {problem.rule} {problem.advice}"
        name = f"{problem.title} line {problem.span.line}" if problem.span.line else problem.title
        cases.append(
            Case(problem.span.file, name, "failed" if problem.failing else "passed", text, problem.span),
        )
    suites: dict[str, list[Case]] = {}
    for case in cases:
        suites.setdefault(case.suite, []).append(case)
    failures = sum(case.outcome == "failed" for case in cases)
    skipped = sum(case.outcome == "skipped" for case in cases)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name={_attr("s3warden " + report.command)} tests="{len(cases)}" failures="{failures}"'
        f' skipped="{skipped}" errors="0" time="0">',
    ]
    for suite, members in suites.items():
        lines += _suite(suite, members)
    return "\n".join([*lines, "</testsuites>", ""])


def _suite(name: str, cases: list[Case]) -> list[str]:
    failures = sum(case.outcome == "failed" for case in cases)
    skipped = sum(case.outcome == "skipped" for case in cases)
    lines = [
        f'  <testsuite name={_attr(name)} tests="{len(cases)}" failures="{failures}" skipped="{skipped}"'
        f' errors="0" time="0">'
    ]
    for case in cases:
        place = f' file={_attr(case.span.file)} line="{case.span.line}"' if case.span else ""
        start = f'    <testcase name={_attr(case.name)} classname={_attr(name)}{place} time="0"'
        text = escape(visible(case.text))
        first = _attr(case.text.splitlines()[0] if case.text else case.outcome)
        if case.outcome == "failed":
            lines += [f"{start}>", f"      <failure message={first}>{text}</failure>", "    </testcase>"]
        elif case.outcome == "skipped":
            lines += [f"{start}>", f"      <skipped message={first}/>", "    </testcase>"]
        elif case.text:
            lines += [f"{start}>", f"      <system-out>{text}</system-out>", "    </testcase>"]
        else:
            lines.append(f"{start}/>")
    return [*lines, "  </testsuite>"]


def _attr(text: str) -> str:
    return quoteattr(visible(text))

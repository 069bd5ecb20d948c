"""SARIF 2.1.0, as GitHub code scanning takes it.

Sources: https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html,
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path, PurePath
from urllib.parse import quote

import proxy
from proxy.cli.reports.model import Problem, Report, RuleText, by_severity
from proxy.diagnostics import Severity

MAX_RESULTS = 5000  # GitHub keeps so many of a run
_LEVELS = {
    Severity.ERROR: "error",
    Severity.SECURITY_WARNING: "warning",
    Severity.WARNING: "warning",
    Severity.SUGGESTION: "note",
}
# GitHub's bands: above 7 high, above 4 medium, below that low.
_SECURITY_SEVERITY = {
    Severity.ERROR: "7.5",
    Severity.SECURITY_WARNING: "7.0",
    Severity.WARNING: "4.0",
    Severity.SUGGESTION: "1.0",
}


def write(report: Report) -> str:
    """Write one run with the worst results; what was cut is told in its invocation."""
    problems = by_severity(report.problems)
    shown, cut = problems[:MAX_RESULTS], len(problems) - MAX_RESULTS
    ids = sorted({problem.rule for problem in shown} | set(report.rules))
    invocation: dict[str, object] = {"executionSuccessful": True, "exitCode": int(report.failed)}
    if cut > 0:
        message = f"{cut} results of lower severity were left out"
        invocation["toolExecutionNotifications"] = [{"level": "warning", "message": {"text": message}}]
    seen: Counter[str] = Counter()
    run = {
        "tool": {
            "driver": {
                "name": "s3warden",
                "version": proxy.__version__,
                "rules": [_rule(name, report.rules.get(name), shown) for name in ids],
            }
        },
        "columnKind": "unicodeCodePoints",
        "automationDetails": {"id": f"s3warden/{report.command.replace(' ', '-')}/"},
        "invocations": [invocation],
        "results": [_result(problem, ids.index(problem.rule), seen) for problem in shown],
        "properties": {"summary": report.summary},
    }
    schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(id: str, text: RuleText | None, problems: list[Problem]) -> dict[str, object]:
    named = next((problem for problem in problems if problem.rule == id), None)
    severity = text.severity if text else named.severity if named else Severity.ERROR
    rule: dict[str, object] = {
        "id": id,
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {"tags": ["security"], "security-severity": _SECURITY_SEVERITY[severity], "precision": "high"},
    }
    if named and named.name:
        rule["name"] = "".join(word.capitalize() for word in named.name.split("-"))
    if text:
        rule["shortDescription"] = {"text": text.title}
        rule["fullDescription"] = {"text": text.title}
        rule["help"] = {"text": text.help, "markdown": text.help}
    return rule


def _result(problem: Problem, index: int, seen: Counter[str]) -> dict[str, object]:
    artifact = {"artifactLocation": {"uri": relative_uri(problem.span.file), "uriBaseId": "%SRCROOT%"}}
    region: dict[str, object] = {"startLine": problem.span.line, "startColumn": problem.span.column}
    if problem.span.length:
        region["endColumn"] = problem.span.column + problem.span.length
    if problem.snippet:
        region["snippet"] = {"text": problem.snippet}
    location = {"physicalLocation": {**artifact, "region": region} if problem.span.line else artifact}
    result: dict[str, object] = {
        "ruleId": problem.rule,
        "ruleIndex": index,
        "level": _LEVELS[problem.severity],
        "message": {"text": problem.advice},
        "locations": [location],
        "properties": {"severity": problem.severity.value},
    }
    if problem.fingerprint:
        seen[problem.fingerprint] += 1
        name = f"{problem.fingerprint}:{seen[problem.fingerprint]}"
        # GitHub tells alerts apart by the second one only, which is meant to be a hash of the line.
        result["partialFingerprints"] = {"s3wardenFinding/v1": name, "primaryLocationLineHash": name}
    return result


def relative_uri(file: str) -> str:
    """Write a path relative to the working directory where it is below it, percent-encoded; `s3://` goes."""
    if file.startswith("s3://"):
        return quote(file.removeprefix("s3://"), errors="surrogateescape")
    path = PurePath(file)
    if path.is_absolute():
        try:
            path = path.relative_to(Path.cwd())
        except ValueError:
            return quote(path.as_posix().lstrip("/"), errors="surrogateescape")
    return quote(path.as_posix(), errors="surrogateescape")

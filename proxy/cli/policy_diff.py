"""`s3warden policy diff OLD NEW`: which requests change verdict, and for whom."""

from __future__ import annotations

import argparse
from pathlib import Path

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.reports import Problem, Report, RuleText, add_output_option, emit
from proxy.cli.verdicts import (
    add_assumptions,
    assumptions,
    caller_of,
    count,
    decision_data,
    describe_decision,
    describe_request,
    fingerprint,
    load_policies,
    partial,
    place_of,
    request_data,
)
from proxy.diagnostics import Severity
from proxy.policy.diff import Change, Comparison, Difference, compare

_SEVERITIES = {
    Change.GAINS: Severity.SECURITY_WARNING,
    Change.LOSES: Severity.WARNING,
    Change.WEAKER: Severity.SUGGESTION,
    Change.STRONGER: Severity.SUGGESTION,
}
_TITLES = {
    Change.GAINS: "access gained",
    Change.LOSES: "access lost",
    Change.WEAKER: "denied in both, no longer explicitly",
    Change.STRONGER: "denied in both, now explicitly",
}
_IDS = {
    Change.GAINS: "access-gained",
    Change.LOSES: "access-lost",
    Change.WEAKER: "denial-weakened",
    Change.STRONGER: "denial-strengthened",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `policy diff`."""
    parser.add_argument("old", metavar="OLD", type=Path, help="a policy file, or a folder with policies")
    parser.add_argument("new", metavar="NEW", type=Path, help="what is to replace it")
    parser.add_argument("--allow-more", action="store_true", help="accept differences that allow more")
    parser.add_argument("--allow-less", action="store_true", help="accept differences that allow less")
    add_assumptions(parser)
    add_output_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare, report, and say whether all differences are accepted."""
    old, new = load_policies(arguments.old), load_policies(arguments.new)
    checked = count(old, new)
    found = compare(old, new, assumptions(arguments))
    accepted = {True: arguments.allow_more, False: arguments.allow_less}
    problems = [
        _problem(difference, arguments.new, failing=not accepted[difference.change.more])
        for difference in found.differences
    ]
    problems += partial(found.missing, arguments.new, failing=not arguments.allow_partial)
    failed = any(problem.failing for problem in problems)
    report = Report(
        command="policy diff",
        checked={**checked, "cell": found.cells} if found.cells else checked,
        failed=failed,
        problems=tuple(problems),
        data=as_data(found),
        rules={
            _IDS[change]: RuleText(
                _TITLES[change], _SEVERITIES[change], f"A request changes verdict: {_TITLES[change]}."
            )
            for change in dict.fromkeys(difference.change for difference in found.differences)
        },
        notes=() if problems else ("no verdict changes",),
    )
    emit(report, arguments.output)
    if not checked["policy"]:
        return Exit.NOTHING
    return Exit.BAD_NEWS if failed else Exit.CLEAN


def _problem(difference: Difference, path: Path, *, failing: bool) -> Problem:
    change, request = difference.change, difference.request
    span, statement = place_of(path, difference.new, difference.old)
    lines = [
        f"{_TITLES[change]}: {caller_of(request)} {request.action} {request.resource}",
        *describe_request(difference),
        f"old:       {describe_decision(difference.old)}",
        f"new:       {describe_decision(difference.new)}",
    ]
    return Problem(
        rule=_IDS[change],
        name="",
        severity=_SEVERITIES[change],
        message="\n    ".join(lines),
        span=span,
        fingerprint=fingerprint(change.value, difference.old, difference.new),
        failing=failing,
        sid=statement.sid if statement is not None else "",
    )


def as_data(found: Comparison) -> dict[str, object]:
    """Return the answer for JSON."""
    return {
        "exhaustive": found.exhaustive,
        "missing": list(found.missing),
        "cells": found.cells,
        "differences": [
            {
                "change": difference.change.value,
                **request_data(difference),
                "old": decision_data(difference.old),
                "new": decision_data(difference.new),
            }
            for difference in found.differences
        ],
    }


COMMAND = Command(
    "policy diff",
    "find the requests whose verdict changes between two versions of policies",
    configure,
    run,
    "Find the requests whose verdict changes when the policies in OLD are replaced by those in NEW, each with an "
    "example that the evaluator decides differently. Exit codes: 0 no difference that is not accepted, 1 such a "
    "difference, or an answer that is not exhaustive, 2 usage or a file that is no policy, 3 nothing was compared.",
)

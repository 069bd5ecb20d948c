"""`s3warden policy prove PATH --goal GOAL`: is nothing allowed that must never be?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxy import yamldoc
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.reports import Case, Problem, Report, RuleText, add_output_option, emit
from proxy.cli.shipped import policies_folder
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
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError
from proxy.policy.diff import Difference
from proxy.policy.goals import Goal, parse_goal
from proxy.policy.names import MAPPED_KEYS
from proxy.policy.prove import Proof, prove

_RULE = "goal-not-kept"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `policy prove`."""
    parser.add_argument("path", metavar="PATH", type=Path, help="a policy file, or a folder with policies")
    parser.add_argument(
        "--goal",
        metavar="GOAL",
        action="append",
        required=True,
        help="a goal's file, or the name of one that ships, such as `tls-only`; may be repeated",
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_pair,
        help="the value of a goal's parameter; may be repeated",
    )
    add_assumptions(parser)
    add_output_option(parser)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"`{text}` is not NAME=VALUE")
    return name, value


def run(arguments: argparse.Namespace) -> int:
    """Prove every goal, report, and say whether all hold."""
    goals = load_goals(arguments.goal, dict(arguments.set))
    policies = load_policies(arguments.path)
    checked = count(policies)
    proofs = [prove(policies, goal, assumptions(arguments)) for goal in goals] if checked["policy"] else []
    problems: list[Problem] = []
    for proof in proofs:
        problems += [_problem(proof.goal, found, arguments.path) for found in proof.counterexamples]
        problems += partial(proof.missing, arguments.path, failing=not arguments.allow_partial)
    failed = any(problem.failing for problem in problems)
    report = Report(
        command="policy prove",
        checked={**checked, "goal": len(proofs)} if proofs else checked,
        failed=failed,
        problems=tuple(problems),
        cases=tuple(Case(proof.goal.file, proof.goal.title, "passed") for proof in proofs if proof.holds),
        body="\n".join(_verdict(proof) for proof in proofs),
        data={"goals": [as_data(proof) for proof in proofs]},
        rules={_RULE: RuleText("A goal is not kept", Severity.ERROR, "A request is allowed that a goal forbids.")},
    )
    emit(report, arguments.output)
    if not proofs:
        return Exit.NOTHING
    return Exit.BAD_NEWS if failed else Exit.CLEAN


def load_goals(names: Sequence[str], values: Mapping[str, str]) -> list[Goal]:
    """Read goals by file or by name; each takes the values of those parameters that it has."""
    documents = [yamldoc.load(_find(name)) for name in names]
    declared = [_parameters(document) for document in documents]
    known = sorted(set[str]().union(*declared))
    for name in values:
        if name not in known:
            remedy = f"their parameters: {', '.join(known)}" if known else "leave it out"
            message = f"no goal has a parameter `{name}`"
            raise ConfigError([Diagnostic(Severity.ERROR, "unknown-parameter", message, Span("--set"), remedy)])
    return [
        parse_goal(document, {name: value for name, value in values.items() if name in own}, MAPPED_KEYS)
        for document, own in zip(documents, declared, strict=True)
    ]


def _parameters(document: yamldoc.Document) -> set[str]:
    found = document.data.get("parameters") if isinstance(document.data, dict) else None
    return set(found) if isinstance(found, dict) else set()


def _find(name: str) -> Path:
    """A word without a dot or a slash is the name of a goal that ships."""
    shipped = policies_folder() / "goals" / f"{name}.yaml"
    return shipped if not set(name) & set("./\\") and shipped.is_file() else Path(name)


def _problem(goal: Goal, found: Difference, path: Path) -> Problem:
    span, statement = place_of(path, found.old)
    request = found.request
    lines = [
        f"`{goal.title}` does not hold: {caller_of(request)} {request.action} {request.resource} is allowed",
        *describe_request(found),
        f"verdict:   {describe_decision(found.old)}",
    ]
    return Problem(
        rule=_RULE,
        name="",
        severity=Severity.ERROR,
        message="\n    ".join(lines),
        span=span,
        fingerprint=fingerprint(goal.title, found.old),
        sid=statement.sid if statement is not None else "",
    )


def _verdict(proof: Proof) -> str:
    if proof.counterexamples:
        return f"does not hold: {proof.goal.title}"
    if proof.missing:
        return f"not settled: {proof.goal.title} (no counterexample among {proof.cells:,} cells)"
    return f"holds for all {proof.cells:,} cells: {proof.goal.title}"


def as_data(proof: Proof) -> dict[str, object]:
    """Return one answer for JSON."""
    return {
        "goal": proof.goal.title,
        "file": proof.goal.file,
        "holds": proof.holds,
        "exhaustive": not proof.missing,
        "missing": list(proof.missing),
        "cells": proof.cells,
        "counterexamples": [
            {**request_data(found), "verdict": decision_data(found.old)} for found in proof.counterexamples
        ],
    }


COMMAND = Command(
    "policy prove",
    "prove that policies never allow what a goal forbids",
    configure,
    run,
    "Look for a request that the policies in PATH allow and a goal forbids. Exit codes: 0 every goal holds, 1 one "
    "does not, or the answer is not exhaustive, 2 usage or a file that is no policy or goal, 3 nothing was checked.",
)

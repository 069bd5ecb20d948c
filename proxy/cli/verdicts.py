"""How `policy diff` and `policy prove` read policies and tell about requests and verdicts."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from proxy import yamldoc
from proxy.cli.reports import Problem
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError
from proxy.policy.clauses import Named, Policies
from proxy.policy.diff import Assumptions, Difference
from proxy.policy.document import PolicyFile, Statement
from proxy.policy.evaluate import AccessRequest, Decision
from proxy.policy.goals import is_goal
from proxy.policy.lint.engine import kind_of
from proxy.policy.names import MAPPED_KEYS, find_key
from proxy.policy.parse import parse_policy
from proxy.policy.store import PolicySet, policy_files

LISTED = 8
"""Names of one kind that are listed for people; JSON has them all."""

_WORDS = {"allow": "allowed", "explicit_deny": "explicitly denied", "implicit_deny": "not allowed by anything"}


def add_assumptions(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what is taken for granted."""
    parser.add_argument("--allow-partial", action="store_true", help="accept an answer that is not exhaustive")
    parser.add_argument(
        "--identities",
        choices=("given", "any"),
        help="callers have the given identity policies only, or may have any other (default any when none is given)",
    )
    parser.add_argument(
        "--requests",
        choices=("any", "possible"),
        default="any",
        help="condition keys vary freely, or only as the proxy fills them for each action (default any)",
    )
    parser.add_argument("--seconds", metavar="N", type=float, default=60.0, help="give up after so long (default 60)")


def assumptions(arguments: argparse.Namespace) -> Assumptions:
    """Read the arguments of `add_assumptions`."""
    unknown = None if arguments.identities is None else arguments.identities == "any"
    return Assumptions(unknown, arguments.requests == "possible", seconds=arguments.seconds)


def load_policies(path: Path) -> Policies:
    """Read all policies under `path` and sort them by kind; goals lying among them are left out.

    Identity policies are known by their place in the folder, a single file by none: so the two versions of one
    policy find each other. One `ConfigError` has the mistakes of all files.
    """
    found: dict[str, list[PolicyFile]] = {"bucket": [], "identity": [], "key": []}
    names: list[str] = []
    findings: list[Diagnostic] = []
    for file in policy_files(path):
        try:
            document = yamldoc.load(file)
            if is_goal(document):
                continue
            kind = kind_of(document)
            found[kind].append(parse_policy(document, kind, MAPPED_KEYS))
        except ConfigError as error:
            findings.extend(error.diagnostics)
            continue
        if kind == "identity":
            names.append(os.path.relpath(file, path) if path.is_dir() else "the identity policy")
    if findings:
        raise ConfigError(findings)
    identity: tuple[Named, ...] = tuple(zip(names, found["identity"], strict=True))
    return Policies(PolicySet(found["bucket"]), identity, PolicySet(found["key"]))


def count(*sides: Policies) -> dict[str, int]:
    """Return how much was looked at, for the summary."""
    files = [
        file for side in sides for file in (*side.buckets.files, *(file for _, file in side.identity), *side.keys.files)
    ]
    return {"policy": len(files), "statement": sum(len(file.statements) for file in files)}


def partial(missing: Iterable[str], path: Path, *, failing: bool) -> list[Problem]:
    """Say why an answer is not exhaustive."""
    message = "the answer is not exhaustive: "
    severity = Severity.ERROR if failing else Severity.WARNING
    return [Problem("not-exhaustive", "", severity, message + why, Span(str(path)), failing=failing) for why in missing]


def place_of(path: Path, *decisions: Decision) -> tuple[Span, Statement | None]:
    """Return the first deciding statement that stands in a file."""
    for decision in decisions:
        for statement in decision.statements:
            if not statement.policy.startswith("<"):
                return statement.span, statement
    return Span(str(path)), None


def fingerprint(what: str, *decisions: Decision) -> str:
    """Name an answer by the statements that made it, apart from their lines."""
    names = [(one.policy, one.sid or str(one.index)) for decision in decisions for one in decision.statements]
    return hashlib.sha256(json.dumps([what, *names]).encode()).hexdigest()


def describe_request(found: Difference) -> list[str]:
    """Describe an example and what it stands for, line by line."""
    request = found.request
    lines = [
        f"callers:   {listed(found.callers)}",
        f"actions:   {listed(found.actions)}",
        f"resources: {listed(found.resources)}",
    ]
    facts = [f"a bucket of account {request.resource_account}"]
    for key, value in request.context.items():
        facts.append(f"{written(key)}: {value if isinstance(value, str) else json.dumps(value)}")
    if found.attached:
        facts.append(f"the caller has {', '.join(found.attached)}")
    if found.unusual:
        facts.append(f"(at the proxy, {', '.join(found.unusual)} never comes with this action)")
    return [*lines, *(f"{'' if place else 'example:':11}{fact}" for place, fact in enumerate(facts))]


def describe_decision(decision: Decision) -> str:
    """Say a verdict and the statements that made it."""
    reasons = [str(one) for one in decision.statements if not one.policy.startswith("<")]
    reasons += ["an identity policy that is not given"] if len(reasons) < len(decision.statements) else []
    return _WORDS[decision.effect.value] + (f" by {', '.join(reasons)}" if reasons else "")


def caller_of(request: AccessRequest) -> str:
    """Name who calls."""
    principal = request.principal
    return principal.arn or principal.service or principal.federated or "anonymous"


def written(key: str) -> str:
    """Return a condition key as AWS writes it; the part that authors add stays in lower case."""
    known = find_key(key)
    return key if known is None else known.name + key[len(known.name) :]


def listed(names: Sequence[str]) -> str:
    """List names, the first few of many."""
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def request_data(found: Difference) -> dict[str, object]:
    """Return an example and what it stands for, for JSON; `request` is what a batch of simulations takes."""
    request = found.request
    return {
        "request": {
            "principal": "*" if request.principal.anonymous else caller_of(request),
            "principal_account": request.principal.account,
            "action": request.action,
            "resource": request.resource,
            "resource_account": request.resource_account,
            "context": {written(key): value for key, value in request.context.items()},
        },
        "identity_policies": list(found.attached),
        "callers": list(found.callers),
        "actions": list(found.actions),
        "resources": list(found.resources),
        "unusual": list(found.unusual),
    }


def decision_data(decision: Decision) -> dict[str, object]:
    """Return a verdict for JSON."""
    return {
        "decision": decision.effect.value,
        "statements": [
            {"policy": one.policy, "sid": one.sid, "index": one.index, "line": one.span.line}
            for one in decision.statements
        ],
    }

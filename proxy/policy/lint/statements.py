"""Checks of Effect and Principal: grants that are wider than they look, and callers that never come."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.diagnostics import Diagnostic
from proxy.policy.lint.subject import Check, Clause, Part, Subject
from proxy.policy.values import read_network

_UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,}")
_ROOT = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):root")

# Conditions on these say something about who calls that an anonymous caller cannot meet.
# Source: S3 User Guide, "The meaning of public".
_TELLS_CALLER = (
    "aws:principal",
    "aws:sourcearn",
    "aws:sourceaccount",
    "aws:sourceip",
    "aws:sourceorg",
    "aws:sourcevpc",
    "aws:userid",
    "aws:username",
    "aws:vpce",
    "aws:vpcsourceip",
    "kms:calleraccount",
    "s3:authtype",
    "s3:signatureversion",
)


def wide_grants(subject: Subject) -> Iterator[Diagnostic]:
    """S3W058, S3W059, S3W060."""
    for part in subject.parts:
        statement = part.statement
        if part.raw.get("Effect") != "Allow":
            continue
        if "NotAction" in part.raw:
            message = "everything that is not listed is allowed, what S3 adds in future included"
            remedy = "list what is allowed under `Action`"
            yield subject.found("allow-not-action", (*part.path, "NotAction"), message, remedy, at_key=True)
        if "NotResource" in part.raw:
            message = "every resource that is not listed is granted"
            remedy = "list what is granted under `Resource`"
            yield subject.found("allow-not-resource", (*part.path, "NotResource"), message, remedy, at_key=True)
        public = statement.principals is not None and statement.principals.open
        if public and not any(_tells_caller(clause) for clause in part.clauses):
            message = "everybody is allowed, callers without any key included"
            remedy = "name principals, or add a condition on who calls, such as `aws:PrincipalArn` or `aws:SourceIp`"
            yield subject.found("public-access", (*part.path, "Principal"), message, remedy, at_key=True)


def _tells_caller(clause: Clause) -> bool:
    condition = clause.condition
    if not condition.key.startswith(_TELLS_CALLER):
        return False
    if condition.operator.family == "Null":
        return condition.values == ("false",) and condition.key != "aws:sourceip"
    if condition.operator.family == "IpAddress" and any(is_everything(value) for value in condition.values):
        return False
    # What holds without the key holds for anonymous callers.
    return not condition.holds({}) and set(condition.values) != {"*"}


def is_everything(cidr: str) -> bool:
    """Tell whether a range contains every address of its family."""
    network = read_network(cidr)
    return network is not None and network[2] == (32 if network[0] == 4 else 128)


def principals(subject: Subject) -> Iterator[Diagnostic]:
    """S3W061, S3W062, S3W063, S3W067."""
    for part in subject.parts:
        path = part.element("Principal")
        if path[-1] == "NotPrincipal" and part.raw.get("NotPrincipal") and part.raw.get("Effect") == "Deny":
            remedy = 'write Principal: "*" with a condition ArnNotLike on `aws:PrincipalArn`'
            message = "`NotPrincipal` also denies sessions and users that come later"
            yield subject.found("deny-not-principal", path, message, remedy, at_key=True)
        block = part.raw.get(str(path[-1]))
        if isinstance(block, dict):
            yield from _named(subject, part)


def _named(subject: Subject, part: Part) -> Iterator[Diagnostic]:
    path = part.element("Principal")
    block = part.raw[str(path[-1])]
    seen: dict[str, str] = {}
    for kind, value in block.items() if isinstance(block, dict) else ():
        items = value if isinstance(value, list) else [value]
        if kind in ("Service", "Federated"):
            remedy = "it matters only where S3 itself reads this policy"
            message = f"no `{kind}` principal calls through a proxy"
            yield subject.found("absent-principal", (*path, kind), message, remedy, at_key=True)
        everyone = kind == "AWS" and "*" in items and len(items) > 1
        for place, item in enumerate(items):
            where = (*path, kind, place) if isinstance(value, list) else (*path, kind)
            if not isinstance(item, str):
                continue
            if kind == "AWS" and _UNIQUE_ID.fullmatch(item):
                message = f"`{item}` is the unique id of a user or role that was deleted"
                yield subject.found("deleted-principal", where, message, "remove it, or name the new ARN")
            root = _ROOT.fullmatch(item)
            name = f"{kind} {root[1] if root else item}"
            if everyone and item != "*":
                yield subject.found("redundant-principal", where, f"`*` covers `{item}`", "leave one of them out")
            elif name in seen:
                yield subject.found("redundant-principal", where, f"`{seen[name]}` covers `{item}`", "leave it out")
            seen.setdefault(name, item)


def empty_conditions(subject: Subject) -> Iterator[Diagnostic]:
    """S3W057: `{}` as a condition, or below an operator."""
    for part in subject.parts:
        block = part.raw.get("Condition")
        path = (*part.path, "Condition")
        if block == {}:
            yield subject.found("empty-condition", path, "the condition is empty", "leave it out", at_key=True)
        for operator, keys in block.items() if isinstance(block, dict) else ():
            if keys == {}:
                message = f"there is nothing below `{operator}`"
                yield subject.found("empty-condition", (*path, operator), message, "leave it out", at_key=True)


CHECKS: tuple[Check, ...] = (wide_grants, principals, empty_conditions)

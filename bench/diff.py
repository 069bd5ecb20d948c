"""Seconds to compare two policies of 20 statements and to prove a goal, as JSON on stdout.

    python bench/diff.py

Three pairs: the ordinary one changes three statements; in the second all statements differ in their
conditions, over twelve condition keys that can all meet in one request; in the third every condition has
patterns that overlap with others, and every statement its own callers and folder.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable

from proxy import yamldoc
from proxy.policy.clauses import Policies
from proxy.policy.diff import compare
from proxy.policy.goals import parse_goal
from proxy.policy.parse import parse_policy
from proxy.policy.prove import prove
from proxy.policy.store import PolicySet

STATEMENTS = 20
BUCKET = ["arn:aws:s3:::data", "arn:aws:s3:::data/*"]
KEYS = (
    ("StringNotEquals", "s3:x-amz-server-side-encryption", "aws:kms"),
    ("StringLike", "s3:x-amz-acl", "public*"),
    ("StringEquals", "s3:x-amz-storage-class", "GLACIER"),
    ("NumericLessThan", "s3:TlsVersion", "1.2"),
    ("IpAddress", "aws:SourceIp", "10.0.0.0/8"),
    ("Bool", "aws:SecureTransport", "false"),
    ("StringNotLike", "aws:UserAgent", "aws-*"),
    ("DateGreaterThan", "aws:CurrentTime", "2030-01-01T00:00:00Z"),
    ("StringEquals", "s3:authType", "REST-QUERY-STRING"),
    ("NumericGreaterThan", "s3:signatureAge", "600000"),
    ("StringNotEqualsIfExists", "aws:RequestedRegion", "eu-central-1"),
    ("StringLike", "aws:PrincipalTag/team", "a*"),
)
ACTIONS = ("s3:PutObject", "s3:GetObject", "s3:*", ["s3:PutObject", "s3:DeleteObject"], "s3:Get*", "s3:ListBucket")


def policies(statements: list[dict[str, object]]) -> Policies:
    """Compile the statements of one bucket policy."""
    document = {"Version": "2012-10-17", "Statement": statements}
    return Policies(PolicySet([parse_policy(yamldoc.parse(json.dumps(document), "bench.json"), "bucket")]))


def ordinary(changed: bool) -> list[dict[str, object]]:
    """Make statements with folders and users, some with a condition; three of them differ when `changed`."""
    made: list[dict[str, object]] = []
    for number in range(STATEMENTS):
        other = changed and number in (3, 8, 15)
        operator, key, value = KEYS[(number + other) % len(KEYS)]
        principal = {"AWS": f"arn:aws:iam::123456789012:user/u{number}"} if number % 4 == 3 else "*"
        made.append(
            {
                "Effect": "Deny" if number % 2 else "Allow",
                "Principal": principal,
                "Action": ACTIONS[number % len(ACTIONS)],
                "Resource": BUCKET if number % 3 else f"arn:aws:s3:::data/team-{number}/*",
                **({"Condition": {operator: {key: value}}} if number % 2 else {}),
            }
        )
    return made


def crossing(changed: bool) -> list[dict[str, object]]:
    """Make statements about everything, each with three of the twelve keys."""
    made: list[dict[str, object]] = []
    for number in range(STATEMENTS):
        conditions: dict[str, dict[str, str]] = {}
        for step in (0, 1 + number % 3, 5 + number % 4 + changed):
            operator, key, value = KEYS[(number + step) % len(KEYS)]
            conditions.setdefault(operator, {})[key] = value
        effect = "Deny" if number % 2 else "Allow"
        made.append({"Effect": effect, "Principal": "*", "Action": "s3:*", "Resource": BUCKET, "Condition": conditions})
    return made


def overlapping(changed: bool) -> list[dict[str, object]]:
    """Make statements whose patterns overlap, each for callers and a folder of its own."""
    made: list[dict[str, object]] = []
    for number in range(STATEMENTS):
        letter = chr(ord("a") + number % 5)
        made.append(
            {
                "Effect": "Deny" if number % 2 else "Allow",
                "Principal": {"AWS": [f"arn:aws:iam::{100000000000 + number}:role/R", f"{100000000000 + number}"]},
                "Action": ACTIONS[number % len(ACTIONS)],
                "Resource": ["arn:aws:s3:::data", f"arn:aws:s3:::data/{letter}*/{number}-*"],
                "Condition": {
                    "StringLike": {"s3:prefix": [f"*{letter}", f"{letter}?{number + changed}*"]},
                    "ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::*:*/{letter}*"},
                },
            }
        )
    return made


def seconds(work: Callable[[], object]) -> float:
    """Time one run: what a person waits for."""
    start = time.perf_counter()
    work()
    return round(time.perf_counter() - start, 3)


def measure(make: Callable[[bool], list[dict[str, object]]]) -> dict[str, object]:
    """Compare the two versions of one kind of policy."""
    old, new = policies(make(False)), policies(make(True))
    start = time.perf_counter()
    found = compare(old, new)
    return {
        "seconds": round(time.perf_counter() - start, 3),
        "cells": found.cells,
        "differences": len(found.differences),
        "exhaustive": found.exhaustive,
    }


def main() -> None:
    """Print the figures."""
    document = {"goal": "tls", "never": [{"Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}
    goal = parse_goal(yamldoc.parse(json.dumps(document), "goal.json"), {})
    figures = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "diff": {make.__name__: measure(make) for make in (ordinary, crossing, overlapping)},
        "prove_seconds": seconds(lambda: prove(policies(crossing(False)), goal)),
    }
    json.dump(figures, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()

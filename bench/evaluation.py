"""Microseconds per decision for policies of 10, 100 and 10,000 statements, as JSON on stdout.

    python bench/evaluation.py

Each size is measured for an allowed upload, one that a Deny condition refuses, and a resource that no
statement names. The statements differ in resource, in action and, every tenth, in principal; half of
them have a condition.
"""

from __future__ import annotations

import json
import platform
import sys
import time

from proxy import yamldoc
from proxy.policy.evaluate import AccessRequest, Effect, decide
from proxy.policy.index import NO_POLICIES, PolicyGroup
from proxy.policy.parse import parse_policy
from proxy.policy.principals import Principal

SIZES = (10, 100, 10_000)
STATEMENTS_PER_FILE = 500
ACTIONS = ("s3:PutObject", "s3:GetObject", "s3:*", ["s3:PutObject", "s3:DeleteObject"], "s3:Get*")
SSE = "s3:x-amz-server-side-encryption"
ALICE = Principal("arn:aws:iam::123456789012:user/alice", "123456789012")
CONTEXT = {
    SSE: "aws:kms",
    "aws:securetransport": "true",
    "aws:sourceip": "10.1.2.3",
    "aws:principalarn": "arn:aws:iam::123456789012:user/alice",
    "s3:tlsversion": "1.3",
}


def statement(number: int) -> dict[str, object]:
    """Make one of many statements about the bucket `data`."""
    made: dict[str, object] = {
        "Sid": f"S{number}",
        "Effect": "Deny" if number % 2 else "Allow",
        "Principal": {"AWS": f"arn:aws:iam::123456789012:user/u{number}"} if number % 10 == 9 else "*",
        "Action": ACTIONS[number % len(ACTIONS)],
        "Resource": f"arn:aws:s3:::data/team-{number}/*",
    }
    if number % 2:
        made["Condition"] = {"StringNotEquals": {SSE: ["aws:kms", "aws:kms:dsse"]}}
    return made


def policies(count: int) -> PolicyGroup:
    """Make `count` statements: some for the whole bucket, the rest for one folder each."""
    whole = {"Principal": "*", "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"]}
    statements: list[dict[str, object]] = [
        {**whole, "Effect": "Deny", "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {**whole, "Effect": "Deny", "Action": "s3:PutObject", "Condition": {"StringNotEquals": {SSE: "aws:kms"}}},
        {**whole, "Effect": "Deny", "Action": "s3:*", "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
        {**whole, "Effect": "Allow", "Action": "s3:*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
    ]
    statements += [statement(number) for number in range(count - len(statements))]
    files = []
    for start in range(0, count, STATEMENTS_PER_FILE):
        document = {"Version": "2012-10-17", "Statement": statements[start : start + STATEMENTS_PER_FILE]}
        files.append(parse_policy(yamldoc.parse(json.dumps(document), f"bench-{start}.json"), "bucket"))
    return PolicyGroup(files)


def microseconds(request: AccessRequest, group: PolicyGroup) -> float:
    """Return the best of several rounds: the rest is the machine's noise."""
    best = float("inf")
    for _ in range(7):
        rounds = 5000
        start = time.perf_counter()
        for _ in range(rounds):
            decide(request, group, NO_POLICIES)
        best = min(best, (time.perf_counter() - start) / rounds)
    return round(best * 1e6, 2)


def measure(count: int) -> dict[str, float]:
    """Measure one size; the verdicts are checked so that nothing is measured that decides wrongly."""
    start = time.perf_counter()
    group = policies(count)
    load = time.perf_counter() - start
    allowed = AccessRequest(ALICE, "s3:PutObject", "arn:aws:s3:::data/team-0/report.pdf", "123456789012", CONTEXT)
    plain = {**CONTEXT, SSE: "AES256"}
    denied = AccessRequest(ALICE, "s3:PutObject", "arn:aws:s3:::data/team-0/report.pdf", "123456789012", plain)
    elsewhere = AccessRequest(ALICE, "s3:PutObject", "arn:aws:s3:::other/report.pdf", "123456789012", CONTEXT)
    assert decide(allowed, group).effect is Effect.ALLOW
    assert decide(denied, group).effect is Effect.EXPLICIT_DENY
    assert decide(elsewhere, group).effect is Effect.IMPLICIT_DENY
    return {
        "load_seconds": round(load, 3),
        "allowed_us": microseconds(allowed, group),
        "denied_us": microseconds(denied, group),
        "unrelated_us": microseconds(elsewhere, group),
    }


def main() -> None:
    """Print the figures."""
    figures = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "statements": {str(count): measure(count) for count in SIZES},
    }
    json.dump(figures, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()

"""Seconds of lint and test for 2,000 statements and 2,000 cases, and decisions per second of --batch, as JSON.

python bench/policy.py
"""

from __future__ import annotations

import contextlib
import io
import json
import platform
import sys
import tempfile
import time
from pathlib import Path

from proxy.cli.main import main as s3warden
from proxy.policy.batch import Batch

STATEMENTS = 2000
CASES = 2000
PER_FILE = 100
LINES = 40_000
SSE = "s3:x-amz-server-side-encryption"


def statement(number: int) -> list[str]:
    """Write a statement as YAML: half of them with conditions, a tenth for one user."""
    who = f'{{AWS: "arn:aws:iam::123456789012:user/u{number}"}}' if number % 10 == 9 else '"*"'
    lines = [
        f"  - Sid: S{number}",
        f"    Effect: {'Deny' if number % 2 else 'Allow'}",
        f"    Principal: {who}",
        f"    Action: [s3:PutObject, {'s3:DeleteObject' if number % 3 else 's3:GetObject'}]",
        f"    Resource: arn:aws:s3:::data-{number // PER_FILE}/team-{number}/*",
    ]
    if number % 2:
        lines += ["    Condition:", f"      StringNotEquals: {{{SSE}: [AES256, 'aws:kms', 'aws:kms:dsse']}}"]
    return lines


def write(folder: Path) -> None:
    """Write policies of `PER_FILE` statements each, with as many tests beside them."""
    for file in range(STATEMENTS // PER_FILE):
        numbers = range(file * PER_FILE, (file + 1) * PER_FILE)
        lines = ['Version: "2012-10-17"', "Statement:", *(line for number in numbers for line in statement(number))]
        (folder / f"p{file}.yaml").write_text("\n".join(lines) + "\n")
        tests = ["defaults: {principal: 'arn:aws:iam::123456789012:user/alice'}", "tests:"]
        for number in range(file * CASES * PER_FILE // STATEMENTS, (file + 1) * CASES * PER_FILE // STATEMENTS):
            tests += [
                f"  - name: case {number}",
                "    action: s3:PutObject",
                f"    resource: arn:aws:s3:::data-{number // PER_FILE}/team-{number}/report.pdf",
                f"    context: {{{SSE}: AES256, aws:SecureTransport: 'true'}}",
                f"    expect: {'allow' if number % 2 == 0 else 'implicit_deny'}",
            ]
        (folder / f"p{file}.test.yaml").write_text("\n".join(tests) + "\n")


def timed(*arguments: str) -> float:
    """Run a command in this process; it must succeed."""
    screen = io.StringIO()
    start = time.process_time()
    with contextlib.redirect_stdout(screen):
        code = s3warden(arguments)
    seconds = time.process_time() - start
    assert code == 0, screen.getvalue()[-2000:]
    return round(seconds, 3)


def policy(statements: int) -> dict[str, object]:
    """Make a policy for --batch."""
    bucket = {"Principal": "*", "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"]}
    made: list[dict[str, object]] = [
        {
            **bucket,
            "Sid": "Tls",
            "Effect": "Deny",
            "Action": "s3:*",
            "Condition": {"Bool": {"aws:SecureTransport": False}},
        },
        {**bucket, "Sid": "Sse", "Effect": "Deny", "Action": "s3:PutObject", "Condition": {"Null": {SSE: "true"}}},
    ]
    for number in range(statements - len(made)):
        resource = f"arn:aws:s3:::data/team-{number}/*"
        made.append({"Sid": f"A{number}", "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": resource})
    return {"Version": "2012-10-17", "Statement": made}


def lines(first: bool) -> list[str]:
    """Make lines that share ten policies; the request is the `first` member, or the last."""
    policies = [policy(10) | {"Id": f"p{number}"} for number in range(10)]
    identity = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
    made = []
    for number in range(LINES):
        request = {
            "principal": f"arn:aws:iam::123456789012:user/u{number % 50}",
            "principal_account": "123456789012",
            "action": ("s3:PutObject", "s3:GetObject", "s3:DeleteObject")[number % 3],
            "resource": f"arn:aws:s3:::data/team-{number % 12}/object-{number}",
            "resource_account": "123456789012",
            "context": {"aws:SecureTransport": "true", "aws:SourceIp": "10.1.2.3", SSE: "aws:kms"},
        }
        rest = {"policy": policies[number % 10], "identity_policies": [identity]}
        made.append(json.dumps({"request": request, **rest} if first else {**rest, "request": request}))
    return made


def rate(given: list[str]) -> int:
    """Return decisions per second, the best of three rounds."""
    best = 0.0
    for _ in range(3):
        batch = Batch()
        start = time.process_time()
        for answer in batch.answers(given):
            assert '"error": null' in answer
        best = max(best, len(given) / (time.process_time() - start))
    return round(best)


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
        figures = {
            "python": platform.python_version(),
            "statements": STATEMENTS,
            "cases": CASES,
            "lint_seconds": timed("policy", "lint", name),
            "test_seconds": timed("policy", "test", name),
            "test_coverage_seconds": timed("policy", "test", name, "--coverage"),
            "batch_decisions_per_second": rate(lines(first=False)),
            "batch_decisions_per_second_request_first": rate(lines(first=True)),
        }
    json.dump(figures, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()

"""Size, version and Sids."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from proxy.diagnostics import Severity
from proxy.policy.document import Kind
from proxy.policy.lint import Linted, lint_text

Found = Callable[..., list[str]]


def policy(size: int, kind: Kind, *, blanks: int = 0) -> str:
    """Make a policy of `size` bytes as JSON without blanks."""
    statement: dict[str, object] = {"Effect": "Deny", "Action": "kms:*" if kind == "key" else "s3:*"}
    statement["Resource"] = "*" if kind == "key" else ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]
    if kind != "identity":
        statement["Principal"] = "*"
    document = {"Version": "2012-10-17", "Id": "", "Statement": [statement]}
    document["Id"] = "x" * (size - len(json.dumps(document, separators=(",", ":"))))
    return json.dumps(document, separators=(",", ":")) + " " * blanks


def sizes(text: str, kind: Kind) -> list[tuple[str, Severity]]:
    return [
        (finding.rule.name, finding.severity)
        for finding in lint_text(text, "p.json", kind).findings
        if finding.rule.name.startswith("policy-")
    ]


@pytest.mark.parametrize(
    ("kind", "limit", "severity"),
    [
        ("bucket", 20_480, Severity.ERROR),
        ("identity", 6_144, Severity.WARNING),
        ("key", 32_768, Severity.ERROR),
    ],
)
def test_a_policy_may_be_as_large_as_the_limit_and_not_larger(kind: Kind, limit: int, severity: Severity) -> None:
    assert sizes(policy(limit, kind), kind) == []
    assert sizes(policy(limit + 1, kind), kind) == [("policy-too-large", severity)]


def test_blanks_alone_make_it_a_warning() -> None:
    assert sizes(policy(20_000, "bucket", blanks=480), "bucket") == []
    assert sizes(policy(20_000, "bucket", blanks=481), "bucket") == [("policy-nearly-too-large", Severity.WARNING)]


def test_the_size_is_that_of_the_policy_without_its_wrapper() -> None:
    wrapped = f'{{"description": "{"x" * 30_000}", "policy": {policy(20_480, "bucket")}}}'
    assert [name for name, _ in sizes(wrapped, "bucket")] == ["policy-nearly-too-large"]


def test_versions(found: Found) -> None:
    plain = {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b"}
    variable = {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b-${aws:username}"}
    assert found(plain) == []
    assert found(plain, version=None) == ["missing-version"]
    assert found(plain, version="2008-10-17") == ["old-version"]
    assert found(variable) == []
    assert found(variable, version="2008-10-17") == ["literal-variable"]
    assert found(variable, version=None) == ["missing-version", "literal-variable"]


def test_a_variable_in_a_condition_of_2008_is_literal_too(lint: Callable[..., Linted]) -> None:
    statement = {
        "Action": "s3:ListBucket",
        "Resource": "arn:aws:s3:::b",
        "Condition": {"StringNotLike": {"s3:prefix": ["a", "${aws:username}/*"]}},
    }
    linted = lint(statement, version="2008-10-17")
    assert [f.diagnostic.pointer for f in linted.findings] == ["/Statement/0/Condition/StringNotLike/s3:prefix/1"]


def test_sids(found: Found) -> None:
    lists = {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b"}
    versions = {"Action": "s3:ListBucketVersions", "Resource": "arn:aws:s3:::b"}
    assert found({"Sid": "A", **lists}, {"Sid": "B", **versions}) == []
    assert found({"Sid": "A", **lists}, {"Sid": "A", **versions}) == ["duplicate-sid"]
    assert found({"Sid": "Allow public access", **lists}) == ["bad-sid"]
    assert found({"Sid": "", **lists}, {"Sid": "", **versions}) == ["empty-sid", "empty-sid"]
    assert found(lists, versions) == []

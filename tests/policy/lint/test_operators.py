"""Operators and values: types, wildcards, sets, addresses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.policy.lint import Linted

Found = Callable[..., list[str]]
SSE = "s3:x-amz-server-side-encryption"
KEY_ID = "s3:x-amz-server-side-encryption-aws-kms-key-id"
ARN = "arn:aws:kms:eu-west-1:123456789012:key/1234"
PUT = {"Action": ["s3:PutObject", "s3:UpdateObjectEncryption"], "Resource": "arn:aws:s3:::b/*"}
LIST = {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b"}
TAGS = "s3:RequestObjectTagKeys"


@pytest.mark.parametrize(
    ("operator", "key", "value", "rules"),
    [
        ("Bool", SSE, "false", ["type-never-fits"]),
        ("NumericEquals", SSE, "1", ["type-never-fits"]),
        ("Bool", KEY_ID, "true", ["type-never-fits"]),
        ("Bool", "aws:SecureTransport", "false", []),
        ("StringEquals", "aws:SecureTransport", "false", []),
        ("NumericLessThan", "aws:SecureTransport", "1", ["type-mismatch"]),
        ("StringLike", "aws:SourceIp", "10.*", ["type-mismatch"]),
        ("StringEquals", "s3:max-keys", "1", ["type-mismatch"]),
        ("NumericGreaterThan", "s3:max-keys", "1", []),
        ("NumericGreaterThan", "aws:EpochTime", "1", []),
        ("DateGreaterThan", "aws:EpochTime", "1", []),
        ("NumericGreaterThan", "aws:PrincipalTag/level", "3", []),
        ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::123456789012:role/x", []),
        ("StringNotLike", "aws:PrincipalArn", "arn:aws:iam::123456789012:role/x*", []),
        ("DateGreaterThan", "aws:CurrentTime", "2026-01-01", []),
    ],
)
def test_types(found: Found, operator: str, key: str, value: str, rules: list[str]) -> None:
    base = LIST if key == "s3:max-keys" else PUT
    assert found({**base, "Condition": {operator: {key: value}}}) == rules


@pytest.mark.parametrize(
    ("operator", "key", "value", "rules"),
    [
        ("StringNotEquals", SSE, "AES-256", ["unaccepted-value"]),
        ("StringNotEquals", SSE, "aws:Kms", ["unaccepted-value"]),
        ("StringNotEqualsIgnoreCase", SSE, "aws:Kms", []),
        ("StringNotLike", SSE, "aws:kms*", []),
        ("StringNotLike", SSE, "kms*", ["unaccepted-value"]),
        ("StringNotEquals", SSE, "aws:kms*", ["wildcard-without-like"]),
        ("StringNotEquals", SSE, "${aws:PrincipalTag/sse}", []),
        ("StringEquals", "s3:x-amz-acl", "public", ["unaccepted-value"]),
        ("StringEquals", "s3:x-amz-storage-class", "GLACIER_IR", []),
        ("StringEquals", "s3:authType", "REST-QUERY", ["unaccepted-value"]),
        ("StringEquals", "s3:ResourceAccount", "12345", ["unaccepted-value"]),
        ("StringEquals", "s3:x-amz-content-sha256", "unsigned", ["unaccepted-value"]),
        ("StringEquals", "s3:x-amz-copy-source", "/b/key", ["unaccepted-value"]),
        ("StringEquals", "s3:x-amz-copy-source", "b/key", []),
        ("StringEquals", "s3:if-none-match", "*", []),
        ("StringEquals", "aws:PrincipalTag/team", "a*", ["wildcard-without-like"]),
        ("StringEquals", "aws:PrincipalTag/team", "a${*}", []),
        ("StringEquals", "aws:PrincipalTag/team", "anything at all", []),
        ("StringEquals", KEY_ID, "1234", ["not-a-key-arn"]),
        ("StringLike", KEY_ID, "*1234", []),
        ("ArnLike", KEY_ID, "arn:aws:kms:*:123456789012:key/*", []),
        ("ArnLike", KEY_ID, "arn:aws:kms:*:123456789012:alias/*", ["not-a-key-arn"]),
        ("ArnLike", KEY_ID, "arn:aws:s3:::b", ["not-a-key-arn"]),
        ("StringEquals", "s3w:EnvelopeKeyId", "hr", ["not-a-key-arn"]),
        ("ArnLike", "aws:PrincipalArn", "*", ["not-an-arn"]),
        ("ArnLike", "aws:PrincipalArn", "role/x", ["not-an-arn"]),
        ("ArnLike", "aws:PrincipalArn", "${aws:PrincipalTag/arn}", []),
        ("ArnLike", "aws:PrincipalArn", "arn:*:iam::*:role/x", []),
    ],
)
def test_values(found: Found, operator: str, key: str, value: str, rules: list[str]) -> None:
    of_values = ("unaccepted-value", "wildcard-without-like", "not-a-key-arn", "not-an-arn")
    names = found({**PUT, "Condition": {operator: {key: value}}})
    assert [name for name in names if name in of_values] == rules


def test_a_wrong_value_is_shown_where_it_stands_with_the_right_one(lint: Callable[..., Linted]) -> None:
    linted = lint({**PUT, "Condition": {"StringNotEquals": {SSE: ["aws:kms", "aws:kms:dss"]}}})
    (finding,) = [f for f in linted.findings if f.rule.name == "unaccepted-value"]
    assert finding.diagnostic.pointer.endswith("/s3:x-amz-server-side-encryption/1")
    assert finding.diagnostic.help == "did you mean `aws:kms:dsse`?"


@pytest.mark.parametrize(
    ("effect", "condition", "rules"),
    [
        ("Allow", {"ForAllValues:StringEquals": {TAGS: "a"}}, ["for-all-values-allow"]),
        ("Allow", {"ForAllValues:StringEquals": {TAGS: "a"}, "Null": {TAGS: "false"}}, []),
        ("Allow", {"ForAllValues:StringEquals": {TAGS: "a"}, "Null": {TAGS: "true"}}, ["for-all-values-allow"]),
        ("Allow", {"ForAnyValue:StringEquals": {TAGS: "a"}}, []),
        ("Deny", {"ForAllValues:StringEquals": {TAGS: "a"}}, []),
        ("Deny", {"StringEquals": {TAGS: "a"}}, ["missing-set-operator"]),
        ("Deny", {"Null": {TAGS: "true"}}, []),
        ("Deny", {"ForAnyValue:Null": {TAGS: "true"}}, ["null-with-set-operator"]),
        ("Deny", {"ForAnyValue:StringEquals": {"s3:authType": "POST"}}, ["set-operator-on-single-value"]),
        ("Allow", {"ForAllValues:StringEquals": {"s3:authType": "POST"}}, ["set-operator-on-single-value"]),
    ],
)
def test_sets(found: Found, effect: str, condition: dict[str, object], rules: list[str]) -> None:
    principal = {"AWS": "arn:aws:iam::123456789012:user/alice"}
    statement = {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/*", "Principal": principal}
    of_sets = ("for-all-values-allow", "missing-set-operator", "null-with-set-operator", "set-operator-on-single-value")
    names = found({**statement, "Effect": effect, "Condition": condition})
    assert [name for name in names if name in of_sets] == rules


@pytest.mark.parametrize(
    ("operator", "rules"),
    [
        ("StringNotEqualsIfExists", ["if-exists-negated"]),
        ("StringNotLikeIfExists", ["if-exists-negated"]),
        ("StringEqualsIfExists", []),
        ("StringNotEquals", []),
    ],
)
def test_if_exists_on_a_negated_operator(found: Found, operator: str, rules: list[str]) -> None:
    assert found({**PUT, "Condition": {operator: {SSE: "aws:kms"}}}) == rules


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        ("10.0.0.0/8", []),
        ("10.1.2.3", []),
        ("2001:db8::/32", []),
        ("0.0.0.0/0", ["any-address"]),
        ("::/0", ["any-address"]),
        ("10.1.2.3/8", ["host-bits-set"]),
        ("2001:db8::1/32", ["host-bits-set"]),
        (["10.0.0.0/8", "10.1.0.0/16"], ["redundant-value"]),
        (["10.1.0.0/16", "10.0.0.0/8"], ["redundant-value"]),
        (["10.0.0.0/8", "11.0.0.0/8"], []),
        (["10.0.0.0/8", "10.0.0.0/8"], ["redundant-value"]),
        (["10.0.0.0/8", "2001:db8::/32"], []),
    ],
)
def test_addresses(found: Found, value: object, rules: list[str]) -> None:
    assert found({"Condition": {"NotIpAddress": {"aws:SourceIp": value}}}) == rules


def test_values_that_others_cover(found: Found) -> None:
    assert found({**LIST, "Condition": {"StringNotLike": {"s3:prefix": ["a/*", "a/b/*"]}}}) == ["redundant-value"]
    assert found({**LIST, "Condition": {"StringNotLike": {"s3:prefix": ["a/*", "b/*"]}}}) == []
    assert found({**LIST, "Condition": {"StringNotEquals": {"s3:prefix": ["a", "a"]}}}) == ["redundant-value"]


@pytest.mark.parametrize(
    ("operator", "key", "values", "redundant"),
    [
        ("NumericLessThan", "s3:max-keys", ["5", "10"], "/0"),
        ("NumericGreaterThanEquals", "s3:max-keys", ["5", "10"], "/1"),
        ("NumericEquals", "s3:max-keys", ["5", "5.0"], "/1"),
        ("NumericEquals", "s3:max-keys", ["5", "6"], ""),
        ("DateLessThan", "aws:CurrentTime", ["2026-01-01", "2026-01-01T00:00:00Z"], "/1"),
        ("DateGreaterThan", "aws:CurrentTime", ["2026-01-01", "2027-01-01"], "/1"),
    ],
)
def test_of_several_bounds_only_the_farthest_counts(
    lint: Callable[..., Linted], operator: str, key: str, values: list[str], redundant: str
) -> None:
    linted = lint({**LIST, "Condition": {operator: {key: values}}})
    found = [f.diagnostic.pointer for f in linted.findings if f.rule.name == "redundant-value"]
    assert found == ([f"/Statement/0/Condition/{operator}/{key}{redundant}"] if redundant else [])


def test_null_with_both_values_always_holds(found: Found) -> None:
    assert "several-booleans" in found({**LIST, "Condition": {"Null": {"s3:prefix": ["true", "false"]}}})
    assert found({**LIST, "Condition": {"Null": {"s3:prefix": "true"}}}) == []

"""Conditions with each other, and with the actions that carry their keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.diagnostics import Severity
from proxy.policy.lint import Linted

Found = Callable[..., list[str]]
SSE = "s3:x-amz-server-side-encryption"
PUT = {"Action": ["s3:PutObject", "s3:UpdateObjectEncryption"], "Resource": "arn:aws:s3:::b/*"}
ALICE = {"AWS": "arn:aws:iam::123456789012:user/alice"}


@pytest.mark.parametrize(
    ("condition", "rules"),
    [
        ({"Null": {SSE: "true"}, "StringNotEquals": {SSE: "aws:kms"}}, ["null-hides-condition"]),
        ({"Null": {SSE: "true"}, "StringNotLike": {SSE: "aws:*"}}, ["null-hides-condition"]),
        ({"Null": {SSE: "true"}, "StringEqualsIfExists": {SSE: "AES256"}}, ["null-hides-condition"]),
        ({"Null": {SSE: "true"}, "StringEquals": {SSE: "AES256"}}, ["impossible-condition"]),
        ({"Null": {SSE: "false"}, "StringNotEquals": {SSE: "aws:kms"}}, []),
        ({"Null": {SSE: "false"}, "StringEquals": {SSE: "AES256"}}, ["redundant-null"]),
        ({"StringEquals": {SSE: "AES256"}, "StringNotEquals": {SSE: "AES256"}}, ["impossible-condition"]),
        ({"Null": {SSE: "true"}, "StringEquals": {"s3:x-amz-storage-class": "GLACIER"}}, []),
    ],
)
def test_conditions_of_a_deny_on_one_key(found: Found, condition: dict[str, object], rules: list[str]) -> None:
    of_together = ("null-hides-condition", "impossible-condition", "redundant-null")
    assert [name for name in found({**PUT, "Condition": condition}) if name in of_together] == rules


def test_the_key_is_the_same_in_any_case(found: Found) -> None:
    assert "impossible-condition" in found(
        {**PUT, "Condition": {"Null": {SSE.upper(): "true"}, "StringEquals": {SSE: "AES256"}}}
    )


def test_in_an_allow_a_hidden_condition_is_only_a_warning(lint: Callable[..., Linted]) -> None:
    condition = {"Null": {SSE: "true"}, "StringNotEquals": {SSE: "aws:kms"}}
    linted = lint({**PUT, "Effect": "Allow", "Principal": ALICE, "Condition": condition})
    assert [(f.rule.name, f.severity) for f in linted.findings] == [("null-hides-condition", Severity.WARNING)]


@pytest.mark.parametrize(
    ("effect", "action", "condition", "rules"),
    [
        ("Allow", "s3:GetObject", {"StringLike": {"s3:prefix": "a*"}}, ["key-not-carried"]),
        ("Allow", "s3:ListBucket*", {"StringLike": {"s3:prefix": "a*"}}, []),
        ("Allow", "s3:ListBucketMultipartUploads", {"StringLike": {"s3:prefix": "a*"}}, ["key-not-carried"]),
        ("Allow", ["s3:ListBucket", "s3:GetObject"], {"StringLike": {"s3:prefix": "a*"}}, ["key-carried-by-some"]),
        ("Allow", "s3:*", {"StringLike": {"s3:prefix": "a*"}}, []),
        ("Allow", "s3:*", {"StringLikeIfExists": {"s3:prefix": "a*"}}, []),
        ("Deny", "s3:*", {"StringNotEquals": {SSE: "aws:kms"}}, ["key-carried-by-some"]),
        ("Deny", "s3:*", {"StringNotEquals": {SSE: "aws:kms"}, "Null": {SSE: "false"}}, []),
        ("Deny", "s3:*", {"NumericLessThan": {"s3:TlsVersion": "1.2"}}, []),
        ("Deny", "s3:*", {"StringNotEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}, []),
        ("Deny", "s3:GetObject*", {"StringNotEquals": {"s3:BucketTag/class": "open"}}, []),
        ("Deny", "s3:GetObject*", {"StringNotEquals": {"aws:PrincipalTag/class": "open"}}, []),
        ("Deny", "s3:GetObject*", {"StringNotEquals": {"aws:RequestTag/class": "open"}}, ["key-not-carried"]),
        ("Deny", "s3:GetObject*", {"Bool": {"s3w:Envelope": "false"}}, []),
        ("Deny", "s3:GetObject*", {"StringEquals": {"s3:DataAccessPointAccount": "1"}}, ["key-never-present"]),
        ("Deny", {"NotAction": "s3:PutObject"}, {"StringNotEquals": {SSE: "aws:kms"}}, ["key-carried-by-some"]),
    ],
)
def test_keys_and_the_actions_that_carry_them(
    found: Found, effect: str, action: object, condition: dict[str, object], rules: list[str]
) -> None:
    of_keys = ("key-not-carried", "key-carried-by-some", "key-never-present")
    element = action if isinstance(action, dict) else {"Action": action}
    statement = {"Effect": effect, "Principal": ALICE, **element, "Condition": condition}
    assert [name for name in found(statement) if name in of_keys] == rules


def test_the_message_names_the_actions_without_the_key(lint: Callable[..., Linted]) -> None:
    condition = {"StringNotEquals": {SSE: "aws:kms"}}
    linted = lint({**PUT, "Action": [*PUT["Action"], "s3:PutObjectTagging"], "Condition": condition})
    messages = [f.diagnostic.message for f in linted.findings if f.rule.name == "key-carried-by-some"]
    assert messages == [f"`s3:PutObjectTagging`: without `{SSE}`, so that the condition always holds there"]


def test_headers_that_anybody_can_send_prove_nothing(found: Found) -> None:
    condition = {"StringLike": {"aws:Referer": "https://example.com/*"}}
    read = {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", "Principal": ALICE, "Condition": condition}
    assert found({**read, "Effect": "Allow"}) == ["spoofable-key"]
    assert found({**read, "Action": "s3:GetObject*"}) == []

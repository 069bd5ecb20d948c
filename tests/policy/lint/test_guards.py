"""Guards are asked about the requests that slip past such guards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.policy.lint import Linted

Found = Callable[..., list[str]]
SSE = "s3:x-amz-server-side-encryption"
KEY_ID = "s3:x-amz-server-side-encryption-aws-kms-key-id"
SSE_C = "s3:x-amz-server-side-encryption-customer-algorithm"
ARN = "arn:aws:kms:eu-west-1:123456789012:key/1234"
BUCKET, OBJECTS = "arn:aws:s3:::b", "arn:aws:s3:::b/*"
TLS = {"Bool": {"aws:SecureTransport": "false"}}
ALICE = {"AWS": "arn:aws:iam::123456789012:user/alice"}


@pytest.mark.parametrize(
    ("statement", "open_"),
    [
        ({"Resource": OBJECTS, "Condition": TLS}, True),
        ({"Resource": BUCKET, "Condition": TLS}, True),
        ({"Resource": [BUCKET, OBJECTS], "Condition": TLS}, False),
        ({"Resource": "arn:aws:s3:::b*", "Condition": TLS}, False),
        ({"Resource": "arn:aws:s3:::b/secret/*", "Condition": TLS}, False),  # somebody meant this prefix
        ({"Resource": OBJECTS, "Action": "s3:GetObject*", "Condition": TLS}, False),
        ({"Resource": OBJECTS, "Condition": {"StringEquals": {"aws:SecureTransport": "false"}}}, True),
        ({"Resource": OBJECTS, "Condition": {"BoolIfExists": {"aws:SecureTransport": "false"}}}, True),
        ({"Resource": OBJECTS, "Condition": {"Bool": {"aws:SecureTransport": "true"}}}, False),
        ({"NotResource": OBJECTS, "Condition": TLS}, False),
    ],
)
def test_tls_is_asked_for_on_bucket_and_objects(found: Found, statement: dict[str, object], open_: bool) -> None:
    assert ("tls-deny-misses-bucket" in found(statement)) is open_


def test_two_statements_can_deny_plain_http_together(found: Found) -> None:
    assert found({"Resource": OBJECTS, "Condition": TLS}, {"Resource": BUCKET, "Condition": TLS}) == []


def test_the_help_names_the_missing_resource(lint: Callable[..., Linted]) -> None:
    (finding,) = lint({"Resource": OBJECTS, "Condition": TLS}).findings
    assert finding.diagnostic.help == "add `arn:aws:s3:::b`"
    (finding,) = lint({"Resource": BUCKET, "Condition": TLS}).findings
    assert finding.diagnostic.help == "add `arn:aws:s3:::b/*`"


def test_a_minimum_tls_version_needs_tls(found: Found) -> None:
    version = {"Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}}
    assert found(version) == ["tls-version-without-tls"]
    assert found(version, {"Condition": TLS}) == []
    assert "tls-version-without-tls" in found(version, {"Resource": OBJECTS, "Condition": TLS})
    assert found({"Condition": {"NumericLessThanIfExists": {"s3:TlsVersion": "1.2"}}}) == []


PUT_ONLY = {"Action": "s3:PutObject", "Resource": OBJECTS}


@pytest.mark.parametrize(
    ("condition", "open_"),
    [
        ({"StringNotEquals": {SSE: "aws:kms"}}, True),
        ({"StringNotEquals": {SSE: ["AES256", "aws:kms", "aws:kms:dsse"]}}, False),  # what it can set is accepted
        ({"StringNotLike": {SSE: "aws:kms*"}}, False),
        ({"StringEquals": {SSE: "AES256"}}, False),
        ({"Null": {SSE: "true"}}, False),
        ({"StringNotEquals": {KEY_ID: ARN}}, True),
        ({"ArnNotLike": {KEY_ID: ARN}}, True),
        ({"StringNotEquals": {KEY_ID: ARN}, "Null": {KEY_ID: "false"}}, True),
        ({"Null": {SSE_C: "false"}}, False),
        ({"StringNotEquals": {KEY_ID: ARN}, "StringEquals": {"aws:PrincipalTag/team": "hr"}}, True),
    ],
)
def test_a_guard_of_uploads_that_an_update_walks_around(
    found: Found, condition: dict[str, object], open_: bool
) -> None:
    assert ("encryption-guard-open" in found({**PUT_ONLY, "Condition": condition})) is open_
    both = {**PUT_ONLY, "Action": ["s3:PutObject", "s3:UpdateObjectEncryption"], "Condition": condition}
    assert "encryption-guard-open" not in found(both)


def test_another_statement_can_guard_the_update(found: Found) -> None:
    guard = {**PUT_ONLY, "Condition": {"StringNotEquals": {KEY_ID: ARN}}}
    update = {"Action": "s3:UpdateObjectEncryption", "Resource": OBJECTS}
    assert found(guard, update) == []
    assert found(guard, {**update, "Condition": {"ArnNotEquals": {KEY_ID: ARN}}}) == []
    assert found(guard, {**update, "Resource": "arn:aws:s3:::b/a/*"}) == ["encryption-guard-open"]
    assert found(guard, {**update, "Principal": ALICE}) == ["encryption-guard-open"]
    assert found(guard, {**update, "Condition": TLS}) == ["encryption-guard-open"]


@pytest.mark.parametrize(
    ("condition", "open_"),
    [
        ({"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}, True),
        ({"StringEquals": {"s3:x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}}, True),
        ({"StringLike": {"s3:x-amz-content-sha256": "*UNSIGNED-PAYLOAD*"}}, False),
        ({"StringNotLike": {"s3:x-amz-content-sha256": "STREAMING-*"}}, True),
        ({"StringEquals": {"s3:x-amz-content-sha256": "0" * 64}}, False),
    ],
)
def test_both_kinds_of_unsigned_payload(found: Found, condition: dict[str, object], open_: bool) -> None:
    assert ("unsigned-payload-open" in found({**PUT_ONLY, "Condition": condition})) is open_


@pytest.mark.parametrize(
    ("condition", "denied"),
    [
        ({"StringNotEquals": {"s3:x-amz-acl": "private"}}, True),
        ({"StringNotEquals": {"s3:x-amz-acl": "private"}, "Null": {"s3:x-amz-acl": "false"}}, False),
        ({"StringEquals": {"s3:x-amz-acl": "public-read"}}, False),
        ({"Null": {"s3:RequestObjectTag/team": "true"}}, True),
        # Completion has no tags either, so asking for the making of an object only does not help.
        ({"Null": {"s3:RequestObjectTag/team": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}, True),
        ({"Null": {"s3:if-none-match": "true"}}, True),
        ({"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}, False),
        ({"Null": {SSE: "true"}}, False),  # parts are judged by their upload's encryption
        ({"StringNotEquals": {"s3:x-amz-acl": "private"}, "StringEquals": {"aws:username": "x"}}, False),
    ],
)
def test_a_deny_that_meets_every_part(found: Found, condition: dict[str, object], denied: bool) -> None:
    assert ("parts-denied" in found({**PUT_ONLY, "Condition": condition})) is denied

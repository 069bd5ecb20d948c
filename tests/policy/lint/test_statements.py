"""Grants that are wider than they look, and principals that never come."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Found = Callable[..., list[str]]
ALICE = "arn:aws:iam::123456789012:user/alice"
READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}


@pytest.mark.parametrize(
    ("condition", "public"),
    [
        ({}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"StringEquals": {"aws:PrincipalAccount": "123456789012"}}, False),
        ({"StringEqualsIfExists": {"aws:PrincipalAccount": "123456789012"}}, True),
        ({"StringNotEquals": {"aws:PrincipalAccount": "123456789012"}}, True),
        ({"StringLike": {"aws:username": "*"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/*"}}, False),
        ({"Null": {"aws:PrincipalArn": "false"}}, False),
        ({"Null": {"aws:PrincipalArn": "true"}}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"]}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, True),
        ({"StringEquals": {"s3:authType": "REST-HEADER"}}, False),
    ],
)
def test_everybody_is_let_in_unless_a_condition_says_who(
    found: Found, condition: dict[str, object], public: bool
) -> None:
    statement = {**READ, "Principal": "*", **({"Condition": condition} if condition else {})}
    assert ("public-access" in found(statement)) is public


def test_a_key_policy_for_everybody_is_public_too(found: Found) -> None:
    assert found({"Effect": "Allow", "Action": "kms:Decrypt"}, kind="key") == ["public-access"]
    local = {"StringEquals": {"kms:CallerAccount": "123456789012"}}
    assert found({"Effect": "Allow", "Action": "kms:Decrypt", "Condition": local}, kind="key") == []


def test_a_deny_for_everybody_is_not_public(found: Found) -> None:
    assert found({"Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/*"}) == []


def test_allow_with_not_action_and_not_resource(found: Found) -> None:
    grant = {"Effect": "Allow", "Principal": {"AWS": ALICE}}
    assert found({**grant, "NotAction": "s3:DeleteObject"}) == ["allow-not-action"]
    assert found({**grant, "NotResource": "arn:aws:s3:::b/secret/*"}) == ["allow-not-resource"]
    assert found({"NotAction": "s3:GetObject"}) == []


def test_deny_with_not_principal(found: Found) -> None:
    assert found({"NotPrincipal": {"AWS": ALICE}}) == ["deny-not-principal"]


@pytest.mark.parametrize(
    ("principal", "rules"),
    [
        ({"AWS": ["123456789012", "arn:aws:iam::123456789012:root"]}, ["redundant-principal"]),
        ({"AWS": [ALICE, "123456789012"]}, []),
        ({"AWS": [ALICE, ALICE]}, ["redundant-principal"]),
        ({"AWS": "AIDACKCEVSQ6C2EXAMPLE"}, ["deleted-principal"]),
        ({"Service": "logging.s3.amazonaws.com"}, ["absent-principal"]),
        ({"Federated": "accounts.google.com", "AWS": ALICE}, ["absent-principal"]),
        ({"CanonicalUser": "a" * 64}, []),
    ],
)
def test_principals(found: Found, principal: dict[str, object], rules: list[str]) -> None:
    assert found({**READ, "Principal": principal}) == rules


def test_everybody_covers_everybody(found: Found) -> None:
    assert found({**READ, "Effect": "Deny", "Action": "s3:PutObject", "Principal": {"AWS": ["*", ALICE]}}) == [
        "redundant-principal"
    ]


def test_empty_conditions(found: Found) -> None:
    assert found({"Condition": {}}) == ["empty-condition"]
    assert found({"Condition": {"StringEquals": {}, "Bool": {"aws:SecureTransport": "false"}}}) == ["empty-condition"]

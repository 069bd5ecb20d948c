"""The schema for editors agrees with the parser on what is right, and offers every name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft7Validator

from proxy.policy.conditions import operator_names
from proxy.policy.document import PolicyFile
from proxy.policy.names import ACTIONS, KEYS
from proxy.policy.schema import build_schema
from proxy.schemas import load_schema

STATEMENT: dict[str, Any] = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::b"}


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    schema = load_schema("policy")
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def test_the_schema_that_ships_is_the_one_the_tables_give() -> None:
    wanted = json.loads(json.dumps(build_schema()))
    assert load_schema("policy") == wanted, "run: python -m proxy.policy.schema > proxy/schemas/policy.schema.json"


def test_every_action_key_and_operator_is_offered_with_a_description() -> None:
    definitions = build_schema()["definitions"]
    actions = [choice for choice in definitions["action"]["anyOf"] if "const" in choice]
    assert {choice["const"] for choice in actions} == {action.name for action in ACTIONS.values()}
    assert all(choice["description"] for choice in actions)
    keys = definitions["keys"]["properties"]
    assert set(keys) == {key.name for key in KEYS.values() if not key.is_family}
    assert all(key["description"] for key in keys.values())
    assert set(definitions["condition"]["properties"]) == set(operator_names())


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"Principal": {"AWS": ["123456789012", "*"]}},
        {"Action": ["s3:GetObject", "S3:put*"]},
        {"Condition": {}},
        {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "a", "aws:username": ["a", "b"]}}},
        {"Condition": {"Bool": {"aws:SecureTransport": False}, "NumericLessThan": {"s3:TlsVersion": 1.2}}},
        {"Condition": {"ForAnyValue:StringLikeIfExists": {"s3:requestobjecttagkeys": "a*"}}},
        {"Condition": {"stringEquals": {"AWS:PRINCIPALTAG/team": "a"}}},
    ],
)
def test_what_the_parser_takes_the_schema_takes_in_both_shapes(
    change: dict[str, Any], validator: Draft7Validator, policy: Callable[..., PolicyFile]
) -> None:
    bare = {"Version": "2012-10-17", "Statement": [STATEMENT | change]}
    assert policy(STATEMENT | change)
    assert validator.is_valid(bare)
    assert validator.is_valid({"Statement": STATEMENT | change})
    assert validator.is_valid({"bucket": "b", "mode": "report", "description": "x", "policy": bare})


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"Statement": []},
        {"Statement": STATEMENT, "Version": "2012"},
        {"Statement": STATEMENT, "bucket": "b"},
        {"policy": {"Statement": STATEMENT}, "mode": "audit"},
        {"Statement": STATEMENT | {"Effect": "deny"}},
        {"Statement": STATEMENT | {"Effects": "Deny"}},
        {"Statement": STATEMENT | {"NotAction": "s3:*"}},
        {"Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:*"}},
        {"Statement": STATEMENT | {"Principal": "arn:aws:iam::123456789012:root"}},
        {"Statement": STATEMENT | {"Principal": {"AWS": []}}},
        {"Statement": STATEMENT | {"Action": "*:GetObject"}},
        {"Statement": STATEMENT | {"Resource": "b/*"}},
        {"Statement": STATEMENT | {"Condition": {"StringIs": {"aws:username": "a"}}}},
        {"Statement": STATEMENT | {"Condition": {"NullIfExists": {"aws:username": "true"}}}},
        {"Statement": STATEMENT | {"Condition": {"Bool": {"SecureTransport": "true"}}}},
        {"Statement": STATEMENT | {"Condition": {"Bool": "true"}}},
    ],
)
def test_what_is_plainly_wrong_is_marked_in_the_editor(document: Any, validator: Draft7Validator) -> None:
    assert not validator.is_valid(document)

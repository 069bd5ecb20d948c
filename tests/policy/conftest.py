"""How policy tests say things: compile statements, ask one question."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest

from proxy import yamldoc
from proxy.policy.document import Kind, PolicyFile
from proxy.policy.evaluate import AccessRequest, Decision, decide
from proxy.policy.explain import explain
from proxy.policy.index import PolicyGroup
from proxy.policy.parse import parse_policy
from proxy.policy.principals import Principal

ACCOUNT = "123456789012"
OTHER = "999999999999"
ALICE = Principal(f"arn:aws:iam::{ACCOUNT}:user/alice", ACCOUNT)


def compile_policy(
    *statements: Mapping[str, object],
    kind: Kind = "bucket",
    version: str | None = "2012-10-17",
    mapped: Collection[str] = (),
    mode: str = "enforce",
    bucket: str | None = None,
) -> PolicyFile:
    """Compile statements; in a bucket or key policy, what is left out is `*` or the whole bucket `b`."""
    defaults: dict[Kind, dict[str, object]] = {
        "bucket": {"Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]},
        "identity": {"Action": "s3:*", "Resource": "*"},
        "key": {"Principal": "*", "Action": "kms:*", "Resource": "*"},
    }
    completed = []
    for statement in statements:
        missing = {k: v for k, v in defaults[kind].items() if f"Not{k}" not in statement}
        completed.append({"Effect": "Allow", **missing, **statement})
    document: dict[str, object] = {"Statement": completed}
    if version:
        document["Version"] = version
    wrapper: dict[str, object] = {"mode": mode, "policy": document}
    if bucket:
        wrapper["bucket"] = bucket
    return parse_policy(yamldoc.parse(json.dumps(wrapper), f"{kind}.json"), kind, mapped)


def ask_policies(
    bucket: PolicyFile | list[PolicyFile] | None = None,
    identity: PolicyFile | None = None,
    *,
    principal: Principal = ALICE,
    action: str = "s3:GetObject",
    resource: str = "arn:aws:s3:::b/key",
    owner: str | None = ACCOUNT,
    **context: str | tuple[str, ...],
) -> Decision:
    """Decide one request, and check that the explanation comes to the same decision."""
    files = bucket if isinstance(bucket, list) else [bucket] if bucket else []
    resources = PolicyGroup(files)
    identities = PolicyGroup([identity] if identity else [])
    given = context.pop("context", context)
    assert isinstance(given, dict)
    request = AccessRequest(principal, action, resource, owner, given)
    decision = decide(request, resources, identities)
    assert explain(request, resources, identities).decision == decision
    return decision


@pytest.fixture
def policy() -> Callable[..., PolicyFile]:
    return compile_policy


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Return the effect as its word: `allow`, `explicit_deny` or `implicit_deny`."""

    def verdict(*args: Any, **kwargs: Any) -> str:
        return ask_policies(*args, **kwargs).effect.value

    return verdict


@pytest.fixture
def decision() -> Callable[..., Decision]:
    return ask_policies


@pytest.fixture
def holds() -> Callable[..., bool]:
    """Return whether one condition is met: `holds("StringEquals", "aws:username", values, request_value)`."""

    def one(operator: str, key: str, values: object, value: object = None, **more: str) -> bool:
        file = compile_policy({"Condition": {operator: {key: values}}})
        context: dict[str, Any] = dict(more)
        if value is not None:
            context[key.lower()] = tuple(value) if isinstance(value, list) else value
        return file.statements[0].conditions[0].holds(context)

    return one

"""What an explanation shows."""

from __future__ import annotations

from collections.abc import Callable

from proxy.policy.document import PolicyFile
from proxy.policy.evaluate import AccessRequest, Effect
from proxy.policy.explain import explain
from proxy.policy.index import PolicyGroup
from proxy.policy.principals import Principal

Make = Callable[..., PolicyFile]
A = "123456789012"
ALICE = Principal(f"arn:aws:iam::{A}:user/alice")


def request(**context: str) -> AccessRequest:
    given = {name.replace("_", ":"): value for name, value in context.items()}
    return AccessRequest(ALICE, "s3:GetObject", "arn:aws:s3:::b/k", A, given)


def test_each_part_of_each_statement_is_shown(policy: Make) -> None:
    group = PolicyGroup(
        [
            policy(
                {"Sid": "Grant"},
                {"Sid": "Prefix", "Effect": "Deny", "Condition": {"StringEquals": {"aws:username": ["bob", "alice"]}}},
                {"Sid": "Elsewhere", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/other"},
                {"Sid": "Near", "Effect": "Deny", "Condition": {"Null": {"aws:username": "true"}}},
            )
        ]
    )
    explanation = explain(request(aws_username="alice"), group)
    assert explanation.decision.effect is Effect.EXPLICIT_DENY
    assert [(trace.statement.sid, trace.missed) for trace in explanation.statements] == [
        ("Grant", ()),
        ("Prefix", ()),
        ("Elsewhere", ("action", "resource")),
        ("Near", ("Null aws:username",)),
    ]
    assert [trace.statement.sid for trace in explanation.near_misses] == ["Near"]
    (condition,) = explanation.statements[1].conditions
    assert (condition.holds, condition.value, condition.fitting) == (True, "alice", (False, True))


def test_identity_and_report_mode_statements_are_shown_too(policy: Make) -> None:
    bucket = PolicyGroup([policy({"Sid": "R", "Effect": "Deny"}, mode="report")])
    identity = PolicyGroup([policy({"Sid": "I"}, kind="identity")])
    explanation = explain(request(), bucket, identity)
    assert [(trace.statement.sid, trace.reported, trace.matched) for trace in explanation.statements] == [
        ("R", True, True),
        ("I", False, True),
    ]
    assert explanation.decision.allowed
    assert explanation.decision.reported is not None
    assert not explanation.decision.reported.allowed

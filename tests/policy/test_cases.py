"""A case passes exactly when its request gets the verdict, by the statement, that it expects."""

from __future__ import annotations

import pytest

from proxy.diagnostics import Span
from proxy.errors import S3Error
from proxy.policy.cases import Case, Outcome, run_cases
from proxy.policy.evaluate import AccessRequest
from proxy.policy.principals import ANONYMOUS
from proxy.policy.store import PolicySet
from proxy.policy.written import Asked, Direct, Policies, Written, bucket_of
from tests.policy.conftest import compile_policy

POLICY = compile_policy(
    {"Sid": "Read", "Action": "s3:GetObject"},
    {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/secret"},
)


def ask(written: Written) -> tuple[Asked, ...]:
    assert isinstance(written.what, Direct)
    if written.what.action == "refuse":
        raise S3Error("NotImplemented")
    return tuple(
        Asked(AccessRequest(ANONYMOUS, action, written.what.resource, None, {}), bucket_of(written.what.resource))
        for action in written.what.action.split("+")
    )


def outcome(action: str, key: str, expect: str, sid: str | None = None) -> Outcome:
    written = Written(None, Direct(action, f"arn:aws:s3:::b/{key}"))
    policies = Policies(PolicySet([POLICY]))
    return next(run_cases([Case("name", written, expect, sid, policies, policies.files, Span("t.yaml", 3, 5))], ask))


@pytest.mark.parametrize(
    ("action", "key", "expect", "sid"),
    [
        ("s3:GetObject", "k", "allow", None),
        ("s3:GetObject", "k", "allow", "Read"),
        ("s3:GetObject", "secret", "deny", "#2"),
        ("s3:GetObject", "secret", "explicit_deny", None),
        ("s3:PutObject", "k", "deny", None),
        ("s3:PutObject", "k", "implicit_deny", None),
        ("s3:GetObject+s3:PutObject", "k", "implicit_deny", None),
        ("refuse", "k", "refused", None),
    ],
)
def test_an_expectation_that_is_met_passes(action: str, key: str, expect: str, sid: str | None) -> None:
    assert outcome(action, key, expect, sid).passed


@pytest.mark.parametrize(
    ("action", "key", "expect", "sid", "problem"),
    [
        ("s3:GetObject", "k", "deny", None, "expected deny, got allow by `Read`"),
        ("s3:GetObject", "secret", "allow", None, "expected allow, got explicit_deny by `#2`"),
        ("s3:GetObject", "secret", "implicit_deny", None, "expected implicit_deny, got explicit_deny by `#2`"),
        ("s3:GetObject", "secret", "deny", "Read", "expected `Read` to decide, got explicit_deny by `#2`"),
        ("s3:PutObject", "k", "allow", None, "expected allow, got implicit_deny"),
        (
            "s3:PutObject",
            "k",
            "refused",
            None,
            "expected the proxy to refuse it, but policies were asked: implicit_deny",
        ),
        ("refuse", "k", "deny", None, "expected deny, but the proxy refuses it before any policy is asked: "),
    ],
)
def test_one_that_is_not_says_what_came_instead(
    action: str, key: str, expect: str, sid: str | None, problem: str
) -> None:
    found = outcome(action, key, expect, sid)
    assert found.problem.startswith(problem)
    assert str(found.diagnostic).startswith(f"t.yaml:3:5: error failed-expectation `name`: {problem}")


@pytest.mark.parametrize(
    ("arn", "bucket"),
    [
        ("arn:aws:s3:::b", "b"),
        ("arn:aws:s3:::b/k:x/y", "b"),
        ("arn:aws:s3:::*", None),
        ("*", None),
        ("arn:aws:kms:eu-central-1:123456789012:key/b", None),
        ("arn:aws:s3", None),
    ],
)
def test_the_bucket_whose_policies_speak_is_in_the_arn(arn: str, bucket: str | None) -> None:
    assert bucket_of(arn) == bucket

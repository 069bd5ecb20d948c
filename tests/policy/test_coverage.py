"""Coverage tells which statements, conditions and values no test exercises, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.diagnostics import Span
from proxy.policy.cases import Case, Outcome, run_cases
from proxy.policy.coverage import measure
from proxy.policy.document import PolicyFile
from proxy.policy.evaluate import AccessRequest
from proxy.policy.principals import ANONYMOUS
from proxy.policy.store import PolicySet
from proxy.policy.written import Asked, Direct, Policies, Written
from tests.policy.conftest import compile_policy

SSE = "s3:x-amz-server-side-encryption"


def ask(written: Written) -> tuple[Asked, ...]:
    assert isinstance(written.what, Direct)
    what = written.what
    return (Asked(AccessRequest(ANONYMOUS, what.action, what.resource, None, written.context), "b"),)


def outcomes(policy: PolicyFile, *requests: tuple[str, Mapping[str, str]]) -> list[Outcome]:
    policies = Policies(PolicySet([policy]))
    return list(
        run_cases(
            (
                Case("", Written(None, Direct(a, "arn:aws:s3:::b/k"), c), "allow", None, policies, (policy,), Span(""))
                for a, c in requests
            ),
            ask,
        )
    )


def missing(policy: PolicyFile, *requests: tuple[str, Mapping[str, str]]) -> list[str]:
    return [finding.message for finding in measure(outcomes(policy, *requests)).missing]


DENY = compile_policy(
    {
        "Sid": "D",
        "Effect": "Deny",
        "Action": "s3:PutObject",
        "Condition": {"StringNotEquals": {SSE: ["AES256", "aws:kms"]}},
    },
)
PUT = "s3:PutObject"


def test_a_statement_that_no_request_matches_is_not_exercised() -> None:
    assert missing(DENY, ("s3:GetObject", {})) == ["no test's request matches `D`"]
    coverage = measure(outcomes(DENY, ("s3:GetObject", {})))
    assert (coverage.statements, coverage.conditions, coverage.values) == ((0, 1), (0, 1), (0, 2))
    assert coverage.percent == 0


def test_a_condition_must_be_met_by_one_request_and_failed_by_another() -> None:
    assert missing(DENY, (PUT, {})) == [
        f"no test's request fails the condition `StringNotEquals` on `{SSE}`",
        f"no test's request has the value `AES256` of `{SSE}`",
        f"no test's request has the value `aws:kms` of `{SSE}`",
    ]


def test_every_value_must_be_there_once() -> None:
    assert missing(DENY, (PUT, {}), (PUT, {SSE: "AES256"})) == [f"no test's request has the value `aws:kms` of `{SSE}`"]
    whole = measure(outcomes(DENY, (PUT, {}), (PUT, {SSE: "AES256"}), (PUT, {SSE: "aws:kms"})))
    assert (whole.missing, whole.percent) == ((), 100)


def test_null_has_no_value_to_fit_and_is_exercised_by_its_verdict() -> None:
    policy = compile_policy({"Effect": "Deny", "Condition": {"Null": {SSE: "true"}}})
    assert missing(policy, (PUT, {})) == [f"no test's request fails the condition `Null` on `{SSE}`"]
    assert missing(policy, (PUT, {}), (PUT, {SSE: "x"})) == []


def test_policies_that_are_only_there_do_not_count() -> None:
    policies = Policies(PolicySet([DENY]))
    case = Case("", Written(None, Direct(PUT, "arn:aws:s3:::b/k")), "deny", None, policies, (), Span(""))
    coverage = measure(run_cases([case], ask))
    assert (coverage.statements, coverage.percent) == ((0, 0), 100)


def test_findings_stand_at_the_statement_and_at_the_condition() -> None:
    found = measure(outcomes(DENY, (PUT, {}))).missing
    assert all(each.span.line == 1 and each.snippet for each in found)

"""A change of effect, operator or value that no test notices is told; one that is noticed is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from proxy.diagnostics import Span
from proxy.policy.cases import Case, Outcome, run_cases
from proxy.policy.conditions import OPERATORS
from proxy.policy.document import PolicyFile
from proxy.policy.evaluate import AccessRequest
from proxy.policy.mutate import mutants, mutate
from proxy.policy.store import PolicySet
from proxy.policy.written import Asked, Direct, Policies, Written
from tests.policy.conftest import ACCOUNT, ALICE, compile_policy

SSE = "s3:x-amz-server-side-encryption"
PUT, GET = "s3:PutObject", "s3:GetObject"
ALLOW = compile_policy({"Action": "s3:*"}, kind="identity")


def ask(written: Written) -> tuple[Asked, ...]:
    assert isinstance(written.what, Direct)
    what = written.what
    return (Asked(AccessRequest(ALICE, what.action, what.resource, ACCOUNT, written.context), "b"),)


def outcomes(policy: PolicyFile, *tests: tuple[str, Mapping[str, str], str]) -> list[Outcome]:
    policies = Policies(PolicySet([policy])).with_identity([ALLOW])
    cases = (
        Case(
            "", Written("alice", Direct(action, "arn:aws:s3:::b/k"), given), expect, None, policies, (policy,), Span("")
        )
        for action, given, expect in tests
    )
    found = list(run_cases(cases, ask))
    assert all(outcome.passed for outcome in found), [outcome.problem for outcome in found]
    return found


def survivors(policy: PolicyFile, *tests: tuple[str, Mapping[str, str], str]) -> list[str]:
    return [finding.message for finding in mutate(outcomes(policy, *tests)).survivors]


def deny(**condition: Any) -> PolicyFile:
    return compile_policy({"Sid": "D", "Effect": "Deny", "Action": PUT, "Condition": condition})


def test_without_tests_that_ask_everything_survives() -> None:
    found = mutate(outcomes(deny(StringEquals={SSE: "a"}), (GET, {}, "allow")))
    assert (found.mutants, len(found.survivors)) == (3, 3)
    assert [each.message for each in found.survivors] == [
        "no test fails when `D` says Allow instead of Deny",
        f"no test fails when `StringEquals` on `{SSE}` becomes `StringNotEquals` in `D`",
        f"no test fails when `a` for `{SSE}` becomes `a-mutant` in `D`",
    ]


def test_a_test_of_each_kind_kills_all() -> None:
    policy = deny(StringNotEquals={SSE: ["a", "b"]})
    tests = [(PUT, {SSE: "a"}, "allow"), (PUT, {SSE: "b"}, "allow"), (PUT, {}, "deny")]
    assert survivors(policy, *tests) == []
    assert survivors(policy, *tests[1:]) == [f"no test fails when `a` for `{SSE}` becomes `a-mutant` in `D`"]
    assert "no test fails when `D` says Allow instead of Deny" in survivors(policy, *tests[:2])


def test_a_policy_in_report_mode_has_no_mutants() -> None:
    policy = compile_policy({"Effect": "Deny"}, mode="report")
    assert mutate(outcomes(policy, (PUT, {}, "allow"))).mutants == 0


@pytest.mark.parametrize(
    ("operator", "value", "fits", "misses"),
    [
        ("Bool", "true", "true", "false"),
        ("Null", "false", "x", ""),
        ("NumericLessThan", "10", "10.5", None),
        ("NumericGreaterThanEquals", "10", "10", None),
        ("DateLessThan", "2026-01-01", "2026-01-01T12:00:00Z", None),
        ("IpAddress", "10.0.0.0/8", "10.1.1.1", "203.0.113.7"),
        ("IpAddress", "203.0.113.0/24", "203.0.113.7", "198.51.100.1"),
        ("NotIpAddress", "2001:db8::/32", "2001:db8::1", None),
        ("ArnLike", "arn:aws:iam::1:user/*", "arn:aws:iam::1:user/x", None),
        ("BinaryEquals", "YQ==", "a", None),
        ("StringLike", "a*", "ab", None),
    ],
)
def test_each_family_has_a_value_that_means_something_else(
    operator: str, value: str, fits: str, misses: str | None
) -> None:
    policy = deny(**{operator: {SSE: value}})
    condition = policy.statements[0].conditions[0]
    changed = list(mutants(policy.statements[0]))[-1].changed.conditions[0]
    before = condition.holds({SSE: fits})
    assert changed.holds({SSE: fits}) is not before
    if misses is not None:
        assert changed.holds({SSE: misses}) is before


def test_every_operator_but_those_that_their_values_turn_has_an_opposite() -> None:
    for row in OPERATORS.values():
        value = {"Numeric": "1", "Date": "2026-01-01", "IpAddress": "10.0.0.0/8", "Binary": "YQ=="}.get(
            row.family, "true"
        )
        made = list(mutants(deny(**{row.name: {SSE: value}}).statements[0]))
        assert len(made) == (2 if row.family in ("Bool", "Null", "Binary") else 3), row.name


def test_an_opposite_is_true_exactly_where_the_operator_is_false() -> None:
    for name in ("NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericEquals"):
        made = list(mutants(deny(**{name: {SSE: "5"}}).statements[0]))[1]
        original, changed = made.original.conditions[0], made.changed.conditions[0]
        for value in ("4", "5", "6"):
            assert original.holds({SSE: value}) is not changed.holds({SSE: value})

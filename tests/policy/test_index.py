"""The index finds exactly what looking at every statement finds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import yamldoc
from proxy.policy.document import PolicyFile
from proxy.policy.evaluate import AccessRequest, decide
from proxy.policy.explain import explain
from proxy.policy.index import NO_POLICIES, PolicyGroup, StatementIndex
from proxy.policy.parse import parse_policy
from proxy.policy.principals import ANONYMOUS, Principal

A = "123456789012"
SESSION = f"arn:aws:sts::{A}:assumed-role/R/s"
PRINCIPALS = ["*", A, "999999999999", f"arn:aws:iam::{A}:user/a", f"arn:aws:iam::{A}:role/R", SESSION]
CALLERS = [
    ANONYMOUS,
    Principal(f"arn:aws:iam::{A}:user/a"),
    Principal(f"arn:aws:iam::{A}:user/b"),
    Principal(SESSION),
    Principal("arn:aws:iam::999999999999:user/a"),
    Principal("bob", A),
]
RESOURCES = ["b", "b/*", "b/a", "b/a*", "b/ab/*", "*", "b*", "?/a?", "b/${aws:username}/*", "b/${aws:username, 'ab'}*"]
ASKED = ["b", "b/", "b/a", "b/ab", "b/ab/c", "b/b/x", "bb/a", "c/ab", "b/*/x"]
CONDITIONS: list[dict[str, Any]] = [
    {},
    {"StringEquals": {"aws:username": "a"}},
    {"StringNotEquals": {"s3:prefix": ["x", "${aws:username}"]}},
    {"Null": {"s3:prefix": "true"}, "StringLike": {"aws:username": "?"}},
]


def _element(name: str, values: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    lists = st.lists(st.sampled_from(values), min_size=1, max_size=3)
    return st.builds(lambda negated, picked: {f"{'Not' * negated}{name}": picked}, st.booleans(), lists)


def _statement(
    effect: str, principal: list[str], elements: tuple[dict[str, Any], ...], condition: dict[str, Any]
) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": effect, "Condition": condition}
    negated = effect == "Deny" and len(principal) == 2
    made["NotPrincipal" if negated else "Principal"] = {"AWS": principal}
    for element in elements:
        made.update(element)
    return made


_statements = st.builds(
    _statement,
    st.sampled_from(["Allow", "Deny"]),
    st.lists(st.sampled_from(PRINCIPALS), min_size=1, max_size=3),
    st.tuples(
        _element("Action", ["s3:GetObject", "s3:Put*", "s3:*", "s3:getobject*"]),
        _element("Resource", [f"arn:aws:s3:::{resource}" for resource in RESOURCES]),
    ),
    st.sampled_from(CONDITIONS),
)


def _file(statements: list[dict[str, Any]], report: bool) -> PolicyFile:
    data: Any = {
        "mode": "report" if report else "enforce",
        "policy": {"Version": "2012-10-17", "Statement": statements},
    }
    return parse_policy(yamldoc.Document(data, "p", "", {}, {}, frozenset()), "bucket")


@settings(max_examples=300)
@given(
    st.lists(st.builds(_file, st.lists(_statements, min_size=1, max_size=5), st.booleans()), max_size=3),
    st.sampled_from(CALLERS),
    st.sampled_from(["s3:GetObject", "s3:PutObject", "S3:GETOBJECT", "s3:Unheard"]),
    st.dictionaries(st.sampled_from(["aws:username", "s3:prefix"]), st.sampled_from(["a", "x", "ab", "*"])),
)
def test_the_index_decides_as_a_look_at_every_statement_does(
    files: list[PolicyFile], caller: Principal, action: str, context: dict[str, str]
) -> None:
    group = PolicyGroup(files)
    for name in ASKED:
        request = AccessRequest(caller, action, f"arn:aws:s3:::{name}", A, context)
        assert decide(request, group) == explain(request, group).decision


def test_a_statement_met_through_two_of_its_arns_counts_once(policy: Callable[..., PolicyFile]) -> None:
    file = policy({"Resource": ["arn:aws:s3:::b/*", "arn:aws:s3:::b/a*", "arn:aws:s3:::b/a"]}, {"Sid": "second"})
    found = StatementIndex(file.statements).matches("s3:GetObject", "arn:aws:s3:::b/a", ANONYMOUS, {})
    assert [statement.index for _, statement, _ in found] == [0, 1]


def test_unheard_actions_do_not_make_the_index_grow(policy: Callable[..., PolicyFile]) -> None:
    index = StatementIndex(policy({}).statements)
    for number in range(100):
        index.matches(f"s3:Made{number}", "arn:aws:s3:::b", ANONYMOUS, {})
    for spelling in ("s3:GetObject", "S3:GETOBJECT", "s3:getObject"):
        index.matches(spelling, "arn:aws:s3:::b", ANONYMOUS, {})
    assert len(index._tables) == 2


def test_the_keys_that_policies_read_are_known_per_action(policy: Callable[..., PolicyFile]) -> None:
    group = PolicyGroup(
        [
            policy({"Action": "s3:PutObject", "Condition": {"Null": {"s3:x-amz-server-side-encryption": "true"}}}),
            policy(
                {"Action": "s3:Get*", "Condition": {"StringEquals": {"s3:ExistingObjectTag/Class": "x"}}}, mode="report"
            ),
        ]
    )
    assert group.keys_read("s3:PutObject") == {"s3:x-amz-server-side-encryption"}
    assert group.keys_read("s3:GETOBJECT") == group.keys_read("s3:GetObject") == {"s3:existingobjecttag/class"}
    assert group.keys_read("s3:DeleteObject") == frozenset()
    assert group.keys_read() == {"s3:x-amz-server-side-encryption", "s3:existingobjecttag/class"}
    assert NO_POLICIES.keys_read() == frozenset()


def test_ten_thousand_statements_cost_little_more_than_ten(policy: Callable[..., PolicyFile]) -> None:
    def timed(count: int) -> float:
        statements = [{"Resource": f"arn:aws:s3:::b/{number}/*", "Effect": "Deny"} for number in range(count)]
        group = PolicyGroup([policy(*statements[start : start + 1000]) for start in range(0, count, 1000)])
        request = AccessRequest(ANONYMOUS, "s3:GetObject", "arn:aws:s3:::b/7/x", A, {})
        assert not decide(request, group).allowed
        start = time.perf_counter()
        for _ in range(300):
            decide(request, group)
        return (time.perf_counter() - start) / 300

    # Generous, for busy machines; a scan would take milliseconds.
    assert timed(10_000) < 0.0005


def test_as_many_statements_for_one_resource_are_told_apart_by_principal(policy: Callable[..., PolicyFile]) -> None:
    statements = [{"Principal": {"AWS": f"arn:aws:iam::{A}:user/u{number}"}} for number in range(3000)]
    group = PolicyGroup([policy(*statements)])
    request = AccessRequest(Principal(f"arn:aws:iam::{A}:user/u7"), "s3:GetObject", "arn:aws:s3:::b/x", A, {})
    assert [statement.index for statement in decide(request, group).statements] == [7]
    start = time.perf_counter()
    for _ in range(300):
        decide(request, group)
    assert (time.perf_counter() - start) / 300 < 0.0005

"""Whether conditions can be met together is decided by the evaluator, exactly or not at all."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import yamldoc
from proxy.policy.conditions import Condition
from proxy.policy.lint.meet import can_be_met, implies
from proxy.policy.parse import parse_policy

SSE = "s3:x-amz-server-side-encryption"


def conditions(key: str, *written: tuple[str, object]) -> list[Condition]:
    block = {operator: {key: value} for operator, value in written}
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": block}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    return list(parse_policy(yamldoc.parse(text), "identity").statements[0].conditions)


@pytest.mark.parametrize(
    ("key", "written", "possible"),
    [
        (SSE, [("Null", "true"), ("StringEquals", "aws:kms")], False),
        (SSE, [("Null", "true"), ("StringNotEquals", "aws:kms")], True),
        (SSE, [("Null", "true"), ("StringLike", "*")], True),  # an empty value counts as missing
        (SSE, [("Null", "false"), ("StringNotEquals", "aws:kms")], True),
        (SSE, [("StringEquals", ["a", "b"]), ("StringNotEquals", ["a", "b", "c"])], False),
        (SSE, [("StringEquals", ["a", "b"]), ("StringNotEquals", "a")], True),
        (SSE, [("StringLike", "aws:*"), ("StringNotLike", "a*")], False),
        (SSE, [("StringLike", "a*"), ("StringNotLike", "ab*")], True),
        (SSE, [("StringLike", "a*"), ("StringNotLike", ["a?", "a"])], True),
        (SSE, [("StringEquals", "abc"), ("StringLike", "a*")], True),
        (SSE, [("StringEquals", "abc"), ("StringLike", "b*")], False),
        (SSE, [("StringEquals", "abc"), ("StringEqualsIgnoreCase", "ABC")], True),
        (SSE, [("StringEqualsIgnoreCase", "abc"), ("StringNotEquals", ["abc", "ABC"])], None),
        (SSE, [("StringLike", "a*"), ("StringEqualsIgnoreCase", "b")], None),
        (SSE, [("StringEquals", "${aws:username}"), ("StringNotEquals", "x")], None),
        ("aws:SourceIp", [("IpAddress", "10.0.0.0/8"), ("NotIpAddress", "10.0.0.0/8")], False),
        ("aws:SourceIp", [("IpAddress", "10.0.0.0/8"), ("NotIpAddress", "10.1.0.0/16")], True),
        ("aws:SourceIp", [("IpAddress", "2001:db8::/32"), ("NotIpAddress", "2001:db8::/33")], True),
        ("s3:max-keys", [("NumericLessThan", "5"), ("NumericGreaterThan", "5")], False),
        ("s3:max-keys", [("NumericLessThan", "6"), ("NumericGreaterThan", "5")], True),
        ("s3:max-keys", [("NumericLessThanEquals", "5"), ("NumericGreaterThanEquals", "5")], True),
        ("aws:CurrentTime", [("DateLessThan", "2026-01-01"), ("DateGreaterThan", "2027-01-01")], False),
        ("aws:CurrentTime", [("DateGreaterThan", "2026-01-01"), ("DateLessThan", "2027-01-01")], True),
        ("s3:RequestObjectTagKeys", [("Null", "true"), ("ForAnyValue:StringEquals", "a")], False),
        ("s3:RequestObjectTagKeys", [("Null", "true"), ("ForAllValues:StringEquals", "a")], True),
        ("s3:RequestObjectTagKeys", [("ForAnyValue:StringEquals", "a"), ("ForAnyValue:StringNotEquals", "a")], None),
    ],
)
def test_conditions_on_one_key(key: str, written: list[tuple[str, object]], possible: bool | None) -> None:
    assert can_be_met(conditions(key, *written)) is possible


VALUES = st.lists(st.sampled_from(["", "a", "b", "ab", "A"]), min_size=1, max_size=3, unique=True)
PATTERNS = st.lists(st.text(st.sampled_from("aAb*?"), max_size=4), min_size=1, max_size=2, unique=True)
TESTS = st.one_of(
    st.tuples(st.sampled_from(["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase"]), VALUES),
    st.tuples(
        st.sampled_from(["StringLike", "StringNotLike", "StringNotLikeIfExists", "StringEqualsIfExists"]), PATTERNS
    ),
    st.tuples(st.just("Null"), st.sampled_from([["true"], ["false"]])),
)
WORDS = ["".join(letters) for size in range(6) for letters in itertools.product("abAx", repeat=size)]


@given(st.lists(TESTS, min_size=1, max_size=3, unique_by=lambda test: test[0]))
@settings(max_examples=150, deadline=None)
def test_an_answer_is_never_contradicted_by_trying_all_short_values(written: list[tuple[str, list[str]]]) -> None:
    read = conditions(SSE, *written)
    answer = can_be_met(read)
    contexts: list[dict[str, str]] = [{}, *({SSE: word} for word in WORDS)]
    met = any(all(condition.holds(context) for condition in read) for context in contexts)
    if answer is False:
        assert not met
    if met:
        assert answer in (True, None)


def test_implication_is_told_for_what_is_exactly_decidable() -> None:
    missing, wrong = conditions(SSE, ("Null", "true")), conditions(SSE, ("StringNotEquals", "aws:kms"))
    assert implies(missing, wrong)
    assert not implies(wrong, missing)
    assert implies(conditions(SSE, ("StringEquals", "a")), conditions(SSE, ("StringEquals", ["a", "b"])))
    assert not implies(conditions(SSE, ("StringLike", "a*")), conditions(SSE, ("StringLike", "*")))

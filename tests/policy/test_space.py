"""Representatives: every combination that can be met is met, and nothing is claimed complete that is not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.arns import arn_matcher
from proxy.policy.callers import TIED, find_callers
from proxy.policy.cells import Class, Line, Step, arn_line, caseless_line, find_cells, text_line, wildcard_line
from proxy.policy.conditions import Condition
from proxy.policy.document import PolicyFile
from proxy.policy.patterns import compile_text, tokenize
from proxy.policy.space import key_space

Make = Callable[..., PolicyFile]
ALPHABET = "ab*?"
TEXTS = ["".join(chars) for size in range(6) for chars in itertools.product("abx", repeat=size)]


def wild(text: str) -> Line:
    return wildcard_line(tokenize(text))


@given(st.lists(st.text(ALPHABET, max_size=4), min_size=1, max_size=4))
def test_every_way_of_fitting_wildcard_patterns_has_its_text(patterns: list[str]) -> None:
    compiled = [compile_text(pattern) for pattern in patterns]
    cells = find_cells([wild(pattern) for pattern in patterns])
    assert cells.complete
    found = [tuple(pattern.matches(text) for pattern in compiled) for text in cells.texts]
    assert len(set(found)) == len(found), "one text per cell"
    assert set(found) >= {tuple(pattern.matches(text) for pattern in compiled) for text in TEXTS}


def test_texts_that_differ_in_case_only_are_told_apart_where_a_pattern_does() -> None:
    texts = find_cells([caseless_line("aes"), text_line("AES"), wild("a*")]).texts
    vectors = {(text.lower() == "aes", text == "AES", text.startswith("a")) for text in texts}
    neither = {(False, False, True), (False, False, False)}
    assert vectors == {(True, True, False), (True, False, True), (True, False, False), *neither}


def test_the_kelvin_sign_is_a_k_where_case_does_not_matter() -> None:
    texts = find_cells([caseless_line("k"), text_line("k"), text_line("K")]).texts
    assert "\u212a" in texts


@pytest.mark.parametrize("pattern", ["arn:aws:*:*:1:x*", "arn:aws:s3:::b/*", "*:aws:s3:*:?:x", "x:aws:s3:::b", "arn:*"])
def test_arns_are_read_as_conditions_read_them(pattern: str) -> None:
    line = arn_line(tokenize(pattern))
    for text in (
        "arn:aws:s3:a:1:x",
        "arn:aws:s3:a:b:1:xy",
        "arn:aws:s3:::b/k:l",
        "arn:aws:s3:a:bc:x",
        "x:aws:s3:::b",
        "",
    ):
        fits = line is not None and text in find_cells([text_line(text)], [line]).texts
        assert fits is arn_matcher(compile_text(pattern).tokens)(text), text


def test_shapes_say_what_texts_may_look_like() -> None:
    digits = (Step(Class.DIGIT),) * 2
    cells = find_cells([wild("1*"), wild("*5")], [digits])
    assert sorted(map(len, cells.texts)) == [2, 2, 2, 2]
    assert all(text.isdigit() for text in cells.texts)


def test_a_walk_that_is_too_long_says_so() -> None:
    lines = [wild(f"*{chr(97 + place)}{chr(98 + place)}*") for place in range(12)]
    assert not find_cells(lines, limit=500).complete


def conditions_of(policy: Make, key: str, *blocks: dict[str, object]) -> list[Condition]:
    file = policy(*({"Condition": {operator: {key: value}}} for block in blocks for operator, value in block.items()))
    return [condition for statement in file.statements for condition in statement.conditions]


def vectors(conditions: list[Condition], key: str, values: list[object]) -> set[tuple[bool, ...]]:
    contexts: list[Any] = [{} if value is None else {key: value} for value in values]
    return {tuple(condition.holds(context) for condition in conditions) for context in contexts}


@pytest.mark.parametrize(
    ("key", "operators", "values"),
    [
        (
            "s3:max-keys",
            {"NumericLessThan": "5", "NumericEquals": ["5", "7.5"], "NumericGreaterThanEquals": "7.5", "Null": "true"},
            [None, "", "x", "4", "5", "6", "7.5", "8"],
        ),
        (
            "aws:CurrentTime",
            {"DateLessThan": "2020-01-01", "DateGreaterThan": "2020-01-01T00:00:00Z", "DateEquals": "1577836801"},
            [None, "x", "2019-12-31", "2020-01-01", "2020-01-01T00:00:01Z", "2020-01-01T00:00:00.5Z", "2021-01-01"],
        ),
        (
            "aws:SourceIp",
            {"IpAddress": ["10.0.0.0/8", "2001:db8::/32"], "NotIpAddress": ["10.1.0.0/16"]},
            [None, "x", "9.255.255.255", "10.0.0.0", "10.1.0.0", "10.2.0.0", "11.0.0.0", "2001:db8::", "2001:db9::"],
        ),
        (
            "aws:SecureTransport",
            {"Bool": "false", "StringEquals": "true", "Null": "false"},
            [None, "", "true", "false", "True", "x"],
        ),
        (
            "s3:x-amz-acl",
            {"StringLike": ["a*", "*b"], "StringNotEqualsIgnoreCase": "AB", "StringEqualsIfExists": "ab"},
            [None, "", "a", "b", "ab", "AB", "aB", "axb", "x"],
        ),
    ],
)
def test_every_cell_of_a_key_has_a_representative(
    key: str, operators: dict[str, object], values: list[object], policy: Make
) -> None:
    conditions = conditions_of(policy, key, operators)
    space = key_space(key.lower(), conditions)
    assert not space.missing
    found = vectors(conditions, key.lower(), list(space.values))
    assert len(found) == len(space.values), "merged where no condition tells them apart"
    assert found >= vectors(conditions, key.lower(), values)


@pytest.mark.parametrize("quantifier", ["ForAllValues:", "ForAnyValue:"])
def test_every_cell_of_sets_of_values_has_a_representative(quantifier: str, policy: Make) -> None:
    conditions = conditions_of(
        policy,
        "aws:TagKeys",
        {f"{quantifier}StringLike": ["a*", "b"]},
        {f"{quantifier}StringNotEquals": ["a", "c"]},
        {"ForAnyValue:StringEquals": ["", "c"], "Null": "true"},
    )
    space = key_space("aws:tagkeys", conditions)
    values = ["", "a", "ab", "b", "c", "x"]
    sets = [None, (), *(chosen for size in range(1, 5) for chosen in itertools.combinations(values, size))]
    assert not space.missing
    assert vectors(conditions, "aws:tagkeys", list(space.values)) >= vectors(conditions, "aws:tagkeys", sets)


def test_operators_of_several_types_on_one_key_are_not_called_complete(policy: Make) -> None:
    conditions = conditions_of(policy, "s3:max-keys", {"NumericLessThan": "5", "StringLike": "1*"})
    assert key_space("s3:max-keys", conditions).missing


def test_letters_outside_ascii_without_case_are_not_called_complete(policy: Make) -> None:
    conditions = conditions_of(policy, "s3:x-amz-acl", {"StringEqualsIgnoreCase": "straße"})
    assert key_space("s3:x-amz-acl", conditions).missing


def test_possible_values_are_those_that_the_proxy_gives(policy: Make) -> None:
    tls = conditions_of(policy, "aws:SecureTransport", {"Bool": "false"})
    assert key_space("aws:securetransport", tls, possible=True).values == ("true", "false")
    point = conditions_of(policy, "s3:DataAccessPointArn", {"ArnLike": "arn:aws:s3:*:*:*"})
    assert key_space("s3:dataaccesspointarn", point, possible=True).values == (None,)
    assert len(key_space("s3:dataaccesspointarn", point).values) > 1


def test_everybody_whom_policies_can_tell_apart_is_among_the_callers(policy: Make) -> None:
    account, other = "123456789012", "222222222222"
    file = policy(
        {"Principal": {"AWS": [f"arn:aws:iam::{account}:user/alice", f"arn:aws:iam::{account}:role/app/R", other]}},
        {"Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/dev-*"}}},
        {"Condition": {"StringEquals": {"s3:ResourceAccount": "333333333333"}}},
        {"Principal": {"CanonicalUser": "a" * 64}},
    )
    tied = [c for statement in file.statements for c in statement.conditions if c.key in TIED]
    callers = find_callers([s.principals for s in file.statements if s.principals], tied).callers
    arns = {caller.principal.arn for caller in callers}
    assert {None, f"arn:aws:iam::{account}:user/alice", f"arn:aws:sts::{account}:assumed-role/R/session"} <= arns
    owners = {(caller.principal.account, caller.owner) for caller in callers}
    assert ("333333333333", "333333333333") in owners, "an owner's account that a condition names has callers too"
    assert any(arn and arn.startswith(f"arn:aws:iam::{other}:user/dev-") for arn in arns)
    assert any(arn and arn.startswith(f"arn:aws:iam::{other}:user/") and "dev-" not in arn for arn in arns)
    assert any(caller.principal.canonical_user for caller in callers)
    session = next(c for c in callers if c.principal.is_session and "/R/" in str(c.principal.arn))
    assert session.context["aws:principalarn"] == f"arn:aws:iam::{account}:role/app/R"


def test_an_anonymous_caller_has_a_type_and_nothing_else() -> None:
    (nobody,) = (caller for caller in find_callers([], []).callers if caller.principal.anonymous)
    assert nobody.context["aws:principaltype"] == "Anonymous"
    assert "aws:principalarn" not in nobody.context

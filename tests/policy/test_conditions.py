"""Every operator, in every form, on every state of its key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import ConfigError
from proxy.policy.conditions import OPERATORS, find_operator, operator_names

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/policy/conditions.json").read_text("utf-8"))
Holds = Callable[..., bool]
ARN = "arn:aws:iam::1:user/${aws:username}"
TEAM = "${aws:PrincipalTag/team}"


def _states(row: dict[str, Any]) -> dict[str, object]:
    (hit, other_hit), (miss, other_miss) = row["hits"], row["misses"]
    return {
        "absent": None,
        "empty set": [],
        "one hit": hit,
        "one miss": miss,
        "hit and hit": [hit, other_hit],
        "hit and miss": [hit, miss],
        "miss and miss": [miss, other_miss],
    }


def _written(operator: str, column: str) -> str:
    quantifier, _, suffix = column.partition(" ")
    if column in ("plain", "IfExists"):
        quantifier, suffix = "", column.replace("plain", "")
    return f"{quantifier}:{operator}{suffix}".lstrip(":")


def _table() -> Iterator[Any]:
    for row in VECTORS["operators"]:
        for table, operator in (("positive", row["name"]), ("negated", row.get("negated"))):
            for state, expected in VECTORS[table].items() if operator else ():
                for column, wanted in zip(VECTORS["columns"], expected, strict=True):
                    written = _written(operator, column)
                    value = _states(row)[state]
                    if value == "" and ":" in written:
                        continue  # an empty text is a null dataset to set operators; tested by itself
                    yield pytest.param(written, row, value, wanted, id=f"{written}-{state}")


@pytest.mark.parametrize(("operator", "row", "value", "wanted"), list(_table()))
def test_each_operator_in_each_form_on_each_state_of_its_key(
    operator: str, row: dict[str, Any], value: object, wanted: bool, holds: Holds
) -> None:
    assert holds(operator, row["key"], row["policy"], value) is wanted


@pytest.mark.parametrize("row", VECTORS["single"], ids=lambda row: f"{row[0]}-{row[2]}-{row[3]}")
def test_what_one_value_means_to_an_operator(row: list[Any], holds: Holds) -> None:
    operator, key, policy_values, value, wanted = row
    if wanted == "refused":
        with pytest.raises(ConfigError):
            holds(operator, key, policy_values)
    else:
        assert holds(operator, key, policy_values, value) is wanted


def test_the_table_of_vectors_covers_every_operator() -> None:
    tested = {row["name"] for row in VECTORS["operators"]} | {row.get("negated") for row in VECTORS["operators"]}
    assert {row.name for row in OPERATORS.values()} - tested == {"Null"}


def test_every_spelling_offered_for_completion_is_understood() -> None:
    names = operator_names()
    assert len(names) == len(set(names)) == 3 * (2 * len(OPERATORS) - 1)
    assert all(find_operator(name) for name in names)
    assert "ForAllValues:StringNotEqualsIgnoreCaseIfExists" in names


def test_keys_of_one_operator_are_all_required(policy: Callable[..., Any]) -> None:
    file = policy({"Condition": {"StringEquals": {"aws:username": "a", "s3:prefix": "p"}}})
    context = {"aws:username": "a", "s3:prefix": "q"}
    assert [condition.holds(context) for condition in file.statements[0].conditions] == [True, False]


def test_a_condition_knows_the_keys_it_reads_those_of_variables_included(policy: Callable[..., Any]) -> None:
    file = policy({"Condition": {"StringLike": {"s3:prefix": "${aws:username}/${aws:PrincipalTag/Team, 'x'}/*"}}})
    assert file.statements[0].reads == {"s3:prefix", "aws:username", "aws:principaltag/team"}


@pytest.mark.parametrize(
    ("operator", "key", "policy_value", "value", "context", "wanted"),
    [
        ("StringEquals", "s3:prefix", "${aws:username}", "alice", {"aws:username": "alice"}, True),
        ("StringEquals", "s3:prefix", "${AWS:UserName}", "bob", {"aws:username": "alice"}, False),
        ("StringEquals", "s3:prefix", "${aws:username}", "alice", {}, False),
        ("StringNotEquals", "s3:prefix", "${aws:username}", "alice", {}, True),
        ("StringEquals", "s3:prefix", "${aws:username, 'guest'}", "guest", {}, True),
        ("StringEquals", "s3:prefix", "${aws:username, 'guest'}", "Guest", {}, False),
        ("StringEqualsIgnoreCase", "s3:prefix", "${aws:username}", "ALICE", {"aws:username": "alice"}, True),
        ("StringEqualsIgnoreCase", "s3:prefix", "${aws:username}", "ALICE", {}, False),
        ("StringEqualsIgnoreCase", "s3:prefix", "A${*}", "a*", {}, True),
        ("StringLike", "s3:prefix", "home/${aws:username}/*", "home/alice/x", {"aws:username": "alice"}, True),
        ("StringLike", "s3:prefix", "home/${aws:username}/*", "home/bob/x", {"aws:username": "*"}, False),
        ("StringLike", "s3:prefix", "home/${aws:username}/*", "home/*/x", {"aws:username": "*"}, True),
        ("StringLike", "s3:prefix", "${aws:username}", "x", {}, False),
        ("StringNotLike", "s3:prefix", "${aws:username}", "x", {}, True),
        ("StringLike", "s3:prefix", "a${*}b${?}c${$}", "a*b?c$", {}, True),
        ("StringLike", "s3:prefix", "a${*}", "ab", {}, False),
        ("StringEquals", "s3:prefix", "a${*}b", "a*b", {}, True),
        ("StringEquals", "s3:prefix", "a$b", "a$b", {}, True),
        ("ArnLike", "aws:PrincipalArn", ARN, "arn:aws:iam::1:user/a", {"aws:username": "a"}, True),
        ("ArnLike", "aws:PrincipalArn", ARN, "arn:aws:iam::1:user/a", {"aws:username": "*"}, False),
        ("ArnNotLike", "aws:PrincipalArn", ARN, "arn:aws:iam::1:user/a", {}, True),
        ("StringEquals", "s3:prefix", TEAM, "red", {"aws:principaltag/team": ("red",)}, True),
        ("StringEquals", "s3:prefix", TEAM, "red", {"aws:principaltag/team": ("red", "blue")}, False),
    ],
)  # fmt: skip
def test_variables_in_values_are_substituted_literally(
    operator: str,
    key: str,
    policy_value: str,
    value: str,
    context: dict[str, Any],
    wanted: bool,
    policy: Callable[..., Any],
) -> None:
    file = policy({"Condition": {operator: {key: policy_value}}})
    assert file.statements[0].conditions[0].holds({**context, key.lower(): value}) is wanted


@pytest.mark.parametrize("version", ["2008-10-17", None])
def test_in_old_documents_a_variable_is_literal_text(version: str | None, policy: Callable[..., Any]) -> None:
    file = policy({"Condition": {"StringEquals": {"s3:prefix": "${aws:username}"}}}, version=version)
    condition = file.statements[0].conditions[0]
    assert condition.holds({"s3:prefix": "${aws:username}", "aws:username": "alice"})
    assert not condition.holds({"s3:prefix": "alice", "aws:username": "alice"})


def test_one_value_without_a_value_for_its_variable_leaves_the_others_in_force(policy: Callable[..., Any]) -> None:
    file = policy({"Condition": {"StringNotEquals": {"s3:prefix": ["${aws:username}", "public"]}}})
    condition = file.statements[0].conditions[0]
    assert not condition.holds({"s3:prefix": "public"})
    assert condition.holds({"s3:prefix": "private"})

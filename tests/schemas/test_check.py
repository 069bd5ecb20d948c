"""Text-first data is typed by its schema, and what does not fit is said in words with a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from proxy import yamldoc
from proxy.schemas import Schema
from proxy.schemas.check import Violation, secret_paths, type_scalars, violations

SCHEMA: Schema = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "dependencies": {"count": ["ratio"]},
    "properties": {
        "name": {"title": "a name", "type": "string", "pattern": "^[a-z]+$", "examples": ["alice"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "ratio": {"$ref": "#/definitions/ratio"},
        "on": {"type": ["boolean", "null"]},
        "token": {"type": "string", "format": "s3warden-secret"},
        "list": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": ["integer", "string"]}},
        "map": {"type": "object", "propertyNames": {"pattern": "^[a-z]$"}, "additionalProperties": {"type": "integer"}},
    },
    "definitions": {"ratio": {"type": "number", "examples": [0.5]}},
}


def typed(text: str) -> Any:
    document = yamldoc.parse(text)
    return type_scalars(document.data, SCHEMA, document.is_plain)


def found(text: str, hidden: frozenset[tuple[str | int, ...]] = frozenset()) -> list[Violation]:
    return violations(typed(text), SCHEMA, hidden)


def test_plain_scalars_become_what_the_schema_wants() -> None:
    assert typed("{name: 12, count: 3, ratio: 1e-1, on: True, list: [1, a], map: {a: 7}}") == {
        "name": "12",
        "count": 3,
        "ratio": 0.1,
        "on": True,
        "list": [1, "a"],
        "map": {"a": 7},
    }


@pytest.mark.parametrize("text", ["null", "~", ""])
def test_null_is_null_only_where_the_schema_allows_it(text: str) -> None:
    assert typed(f"on: {text}") == {"on": None}
    assert typed(f"name: {text}") == {"name": text}


@pytest.mark.parametrize("text", ['"3"', "3_0", "0x3", "three", "inf", "nan", "1e", "٣", "yes"])
def test_what_is_no_number_stays_text(text: str) -> None:
    assert isinstance(typed(f"count: {text}")["count"], str)
    assert isinstance(typed(f"on: {text}")["on"], str)


def test_a_fitting_document_has_no_violations() -> None:
    assert found("{name: alice, count: 1, ratio: 0.5, on: ~, list: [1, 2]}") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{nam: x}", Violation(("nam",), "unknown key `nam`", "did you mean `name`?", at_key=True)),
        ("{nam: x, name: x}", Violation(("nam",), "unknown key `nam`", "did you mean `name`?", at_key=True)),
        ("{on: true}", Violation((), "`name` is missing", "write for example `name: alice`")),
        ("{name: x, count: 1}", Violation((), "`count` needs `ratio` beside it", "write for example `ratio: 0.5`")),
        ("{name: A}", Violation(("name",), "`A` is not a name", "write for example `name: alice`")),
        ("{name: [a]}", Violation(("name",), "expected text, not a list", "write for example `name: alice`")),
        ("{name: x, on: {a: b}}", Violation(("on",), "expected `true` or `false` or `null`, not a mapping")),
        ("{name: x, count: 0, ratio: 1}", Violation(("count",), "`0` is too small: at least 1")),
        ("{name: x, count: 10, ratio: 1}", Violation(("count",), "`10` is too large: at most 9")),
        ("{name: x, list: []}", Violation(("list",), "must not be empty")),
        ("{name: x, list: [1, 1]}", Violation(("list",), "the same entry is given twice")),
        ("{name: x, map: {AB: 1}}", Violation(("map", "AB"), "`AB` is not of the right form", at_key=True)),
        ("{name: x, map: {a: b}}", Violation(("map", "a"), "expected a whole number, not `b`")),
    ],
)
def test_each_kind_of_violation_is_said_in_words(text: str, wanted: Violation) -> None:
    assert found(text) == [wanted]


def test_two_missing_or_unknown_keys_are_two_findings_and_none_is_repeated() -> None:
    assert [violation.message for violation in found("{a: 1, b: 2}")] == [
        "unknown key `a`",
        "unknown key `b`",
        "`name` is missing",
    ]


def test_hidden_values_are_not_quoted() -> None:
    assert found("{name: HUSH}", frozenset({("name",)}))[0].message == "the value is not a name"
    assert found("{name: x, on: HUSH}", frozenset({("on",)}))[0].message == "expected `true` or `false` or `null`"


def test_secrets_are_where_the_schema_says_and_under_keys_it_does_not_know() -> None:
    data = yamldoc.parse("{name: x, token: a, tokn: {b: [c]}, map: {a: 1}}").data
    assert secret_paths(data, SCHEMA) == {("token",), ("tokn", "b", 0)}

"""YAML is read as text, with positions, and what readers disagree about is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ConfigError
from proxy.yamldoc import MAX_BYTES, MAX_DEPTH, load, parse


def refusal(text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["2012-10-17", "012345670123", "true", "yes", "null", "~", "1e3", "12:30:45", "0x1f", ".inf", "=", "<"],
)
def test_every_scalar_stays_the_text_its_author_wrote(text: str) -> None:
    assert parse(f"a: {text}").data == {"a": text}


def test_condition_operators_and_booleans_can_be_keys() -> None:
    assert parse("{Null: a, on: b, 1: c, yes: d}").data == {"Null": "a", "on": "b", "1": "c", "yes": "d"}


def test_every_value_and_key_has_its_place() -> None:
    document = parse("top:\n  - {name: abc}\n  - x\n", "f.yaml")
    assert str(document.span(("top", 0, "name"))) == "f.yaml:2:12"
    assert document.span(("top", 0, "name")).length == 3
    assert str(document.key_span(("top", 0, "name"))) == "f.yaml:2:6"
    assert str(document.key_span(("top", 1))) == "f.yaml:3:5"
    assert str(document.span(("top", 0, "missing"))) == "f.yaml:2:5", "the nearest that exists"


def test_quotes_are_remembered() -> None:
    document = parse("{a: 12, b: '12', c: \"12\"}")
    assert [document.is_plain((key,)) for key in "abc"] == [True, False, False]


def test_a_finding_quotes_its_line_with_a_caret() -> None:
    document = parse("a: 1\nbcd: efg\n", "f.yaml")
    [*lines] = str(ConfigError([document.diagnostic(("bcd",), "wrong", help="do")])).splitlines()
    assert lines == ["f.yaml:2:6: error invalid-document wrong", "    bcd: efg", "         ^^^", "    help: do"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: 1\na: 2\n", "f.yaml:2:1: error invalid-yaml duplicate key `a`"),
        ("a: 1\na: 2\n", "it is already given on line 1"),
        ("a: &x 1\n", "the anchor `&x` is not supported"),
        ("a: *x\n", "the alias `*x` is not supported"),
        ("a: !!int 1\n", "is not supported"),
        ("a: !secret x\n", "the tag `!secret` is not supported"),
        ("<<: {a: 1}\n", "merge keys"),
        ("a: 1\n---\nb: 2\n", "a second document in one file"),
        ("", "the document is empty"),
        ("# only a comment\n", "the document is empty"),
        ("? {a: b}\n: c\n", "a mapping key must be text"),
        ("a: x\x07y\n", "f.yaml:1:5: error invalid-yaml control character U+0007"),
        (b"a: 1\nb: \xff\n", "f.yaml:2:1: error invalid-yaml the file is not UTF-8 text"),
        ("a: [1, 2\n", "f.yaml:2:1"),
        ("a: [x, ${y}]\n", "quote it"),
        ("a: %b\n", "quote it: a plain `%` starts a YAML directive"),
        ("a: @b\n", "quote it: a plain value cannot start with `@`"),
        ("a: *\n", "quote it: a plain `*` starts a YAML alias"),
        ("\ta: b\n", "indent with spaces"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), f"nested deeper than {MAX_DEPTH} levels"),
        ("a" * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
    ],
)
def test_what_could_be_misread_is_refused_with_its_place(text: str | bytes, wanted: str) -> None:
    assert wanted in refusal(text)


def test_a_quoted_merge_key_is_a_key() -> None:
    assert parse('{"<<": a}').data == {"<<": "a"}


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert parse("\ufeffa: b\n".encode()).data == {"a": "b"}


def test_a_file_that_cannot_be_read_is_an_error_about_that_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml:1:1: error .* cannot read the file"):
        load(tmp_path / "gone.yaml")


_json = st.recursive(
    st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Cn", "Co"]), max_size=6),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text("abc", max_size=3), children, max_size=3),
    max_leaves=12,
)


@given(_json)
def test_json_of_texts_loads_unchanged(data: object) -> None:
    assert parse(json.dumps(data, ensure_ascii=False)).data == data

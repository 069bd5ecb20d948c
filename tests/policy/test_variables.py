"""How variables are read; what they do is tested with conditions and resources."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.patterns import Wildcard, compile_tokens
from proxy.policy.variables import Template, TemplateError, Variable, literal_template, parse_template


def read(text: str) -> tuple[object, ...]:
    return parse_template(text, wildcards=True, variables=True).parts


def test_literals_wildcards_and_variables_are_told_apart() -> None:
    assert read("a*${aws:UserName}?") == ("a", Wildcard.RUN, Variable("aws:username"), Wildcard.ONE)
    assert read("${*}${?}${$}") == ("*", "?", "$")
    assert read("$ and }") == ("$ and }",)


@pytest.mark.parametrize("text", ["${k, 'a b'}", "${k,'a b'}", "${k  ,   'a b'  }".replace("k  ", "k")])
def test_a_default_is_in_single_quotes(text: str) -> None:
    assert read(text) == (Variable("k", "a b"),)


def test_a_default_may_be_empty_or_contain_a_brace() -> None:
    assert read("${k, ''}x") == (Variable("k", ""), "x")
    assert read("${k, 'a}b'}x") == (Variable("k", "a}b"), "x")


@pytest.mark.parametrize(
    "text",
    [
        "${",
        "${a",
        "${}",
        "${ a}",
        "${a }",
        "${a b}",
        "${a, b}",
        "${a, 'b}",
        "${a, 'b'",
        "${a, 'b'x}",
        "${${a}}",
        "${,'a'}",
    ],
)
def test_a_malformed_variable_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        read(text)
    assert caught.value.help


@given(st.text())
def test_without_variables_and_wildcards_every_text_stands_for_itself(text: str) -> None:
    assert parse_template(text, wildcards=False, variables=False) == literal_template(text)


@given(st.text(), st.text())
def test_a_substituted_value_matches_itself_only(value: str, other: str) -> None:
    bound = Template("", ("<", Variable("k"), ">")).bind({"k": value})
    assert bound is not None
    assert compile_tokens(bound).matches(f"<{value}>")
    assert compile_tokens(bound).matches(f"<{other}>") is (value == other)


def test_several_values_or_none_cannot_be_substituted() -> None:
    template = Template("", (Variable("k"),))
    assert template.bind({}) is None
    assert template.bind({"k": ()}) is None
    assert template.bind({"k": ("a", "b")}) is None
    assert template.bind({"k": ("a",)}) == ("a",)
    assert template.bind({"k": ""}) == ("",)

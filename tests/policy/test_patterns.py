"""Wildcards against a reference matcher, and how long hostile pairs take."""

from __future__ import annotations

import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.patterns import Token, Wildcard, compile_text, compile_tokens, overlap, tokenize

texts = st.text(alphabet="ab/é", max_size=12)
patterns = st.text(alphabet="ab/é*?", max_size=10)


def reference(pattern: str, text: str) -> bool:
    """The definition, by dynamic programming over all prefixes."""
    row = [True] + [False] * len(text)
    for token in pattern:
        if token == "*":
            row = [any(row[: place + 1]) for place in range(len(text) + 1)]
        else:
            row = [False] + [row[place] and token in ("?", text[place]) for place in range(len(text))]
    return row[-1]


@given(patterns, texts)
def test_a_pattern_matches_what_the_definition_says(pattern: str, text: str) -> None:
    assert compile_text(pattern).matches(text) is reference(pattern, text)


@given(st.text(alphabet="ab*?", max_size=8))
def test_a_short_pattern_agrees_with_the_definition_on_every_short_text(pattern: str) -> None:
    compiled = compile_text(pattern)
    for length in range(5):
        for chars in product("ab", repeat=length):
            text = "".join(chars)
            assert compiled.matches(text) is reference(pattern, text)


@given(patterns, texts)
def test_whatever_matches_starts_with_the_prefix(pattern: str, text: str) -> None:
    compiled = compile_text(pattern)
    if compiled.matches(text):
        assert text.startswith(compiled.prefix)
    if compiled.literal is not None:
        assert compiled.matches(text) is (text == compiled.literal)
    if compiled.is_prefix:
        assert compiled.matches(text) is text.startswith(compiled.prefix)


@given(st.text(alphabet="ab*?", max_size=5), st.text(alphabet="ab*?", max_size=5))
def test_two_patterns_overlap_exactly_when_a_text_fits_both(left: str, right: str) -> None:
    # Ten characters are enough: each pattern forces at most five.
    found = overlap(tokenize(left), tokenize(right))
    both = any(
        reference(left, text) and reference(right, text)
        for length in range(11 if found else 6)
        for text in map("".join, product("ab", repeat=length))
    )
    assert found is both


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a/../b", True),
        ("*", "", True),
        ("?", "", False),
        ("?", "\U0001f512", True),
        ("??", "é", False),
        ("a?c*e?g", "abcdefg", True),
        ("*b?d*", "aabcd", True),
        ("*b?d*", "aabcc", False),
        ("*?", "x", True),
        ("***", "anything", True),
        ("a.c", "abc", False),
        ("*.txt", "a.txt\n", False),
        ("a*b", "a\n\nb", True),
    ],
)
def test_wildcards(pattern: str, text: str, wanted: bool) -> None:
    assert compile_text(pattern).matches(text) is wanted


def test_a_literal_star_among_tokens_is_no_wildcard() -> None:
    tokens: tuple[Token, ...] = ("home/", "*", "/", Wildcard.RUN)
    assert compile_tokens(tokens).matches("home/*/x")
    assert not compile_tokens(tokens).matches("home/alice/x")


@pytest.mark.parametrize(
    "pattern", ["*a" * 500 + "b", "*" + "a?" * 500 + "b*", "*" + "a" * 9000 + "b*", "?*" * 500 + "b"]
)
def test_no_pattern_makes_a_long_key_expensive(pattern: str) -> None:
    compiled = compile_text(pattern)
    start = time.perf_counter()
    assert not compiled.matches("a" * 20_000)
    assert time.perf_counter() - start < 1.0

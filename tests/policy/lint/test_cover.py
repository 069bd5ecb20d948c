"""Covering is claimed only when it is certain."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.lint.cover import covers, covers_arn, covers_tokens
from proxy.policy.patterns import compile_text, tokenize
from proxy.policy.variables import parse_template

WORDS = ["".join(letters) for size in range(5) for letters in itertools.product("ab", repeat=size)]
PATTERN = st.text(st.sampled_from("ab*?"), max_size=5)


@given(PATTERN, PATTERN)
def test_what_is_covered_matches_nothing_else(wide: str, narrow: str) -> None:
    if covers_tokens(tokenize(wide), tokenize(narrow)):
        assert all(compile_text(wide).matches(word) for word in WORDS if compile_text(narrow).matches(word))


@pytest.mark.parametrize(
    ("wide", "narrow", "covered"),
    [
        ("a*", "a*", True),
        ("*", "a?b", True),
        ("a*", "ab*", True),
        ("a?", "ab", True),
        ("a?", "a*", False),
        ("a*b", "a*", False),
        ("??*", "*", False),
    ],
)
def test_patterns(wide: str, narrow: str, covered: bool) -> None:
    assert covers_tokens(tokenize(wide), tokenize(narrow)) is covered


@pytest.mark.parametrize(
    ("wide", "narrow", "covered"),
    [
        ("*", "arn:aws:s3:::b/*", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/x*", True),
        ("arn:aws:s3:::b*", "arn:aws:s3:::b/*", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b", False),
        ("arn:aws:s3:::b/*", "arn:aws-cn:s3:::b/x", False),
        ("arn:aws:s3:*:*:b/*", "arn:aws:s3:::b/x", False),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/${aws:username}/*", True),
        ("arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/${aws:username}/*", True),
        ("arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/${aws:username}/x", False),
    ],
)
def test_arns(wide: str, narrow: str, covered: bool) -> None:
    templates = [parse_template(text, wildcards=True, variables=True) for text in (wide, narrow)]
    assert covers_arn(*templates) is covered


def test_a_literal_star_is_no_wildcard() -> None:
    star = parse_template("a${*}", wildcards=True, variables=True)
    anything = parse_template("a*", wildcards=True, variables=True)
    assert covers(anything, star)
    assert not covers(star, anything)

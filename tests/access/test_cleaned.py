"""Keys that a store could take for paths are judged under both names."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.access.cleaned import clean_key, is_unclean, judged_cleaned
from proxy.access.questions import Question, Target


def question(key: str | None) -> Question:
    resource = "arn:aws:s3:::b" if key is None else f"arn:aws:s3:::b/{key}"
    target = None if key is None else Target("b", key)
    return Question("s3:GetObject", resource, "b", "123456789012", {}, target, entry=3)


@pytest.mark.parametrize(
    ("key", "cleaned"),
    [
        ("public/../secret/x", "secret/x"),
        ("a//b", "a/b"),
        ("./a", "a"),
        ("/a", "a"),
        ("a/./b/", "a/b/"),
        ("a/b/..", "a/"),
    ],
)
def test_an_unclean_key_is_asked_about_under_both_names(key, cleaned):
    literal, alias = judged_cleaned([question(key)])
    assert literal.resource == f"arn:aws:s3:::b/{key}"
    assert (alias.resource, alias.entry, alias.action) == (f"arn:aws:s3:::b/{cleaned}", 3, "s3:GetObject")


@pytest.mark.parametrize("key", [None, "a", "a/b", "a.b/c..d", "a/b/", "...a"])
def test_a_clean_key_is_asked_about_once(key):
    assert judged_cleaned([question(key)]) == (question(key),)


@given(st.text("ab./", min_size=1, max_size=12))
def test_cleaning_agrees_with_posix_paths(key):
    expected = posixpath.normpath("/" + key).lstrip("/")
    assert clean_key(key).rstrip("/") == expected


@given(st.text("ab./", min_size=1, max_size=12))
def test_a_key_that_is_called_clean_is_clean(key):
    if not is_unclean(key):
        assert clean_key(key) == key

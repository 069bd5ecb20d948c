"""Bucket settings come from the most specific entry that gives them."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.buckets import BucketRule, Buckets, glob_matches

OWNER = "123456789012"


def test_an_unnamed_bucket_has_the_default_owner_and_no_rules() -> None:
    settings = Buckets([], OWNER).settings("any")
    assert (settings.owner, settings.add_headers, settings.remove_headers, settings.tags) == (
        OWNER,
        {},
        frozenset(),
        {},
    )


@pytest.mark.parametrize("order", [1, -1])
def test_the_more_specific_entry_wins_whatever_the_order(order: int) -> None:
    rules = [
        BucketRule("*", owner="1" * 12),
        BucketRule("hr-*", owner="2" * 12),
        BucketRule("hr-data-*", owner="3" * 12),
        BucketRule("hr-data-1", owner="4" * 12),
    ][::order]
    buckets = Buckets(rules, OWNER)
    assert [buckets.settings(name).owner[0] for name in ("x", "hr-x", "hr-data-2", "hr-data-1")] == list("1234")


def test_a_setting_left_out_comes_from_the_next_entry() -> None:
    rules = [
        BucketRule("*", add_headers={"x-amz-acl": "private"}, remove_headers=frozenset({"a"}), tags={"t": "1"}),
        BucketRule("hr-*", add_headers={}, owner="2" * 12),
    ]
    settings = Buckets(rules, OWNER).settings("hr-1")
    assert settings.add_headers == {}, "an entry that says none means none"
    assert (settings.owner, settings.remove_headers, settings.tags) == ("2" * 12, {"a"}, {"t": "1"})


def test_of_equally_specific_globs_the_first_written_wins() -> None:
    rules = [BucketRule("a*", owner="1" * 12), BucketRule("*b", owner="2" * 12)]
    assert Buckets(rules, OWNER).settings("ab").owner == "1" * 12


def test_names_nobody_configured_do_not_fill_the_memory() -> None:
    buckets = Buckets([BucketRule("hr-*", owner="2" * 12)], OWNER)
    for number in range(20_000):
        buckets.settings(f"guess-{number}")
    assert len(buckets._cache) <= 4096
    assert buckets.settings("hr-1") is buckets.settings("hr-1")


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_globs_match_as_fnmatch_does(pattern: str, name: str) -> None:
    assert glob_matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)


def test_a_hostile_name_costs_no_exponential_time() -> None:
    # A matcher that tried every way to spread the stars would not come back before the test's time limit.
    assert not glob_matches("*a" * 30 + "b", "a" * 2000)

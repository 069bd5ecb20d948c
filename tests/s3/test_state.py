"""Names of what the proxy keeps on the backend."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.s3.state import context_key, is_reserved, shortened, spill_key, upload_directory


def test_the_directory_is_the_hash_of_the_three_names_with_their_lengths() -> None:
    raw = b"\x00\x00\x00\x01b" + b"\x00\x00\x00\x02\xc3\xa9" + b"\x00\x00\x00\x01u"
    assert upload_directory("b", "é", "u") == f".s3w/mpu/{hashlib.sha256(raw).hexdigest()}/"


def test_context_and_spill_lie_in_the_directory_of_their_upload() -> None:
    home = upload_directory("b", "k", "u", "state/")
    assert context_key("b", "k", "u", "state/") == home + "ctx"
    assert spill_key("b", "k", "u", 7, "state/") == home + "7"


def test_only_the_prefix_is_reserved() -> None:
    assert is_reserved(".s3w/mpu/x")
    assert not is_reserved("a/.s3w/x")
    assert is_reserved("state/x", "state/")


def test_keys_that_are_not_utf8_have_names_too() -> None:
    assert upload_directory("b", "\udcff", "u") != upload_directory("b", "?", "u")


@given(st.lists(st.text(max_size=6), min_size=3, max_size=3), st.lists(st.text(max_size=6), min_size=3, max_size=3))
def test_different_uploads_have_different_directories(one: list[str], other: list[str]) -> None:
    assert (upload_directory(*one) == upload_directory(*other)) == (one == other)


@pytest.mark.parametrize(
    ("prefix", "delimiter", "reserved", "common"),
    [
        ("", ".", ".s3w/", "."),
        ("", "s", ".s3w/", ".s"),
        (".s", "3w", ".s3w/", ".s3w"),
        ("", "/", "our/state/", "our/"),
        ("our/", "/", "our/state/", None),  # rolled up under the reserved name itself
        ("", "/", ".s3w/", None),
        (".", ".", ".s3w/", None),  # the delimiter counts behind the prefix only
        ("", "x", ".s3w/", None),
        ("", "w/m", ".s3w/", None),
        ("", "", ".s3w/", None),
        ("a", ".", ".s3w/", None),
        (".s3w/mpu/", "/", ".s3w/", None),
    ],
)
def test_a_delimiter_within_the_reserved_prefix_makes_a_shorter_name(
    prefix: str, delimiter: str, reserved: str, common: str | None
) -> None:
    assert shortened(prefix, delimiter, reserved) == common


@given(st.text("ab/", max_size=4), st.text("ab/", max_size=3), st.text("ab/", max_size=5), st.text("ab/", max_size=4))
def test_every_reserved_key_is_listed_under_that_name_or_a_reserved_one(
    prefix: str, delimiter: str, reserved: str, rest: str
) -> None:
    key = reserved + rest
    if key.startswith(prefix):
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        shown = key if at < 0 else key[: at + len(delimiter)]
        assert is_reserved(shown, reserved) or shown == shortened(prefix, delimiter, reserved)

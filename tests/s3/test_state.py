"""Names of what the proxy keeps on the backend."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from proxy.s3.state import context_key, is_reserved, spill_key, upload_directory


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

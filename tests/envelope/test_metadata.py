"""Stored metadata values can be written in one way only."""

from __future__ import annotations

import pytest

from proxy.envelope.metadata import decode_value, encode_value
from proxy.errors import IntegrityError


@pytest.mark.parametrize("raw", [b"", b"a", b"ab", b"abc", bytes(range(256))])
def test_a_value_reads_back(raw: bytes) -> None:
    assert decode_value(encode_value(raw)) == raw


@pytest.mark.parametrize(
    "text", ["YQ", "YQ=", "YR==", "YQ== ", " YQ==", "Y\nQ==", "YQ==YQ==", "YQ-_", "YQ==\r\n", "ÿQ==", "YQ===", "="]
)
def test_anything_but_the_canonical_form_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        decode_value(text)
    assert caught.value.where == "metadata"

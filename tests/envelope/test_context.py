"""Encryption contexts have one serialised form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.envelope.context import check_client_context, object_arn, parse_context, serialise_context
from proxy.errors import IntegrityError, S3Error

CONTEXTS = st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=16)


@given(CONTEXTS)
def test_what_is_written_reads_back(context: dict[str, str]) -> None:
    assert parse_context(serialise_context(context)) == context


@given(st.binary(max_size=60))
def test_whatever_parses_is_what_would_be_written(raw: bytes) -> None:
    try:
        context = parse_context(raw)
    except IntegrityError:
        return
    assert serialise_context(context) == raw


def test_the_order_is_that_of_the_utf8_bytes() -> None:
    # U+FF5E sorts before U+1F600 in UTF-8 and after it in UTF-16.
    raw = serialise_context({"\U0001f600": "", "\uff5e": ""})
    assert raw == b"\0\2\0\3\xef\xbd\x9e\0\0\0\4\xf0\x9f\x98\x80\0\0"


@pytest.mark.parametrize(
    "raw",
    [
        b"\0",
        b"\0\0",
        b"\0\1",
        b"\0\1\0\1a",
        b"\0\1\0\1a\0\2b",
        b"\0\1\0\1a\0\1bX",
        b"\0\2\0\1b\0\0\0\1a\0\0",
        b"\0\2\0\1a\0\0\0\1a\0\0",
        b"\0\1\0\1\xff\0\0",
        b"\0\x11" + b"".join(b"\0\1" + bytes([65 + i]) + b"\0\0" for i in range(17)),
    ],
)
def test_other_forms_are_refused(raw: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_context(raw)
    assert caught.value.where == "header"


def test_an_object_has_one_name() -> None:
    assert object_arn("b", "k//../k") == "arn:aws:s3:::b/k//../k"
    with pytest.raises(S3Error):
        object_arn("a/b", "c")
    with pytest.raises(S3Error):
        object_arn("", "c")


def test_a_client_may_store_its_own_pairs() -> None:
    check_client_context({"department": "hr", "s3": "x", "aws": "y", "case": "äö"})


@pytest.mark.parametrize(
    "context",
    [
        {"s3w": "1m"},
        {"s3w-n": "body"},
        {"aws:s3:arn": "arn:aws:s3:::b/k"},
        {"aws-crypto-public-key": "x"},
        {"AWS:S3:ARN": "arn:aws:s3:::b/k"},
        {"Aws-Crypto-Public-Key": "x"},
        {"S3W-sse": "aws:kms"},
        {"aw\u017f:s3:arn": "arn:aws:s3:::b/k"},
        {"department": "hr", "Department": "it"},
        {"stra\u00dfe": "1", "STRASSE": "2"},
        {"": "x"},
        {"a": "\ud800"},
        {"a": "x" * 3000},
        {"a": "x" * 70_000},
        {str(n): "" for n in range(16)},
    ],
)
def test_reserved_oversized_and_unwritable_pairs_are_the_clients_error(context: dict[str, str]) -> None:
    with pytest.raises(S3Error) as caught:
        check_client_context(context)
    assert caught.value.code == "InvalidArgument"

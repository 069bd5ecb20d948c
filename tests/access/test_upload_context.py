"""The document that a multipart upload leaves for its parts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.access.upload_context import INHERITED, MAX_BYTES, UploadContext, parse_upload_context
from proxy.errors import IntegrityError


@given(
    st.dictionaries(st.sampled_from(INHERITED), st.text(max_size=50)),
    st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=5),
)
def test_what_is_written_is_read_back(conditions: dict[str, str], envelope: dict[str, str]) -> None:
    context = UploadContext(conditions, envelope)
    assert parse_upload_context(context.serialise()) == context


def test_equal_contexts_are_equal_bytes() -> None:
    one = UploadContext(dict.fromkeys(INHERITED, "x"))
    other = UploadContext(dict.fromkeys(reversed(INHERITED), "x"))
    assert one.serialise() == other.serialise()


GOOD = {"v": 1, "conditions": {}, "envelope": {}}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b"[" * 60000,
        b" " * (MAX_BYTES + 1),
        b'{"v":1,"v":1,"conditions":{},"envelope":{}}',
        json.dumps({**GOOD, "v": 2}).encode(),
        json.dumps({**GOOD, "v": True}).encode(),
        json.dumps({**GOOD, "more": {}}).encode(),
        json.dumps({**GOOD, "conditions": []}).encode(),
        json.dumps({**GOOD, "envelope": {"a": 1}}).encode(),
        json.dumps({**GOOD, "conditions": {INHERITED[0]: None}}).encode(),
        json.dumps({**GOOD, "conditions": {"s3:x-amz-acl": "private"}}).encode(),
    ],
)
def test_a_document_that_is_not_ours_is_an_integrity_error(raw: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_upload_context(raw)
    assert caught.value.where == "upload-context"


def test_a_context_that_could_not_be_read_back_is_not_written() -> None:
    with pytest.raises(ValueError, match="65536"):
        UploadContext(envelope={"a": "x" * MAX_BYTES}).serialise()

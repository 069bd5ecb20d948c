"""Headers of inner messages have one form and are compared with it."""

from __future__ import annotations

import pytest

from proxy.envelope.inner import inner_form, message_id_of
from proxy.envelope.keyring import AesKeyring
from proxy.envelope.message import DataKey, parse_header
from proxy.envelope.sizes import BODY_HEADER, FRAME, SEGMENT_HEADER
from proxy.errors import IntegrityError

WRAP = bytes(range(32))
FORM = inner_form("body", "body", FRAME)


def test_a_header_opens_in_its_form_and_parses_as_a_message(entropy) -> None:
    raw, sealing = FORM.seal(WRAP, entropy)
    assert len(raw) == FORM.size == BODY_HEADER
    assert FORM.open(raw, WRAP).message_id == sealing.message_id == message_id_of(raw)
    header = parse_header(raw, FRAME)
    assert header.context == {"s3w-n": "body"}
    assert header.edks[0].key_info.startswith(b"body")


def test_the_constants_of_the_format_are_the_sizes_of_the_forms() -> None:
    assert inner_form("part", "00001", FRAME).size == SEGMENT_HEADER
    assert inner_form("tail", "00000", 1 << 24).size == SEGMENT_HEADER


def test_another_form_another_key_and_more_bytes_are_refused(entropy) -> None:
    raw, _ = FORM.seal(WRAP, entropy)
    for form in (
        inner_form("part", "body", FRAME),
        inner_form("body", "bodx", FRAME),
        inner_form("body", "body", FRAME * 2),
    ):
        with pytest.raises(IntegrityError) as caught:
            form.open(raw, WRAP)
        assert caught.value.where == "header"
    for other in (raw + b"x", raw[:-1], b""):
        with pytest.raises(IntegrityError) as caught:
            FORM.open(other, WRAP)
        assert caught.value.where == "header"
    with pytest.raises(IntegrityError) as caught:
        FORM.open(raw, bytes(32))
    assert caught.value.where == "edk"


def test_a_well_made_message_of_another_shape_is_refused(entropy) -> None:
    for context, edks in (({"s3w-n": "body"}, 2), ({"s3w-n": "body", "x": ""}, 1), ({}, 1)):
        key = DataKey(entropy)
        edk = AesKeyring("s3w", "body", WRAP, entropy).wrap(key.plaintext, context)
        raw, _ = key.seal_header(context, [edk] * edks, FRAME)
        with pytest.raises(IntegrityError):
            FORM.open(raw, WRAP)


def test_a_form_never_shows_keys(entropy) -> None:
    FORM.seal(WRAP, entropy)
    assert repr(FORM) == "InnerForm(edk_name='body', use='body', frame_length=65536)"

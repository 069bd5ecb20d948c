"""Headers: bytes, bounds, tags, and keys that serve once."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest

from proxy.envelope.context import serialise_context
from proxy.envelope.keyring import AesKeyring, Edk
from proxy.envelope.message import MAX_HEADER, DataKey, Header, KeyReuseError, open_header, parse_header
from proxy.errors import IntegrityError

FRAME = 65_536
CONTEXT = {"s3w": "1s"}
REQUIRED = {"aws:s3:arn": "arn:aws:s3:::b/k"}


def sealed(entropy, context=CONTEXT, edks: int = 1, required=REQUIRED) -> tuple[bytes, bytes]:
    key = DataKey(entropy)
    plaintext = key.plaintext
    edk = AesKeyring("s3w", "hr@1", bytes(32), entropy).wrap(plaintext, {**context, **required})
    raw, _ = key.seal_header(context, [edk] * edks, FRAME, required)
    return raw, plaintext


def test_a_header_has_the_bytes_of_the_format(entropy) -> None:
    key = DataKey(entropy)
    edk = Edk("s3w", b"name", b"ciphertext")
    raw, sealing = key.seal_header(CONTEXT, [edk], FRAME)
    context = serialise_context(CONTEXT)
    expected = b"\x02\x04\x78" + key.message_id + len(context).to_bytes(2, "big") + context
    expected += b"\0\1" + b"\0\3s3w" + b"\0\4name" + b"\0\x0aciphertext" + b"\x02" + FRAME.to_bytes(4, "big")
    assert raw[:-48] == expected
    assert len(raw) == 92 + len(context) + 6 + 3 + 4 + 10
    assert sealing.message_id == key.message_id


def test_a_header_opens_with_its_data_key_and_required_context(entropy) -> None:
    raw, data_key = sealed(entropy)
    header = parse_header(raw + b"frames", FRAME)
    assert header.size == len(raw)
    assert header.context == CONTEXT
    assert open_header(header, data_key, REQUIRED).message_id == header.message_id


def test_another_data_key_fails_the_commitment(entropy) -> None:
    raw, _ = sealed(entropy)
    for data_key in (bytes(32), bytes(31), b""):
        with pytest.raises(IntegrityError) as caught:
            open_header(parse_header(raw, FRAME), data_key, REQUIRED)
        assert caught.value.where == "header"


@pytest.mark.parametrize("required", [{}, {"aws:s3:arn": "arn:aws:s3:::b/other"}, {**REQUIRED, "more": ""}])
def test_another_required_context_fails_the_tag(entropy, required: dict[str, str]) -> None:
    raw, data_key = sealed(entropy)
    with pytest.raises(IntegrityError):
        open_header(parse_header(raw, FRAME), data_key, required)


def test_every_flipped_bit_of_a_header_is_noticed(entropy) -> None:
    raw, data_key = sealed(entropy)
    for index in range(len(raw)):
        for bit in (1, 0x80):
            changed = raw[:index] + bytes([raw[index] ^ bit]) + raw[index + 1 :]
            with pytest.raises(IntegrityError) as caught:
                open_header(parse_header(changed, FRAME), data_key, REQUIRED)
            assert caught.value.where == "header"


def test_every_cut_of_a_header_is_noticed(entropy) -> None:
    raw, _ = sealed(entropy)
    for size in range(len(raw)):
        with pytest.raises(IntegrityError):
            parse_header(raw[:size], FRAME)


def test_another_frame_length_is_refused(entropy) -> None:
    raw, _ = sealed(entropy)
    with pytest.raises(IntegrityError):
        parse_header(raw, 1 << 24)


def test_headers_over_the_limits_are_neither_written_nor_read(entropy) -> None:
    for context, edks in ((CONTEXT, 9), (CONTEXT, 0), ({"x": "y" * MAX_HEADER}, 1)):
        with pytest.raises(ValueError, match="header"):
            sealed(entropy, context, edks)
    raw, _ = sealed(entropy, CONTEXT, 8)
    head, rest = raw[:48], raw[50:]
    for count in (0, 9):
        with pytest.raises(IntegrityError):
            parse_header(head + count.to_bytes(2, "big") + rest, FRAME)
    # A field may claim 65,535 bytes: the reader stops at the bound whatever follows.
    large = raw[:35] + b"\xff\xff" + b"\0\1\0\1a\xff\xf5" + bytes(70_000)
    with pytest.raises(IntegrityError):
        parse_header(large, FRAME)


def test_a_provider_that_is_not_text_is_refused(entropy) -> None:
    raw, _ = sealed(entropy)
    with pytest.raises(IntegrityError):
        parse_header(raw.replace(b"\0\3s3w\0", b"\0\3s3\xff\0", 1), FRAME)


def test_a_data_key_seals_one_header_ever(entropy) -> None:
    key = DataKey(entropy)
    edk = Edk("s3w", b"name", b"x" * 48)
    key.seal_header(CONTEXT, [edk], FRAME)
    with pytest.raises(KeyReuseError):
        key.seal_header(CONTEXT, [edk], FRAME)
    with pytest.raises(KeyReuseError):
        _ = key.plaintext


def test_a_data_key_is_spent_even_when_sealing_failed(entropy) -> None:
    key = DataKey(entropy)
    with pytest.raises(ValueError, match="header"):
        key.seal_header(CONTEXT, [], FRAME)
    with pytest.raises(KeyReuseError):
        key.seal_header(CONTEXT, [Edk("s3w", b"", b"")], FRAME)


def test_a_sealing_key_seals_one_body_ever(entropy) -> None:
    _, key = DataKey(entropy).seal_header(CONTEXT, [Edk("s3w", b"", b"")], FRAME)
    key.take()
    with pytest.raises(KeyReuseError):
        key.take()


def test_keys_that_serve_once_cannot_be_copied(entropy) -> None:
    data_key = DataKey(entropy)
    _, sealing = DataKey(entropy).seal_header(CONTEXT, [Edk("s3w", b"", b"")], FRAME)
    for key in (data_key, sealing):
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(KeyReuseError):
                duplicate(key)


def test_a_data_key_made_elsewhere_still_gets_a_fresh_message_id(entropy) -> None:
    first, second = DataKey(entropy, bytes(32)), DataKey(entropy, bytes(32))
    assert first.plaintext == second.plaintext == bytes(32)
    assert first.message_id != second.message_id
    with pytest.raises(ValueError, match="32 bytes"):
        DataKey(entropy, bytes(16))


def test_keys_never_show(entropy) -> None:
    key = DataKey(entropy)
    secret = key.plaintext
    _, sealing = key.seal_header(CONTEXT, [Edk("s3w", b"", b"")], FRAME)
    for text in (repr(DataKey(entropy, secret)), repr(sealing)):
        assert secret.hex() not in text
        assert repr(secret) not in text
    raw, data_key = sealed(entropy)
    header = parse_header(raw, FRAME)
    assert "message_id" in repr(open_header(header, data_key, REQUIRED))
    assert isinstance(replace(header, tag=b""), Header)

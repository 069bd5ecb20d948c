"""Ranges of messages that the official tool wrote, frame by frame."""

from __future__ import annotations

import os
import random

import pytest
from aws_encryption_sdk.identifiers import AlgorithmSuite

from proxy.envelope.foreign import MAX_HEADER, ForeignHeader, parse_foreign_header
from proxy.envelope.foreign_ranges import (
    FINAL_HEAD,
    MAX_SIGNATURE,
    Extent,
    ForeignSpanOpener,
    extent_by_end,
    foreign_span,
    last_frames,
    measure,
)
from proxy.envelope.keyring import unwrap_any
from proxy.errors import IntegrityError
from tests.envelope.test_foreign import MINE, SUITES, written

UNSIGNED = [suite for suite in SUITES if not suite.is_signing()]
FRAME = 128


def key_of(header: ForeignHeader) -> bytes:
    return unwrap_any(header.edks, [MINE], header.context)


def read(message: bytes, extent: Extent, first: int, last: int, step: int = 10**6) -> bytes:
    header = parse_foreign_header(message[:MAX_HEADER])
    span = foreign_span(header, extent, first, last)
    opener = ForeignSpanOpener(span, key_of(header))
    stored = message[span.stored_start : span.stored_start + span.stored_size]
    plaintext = b"".join([opener.feed(stored[i : i + step]) for i in range(0, len(stored), step)])
    opener.finish()
    return plaintext


@pytest.mark.parametrize("suite", UNSIGNED, ids=lambda suite: f"{suite.algorithm_id:04x}")
@pytest.mark.parametrize("size", [1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 1000])
def test_any_range_is_read_from_the_frames_that_hold_it(suite: AlgorithmSuite, size: int) -> None:
    body = os.urandom(size)
    message = written(body, suite, FRAME)
    extent = measure(parse_foreign_header(message), len(message))
    assert extent.plain_size == size
    chooser = random.Random(size)
    edges = [0, size - 1, *(min(size - 1, edge) for edge in (FRAME - 1, FRAME, FRAME + 1))]
    for first, last in [(a, b) for a in edges for b in edges if a <= b]:
        assert read(message, extent, first, last, chooser.choice([1, 7, 10**6])) == body[first : last + 1]


@pytest.mark.parametrize("frame", [128, 4096])
def test_the_length_of_a_message_tells_that_of_its_plaintext(frame: int) -> None:
    for size in (0, 1, frame - 1, frame, frame + 1, 3 * frame):
        message = written(bytes(size), AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY, frame)
        header = parse_foreign_header(message)
        assert measure(header, len(message)).plain_size == size
        for impossible in (0, len(header.raw), len(header.raw) + 39):
            with pytest.raises(IntegrityError) as caught:
                measure(header, impossible)
            assert caught.value.where == "size"


SIGNING = [suite for suite in SUITES if suite.is_signing()]


def found(message: bytes) -> list[Extent]:
    header = parse_foreign_header(message[:MAX_HEADER])
    candidates = last_frames(header, len(message))
    assert len(candidates) <= 1 + (FRAME + MAX_SIGNATURE) // FRAME
    heads = ((number, message[start : start + FINAL_HEAD]) for start, number in candidates)
    extents = (extent_by_end(header, len(message), number, head) for number, head in heads)
    return [extent for extent in extents if extent is not None]


@pytest.mark.parametrize("suite", SIGNING, ids=lambda suite: f"{suite.algorithm_id:04x}")
def test_the_last_frame_of_a_signed_message_tells_how_much_it_holds(suite: AlgorithmSuite) -> None:
    for size in (0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 1000):
        body = os.urandom(size)
        message = written(body, suite, FRAME)
        [extent] = found(message)
        assert extent.plain_size == size
        if size:
            assert read(message, extent, size // 2, size - 1) == body[size // 2 :]


def test_a_signed_message_of_another_length_has_no_last_frame() -> None:
    message = written(bytes(1000), SIGNING[0], FRAME)
    for other in (message[:-200], message + bytes(200), message[: -FRAME - 200], message[:50] + bytes(100)):
        if len(other) > 150:
            assert found(other) == []
    raw = bytearray(message)
    header = parse_foreign_header(message[:MAX_HEADER])
    start = len(header.raw) + (1000 // FRAME) * (FRAME + 32)
    for at in (0, 7, FINAL_HEAD - 1):
        changed = raw[: start + at] + bytes([raw[start + at] ^ 0xFF]) + raw[start + at + 1 :]
        assert found(bytes(changed)) == []


def test_lengths_between_two_messages_belong_to_none() -> None:
    header = parse_foreign_header(written(b"", AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY, FRAME))
    shortest = len(header.raw) + 40
    possible = []
    for extra in range(2 * (FRAME + 32)):
        try:
            possible.append((extra, measure(header, shortest + extra).plain_size))
        except IntegrityError:
            continue
    frames = [*range(FRAME + 1), *range(FRAME + 32, 2 * FRAME + 33)]
    assert possible == [(extra, extra if extra <= FRAME else extra - 32) for extra in frames]


def test_what_was_changed_in_any_frame_of_the_range_is_refused() -> None:
    body = os.urandom(5 * FRAME + 3)
    message = written(body, AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY, FRAME)
    header = parse_foreign_header(message)
    extent = measure(header, len(message))
    start, wire = len(header.raw), FRAME + 32
    frames = [message[start + i * wire : start + (i + 1) * wire] for i in range(5)]
    final = message[start + 5 * wire :]
    changed = {
        "swapped": b"".join([frames[0], frames[2], frames[1], *frames[3:]]) + final,
        "repeated": b"".join([frames[0], frames[0], *frames[2:]]) + final,
        "ended early": b"".join([frames[0], final.ljust(wire, b"\0"), *frames[2:]]) + final,
    }
    for position in range(start + wire, start + 2 * wire):
        flipped = bytearray(message)
        flipped[position] ^= 1
        changed[f"flip at {position}"] = bytes(flipped)[start:]
    for what, stored in changed.items():
        with pytest.raises(IntegrityError) as caught:
            read(message[:start] + stored, extent, FRAME, 2 * FRAME - 1)
        assert caught.value.where == "frame", what
        assert read(message[:start] + stored, extent, 0, FRAME - 1) == body[:FRAME], "the frame before is what it was"


def test_the_last_frame_must_be_the_last_one() -> None:
    body = os.urandom(2 * FRAME + 3)
    message = written(body, AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY, FRAME)
    header = parse_foreign_header(message)
    for lie in (Extent(2 * FRAME + 4, 3), Extent(2 * FRAME + 2, 3), Extent(3 * FRAME, 4), Extent(2 * FRAME, 2)):
        with pytest.raises(IntegrityError):
            read(message, lie, lie.plain_size - 1, lie.plain_size - 1)
    opener = ForeignSpanOpener(foreign_span(header, Extent(2 * FRAME + 3, 3), 0, 2 * FRAME), key_of(header))
    opener.feed(message[len(header.raw) : len(header.raw) + FRAME + 32])
    with pytest.raises(IntegrityError, match="too early"):
        opener.finish()


def test_another_data_key_is_refused_before_anything_is_read() -> None:
    message = written(bytes(300), AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY, FRAME)
    header = parse_foreign_header(message)
    with pytest.raises(IntegrityError) as caught:
        ForeignSpanOpener(foreign_span(header, Extent(300, 3), 0, 1), bytes(32))
    assert caught.value.where == "header"

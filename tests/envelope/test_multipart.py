"""Parts of a multipart upload, and reading them as one object."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.frames import FrameSealer
from proxy.envelope.manifest import UNKNOWN_ID, Manifest, Part, open_trailer, parse_locator, seal_trailer
from proxy.envelope.multipart import (
    SegmentsOpener,
    mark_part_etag,
    open_segment_header,
    seal_segment_header,
    split_part_etag,
)
from proxy.envelope.sizes import FRAME, SEGMENT_HEADER, multipart_plain_size, segment_size
from proxy.errors import IntegrityError

ID = bytes(range(32))


def verified(body: bytes, keys: ObjectKeys, part_count: int | None = None) -> Manifest:
    start = parse_locator(body[-65_536:], len(body), part_count)
    return open_trailer(body[start:-16], len(body), keys, part_count)


def read(body: bytes, keys: ObjectKeys, part_count: int | None = None, step: int = 50_000) -> bytes:
    """Read a whole object as the proxy does: the tail first, then the parts."""
    manifest = verified(body, keys, part_count)
    opener = SegmentsOpener(manifest, keys)
    segments = body[: manifest.segments_size]
    plaintext = b"".join([bytes(opener.feed(segments[i : i + step])) for i in range(0, len(segments), step)])
    opener.finish()
    return plaintext


PIECES = [(1, b"a" * 70_000), (3, b""), (4, b"b" * FRAME), (10_000, b"c")]


@pytest.mark.parametrize("spilled", [False, True])
@pytest.mark.parametrize("step", [37, 189, 229, 50_000, 10**6])
def test_an_object_reads_back_whatever_the_slices(writer, spilled: bool, step: int) -> None:
    stored = writer.multipart(PIECES, spilled=spilled)
    part_count = 4 if spilled else 5
    assert multipart_plain_size(len(stored.body), part_count) == len(stored.plaintext)
    assert read(stored.body, stored.keys, part_count, step) == stored.plaintext
    assert read(stored.body, stored.keys, None, step) == stored.plaintext


@settings(deadline=None, max_examples=30)
@given(
    pieces=st.lists(st.binary(max_size=400), min_size=1, max_size=8), spilled=st.booleans(), step=st.integers(1, 999)
)
def test_any_upload_reads_back(pieces: list[bytes], spilled: bool, step: int) -> None:
    keys, entropy = ObjectKeys.fresh(SystemEntropy()), SystemEntropy()
    raws, parts = [], []
    for number, piece in enumerate(pieces, 1):
        header, key = seal_segment_header(number, keys, entropy)
        sealer = FrameSealer(key)
        raws.append(header + bytes(sealer.feed(piece)) + bytes(sealer.finish()))
        parts.append(Part(number, len(piece), key.message_id))
    body = b"".join(raws) + seal_trailer(parts, spilled=spilled, keys=keys, entropy=entropy)
    part_count = len(pieces) + (not spilled)
    assert multipart_plain_size(len(body), part_count) == sum(map(len, pieces))
    assert read(body, keys, part_count, step) == b"".join(pieces)


def test_a_segment_header_has_its_constant_length(writer, entropy) -> None:
    raw, part = writer.segment(7, b"x", ObjectKeys.fresh(entropy))
    assert len(raw) == segment_size(1) == SEGMENT_HEADER + 41
    assert b"\0\x0500007" in raw[:SEGMENT_HEADER]
    assert part.message_id == raw[3:35]


@pytest.mark.parametrize("number", [0, 10_001])
def test_part_numbers_end_at_ten_thousand(entropy, number: int) -> None:
    with pytest.raises(ValueError, match="part numbers"):
        seal_segment_header(number, ObjectKeys.fresh(entropy), entropy)


def test_every_attempt_at_a_part_has_its_own_keys(writer, entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    (one, first), (two, second) = writer.segment(1, b"x", keys), writer.segment(1, b"x", keys)
    assert first.message_id != second.message_id
    assert one[SEGMENT_HEADER:] != two[SEGMENT_HEADER:]


def test_part_etags_carry_the_message_id_and_give_it_back() -> None:
    for etag in ('"0cc175b9c0f1b6a831c399e269772661"', "0cc175b9c0f1b6a831c399e269772661", '"x-2"', ""):
        marked = mark_part_etag(etag, ID)
        assert ID.hex() in marked
        assert split_part_etag(marked) == (etag, ID)
        assert split_part_etag(etag) == (etag, UNKNOWN_ID)


@pytest.mark.parametrize(
    "etag", ['"x-' + "a" * 63 + '"', '"x-' + "A" * 64 + '"', '"x-' + "g" * 64 + '"', '"' + "a" * 64 + '"']
)
def test_only_a_dash_and_64_hex_digits_are_taken_off(etag: str) -> None:
    assert split_part_etag(etag) == (etag, UNKNOWN_ID)


def refused(body: bytes, keys: ObjectKeys, part_count: int | None = None) -> str:
    with pytest.raises(IntegrityError) as caught:
        read(body, keys, part_count)
    return caught.value.where


def test_swapped_parts_are_refused(writer) -> None:
    stored = writer.multipart([(1, b"a" * 99), (2, b"b" * 99), (3, b"c")])
    one, two, three = stored.segments
    assert refused(two + one + three + stored.trailer, stored.keys) == "segment"


def test_a_dropped_or_repeated_part_is_refused(writer) -> None:
    stored = writer.multipart([(1, b"a" * 99), (2, b"b" * 99), (3, b"c")])
    one, two, three = stored.segments
    assert refused(one + three + stored.trailer, stored.keys) == "trailer"
    assert refused(one + two + two + three + stored.trailer, stored.keys) == "trailer"
    assert refused(one + one + three + stored.trailer, stored.keys) == "segment"


def test_an_earlier_attempt_of_a_part_is_refused(writer) -> None:
    stored = writer.multipart([(1, b"a" * 99), (2, b"b")])
    earlier, _ = writer.segment(1, b"A" * 99, stored.keys)
    assert refused(earlier + stored.segments[1] + stored.trailer, stored.keys) == "segment"


def test_an_unknown_attempt_is_accepted_when_completed_from_bare_etags(writer, entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    raw, part = writer.segment(1, b"a", keys)
    trailer = seal_trailer(
        [dataclasses.replace(part, message_id=UNKNOWN_ID)], spilled=False, keys=keys, entropy=entropy
    )
    assert read(raw + trailer, keys) == b"a"


def test_a_part_or_trailer_of_another_upload_is_refused(writer) -> None:
    one, two = writer.multipart([(1, b"a"), (2, b"b")]), writer.multipart([(1, b"A"), (2, b"B")])
    assert refused(two.segments[0] + one.segments[1] + one.trailer, one.keys) == "segment"
    assert refused(b"".join(one.segments) + two.trailer, one.keys) == "edk"


def test_a_part_under_another_number_is_refused_even_when_its_attempt_is_unknown(writer, entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    made = [writer.segment(n, b"same size", keys) for n in (1, 2)]
    parts = [dataclasses.replace(part, message_id=UNKNOWN_ID) for _, part in made]
    trailer = seal_trailer(parts, spilled=False, keys=keys, entropy=entropy)
    assert refused(made[1][0] + made[0][0] + trailer, keys) == "header"


def test_truncation_is_refused_with_and_without_the_trailer(writer) -> None:
    stored = writer.multipart([(1, b"a" * 99), (2, b"b" * 99)])
    assert refused(stored.segments[0], stored.keys) == "trailer"
    assert refused(stored.segments[0] + stored.trailer, stored.keys) == "trailer"
    assert refused(stored.body[:-1], stored.keys) == "trailer"
    assert refused(stored.body[1:], stored.keys) == "trailer"
    assert refused(b"", stored.keys) == "trailer"


def test_bytes_anywhere_between_are_refused(writer) -> None:
    stored = writer.multipart([(1, b"a" * 99)])
    body, trailer = stored.segments[0], stored.trailer
    for changed in (
        body + trailer[:-16] + b"\0" + trailer[-16:],
        body + b"\0" + trailer,
        b"\0" + body + trailer,
        body + trailer + b"\0",
    ):
        assert refused(changed, stored.keys) in ("trailer", "header")


def test_every_flipped_bit_of_a_small_object_is_noticed(writer) -> None:
    stored = writer.multipart([(1, b"a"), (2, b"")])
    for index in range(len(stored.body)):
        changed = stored.body[:index] + bytes([stored.body[index] ^ 1]) + stored.body[index + 1 :]
        refused(changed, stored.keys)


def test_the_opener_wants_every_part_and_nothing_more(writer) -> None:
    stored = writer.multipart([(1, b"a"), (2, b"b")])
    manifest = verified(stored.body, stored.keys)
    for wire in (stored.segments[0], stored.segments[0][:100], b"", stored.segments[0] + stored.segments[1][:200]):
        opener = SegmentsOpener(manifest, stored.keys)
        opener.feed(wire)
        with pytest.raises(IntegrityError):
            opener.finish()
    opener = SegmentsOpener(manifest, stored.keys)
    with pytest.raises(IntegrityError):
        opener.feed(stored.body)


def test_a_segment_header_gives_a_key_that_may_be_kept(writer) -> None:
    stored = writer.multipart([(1, b"a")])
    part = verified(stored.body, stored.keys).parts[0]
    key = open_segment_header(stored.segments[0][:SEGMENT_HEADER], part, stored.keys)
    assert key.message_id == part.message_id

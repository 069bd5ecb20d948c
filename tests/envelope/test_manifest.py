"""The trailer: what its manifest may claim, and what every lie about it leads to."""

from __future__ import annotations

import struct

import pytest

from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.frames import seal_whole
from proxy.envelope.inner import inner_form
from proxy.envelope.manifest import TRAILER_FRAME, Part, open_trailer, parse_locator, seal_trailer
from proxy.envelope.sizes import FRAME, multipart_size, segment_size, trailer_bound
from proxy.errors import IntegrityError

ID = b"i" * 32
PARTS = [Part(1, FRAME + 1, ID), Part(2, 0, ID), Part(5, 10, ID)]


def size_of(parts: list[Part], trailer: bytes) -> int:
    return sum(segment_size(part.plain_size) for part in parts) + len(trailer)


def test_a_manifest_places_its_parts(entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    trailer = seal_trailer(PARTS, spilled=False, keys=keys, entropy=entropy)
    size = size_of(PARTS, trailer)
    manifest = open_trailer(trailer[:-16], size, keys, 4)
    assert manifest.plain_size == FRAME + 11
    assert manifest.part_count == 4
    assert [part.plain_start for part in manifest.parts] == [0, FRAME + 1, FRAME + 1]
    assert [part.stored_start for part in manifest.parts] == [0, FRAME + 1 + 72 + 189, FRAME + 1 + 72 + 189 + 229]
    assert manifest.segments_size == size - len(trailer)
    assert parse_locator(trailer[-16:], size, 4) == manifest.segments_size


def test_the_part_count_is_the_backends_or_found_out(entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    for spilled, count in ((False, 4), (True, 3)):
        trailer = seal_trailer(PARTS, spilled=spilled, keys=keys, entropy=entropy)
        size = size_of(PARTS, trailer)
        assert size == multipart_size(FRAME + 11, count)
        assert open_trailer(trailer[:-16], size, keys).part_count == count
        for wrong in (2, 3, 4, 5):
            if wrong != count:
                with pytest.raises(IntegrityError) as caught:
                    open_trailer(trailer[:-16], size, keys, wrong)
                assert caught.value.where == "trailer"


def test_ranges_touch_the_parts_that_hold_them(entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    trailer = seal_trailer(PARTS, spilled=False, keys=keys, entropy=entropy)
    manifest = open_trailer(trailer[:-16], size_of(PARTS, trailer), keys)
    assert [part.number for part in manifest.touched(0, 0)] == [1]
    assert [part.number for part in manifest.touched(FRAME, FRAME)] == [1]
    assert [part.number for part in manifest.touched(FRAME + 1, FRAME + 1)] == [5]
    assert [part.number for part in manifest.touched(5, FRAME + 10)] == [1, 5]


def test_a_full_size_manifest_stays_within_its_bound(entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    parts = [Part(number, 5 * 2**20, ID) for number in range(1, 10_001)]
    trailer = seal_trailer(parts, spilled=True, keys=keys, entropy=entropy)
    assert len(trailer) - 16 <= trailer_bound(10_000) < 2**20
    assert len(open_trailer(trailer[:-16], size_of(parts, trailer), keys, 10_000).parts) == 10_000


def forge(
    keys: ObjectKeys, entropy, total: int, count: int, parts: list[Part], length: int, fill: bytes = b"\0"
) -> bytes:
    plaintext = struct.pack(">QI", total, count)
    plaintext += b"".join(struct.pack(">IQ32s", part.number, part.plain_size, part.message_id) for part in parts)
    header, key = inner_form("tail", "00000", TRAILER_FRAME).seal(keys.trailer, entropy)
    return header + seal_whole(key, plaintext.ljust(length - 229, fill))


def test_claims_that_do_not_fit_are_refused_even_with_a_good_tag(entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    honest = len(seal_trailer(PARTS, spilled=False, keys=keys, entropy=entropy)) - 16
    size = size_of(PARTS, b"") + honest + 16
    one, two, three = PARTS
    assert open_trailer(forge(keys, entropy, FRAME + 11, 3, PARTS, honest), size, keys).part_count == 4
    for total, count, parts, length, fill in (
        (FRAME + 12, 3, PARTS, honest, b"\0"),
        (FRAME + 11, 2, PARTS, honest, b"\0"),
        (FRAME + 11, 0, [], honest, b"\0"),
        (FRAME + 11, 10_001, PARTS, honest, b"\0"),
        (FRAME + 11, 4, PARTS, honest, b"\0"),
        (FRAME + 11, 3, [two, one, three], honest, b"\0"),
        (FRAME + 11, 3, [one, one, three], honest, b"\0"),
        (FRAME + 11, 3, [one, two, Part(10_001, 10, ID)], honest, b"\0"),
        (FRAME + 11, 3, [Part(0, FRAME + 1, ID), two, three], honest, b"\0"),
        (FRAME + 11, 3, PARTS, honest, b"x"),
        (FRAME + 11, 3, PARTS, honest + 1, b"\0"),
        (FRAME + 11, 2, [Part(1, FRAME + 1, ID), Part(5, 10, ID)], honest, b"\0"),
    ):
        with pytest.raises(IntegrityError) as caught:
            open_trailer(forge(keys, entropy, total, count, parts, length, fill), size, keys)
        assert caught.value.where == "trailer"


def test_a_manifest_shorter_than_its_totals_is_refused(entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    header, key = inner_form("tail", "00000", TRAILER_FRAME).seal(keys.trailer, entropy)
    with pytest.raises(IntegrityError):
        open_trailer(header + seal_whole(key, b"short"), 1000, keys)


def test_lengths_in_the_locator_are_bounded_before_memory_is_taken() -> None:
    def locator(length: int) -> bytes:
        return b"S3WTRLR1" + length.to_bytes(8, "big")

    assert parse_locator(locator(500), 10_000, 1) == 10_000 - 16 - 500
    for tail, size, count in (
        (locator(trailer_bound(2) + 1), 10**7, 2),
        (locator(trailer_bound(10_000) + 1), 10**7, None),
        (locator(2**63), 10**7, None),
        (locator(100), 10_000, 2),
        (locator(500), 510, 2),
        (b"S3WTRLR2" + bytes(8), 10_000, 2),
        (b"short", 5, None),
    ):
        with pytest.raises(IntegrityError) as caught:
            parse_locator(tail, size, count)
        assert caught.value.where == "trailer"

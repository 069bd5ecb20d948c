"""The arithmetic of stored lengths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.envelope import sizes
from proxy.envelope.sizes import FRAME, WIRE_FRAME
from proxy.errors import S3Error

NEAR_FRAMES = st.builds(lambda n, d: max(0, n * FRAME + d), st.integers(0, 200_000), st.integers(-50, 50))
PLAIN = st.one_of(NEAR_FRAMES, st.integers(0, 6 * 2**30), st.integers(0, 200_000))
PARTS = st.lists(st.one_of(st.integers(0, 300_000), NEAR_FRAMES), min_size=1, max_size=40)


def test_known_lengths_of_single_part_objects() -> None:
    assert sizes.single_size(0) == 40
    assert sizes.single_size(1) == 41
    assert sizes.single_size(FRAME) == FRAME + 40
    assert sizes.single_size(FRAME + 1) == FRAME + 1 + 72


@given(PLAIN)
def test_a_single_part_length_gives_the_plaintext_length_back(plain: int) -> None:
    assert sizes.single_plain_size(sizes.single_size(plain)) == plain
    assert sizes.segment_plain_size(sizes.segment_size(plain)) == plain


@given(
    st.one_of(
        st.integers(-100, 400_000), st.builds(lambda n, d: n * WIRE_FRAME + d, st.integers(0, 99), st.integers(-99, 99))
    )
)
def test_a_length_is_either_refused_or_the_length_of_exactly_that_plaintext(stored: int) -> None:
    plain = sizes.single_plain_size(stored)
    assert plain is None or (plain >= 0 and sizes.single_size(plain) == stored)


def test_all_lengths_up_to_two_frames_are_told_apart() -> None:
    written = {sizes.single_size(plain): plain for plain in range(2 * FRAME + 100)}
    for stored in range(-1, 2 * FRAME + 100):
        assert sizes.single_plain_size(stored) == written.get(stored)


@given(PARTS, st.booleans())
def test_a_multipart_length_does_not_depend_on_how_the_parts_were_cut(parts: list[int], spilled: bool) -> None:
    part_count = len(parts) + (not spilled)
    stored = sizes.multipart_size(sum(parts), part_count)
    assert sizes.multipart_plain_size(stored, part_count) == sum(parts)
    trailer = stored - sum(map(sizes.segment_size, parts)) - sizes.LOCATOR
    padding = trailer - sizes.TRAILER_OVERHEAD - 12 - 44 * len(parts)
    assert padding >= 4 * len(parts) + 84
    assert trailer <= sizes.trailer_bound(part_count)


@given(st.integers(-100, 10**7), st.integers(-1, 10_002))
def test_a_multipart_length_is_refused_or_exact(stored: int, part_count: int) -> None:
    plain = sizes.multipart_plain_size(stored, part_count)
    assert plain is None or sizes.multipart_size(plain, part_count) == stored


def test_the_largest_plaintexts_fill_five_gibibytes() -> None:
    assert sizes.largest_single() == sizes.MAX_SINGLE_PLAIN
    assert sizes.largest_part() == sizes.MAX_PART_PLAIN
    assert sizes.single_size(sizes.MAX_SINGLE_PLAIN) <= sizes.MAX_PUT < sizes.single_size(sizes.MAX_SINGLE_PLAIN + 1)
    assert sizes.segment_size(sizes.MAX_PART_PLAIN) <= sizes.MAX_PUT < sizes.segment_size(sizes.MAX_PART_PLAIN + 1)


@given(st.integers(300, 10**6))
def test_the_largest_plaintext_under_any_limit_fits_and_one_more_does_not(limit: int) -> None:
    single, part = sizes.largest_single(limit), sizes.largest_part(limit)
    assert sizes.single_size(single) <= limit < sizes.single_size(single + 1)
    assert sizes.segment_size(part) <= limit < sizes.segment_size(part + 1)


def test_too_large_is_said_with_both_numbers() -> None:
    sizes.check_fits(100, 100)
    with pytest.raises(S3Error) as caught:
        sizes.check_fits(101, 100)
    assert caught.value.code == "EntityTooLarge"
    assert caught.value.extras == {"ProposedSize": "101", "MaxSizeAllowed": "100"}


@pytest.mark.parametrize(
    ("etag", "count"),
    [
        ('"0cc175b9c0f1b6a831c399e269772661-12"', 12),
        ("0cc175b9c0f1b6a831c399e269772661-10000", 10_000),
        ('"0cc175b9c0f1b6a831c399e269772661"', None),
        ('"0cc175b9c0f1b6a831c399e269772661-0"', None),
        ('"0cc175b9c0f1b6a831c399e269772661-012"', None),
        ('"0cc175b9c0f1b6a831c399e269772661-"', None),
        ('"0cc175b9c0f1b6a831c399e269772661-1²"', None),
        ('"0cc175b9c0f1b6a831c399e269772661-123456"', None),
        ("", None),
    ],
)
def test_part_counts_are_read_from_etags(etag: str, count: int | None) -> None:
    assert sizes.part_count_of(etag) == count


def test_listings_tell_single_from_multipart_by_the_etag() -> None:
    assert sizes.listed_plain_size(sizes.single_size(5), '"x"') == 5
    assert sizes.listed_plain_size(sizes.multipart_size(5, 2), '"x-2"') == 5
    assert sizes.listed_plain_size(sizes.multipart_size(5, 2), '"x-3"') is None
    assert sizes.listed_plain_size(5, '"x"') is None

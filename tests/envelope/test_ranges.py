"""Which stored bytes a range needs, tried on a backend that clips ranges as S3 does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.frames import FrameSealer
from proxy.envelope.manifest import open_trailer, parse_locator
from proxy.envelope.multipart import open_segment_header
from proxy.envelope.ranges import Wanted, backend_range, locate, plan_parts, span
from proxy.envelope.single import open_body_header, seal_body_header
from proxy.envelope.sizes import FRAME, SEGMENT_HEADER, WIRE_FRAME, single_plain_size
from proxy.errors import IntegrityError

KEYS = ObjectKeys.fresh(SystemEntropy())


def content(size: int) -> bytes:
    return (b"".join(n.to_bytes(4, "big") for n in range(size // 4 + 1)))[:size]


def stored_single(size: int) -> tuple[bytes, bytes]:
    header, key = seal_body_header(KEYS, SystemEntropy())
    sealer = FrameSealer(key)
    return header, bytes(sealer.feed(content(size))) + bytes(sealer.finish())


OBJECTS = {size: stored_single(size) for size in (0, 1, FRAME, FRAME + 1, 3 * FRAME, 3 * FRAME + 99)}
REQUESTS = st.one_of(
    st.builds(lambda a: Wanted(a, None), st.integers(0, 4 * FRAME)),
    st.builds(lambda a, n: Wanted(a, a + n), st.integers(0, 4 * FRAME), st.integers(0, 3 * FRAME)),
    st.builds(lambda a, n: Wanted(a, a + n), st.integers(0, 4 * FRAME), st.integers(0, 10**15)),
    st.builds(lambda k: Wanted(None, k), st.integers(0, 5 * FRAME)),
)


def backend(body: bytes, header: str) -> tuple[int, bytes] | None:
    """Answer a Range header as S3 does: offset and bytes, or None for 416."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header)
    assert match
    if not match[1]:
        start, stop = max(0, len(body) - int(match[2])), len(body)
    else:
        start, stop = int(match[1]), min(len(body), int(match[2]) + 1) if match[2] else len(body)
    return (start, body[start:stop]) if start < len(body) else None


@settings(deadline=None)
@given(st.sampled_from(sorted(OBJECTS)), REQUESTS)
def test_one_request_serves_any_range_of_a_single_part_object(size: int, wanted: Wanted) -> None:
    header, body = OBJECTS[size]
    answer = backend(body, backend_range(wanted))
    plain_size = single_plain_size(len(body))
    assert plain_size == size
    meant = wanted.resolve(size)
    if meant is None:
        assert wanted.first is None or wanted.first >= size
        return
    assert answer is not None
    start, got = answer
    frames = span(*meant, size)
    offset = locate(frames, start, len(got))
    opener = frames.opener(open_body_header(header, KEYS))
    plaintext = bytes(opener.feed(got[offset : offset + frames.stored_size]))
    opener.finish()
    assert plaintext == content(size)[meant[0] : meant[1] + 1]
    # At most two frames more than the range itself touches.
    assert len(got) <= frames.stored_size + 2 * WIRE_FRAME


@pytest.mark.parametrize(
    ("wanted", "header"),
    [
        (Wanted(0, 0), f"bytes=0-{WIRE_FRAME + 7}"),
        (Wanted(FRAME, FRAME), f"bytes={WIRE_FRAME}-{2 * WIRE_FRAME + 7}"),
        (Wanted(FRAME - 1, FRAME), f"bytes=0-{2 * WIRE_FRAME + 7}"),
        (Wanted(2 * FRAME + 5, None), f"bytes={2 * WIRE_FRAME}-"),
        (Wanted(None, 1), f"bytes=-{2 * WIRE_FRAME + 8}"),
        (Wanted(None, FRAME), f"bytes=-{3 * WIRE_FRAME + 8}"),
    ],
)
def test_the_backend_is_asked_for_whole_frames(wanted: Wanted, header: str) -> None:
    assert backend_range(wanted) == header


@pytest.mark.parametrize(
    ("wanted", "size", "meant"),
    [
        (Wanted(0, 9), 5, (0, 4)),
        (Wanted(4, 4), 5, (4, 4)),
        (Wanted(5, None), 5, None),
        (Wanted(0, None), 0, None),
        (Wanted(None, 3), 5, (2, 4)),
        (Wanted(None, 9), 5, (0, 4)),
        (Wanted(None, 0), 5, None),
        (Wanted(None, 1), 0, None),
    ],
)
def test_ranges_are_cut_at_the_end_or_cannot_be_satisfied(
    wanted: Wanted, size: int, meant: tuple[int, int] | None
) -> None:
    assert wanted.resolve(size) == meant


def test_an_answer_for_another_range_is_refused() -> None:
    frames = span(FRAME, FRAME, 3 * FRAME)
    assert locate(frames, 0, 3 * WIRE_FRAME) == WIRE_FRAME
    for start, size in ((WIRE_FRAME + 1, 10 * FRAME), (WIRE_FRAME, WIRE_FRAME - 1)):
        with pytest.raises(IntegrityError) as caught:
            locate(frames, start, size)
        assert caught.value.where == "range"


@pytest.mark.parametrize(
    ("first", "last"), [(0, 0), (0, 200_099), (65_535, 65_536), (99_999, 100_000), (200_050, 200_099)]
)
def test_a_multipart_range_reads_the_touched_parts_and_no_others(writer, first: int, last: int) -> None:
    data = content(200_100)
    stored = writer.multipart([(1, data[:100_000]), (2, b""), (7, data[100_000:200_050]), (8, data[200_050:])])
    body = stored.body
    manifest = open_trailer(body[parse_locator(body[-16:], len(body)) : -16], len(body), stored.keys)
    out = b""
    for plan in plan_parts(manifest, first, last):
        head = body[plan.header_start : plan.header_start + SEGMENT_HEADER]
        opener = plan.frames.opener(open_segment_header(head, plan.part, stored.keys))
        out += bytes(opener.feed(body[plan.frames_start : plan.frames_start + plan.frames.stored_size]))
        opener.finish()
        adjacent = plan.header_start + SEGMENT_HEADER == plan.frames_start
        assert plan.header_is_adjacent == adjacent
    assert out == data[first : last + 1]

"""Shapes of multipart objects, told from stored bytes without a key."""

from __future__ import annotations

import os
import random

import pytest

from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.frames import FrameSealer
from proxy.envelope.multipart import seal_segment_header
from proxy.envelope.outline import FINAL_READ, Outlined, outline_part, outlined_size
from proxy.envelope.sizes import FRAME, multipart_size, segment_size

ENTROPY = SystemEntropy()
KEYS = ObjectKeys.fresh(ENTROPY)


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 5])
def test_the_last_part_is_found_by_its_last_frame(size: int) -> None:
    header, key = seal_segment_header(3, KEYS, ENTROPY)
    sealer = FrameSealer(key)
    segment = header + bytes(sealer.feed(b"\xff" * size)) + bytes(sealer.finish())
    assert len(segment) == segment_size(size)
    before = os.urandom(FINAL_READ)
    end = len(before) + len(segment)
    data = (before + segment)[-FINAL_READ:]
    assert outline_part(data, end) == Outlined(size, len(before))
    assert outline_part(data[:-1], end - 1) is None
    assert outline_part(data, len(segment) - 1) is None
    assert outline_part(b"\xff" * 100, 100) is None
    assert outline_part(b"", 0) is None


def told(sizes: list[int], *, spilled: bool) -> int | None:
    """Tell the size of an object with parts of these sizes from their places alone."""
    stored = multipart_size(sum(sizes), len(sizes) + (not spilled))
    found: list[Outlined] = []
    end = sum(map(segment_size, sizes))
    for size in reversed(sizes):
        end -= segment_size(size)
        found.append(Outlined(size, end))
        answer = outlined_size(found, stored)
        if answer is not None:
            return answer
    return None


@pytest.mark.parametrize("spilled", [True, False])
@pytest.mark.parametrize(
    "sizes",
    [[0], [1], [FRAME], [5, 0], [FRAME, FRAME], [3 * FRAME, 7], [FRAME + 1, FRAME + 1, 3], [9 * FRAME] * 9 + [1]],
)
def test_objects_cut_as_clients_cut_them_have_the_size_of_their_plaintext(sizes: list[int], spilled: bool) -> None:
    assert told(sizes, spilled=spilled) == sum(sizes)


def test_any_cut_is_told_right_once_all_parts_are_seen() -> None:
    chooser = random.Random(5)
    for _ in range(3000):
        count = chooser.randint(1, 12)
        sizes = [
            chooser.choice((0, 1, FRAME - 1, FRAME, FRAME + 1, chooser.randrange(9 * FRAME))) for _ in range(count)
        ]
        assert told(sizes, spilled=chooser.random() < 0.5) == sum(sizes)

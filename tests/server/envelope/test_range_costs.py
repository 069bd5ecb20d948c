"""What ranges of encrypted objects cost the store: requests, and bytes that are read and thrown away."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from proxy.envelope.sizes import FINAL_OVERHEAD, FRAME, MIN_PART, SEGMENT_HEADER, WIRE_FRAME
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.counting import Counts, counting_store
from tests.server.envelope.test_multipart import upload

TAIL = 65_536
"""Bytes of the end of a multipart object that are read for its trailer."""


@pytest.fixture(scope="module")
def counted(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sealed, Counts]]:
    with counting_store(moto_store) as counts, sealed_proxy(tmp_path_factory.mktemp("counted"), counts.store) as proxy:
        yield proxy, counts


def read(counted: tuple[Sealed, Counts], bucket: str, body: bytes, first: int, size: int) -> tuple[int, int]:
    """Read a range; return how many requests it took and how many bytes of bodies."""
    proxy, counts = counted
    counts.reset()
    got = proxy.client.get_object(Bucket=bucket, Key="key", Range=f"bytes={first}-{first + size - 1}")
    assert got["Body"].read() == body[first : first + size]
    # What is left of an upload is cleared away later, by requests of other kinds.
    return sum(method in ("GET", "HEAD") for method, _ in counts.requests), counts.sent


def test_a_cold_range_of_a_single_object_is_one_request_and_two_frames_more_at_most(
    counted: tuple[Sealed, Counts],
) -> None:
    proxy, counts = counted
    bucket, body = proxy.bucket(), os.urandom(40 * FRAME + 5)
    proxy.client.put_object(Bucket=bucket, Key="key", Body=body)
    needed = WIRE_FRAME
    for first in (0, 1, FRAME - 1, FRAME, 7 * FRAME + 4321, len(body) - FRAME):
        requests, sent = read(counted, bucket, body, first, FRAME)
        assert requests == 1
        assert sent <= needed + 2 * WIRE_FRAME
    assert counts.requests[0][0] == "GET"
    requests, sent = read(counted, bucket, body, 3 * FRAME, FRAME)
    assert (requests, sent) == (1, WIRE_FRAME + FINAL_OVERHEAD), "a whole frame needs no other"
    counts.reset()
    assert proxy.client.get_object(Bucket=bucket, Key="key", Range=f"bytes=-{FRAME}")["Body"].read() == body[-FRAME:]
    assert len(counts.requests) == 1
    assert counts.sent <= needed + 2 * WIRE_FRAME + FINAL_OVERHEAD


@pytest.mark.parametrize("touched", [1, 2, 3])
def test_ranges_of_parts_take_few_requests_cold_and_one_a_part_warm(
    counted: tuple[Sealed, Counts], touched: int
) -> None:
    proxy, _ = counted
    bucket, parts = proxy.bucket(), {number: os.urandom(MIN_PART + number) for number in (1, 2, 3)}
    upload(proxy.client, bucket, parts)
    body = b"".join(parts.values())
    first = MIN_PART - FRAME // 2 if touched > 1 else 2 * FRAME + 1
    size = {1: FRAME, 2: FRAME, 3: MIN_PART + 2 + FRAME}[touched]
    frames = -(-size // FRAME) + 2 * touched
    requests, sent = read(counted, bucket, body, first, size)
    assert requests <= 3 + 2 * touched
    # The answer that tells what kind of object it is may have been on its way already: the proxy closes it.
    assert sent <= 2 * frames * WIRE_FRAME + TAIL + touched * SEGMENT_HEADER + FRAME
    requests, sent = read(counted, bucket, body, first, size)
    assert requests <= touched
    assert sent <= frames * WIRE_FRAME + touched * SEGMENT_HEADER
    requests, _ = read(counted, bucket, body, first + 1, size)
    assert requests <= touched

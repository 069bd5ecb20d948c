"""Which stored bytes a range of the plaintext needs.

A single-part object answers any range with one backend request, before its size is known: the answer's
Content-Range gives the stored length, hence the plaintext length. A multipart object needs its manifest
first, then each touched part's header and frames.

Source: https://www.rfc-editor.org/rfc/rfc9110#section-14.1.2
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.envelope.frames import Allocate, FrameOpener
from proxy.envelope.manifest import Manifest, PlacedPart
from proxy.envelope.message import OpeningKey
from proxy.envelope.sizes import FINAL_OVERHEAD, FRAME, SEGMENT_HEADER, WIRE_FRAME, frame_count
from proxy.errors import IntegrityError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A single byte range as the client asked for it: `first-`, `first-last`, or `-last` with first None."""

    first: int | None
    last: int | None

    def resolve(self, size: int) -> tuple[int, int] | None:
        """Return the bytes meant, both ends inclusive, or None when the range cannot be satisfied (416)."""
        if self.first is None:
            length = min(self.last or 0, size)
            return (size - length, size - 1) if length else None
        if self.first >= size:
            return None
        return self.first, size - 1 if self.last is None else min(self.last, size - 1)


@dataclass(frozen=True, slots=True)
class FrameSpan:
    """Whole frames that cover a range, and how to cut the range out of their plaintext."""

    plain_size: int
    first: int
    """Frame numbers count from 1."""
    last: int
    skip: int
    take: int

    @property
    def stored_start(self) -> int:
        """Offset of the first frame, counted from the first frame of the message."""
        return (self.first - 1) * WIRE_FRAME

    @property
    def stored_size(self) -> int:
        """Length of the frames as stored."""
        frames = self.last - self.first + 1
        if self.last < frame_count(self.plain_size):
            return frames * WIRE_FRAME
        plain = self.plain_size - (self.first - 1) * FRAME
        return plain + frames * (WIRE_FRAME - FRAME) + FINAL_OVERHEAD

    def opener(self, key: OpeningKey, *, allocate: Allocate | None = None) -> FrameOpener:
        """Make the machine that opens exactly these frames."""
        return FrameOpener(
            key,
            self.plain_size,
            first=self.first,
            last=self.last,
            skip=self.skip,
            take=self.take,
            allocate=allocate,
        )


@dataclass(frozen=True, slots=True)
class PartSpan:
    """What a range needs of one part. Offsets are into the stored object."""

    part: PlacedPart
    frames: FrameSpan

    @property
    def header_start(self) -> int:
        """Where the part's header starts; it is `SEGMENT_HEADER` bytes long."""
        return self.part.stored_start

    @property
    def frames_start(self) -> int:
        """Where the first needed frame starts."""
        return self.part.stored_start + SEGMENT_HEADER + self.frames.stored_start

    @property
    def header_is_adjacent(self) -> bool:
        """Whether one request from `header_start` brings header and frames without waste."""
        return self.frames.first == 1


def backend_range(wanted: Wanted) -> str:
    """Return the Range header for a single-part object of unknown size.

    The final frame is a little longer than the others, so up to eight bytes of the next frame come
    along; the backend clips at the end.
    """
    if wanted.first is None:
        frames = (wanted.last or 0) // FRAME + 2
        return f"bytes=-{frames * WIRE_FRAME + FINAL_OVERHEAD}"
    start = wanted.first // FRAME * WIRE_FRAME
    if wanted.last is None:
        return f"bytes={start}-"
    stop = (wanted.last // FRAME + 1) * WIRE_FRAME + FINAL_OVERHEAD
    return f"bytes={start}-{stop - 1}"


def span(first: int, last: int, plain_size: int) -> FrameSpan:
    """Return the frames that hold plaintext bytes `first..last` of a message, both inclusive."""
    return FrameSpan(plain_size, first // FRAME + 1, last // FRAME + 1, first % FRAME, last - first + 1)


def locate(frames: FrameSpan, answer_start: int, answer_size: int) -> int:
    """Return where the needed frames start within what the backend sent.

    `answer_start` and `answer_size` are what the backend's Content-Range says. Raises `IntegrityError`
    range when the answer does not cover them.
    """
    offset = frames.stored_start - answer_start
    if offset < 0 or offset + frames.stored_size > answer_size:
        raise IntegrityError("range", "the backend answered with another range than it was asked for")
    return offset


def plan_parts(manifest: Manifest, first: int, last: int) -> tuple[PartSpan, ...]:
    """Return what plaintext bytes `first..last` of a multipart object need, part by part, in order."""
    plans = []
    for part in manifest.touched(first, last):
        start = max(0, first - part.plain_start)
        stop = min(part.plain_size - 1, last - part.plain_start)
        plans.append(PartSpan(part, span(start, stop, part.plain_size)))
    return tuple(plans)

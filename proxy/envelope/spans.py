"""Opening a stretch of a multipart object that arrives in one piece, from the middle of one part to that of another.

Stored parts follow each other, so any range of the plaintext is one stretch of stored bytes. It begins
with a part's header, or with a frame when that part's key is known already; headers of further parts
come along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.envelope.buffers import Buffers
from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.frames import Allocate, Buffer, FrameOpener
from proxy.envelope.message import OpeningKey
from proxy.envelope.multipart import open_segment_header
from proxy.envelope.ranges import PartSpan
from proxy.envelope.sizes import SEGMENT_HEADER
from proxy.errors import IntegrityError

NO_KEYS: Mapping[int, OpeningKey] = {}
MAX_LEARNT = 16
"""Keys of parts that one stretch holds on to; each takes some 3 KB, and a stretch may touch 10,000 parts."""


class SpansOpener:
    """Turns the stored bytes `start .. start + size` into verified plaintext. Same contract as `FrameOpener`."""

    __slots__ = ("_allocate", "_at", "_head", "_index", "_keys", "_opener", "_plans", "learnt", "size", "start")

    def __init__(
        self,
        plans: Sequence[PartSpan],
        keys: ObjectKeys,
        known: Mapping[int, OpeningKey] = NO_KEYS,
        *,
        allocate: Allocate | None = None,
    ) -> None:
        """`plans` must not be empty; `known` has keys of parts by number.

        A first part whose key is known, or whose first frame is not needed, is read from its frames on: its
        key must be in `known`, or in `learnt` before the first `feed`.
        """
        first, last = plans[0], plans[-1]
        self._plans = plans
        self._keys = keys
        self._allocate = allocate or Buffers()
        self._index = 0
        self._head = b""
        self._opener: FrameOpener | None = None
        at_hand = known.get(first.part.number)
        self.learnt: dict[int, OpeningKey] = {} if at_hand is None else {first.part.number: at_hand}
        """Keys of the parts that were verified last, by number."""
        skips_header = not first.header_is_adjacent or first.part.number in self.learnt
        self.start = first.frames_start if skips_header else first.header_start
        self.size = last.frames_start + last.frames.stored_size - self.start
        self._at = self.start

    @property
    def lacks_key(self) -> bool:
        """Whether the header of the first part has to be fetched by itself."""
        first = self._plans[0]
        return self.start == first.frames_start and first.part.number not in self.learnt

    def learn(self, header: bytes) -> None:
        """Take the first part's header; raises `IntegrityError`."""
        part = self._plans[0].part
        self.learnt[part.number] = open_segment_header(header, part, self._keys)

    def feed(self, stored: Buffer) -> Buffer:
        """Take more stored bytes; return the plaintext they verify. Raises `IntegrityError`."""
        data = memoryview(stored)
        pieces: list[Buffer] = []
        while data:
            if self._opener is None:
                data = self._begin_part(data)
                continue
            now = min(len(data), self._opener.wire_left)
            piece = self._opener.feed(data[:now])
            data = self._moved(data, now)
            pieces.append(piece)
            if not self._opener.wire_left:
                self._opener.finish()
                self._opener = None
                self._index += 1
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> None:
        """Raise `IntegrityError` segment unless all of it has come and was verified."""
        if self._opener is not None or self._index < len(self._plans):
            raise IntegrityError("segment", "the stored parts end too early")

    def _begin_part(self, data: memoryview) -> memoryview:
        if self._index == len(self._plans):
            raise IntegrityError("segment", "there are bytes after the last part")
        plan = self._plans[self._index]
        number = plan.part.number
        if self._at < plan.header_start:
            # An empty part, of which the range needs nothing.
            return self._moved(data, min(len(data), plan.header_start - self._at))
        if self._at < plan.frames_start and plan.header_is_adjacent:
            missing = SEGMENT_HEADER - len(self._head)
            self._head += bytes(data[:missing])
            data = self._moved(data, min(len(data), missing))
            if len(self._head) < SEGMENT_HEADER:
                return data
            self.learnt[number] = open_segment_header(self._head, plan.part, self._keys)
            self._head = b""
        key = self.learnt.get(number)
        if key is None:
            raise ValueError("the first part's header has to be learnt before its frames")
        while len(self.learnt) > MAX_LEARNT:
            del self.learnt[next(iter(self.learnt))]
        self._opener = plan.frames.opener(key, allocate=self._allocate)
        return data

    def _moved(self, data: memoryview, size: int) -> memoryview:
        self._at += size
        return data[size:]

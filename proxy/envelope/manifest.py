"""The trailer of a multipart object: an encrypted manifest of its parts, found through the last 16 bytes.

The trailer's plaintext lists the parts and is padded so that the length of the whole object depends on
plaintext length and part count alone. The numbers in it are checked against each other and against the
length of the object, so a part that is missing, added or swapped shows.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.entropy import Entropy
from proxy.envelope.frames import open_whole, seal_whole
from proxy.envelope.inner import inner_form
from proxy.envelope.message import MESSAGE_ID_SIZE
from proxy.envelope.sizes import (
    LOCATOR,
    MAX_PARTS,
    SEGMENT_HEADER,
    TRAILER_OVERHEAD,
    multipart_size,
    segment_size,
    trailer_bound,
)
from proxy.errors import IntegrityError

TRAILER_FRAME = 1 << 24
UNKNOWN_ID = bytes(MESSAGE_ID_SIZE)
"""In the manifest when the client completed the upload with bare ETags."""
TAIL_READ = 65_536
"""How much of an object's end to read first: enough for the trailer of an object of some 800 parts."""

_LOCATOR = struct.Struct(">8sQ")
_LOCATOR_MARK = b"S3WTRLR1"
_TOTALS = struct.Struct(">QI")
_PART = struct.Struct(">IQ32s")
_FORM = inner_form("tail", "00000", TRAILER_FRAME)


@dataclass(frozen=True, slots=True)
class Part:
    """One part as the manifest lists it."""

    number: int
    plain_size: int
    message_id: bytes


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """A part and where it starts, in the plaintext and in the stored object."""

    number: int
    plain_size: int
    message_id: bytes
    plain_start: int
    stored_start: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts of a completed multipart object, verified."""

    plain_size: int
    part_count: int
    """The backend's count, the `-S` of the ETag: one more than the parts when the trailer is a part."""
    parts: tuple[PlacedPart, ...]
    segments_size: int
    """Stored bytes before the trailer."""
    _starts: tuple[int, ...] = field(repr=False)

    def touched(self, first: int, last: int) -> Sequence[PlacedPart]:
        """Return the parts that hold plaintext bytes `first..last`, both inclusive; empty parts are left out."""
        start = bisect_right(self._starts, first) - 1
        stop = bisect_right(self._starts, last)
        return [part for part in self.parts[start:stop] if part.plain_size]


def seal_trailer(parts: Sequence[Part], *, spilled: bool, keys: ObjectKeys, entropy: Entropy) -> bytes:
    """Make trailer and locator for parts in ascending order.

    `spilled` tells that they are uploaded in one part with the last segment, which is too small to be a
    part that something follows; else they are a part of their own. Every attempt to complete an upload
    writes a fresh trailer.
    """
    plain_size = sum(part.plain_size for part in parts)
    part_count = len(parts) + (not spilled)
    segments = sum(segment_size(part.plain_size) for part in parts)
    length = multipart_size(plain_size, part_count) - segments - LOCATOR
    listing = [_TOTALS.pack(plain_size, len(parts))]
    listing += [_PART.pack(part.number, part.plain_size, part.message_id) for part in parts]
    plaintext = b"".join(listing).ljust(length - TRAILER_OVERHEAD, b"\0")
    header, key = _FORM.seal(keys.trailer, entropy)
    return header + seal_whole(key, plaintext) + _LOCATOR.pack(_LOCATOR_MARK, length)


def parse_locator(tail: bytes, stored_size: int, part_count: int | None = None) -> int:
    """Read the end of an object; returns the offset of its trailer.

    `tail` is at least the last 16 bytes, `part_count` the `-S` of the ETag where there is one. Raises
    `IntegrityError` trailer.
    """
    if len(tail) < LOCATOR:
        raise IntegrityError("trailer", "the object is too short to be multipart")
    mark, length = _LOCATOR.unpack(tail[-LOCATOR:])
    if mark != _LOCATOR_MARK:
        raise IntegrityError("trailer", "the object does not end in a locator")
    bound = min(trailer_bound(part_count or MAX_PARTS), stored_size - LOCATOR)
    if not TRAILER_OVERHEAD + _TOTALS.size <= length <= bound:
        raise IntegrityError("trailer", "the locator names an impossible length")
    return stored_size - LOCATOR - int(length)


def open_trailer(trailer: bytes, stored_size: int, keys: ObjectKeys, part_count: int | None = None) -> Manifest:
    """Verify a trailer message (without the locator) and everything its manifest claims.

    `part_count` is the `-S` of the object's ETag; None for backends whose ETags have none. Raises
    `IntegrityError`: header, edk, frame for a message that does not verify, trailer for claims that do
    not fit each other or the object.
    """
    key = _FORM.open(trailer[:SEGMENT_HEADER], keys.trailer)
    # `open_whole` compares the final frame's length field with what is there: length - TRAILER_OVERHEAD.
    plaintext = open_whole(key, trailer[SEGMENT_HEADER:])
    plain_size, parts = _parse_listing(plaintext)
    placed, starts = [], []
    plain_start = stored_start = previous = 0
    for part in parts:
        if not previous < part.number <= MAX_PARTS:
            raise IntegrityError("trailer", "the parts are not in ascending order")
        previous = part.number
        placed.append(PlacedPart(part.number, part.plain_size, part.message_id, plain_start, stored_start))
        starts.append(plain_start)
        plain_start += part.plain_size
        stored_start += segment_size(part.plain_size)
    if plain_start != plain_size:
        raise IntegrityError("trailer", "the parts do not add up to the object")
    if stored_start + len(trailer) + LOCATOR != stored_size:
        raise IntegrityError("trailer", "the object has another length than its parts")
    for count in (len(parts), len(parts) + 1) if part_count is None else (part_count,):
        if len(parts) <= count <= len(parts) + 1 and multipart_size(plain_size, count) == stored_size:
            return Manifest(plain_size, count, tuple(placed), stored_start, tuple(starts))
    raise IntegrityError("trailer", "the object was not completed in this number of parts")


def _parse_listing(plaintext: bytes) -> tuple[int, list[Part]]:
    if len(plaintext) < _TOTALS.size:
        raise IntegrityError("trailer", "the manifest is cut off")
    plain_size, count = _TOTALS.unpack_from(plaintext)
    end = _TOTALS.size + count * _PART.size
    if not 1 <= count <= MAX_PARTS or end > len(plaintext):
        raise IntegrityError("trailer", "the manifest is cut off or lists no parts")
    if any(plaintext[end:]):
        raise IntegrityError("trailer", "the padding of the manifest is not empty")
    parts = [Part(*values) for values in _PART.iter_unpack(plaintext[_TOTALS.size : end])]
    return plain_size, parts

"""The shape of a multipart object, told from stored bytes without any key: where its parts end, and how long they are.

For listings of objects whose key only their client has, on stores whose ETags tell no part count. Heads of frames
are not secret, and not verified here either: a size told this way is no more than the store's word for it, like
every size in a listing. Reading the object verifies it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.envelope.sizes import FRAME, MAX_PARTS, frame_count, multipart_size, segment_size

_FINAL = b"\xff\xff\xff\xff"
_HEAD = 24
"""End mark 4, frame number 4, nonce 12, length 4."""
_TAG = 16
FINAL_READ = _HEAD + FRAME + _TAG
"""How much of the end of a part surely holds its whole last frame."""


@dataclass(frozen=True, slots=True)
class Outlined:
    """A part that was found, by its last frame."""

    plain_size: int
    stored_start: int


def outline_part(data: bytes, end: int) -> Outlined | None:
    """Find the last part in `data`, stored bytes that end where the part does, at offset `end` of the object.

    None where no whole final frame is there.
    """
    at = data.rfind(_FINAL)
    while at >= 0:
        frame = data[at : at + _HEAD]
        rest = len(data) - at - _HEAD - _TAG
        number = int.from_bytes(frame[4:8], "big")
        # The nonce repeats the number, and the length must be what is there: content does not look so by chance.
        if (
            0 <= rest <= FRAME
            and number
            and frame[8:] == bytes(8) + frame[4:8] + rest.to_bytes(4, "big")
            and frame_count(plain := (number - 1) * FRAME + rest) == number
            and segment_size(plain) <= end
        ):
            return Outlined(plain, end - segment_size(plain))
        at = data.rfind(_FINAL, 0, at)
    return None


def outlined_size(found: Sequence[Outlined], stored_size: int) -> int | None:
    """Return the plaintext size of an object from its last parts, the very last first; None if it cannot be told.

    Once a part repeats before it as often as there is room, as clients cut objects, no more need be known: the
    padding of the trailer depends on all parts together, and fits no other number of them.
    """
    last = found[-1]
    repeated, left = divmod(last.stored_start, segment_size(last.plain_size))
    parts = len(found) + repeated
    if left or parts > MAX_PARTS or (repeated and len(found) < 2):
        return None
    plain = sum(part.plain_size for part in found) + repeated * last.plain_size
    for count in (parts, parts + 1):
        if multipart_size(plain, count) == stored_size:
            return plain
    return None

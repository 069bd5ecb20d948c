"""Parts of a multipart upload: each attempt is a message of its own, a segment.

Segments are made in parallel by proxies that do not talk to each other, so nothing of a segment may be
derived from upload id and part number: a part sent twice with other bytes would use a key twice. What
ties segments together is the manifest (`manifest`), which names each by its message id; the part ETag
that clients collect carries that id to the end of the upload.
"""

from __future__ import annotations

import re

from proxy.envelope.buffers import Buffers
from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.entropy import Entropy
from proxy.envelope.frames import Allocate, Buffer, FrameOpener
from proxy.envelope.inner import InnerForm, inner_form, message_id_of
from proxy.envelope.manifest import UNKNOWN_ID, Manifest, PlacedPart
from proxy.envelope.message import OpeningKey, SealingKey
from proxy.envelope.sizes import FRAME, MAX_PARTS, SEGMENT_HEADER
from proxy.errors import IntegrityError

_MARKED_ETAG = re.compile(r"(.*)-([0-9a-f]{64})", re.DOTALL)


def seal_segment_header(part_number: int, keys: ObjectKeys, entropy: Entropy) -> tuple[bytes, SealingKey]:
    """Make the header of one attempt at a part; `SealingKey.message_id` goes into the part's ETag."""
    if not 1 <= part_number <= MAX_PARTS:
        raise ValueError("part numbers are 1 to 10,000")
    return _form(part_number).seal(keys.wrap, entropy)


def open_segment_header(raw: bytes, part: PlacedPart, keys: ObjectKeys) -> OpeningKey:
    """Verify the header of a part, `SEGMENT_HEADER` bytes, against the manifest's entry for it.

    Raises `IntegrityError` segment when it is an attempt that the manifest does not name, header or edk
    when it does not verify.
    """
    if part.message_id not in (message_id_of(raw), UNKNOWN_ID):
        raise IntegrityError("segment", f"part {part.number} is another attempt than the one completed")
    return _form(part.number).open(raw, keys.wrap)


def mark_part_etag(etag: str, message_id: bytes) -> str:
    """Make the ETag that the client sees for a part, quoted if the backend's is."""
    quote = '"' if etag.endswith('"') else ""
    return f"{etag.removesuffix(quote)}-{message_id.hex()}{quote}"


def split_part_etag(etag: str) -> tuple[str, bytes]:
    """Split a client's part ETag into the backend's and the message id.

    A bare ETag, as ListParts shows it, is returned whole with `UNKNOWN_ID`.
    """
    quote = '"' if etag.endswith('"') else ""
    match = _MARKED_ETAG.fullmatch(etag.removesuffix(quote))
    if match is None:
        return etag, UNKNOWN_ID
    return match[1] + quote, bytes.fromhex(match[2])


class SegmentsOpener:
    """Turns the stored bytes of a whole multipart object, without its trailer, into verified plaintext.

    Feed it bytes `0 .. manifest.segments_size`. Same contract as `FrameOpener`.
    """

    __slots__ = ("_allocate", "_head", "_keys", "_opener", "_parts")

    def __init__(self, manifest: Manifest, keys: ObjectKeys, *, allocate: Allocate | None = None) -> None:
        self._keys = keys
        self._parts = iter(manifest.parts)
        self._head = b""
        self._opener: FrameOpener | None = None
        self._allocate = allocate or Buffers()

    def feed(self, stored: Buffer) -> memoryview:
        """Take more stored bytes; return the plaintext they verify. Raises `IntegrityError`."""
        data = memoryview(stored)
        pieces: list[memoryview] = []
        while data:
            if self._opener is None:
                data = self._take_header(data)
                continue
            now = min(len(data), self._opener.wire_left)
            piece = self._opener.feed(data[:now])
            data = data[now:]
            pieces.append(piece)
            if not self._opener.wire_left:
                self._opener.finish()
                self._opener = None
        if len(pieces) == 1:
            return pieces[0]
        return memoryview(b"".join(pieces))

    def finish(self) -> None:
        """Raise `IntegrityError` segment unless every part has come and was verified."""
        if self._opener is not None or self._head or next(self._parts, None) is not None:
            raise IntegrityError("segment", "the stored parts end too early")

    def _take_header(self, data: memoryview) -> memoryview:
        missing = SEGMENT_HEADER - len(self._head)
        self._head += bytes(data[:missing])
        if len(self._head) == SEGMENT_HEADER:
            part = next(self._parts, None)
            if part is None:
                raise IntegrityError("segment", "there are bytes after the last part")
            key = open_segment_header(self._head, part, self._keys)
            self._head = b""
            self._opener = FrameOpener(key, part.plain_size, allocate=self._allocate)
        return data[missing:]


def _form(part_number: int) -> InnerForm:
    return inner_form("part", f"{part_number:05}", FRAME)

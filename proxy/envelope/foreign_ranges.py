"""Ranges of foreign messages: which of their frames are needed, where these are, and how they are opened.

All frames but the last are of one length, so the length of the stored message tells where each is. A
signature, where the suite has one, is over the whole message: whoever reads a range of a signed message
has to verify all of it first, and learns its length then.

Source: https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html#body-structure
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag

from proxy.envelope.foreign import ForeignHeader, open_foreign_header
from proxy.envelope.frames import Buffer
from proxy.envelope.keyring import NONCE_SIZE, TAG_SIZE
from proxy.errors import IntegrityError

MAX_SIGNATURE = 144
"""Above what ECDSA over P-384, the largest curve of any suite, takes in DER: 104 bytes."""
_HEAD = 4 + NONCE_SIZE
FINAL_HEAD = 4 + 4 + NONCE_SIZE + 4
"""Bytes of a last frame before its plaintext."""
_END = b"\xff\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a framed message holds."""

    plain_size: int
    frame_count: int
    """Not settled by the length: a message whose plaintext fills its frames may end in an empty one."""


def measure(header: ForeignHeader, stored_size: int) -> Extent:
    """Return the extent of a framed message without a signature that takes `stored_size` bytes.

    Raises `IntegrityError` size for a length that no message with this header has.
    """
    frame = header.frame_length
    regular, rest = divmod(stored_size - len(header.raw) - FINAL_HEAD - TAG_SIZE, frame + _HEAD + TAG_SIZE)
    if regular < 0 or rest > frame:
        raise IntegrityError("size", "no message with these frames has this length")
    return Extent(regular * frame + rest, regular + 1)


def last_frames(header: ForeignHeader, stored_size: int) -> list[tuple[int, int]]:
    """Return where the last frame of a signed message of `stored_size` bytes can be: its offset and its number.

    Few, since a signature is not long; which of them it is shows in its head, for `extent_by_end`.
    """
    wire = header.frame_length + _HEAD + TAG_SIZE
    rest = _beside_frames(header, stored_size)
    least = max(0, -(-(rest - header.frame_length - MAX_SIGNATURE) // wire))
    return [(len(header.raw) + count * wire, count + 1) for count in range(least, (rest - 1) // wire + 1)]


def extent_by_end(header: ForeignHeader, stored_size: int, number: int, head: bytes) -> Extent | None:
    """Return the extent of a signed message by the head of its last frame; None when that is not its last frame.

    Nothing of it is verified: it holds if the message does, and must be compared with what is opened.
    """
    final_size = int.from_bytes(head[-4:], "big")
    regular = number - 1
    signature = _beside_frames(header, stored_size) - regular * (header.frame_length + _HEAD + TAG_SIZE) - final_size
    if len(head) != FINAL_HEAD or head[:8] != _END + number.to_bytes(4, "big"):
        return None
    if final_size > header.frame_length or not 0 < signature <= MAX_SIGNATURE:
        return None
    return Extent(regular * header.frame_length + final_size, number)


def _beside_frames(header: ForeignHeader, stored_size: int) -> int:
    """Return what is left of a signed message for regular frames, the last one's plaintext, and the signature."""
    return stored_size - len(header.raw) - FINAL_HEAD - TAG_SIZE - 2


@dataclass(frozen=True, slots=True)
class ForeignSpan:
    """Whole frames that cover a range of plaintext, and how to cut the range out of theirs."""

    header: ForeignHeader
    frame_count: int
    final_size: int
    """Plaintext of the last frame of the message."""
    first: int
    """Frame numbers count from 1."""
    last: int
    skip: int
    take: int

    @property
    def stored_start(self) -> int:
        """Offset of the first frame in the stored message."""
        return len(self.header.raw) + (self.first - 1) * (_HEAD + self.header.frame_length + TAG_SIZE)

    @property
    def stored_size(self) -> int:
        """Length of the frames as stored."""
        regular = self.last - self.first + (self.last < self.frame_count)
        size = regular * (_HEAD + self.header.frame_length + TAG_SIZE)
        return size if self.last < self.frame_count else size + FINAL_HEAD + self.final_size + TAG_SIZE


def foreign_span(header: ForeignHeader, extent: Extent, first: int, last: int) -> ForeignSpan:
    """Return the frames that hold plaintext bytes `first..last`, both inclusive."""
    frame, count = header.frame_length, extent.frame_count
    final = extent.plain_size - (count - 1) * frame
    return ForeignSpan(header, count, final, first // frame + 1, last // frame + 1, first % frame, last - first + 1)


class ForeignSpanOpener:
    """Turns the stored frames of a span into the plaintext of its range. Feed it exactly those bytes.

    Every frame is verified whole, its number and whether it is the last one included.
    """

    __slots__ = ("_aead", "_next", "_pending", "_skip", "_span", "_take")

    def __init__(self, span: ForeignSpan, data_key: bytes) -> None:
        """Verify the header; raises `IntegrityError` header."""
        self._span = span
        self._aead = open_foreign_header(span.header, data_key)
        self._pending = bytearray()
        self._next = span.first
        self._skip = span.skip
        self._take = span.take

    def feed(self, stored: Buffer) -> bytes:
        """Take more stored bytes; return the plaintext of the range that they verify; raises `IntegrityError`."""
        self._pending += stored
        pieces: list[bytes] = []
        while (piece := self._open()) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    def finish(self) -> None:
        """Raise `IntegrityError` frame unless every frame has come and was verified."""
        if self._pending or self._next != self._span.last + 1:
            raise IntegrityError("frame", "the stored frames end too early")

    def _open(self) -> bytes | None:
        span, number, pending = self._span, self._next, self._pending
        if number > span.last:
            return None
        is_final = number == span.frame_count
        length = span.final_size if is_final else span.header.frame_length
        head = FINAL_HEAD if is_final else _HEAD
        end = head + length + TAG_SIZE
        if len(pending) < end:
            return None
        written, counted = number.to_bytes(4, "big"), length.to_bytes(8, "big")
        start, text = (_END + written, b"Final Frame") if is_final else (written, b"Frame")
        aad = span.header.message_id + b"AWSKMSEncryptionClient " + text + written + counted
        nonce = bytes(pending[len(start) : len(start) + NONCE_SIZE])
        try:
            if pending[: len(start)] != start or (is_final and pending[head - 4 : head] != counted[4:]):
                raise InvalidTag
            plaintext = self._aead.decrypt(nonce, bytes(pending[head:end]), aad)
        except InvalidTag:
            raise IntegrityError("frame", f"frame {number} does not verify") from None
        del pending[:end]
        self._next = number + 1
        plaintext = plaintext[self._skip : self._skip + self._take]
        self._skip = 0
        self._take -= len(plaintext)
        return plaintext

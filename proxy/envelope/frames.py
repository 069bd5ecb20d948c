"""Frames: the body of a message, sealed and opened as it streams.

Feed machines without I/O. `FrameSealer` keeps the last 1..F bytes back until `finish`, so whoever feeds
it can still check the whole plaintext before the final frame, without which nothing opens, goes out.
`FrameOpener` knows from the plaintext size which frames must come, compares every frame head with the
one it computes, and lets nothing out before the tag of its frame is verified.

Both return one view per call. What it shows stays as it is for as long as the view is held; dropped, its
memory is used again. `allocate` is where that memory comes from: streams that share it need less of it.

Source: https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html#body-structure
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.envelope.buffers import Buffers
from proxy.envelope.message import OpeningKey, SealingKey
from proxy.envelope.sizes import FINAL_OVERHEAD, FRAME, FRAME_OVERHEAD, frame_count
from proxy.errors import IntegrityError

Buffer: TypeAlias = bytes | bytearray | memoryview
Allocate: TypeAlias = Callable[[int], bytearray]
"""Returns a buffer of at least the given size that nobody has a view of, as `Buffers` does."""

_REGULAR = b"AWSKMSEncryptionClient Frame"
_FINAL = b"AWSKMSEncryptionClient Final Frame"
_END = 0xFFFFFFFF
_HEAD = struct.Struct(">IQI")  # sequence number, then the nonce: eight zero bytes and the number again
_FINAL_HEAD = struct.Struct(">IIQII")  # end marker, sequence number, nonce, length
_NONCE = struct.Struct(">QI")
_AAD_TAIL = struct.Struct(">IQ")  # sequence number, length
_TAG = 16
_NOTHING = memoryview(b"")


class FrameSealer:
    """Turns plaintext into the frames of one message.

    `plain_size` is its length where it is known, at most: a small message then takes little memory.
    """

    __slots__ = ("_aead", "_allocate", "_fill", "_final_aad", "_frame", "_number", "_pending", "_regular_aad")

    def __init__(
        self,
        key: SealingKey,
        *,
        frame_length: int = FRAME,
        plain_size: int | None = None,
        allocate: Allocate | None = None,
    ) -> None:
        self._aead: AESGCM | None = key.take()
        self._regular_aad = key.message_id + _REGULAR
        self._final_aad = key.message_id + _FINAL
        self._frame = frame_length
        self._allocate = allocate or Buffers()
        held = frame_length if plain_size is None else min(frame_length, plain_size)
        self._pending = memoryview(bytearray(held))
        self._fill = 0
        self._number = 1

    def feed(self, plaintext: Buffer) -> memoryview:
        """Take more plaintext; return the frames that are certainly not the last, if any."""
        data = memoryview(plaintext)
        frame = self._frame
        count = max(0, self._fill + len(data) - 1) // frame
        position = 0
        out = _NOTHING
        if count:
            wire = frame + FRAME_OVERHEAD
            out = memoryview(self._allocate(count * wire))[: count * wire]
            for index in range(count):
                target = out[index * wire : (index + 1) * wire]
                if self._fill:
                    position = frame - self._fill
                    self._pending[self._fill :] = data[:position]
                    self._fill = 0
                    self._seal(self._pending, target)
                else:
                    self._seal(data[position : position + frame], target)
                    position += frame
        rest = len(data) - position
        if rest:
            self._pending[self._fill : self._fill + rest] = data[position:]
            self._fill += rest
        return out

    def finish(self) -> memoryview:
        """Return the final frame, of 0..F bytes. The sealer is spent after it."""
        aead, number, length = self._cipher(), self._number, self._fill
        self._aead = None
        size = length + FRAME_OVERHEAD + FINAL_OVERHEAD
        out = memoryview(self._allocate(size))[:size]
        _FINAL_HEAD.pack_into(out, 0, _END, number, 0, number, length)
        aad = self._final_aad + _AAD_TAIL.pack(number, length)
        aead.encrypt_into(_NONCE.pack(0, number), self._pending[:length], aad, out[_FINAL_HEAD.size :])
        return out

    def _seal(self, plaintext: memoryview, out: memoryview) -> None:
        number = self._number
        _HEAD.pack_into(out, 0, number, 0, number)
        aad = self._regular_aad + _AAD_TAIL.pack(number, self._frame)
        self._cipher().encrypt_into(_NONCE.pack(0, number), plaintext, aad, out[_HEAD.size :])
        self._number = number + 1

    def _cipher(self) -> AESGCM:
        if self._aead is None:
            raise RuntimeError("the final frame is written: nothing can follow it")
        return self._aead


class FrameOpener:
    """Turns the stored frames `first..last` of one message into verified plaintext.

    Feed it exactly those frames' bytes. `skip` drops plaintext at the start, `take` limits what comes
    after that, as ranges need; every frame fed is verified whole all the same.
    """

    __slots__ = (
        "_aead", "_allocate", "_fill", "_final_aad", "_frame", "_last", "_left", "_next", "_pending",
        "_regular_aad", "_regular_left", "_rest", "_skip", "_take",
    )  # fmt: skip

    def __init__(
        self,
        key: OpeningKey,
        plain_size: int,
        *,
        first: int = 1,
        last: int | None = None,
        skip: int = 0,
        take: int | None = None,
        frame_length: int = FRAME,
        allocate: Allocate | None = None,
    ) -> None:
        count = frame_count(plain_size, frame_length)
        self._last = count
        last = count if last is None else last
        if not 1 <= first <= last <= count:
            raise ValueError("no such frames in this message")
        self._aead: AESGCM | None = key.aead
        self._regular_aad = key.message_id + _REGULAR
        self._final_aad = key.message_id + _FINAL
        self._frame = frame_length
        self._rest = plain_size - (count - 1) * frame_length
        self._next = first
        self._regular_left = last - first + (last != count)
        final_wire = self._rest + FRAME_OVERHEAD + FINAL_OVERHEAD if last == count else 0
        self._left = self._regular_left * (frame_length + FRAME_OVERHEAD) + final_wire
        self._skip = skip
        self._take = plain_size if take is None else take
        self._allocate = allocate or Buffers()
        self._pending = memoryview(bytearray(min(self._left, frame_length + FRAME_OVERHEAD + FINAL_OVERHEAD)))
        self._fill = 0

    @property
    def wire_left(self) -> int:
        """How many stored bytes are still to come."""
        return self._left

    def feed(self, stored: Buffer) -> memoryview:
        """Take more stored bytes; return the plaintext that is verified by them, if any.

        Raises `IntegrityError` frame; the opener is dead then.
        """
        data = memoryview(stored)
        if len(data) > self._left:
            self._aead = None
            raise IntegrityError("frame", "there are bytes after the final frame")
        self._left -= len(data)
        regular, final = self._complete(self._fill + len(data))
        plain = regular * self._frame + (self._rest if final else 0)
        position = 0
        out = _NOTHING
        if regular or final:
            out = memoryview(self._allocate(plain))[:plain]
            for index in range(regular + final):
                is_final = index == regular
                wire = self._rest + FINAL_OVERHEAD if is_final else self._frame
                wire += FRAME_OVERHEAD
                if self._fill:
                    position = wire - self._fill
                    self._pending[self._fill : wire] = data[:position]
                    self._fill = 0
                    frame = self._pending[:wire]
                else:
                    frame = data[position : position + wire]
                    position += wire
                self._open(frame, out[index * self._frame : (index + 1) * self._frame], is_final)
        rest = len(data) - position
        if rest:
            self._pending[self._fill : self._fill + rest] = data[position:]
            self._fill += rest
        return self._cut(out)

    def finish(self) -> None:
        """Raise `IntegrityError` frame unless every frame has come and was verified."""
        if self._left or self._aead is None:
            raise IntegrityError("frame", "the stored frames end too early")

    def _complete(self, available: int) -> tuple[int, bool]:
        wire = self._frame + FRAME_OVERHEAD
        regular = min(self._regular_left, available // wire)
        self._regular_left -= regular
        # `_left` counts from the end: nothing left means the last frame is here, whichever it is.
        final = self._left == 0 and available > regular * wire
        return regular, final

    def _open(self, frame: memoryview, out: memoryview, final: bool) -> None:
        number = self._next
        if final:
            head_size = _FINAL_HEAD.size
            head = _FINAL_HEAD.pack(_END, number, 0, number, self._rest)
            aad = self._final_aad + _AAD_TAIL.pack(number, self._rest)
        else:
            head_size = _HEAD.size
            head = _HEAD.pack(number, 0, number)
            aad = self._regular_aad + _AAD_TAIL.pack(number, self._frame)
        aead = self._aead
        if aead is None:
            raise IntegrityError("frame", "an earlier frame did not verify")
        try:
            if frame[:head_size] != head:
                raise InvalidTag
            aead.decrypt_into(_NONCE.pack(0, number), frame[head_size:], aad, out)
        except InvalidTag:
            # The cipher writes before it verifies: leave nothing of it in memory that others will see.
            out[:] = bytes(len(out))
            self._aead = None
            raise IntegrityError("frame", f"frame {number} does not verify") from None
        self._next = number + 1

    def _cut(self, out: memoryview) -> memoryview:
        if self._skip:
            dropped = min(self._skip, len(out))
            self._skip -= dropped
            out = out[dropped:]
        if len(out) > self._take:
            out = out[: self._take]
        self._take -= len(out)
        return out


def seal_whole(key: SealingKey, plaintext: bytes) -> bytes:
    """Seal a message body of one final frame, for what fits in memory and in a frame."""
    aead = key.take()
    head = _FINAL_HEAD.pack(_END, 1, 0, 1, len(plaintext))
    aad = key.message_id + _FINAL + _AAD_TAIL.pack(1, len(plaintext))
    return head + aead.encrypt(_NONCE.pack(0, 1), plaintext, aad)


def open_whole(key: OpeningKey, stored: Buffer) -> bytes:
    """Open a message body that must be exactly one final frame. Raises `IntegrityError` frame."""
    length = len(stored) - FRAME_OVERHEAD - FINAL_OVERHEAD
    head = _FINAL_HEAD.pack(_END, 1, 0, 1, length) if length >= 0 else b""
    aad = key.message_id + _FINAL + _AAD_TAIL.pack(1, max(0, length))
    try:
        if length < 0 or stored[: _FINAL_HEAD.size] != head:
            raise InvalidTag
        return key.aead.decrypt(_NONCE.pack(0, 1), stored[_FINAL_HEAD.size :], aad)
    except InvalidTag:
        raise IntegrityError("frame", "frame 1 does not verify") from None

"""How much plaintext a foreign message holds, told from its length, its header and its end, without a key.

What is read here is not authenticated: it is as true as a listing's size. A signed message ends in an ECDSA
signature, whose DER form varies in length by some bytes, so its last bytes are needed.

Source: https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html#footer-structure
"""

from __future__ import annotations

from proxy.envelope.foreign import ForeignHeader
from proxy.envelope.foreign_ranges import measure
from proxy.envelope.keyring import NONCE_SIZE, TAG_SIZE
from proxy.envelope.message import MAX_HEADER
from proxy.errors import IntegrityError

_LENGTH = 8
_BLOCK_HEAD = NONCE_SIZE + _LENGTH

START = MAX_HEADER + _BLOCK_HEAD
"""Bytes of a message's beginning that tell its size, together with its tail."""

_FOOTER_HEAD = 2
# Two integers of no more than 48 bytes each (P-384), a sign byte before them, and what DER puts around.
_MIN_SIGNATURE, _MAX_SIGNATURE = 8, 104
_SEQUENCE, _INTEGER = 0x30, 0x02

TAIL = _FOOTER_HEAD + _MAX_SIGNATURE
"""Bytes of a signed message's end that hold its footer."""


def needs_tail(header: ForeignHeader) -> bool:
    """Tell whether the size of a message shows only with its last `TAIL` bytes."""
    return bool(header.suite.signing and header.frame_length)


def plain_size_of_message(header: ForeignHeader, start: bytes, stored_size: int, tail: bytes = b"") -> int:
    """Return the plaintext size of a message of `stored_size` bytes that begins with `start` and ends in `tail`.

    `start` has `START` bytes or the whole message, `tail` has `TAIL` where `needs_tail` says so. Raises
    `IntegrityError` size for what no message with this header can be.
    """
    if not header.frame_length:
        return _size_of_block(header, start, stored_size)
    if not needs_tail(header):
        return measure(header, stored_size).plain_size
    sizes = []
    for length in range(_MIN_SIGNATURE, min(_MAX_SIGNATURE, len(tail) - _FOOTER_HEAD) + 1):
        footer = tail[-length - _FOOTER_HEAD :]
        if int.from_bytes(footer[:_FOOTER_HEAD], "big") == length and _is_signature(footer[_FOOTER_HEAD:]):
            sizes.append(measure(header, stored_size - len(footer)).plain_size)
    if len(sizes) != 1:
        raise IntegrityError("size", "the message does not end in one signature")
    return sizes[0]


def _size_of_block(header: ForeignHeader, start: bytes, stored_size: int) -> int:
    """Return what an unframed body says of its length, if the stored bytes agree."""
    head = start[len(header.raw) : len(header.raw) + _BLOCK_HEAD]
    size = int.from_bytes(head[NONCE_SIZE:], "big")
    footer = stored_size - len(header.raw) - _BLOCK_HEAD - size - TAG_SIZE
    fits = footer == 0 if header.suite.signing is None else _MIN_SIGNATURE <= footer - _FOOTER_HEAD <= _MAX_SIGNATURE
    if len(head) != _BLOCK_HEAD or not fits:
        raise IntegrityError("size", "no message in one piece has this length")
    return size


def _is_signature(der: bytes) -> bool:
    """Tell whether bytes are two DER integers in a sequence, and nothing behind them."""
    if der[0] != _SEQUENCE or der[1] != len(der) - 2:
        return False
    rest = der[2:]
    for _ in range(2):
        if len(rest) < 3 or rest[0] != _INTEGER or not 0 < rest[1] <= len(rest) - 2:
            return False
        rest = rest[2 + rest[1] :]
    return not rest

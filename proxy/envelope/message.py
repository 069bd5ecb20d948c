"""Message headers of the AWS Encryption SDK format 2, suite 0x0478, and the keys behind them.

Knows the header bytes, key derivation, key commitment and the header tag. Frames are next door; what
messages mean is decided by whoever writes them.

`DataKey` -> `SealingKey` -> frames is a one-way street: a data key seals one header, the key that comes
out of it seals one body. Reading has its own type, `OpeningKey`, which cannot seal.

Source: https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html and
https://github.com/awslabs/aws-encryption-sdk-specification (message-header.md, algorithm-suites.md)
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.envelope.context import EMPTY, Context, parse_context, serialise_context
from proxy.envelope.entropy import Entropy
from proxy.envelope.keyring import KEY_SIZE, TAG_SIZE, Edk
from proxy.errors import IntegrityError

MESSAGE_ID_SIZE = 32
MAX_HEADER = 8192
MAX_EDKS = 8

SUITE = 0x0478
START = b"\x02" + SUITE.to_bytes(2, "big")
"""The first bytes of every message: format version and suite."""
_FRAMED = b"\x02"
_DERIVE_INFO = b"DERIVEKEY\x01"  # the last byte is HKDF-Expand's block counter
_COMMIT_INFO = b"COMMITKEY\x01"
_HEADER_NONCE = bytes(12)
_TAIL = struct.Struct(">BI32s16s")  # content type, frame length, commitment, tag


class KeyReuseError(RuntimeError):
    """A key that serves once was about to serve twice: a bug of the caller, never of the data."""


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header. Nothing in it is authenticated until `open_header` returned."""

    message_id: bytes
    context: Context
    edks: tuple[Edk, ...]
    frame_length: int
    commitment: bytes
    tag: bytes
    authenticated: bytes = field(repr=False)
    """The bytes under the tag: everything before it."""

    @property
    def size(self) -> int:
        """Length of the header on the wire."""
        return len(self.authenticated) + TAG_SIZE


class OpeningKey:
    """What opens the frames of one message, after its header was verified. May be kept and shared."""

    __slots__ = ("aead", "message_id")

    def __init__(self, aead: AESGCM, message_id: bytes) -> None:
        self.aead = aead
        self.message_id = message_id

    def __repr__(self) -> str:
        return f"OpeningKey(message_id={self.message_id.hex()})"


class _Once:
    """Something that must not exist twice: no copies, no pickles."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise KeyReuseError(f"a {type(self).__name__} cannot be copied")


class SealingKey(_Once):
    """What seals the frames of one message, once."""

    __slots__ = ("_aead", "message_id")

    def __init__(self, aead: AESGCM, message_id: bytes) -> None:
        self._aead: AESGCM | None = aead
        self.message_id = message_id

    def take(self) -> AESGCM:
        """Hand the cipher to the one body it serves. Raises `KeyReuseError` the second time.

        INVARIANT: frame nonces count from 1 in every body, so a second body under this key would use
        them again.
        """
        aead, self._aead = self._aead, None
        if aead is None:
            raise KeyReuseError("a sealing key seals one body")
        return aead

    def __repr__(self) -> str:
        return f"SealingKey(message_id={self.message_id.hex()})"


class DataKey(_Once):
    """A data key and the message id drawn for it. Wrapped by master keys, then spent on one header.

    `plaintext` is for key services that generate data keys themselves; without it a random one is made.
    The message id cannot be chosen.
    """

    __slots__ = ("_plaintext", "message_id")

    def __init__(self, entropy: Entropy, plaintext: bytes | None = None) -> None:
        if plaintext is not None and len(plaintext) != KEY_SIZE:
            raise ValueError("a data key has 32 bytes")
        self._plaintext: bytes | None = plaintext if plaintext is not None else entropy.random(KEY_SIZE)
        self.message_id = entropy.random(MESSAGE_ID_SIZE)

    @property
    def plaintext(self) -> bytes:
        """The key itself, to be wrapped. Raises `KeyReuseError` once it is spent."""
        if self._plaintext is None:
            raise KeyReuseError("the data key is spent")
        return self._plaintext

    def seal_header(
        self, context: Context, edks: Sequence[Edk], frame_length: int, required: Context = EMPTY
    ) -> tuple[bytes, SealingKey]:
        """Write the header of the one message this key is for; returns its bytes and the key for the body.

        INVARIANT: a (data key, message id) pair gets one header tag, ever. Its nonce is fixed, so two
        tags over two headers would give away the GHASH key, and with it forged frames. Hence the data
        key is gone after this call, whatever its outcome.
        """
        data_key, self._plaintext = self.plaintext, None
        stored = serialise_context(context)
        pieces = [START, self.message_id, len(stored).to_bytes(2, "big"), stored]
        pieces.append(len(edks).to_bytes(2, "big"))
        for edk in edks:
            for part in (edk.provider_id.encode(), edk.key_info, edk.ciphertext):
                pieces += (len(part).to_bytes(2, "big"), part)
        key, commitment = derive_keys(data_key, self.message_id)
        pieces += (header_tail(frame_length), commitment)
        header = b"".join(pieces)
        if not 1 <= len(edks) <= MAX_EDKS or len(header) + TAG_SIZE > MAX_HEADER:
            raise ValueError("the header has no or too many data keys, or is too large")
        aead = AESGCM(key)
        tag = aead.encrypt(_HEADER_NONCE, b"", header + serialise_context(required))
        return header + tag, SealingKey(aead, self.message_id)

    def __repr__(self) -> str:
        return f"DataKey(message_id={self.message_id.hex()})"


def header_tail(frame_length: int) -> bytes:
    """Return the part of a header between the data keys and the commitment."""
    return _FRAMED + frame_length.to_bytes(4, "big")


def derive_keys(data_key: bytes, message_id: bytes, suite: int = SUITE) -> tuple[bytes, bytes]:
    """Derive (message key, commitment): HKDF-SHA512 with the message id as salt, one block each."""
    extracted = hmac.digest(message_id, data_key, "sha512")
    key = hmac.digest(extracted, suite.to_bytes(2, "big") + _DERIVE_INFO, "sha512")
    commitment = hmac.digest(extracted, _COMMIT_INFO, "sha512")
    return key[:32], commitment[:32]


def parse_header(raw: bytes, frame_length: int) -> Header:
    """Read the header at the start of `raw`; more may follow it.

    Raises `IntegrityError` header for another version, suite or frame length, and for anything over the
    bounds of this format.
    """
    if raw[:3] != START:
        raise IntegrityError("header", "not a message of this format")
    reader = Reader(raw, 3, MAX_HEADER)
    message_id = reader.take(MESSAGE_ID_SIZE)
    context = parse_context(reader.field())
    edks = reader.edks()
    content_type, length, commitment, tag = _TAIL.unpack(reader.take(_TAIL.size))
    if content_type != _FRAMED[0] or length != frame_length:
        raise IntegrityError("header", "another frame length than this format has")
    return Header(message_id, context, edks, length, commitment, tag, raw[: reader.position - TAG_SIZE])


def open_header(header: Header, data_key: bytes, required: Context = EMPTY) -> OpeningKey:
    """Verify commitment and header tag; raises `IntegrityError` header.

    `required` are the pairs that are authenticated and not stored.
    """
    authenticated = header.authenticated + serialise_context(required)
    return open_message(data_key, header.message_id, header.commitment, header.tag, authenticated)


def open_message(data_key: bytes, message_id: bytes, commitment: bytes, tag: bytes, authenticated: bytes) -> OpeningKey:
    """Verify the commitment, and the tag over `authenticated`; raises `IntegrityError` header."""
    if len(data_key) != KEY_SIZE:
        raise IntegrityError("header", "the data key has another length")
    key, expected = derive_keys(data_key, message_id)
    if not hmac.compare_digest(commitment, expected):
        raise IntegrityError("header", "the message was not written with this data key")
    aead = AESGCM(key)
    try:
        aead.decrypt(_HEADER_NONCE, tag, authenticated)
    except InvalidTag:
        raise IntegrityError("header", "the header does not verify") from None
    return OpeningKey(aead, message_id)


class Reader:
    """Takes bytes off the front of a header and refuses to run past its end or its bound."""

    __slots__ = ("_end", "_raw", "position")

    def __init__(self, raw: bytes, position: int, bound: int) -> None:
        self._raw = raw
        self._end = min(len(raw), bound)
        self.position = position

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        start, stop = self.position, self.position + size
        if stop > self._end:
            raise IntegrityError("header", "the header is cut off or too large")
        self.position = stop
        return self._raw[start:stop]

    def number(self, size: int) -> int:
        """Return the next `size` bytes as a big-endian number."""
        return int.from_bytes(self.take(size), "big")

    def field(self) -> bytes:
        """Return a field with a 16-bit length in front."""
        return self.take(self.number(2))

    def edks(self) -> tuple[Edk, ...]:
        """Return the list of encrypted data keys, at least one, at most `MAX_EDKS`."""
        count = self.number(2)
        if not 1 <= count <= MAX_EDKS:
            raise IntegrityError("header", "no encrypted data key, or too many")
        edks = []
        for _ in range(count):
            provider, key_info, ciphertext = self.field(), self.field(), self.field()
            try:
                edks.append(Edk(provider.decode(), key_info, ciphertext))
            except UnicodeDecodeError:
                raise IntegrityError("header", "a key provider is not UTF-8 text") from None
        return tuple(edks)

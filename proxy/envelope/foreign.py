"""Whole AWS Encryption SDK messages that somebody else stored as objects: formats 1 and 2, any suite.

Unlike this project's own bodies nothing about them can be computed from outside: frame length, nonces
and the length of the final frame are read from the message, and believed once their tag verifies. The
final frame, and the signature after it where the suite has one, are verified before the last bytes of
plaintext are released, so a reader that sees the end has seen an authentic whole.

Source: https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html and
https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/algorithms-reference.html
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from proxy.envelope.context import EMPTY, Context, parse_context, serialise_context
from proxy.envelope.frames import Buffer
from proxy.envelope.keyring import NONCE_SIZE, TAG_SIZE, Edk
from proxy.envelope.message import MAX_HEADER, Reader, derive_keys
from proxy.errors import IntegrityError

MAX_UNIT = 16 * 2**20
"""The largest frame, or unframed body, that is held in memory until its tag can be checked."""
PUBLIC_KEY_NAME = "aws-crypto-public-key"

_FRAMED, _UNFRAMED = 2, 1
_CUSTOMER_DATA = 0x80
_END = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Signing:
    """How the messages of a suite are signed."""

    curve: type[ec.EllipticCurve]
    digest: type[hashes.HashAlgorithm]


@dataclass(frozen=True, slots=True)
class Suite:
    """What an algorithm suite number stands for."""

    key_size: int
    kdf: type[hashes.HashAlgorithm] | None
    signing: Signing | None = None


_P256 = Signing(ec.SECP256R1, hashes.SHA256)
_P384 = Signing(ec.SECP384R1, hashes.SHA384)
_V1_SUITES: Mapping[int, Suite] = MappingProxyType(
    {
        0x0014: Suite(16, None),
        0x0046: Suite(24, None),
        0x0078: Suite(32, None),
        0x0114: Suite(16, hashes.SHA256),
        0x0146: Suite(24, hashes.SHA256),
        0x0178: Suite(32, hashes.SHA256),
        0x0214: Suite(16, hashes.SHA256, _P256),
        0x0346: Suite(24, hashes.SHA384, _P384),
        0x0378: Suite(32, hashes.SHA384, _P384),
    }
)
_V2_SUITES: Mapping[int, Suite] = MappingProxyType(
    {
        0x0478: Suite(32, hashes.SHA512),
        0x0578: Suite(32, hashes.SHA512, _P384),
    }
)


@dataclass(frozen=True, slots=True)
class ForeignHeader:
    """A parsed header of a foreign message. Nothing in it is authenticated until a `ForeignOpener` took it."""

    version: int
    suite_id: int
    suite: Suite
    message_id: bytes
    context: Context
    edks: tuple[Edk, ...]
    frame_length: int
    """0 for an unframed body."""
    commitment: bytes
    nonce: bytes
    tag: bytes
    raw: bytes = field(repr=False)
    authenticated: bytes = field(repr=False)

    @property
    def is_committing(self) -> bool:
        """Whether the message can be opened by one data key only."""
        return self.version == 2


def looks_foreign(start: bytes) -> bool:
    """Tell from its first four bytes whether a body may be an Encryption SDK message."""
    if start[:1] == b"\x02":
        return int.from_bytes(start[1:3], "big") in _V2_SUITES
    return start[:2] == b"\x01\x80" and int.from_bytes(start[2:4], "big") in _V1_SUITES


def parse_foreign_header(raw: bytes) -> ForeignHeader:
    """Read the header at the start of `raw`, which holds `MAX_HEADER` bytes or the whole message.

    Raises `IntegrityError` header for what is not such a message, or is over the bounds.
    """
    reader = Reader(raw, 0, MAX_HEADER)
    version = reader.number(1)
    if version not in (1, 2):
        raise IntegrityError("header", "not an Encryption SDK message")
    if version == 1 and reader.number(1) != _CUSTOMER_DATA:
        raise IntegrityError("header", "not an Encryption SDK message")
    suite_id = reader.number(2)
    suite = (_V1_SUITES if version == 1 else _V2_SUITES).get(suite_id)
    if suite is None:
        raise IntegrityError("header", "the message uses an unknown algorithm suite")
    message_id = reader.take(16 if version == 1 else 32)
    context = parse_context(reader.field())
    edks = reader.edks()
    content_type = reader.number(1)
    if version == 1 and (reader.number(4), reader.number(1)) != (0, NONCE_SIZE):
        raise IntegrityError("header", "reserved fields of the header are in use")
    frame_length = reader.number(4)
    if content_type not in (_FRAMED, _UNFRAMED) or (content_type == _FRAMED) != (frame_length > 0):
        raise IntegrityError("header", "the content type and the frame length do not fit")
    if frame_length > MAX_UNIT:
        raise IntegrityError("header", "the frames are larger than can be held back")
    commitment = reader.take(32) if version == 2 else b""
    authenticated = raw[: reader.position]
    nonce = reader.take(NONCE_SIZE) if version == 1 else bytes(NONCE_SIZE)
    tag = reader.take(TAG_SIZE)
    return ForeignHeader(
        version, suite_id, suite, message_id, context, edks, frame_length, commitment, nonce, tag,
        raw[: reader.position], authenticated,
    )  # fmt: skip


def open_foreign_header(header: ForeignHeader, data_key: bytes, required: Context = EMPTY) -> AESGCM:
    """Verify a header and return what opens its body; raises `IntegrityError` header."""
    aead = AESGCM(_message_key(header, data_key))
    try:
        aead.decrypt(header.nonce, header.tag, header.authenticated + serialise_context(required))
    except InvalidTag:
        raise IntegrityError("header", "the header does not verify") from None
    return aead


class ForeignOpener:
    """Turns the body of a foreign message into verified plaintext. Same contract as `FrameOpener`."""

    __slots__ = ("_aead", "_done", "_header", "_next", "_pending", "_signature")

    def __init__(self, header: ForeignHeader, data_key: bytes, required: Context = EMPTY) -> None:
        """Verify the header; raises `IntegrityError` header."""
        self._header = header
        self._aead = open_foreign_header(header, data_key, required)
        self._signature = _Signature(header, header.suite.signing) if header.suite.signing else None
        self._pending = bytearray()
        self._next = 1
        self._done = False

    @property
    def frame_count(self) -> int:
        """How many frames were verified."""
        return self._next - 1

    def feed(self, stored: Buffer) -> bytes:
        """Take more bytes of the body (what follows the header); return the plaintext they verify."""
        self._pending += stored
        plaintext: list[bytes] = []
        while not self._done:
            piece = self._open_frame() if self._header.frame_length else self._open_block()
            if piece is None:
                return b"".join(plaintext)
            plaintext.append(piece)
        if self._pending:
            raise IntegrityError("frame", "there are bytes after the message")
        return b"".join(plaintext)

    def finish(self) -> None:
        """Raise `IntegrityError` frame unless the whole message has come and was verified."""
        if not self._done or self._pending:
            raise IntegrityError("frame", "the message ends too early")

    def _open_frame(self) -> bytes | None:
        pending, length = self._pending, self._header.frame_length
        final = int.from_bytes(pending[:4], "big") == _END
        head_size = 24 if final else 16
        if len(pending) < head_size:
            return None
        number = int.from_bytes(pending[4:8] if final else pending[:4], "big")
        if number != self._next:
            raise IntegrityError("frame", "the frames are not in order")
        nonce = bytes(pending[head_size - 16 : head_size - 4] if final else pending[4:16])
        if final:
            actual = int.from_bytes(pending[20:24], "big")
            if actual > length:
                raise IntegrityError("frame", "the final frame is longer than a frame")
            length = actual
        text = b"AWSKMSEncryptionClient Final Frame" if final else b"AWSKMSEncryptionClient Frame"
        plaintext = self._open_unit(head_size, length, nonce, text, final)
        if plaintext is not None:
            self._next += 1
        return plaintext

    def _open_block(self) -> bytes | None:
        pending = self._pending
        if len(pending) < 20:
            return None
        length = int.from_bytes(pending[12:20], "big")
        if length > MAX_UNIT:
            raise IntegrityError("frame", "the unframed body is larger than can be held back")
        return self._open_unit(20, length, bytes(pending[:12]), b"AWSKMSEncryptionClient Single Block", True)

    def _open_unit(self, head: int, length: int, nonce: bytes, text: bytes, last: bool) -> bytes | None:
        pending = self._pending
        end = head + length + TAG_SIZE
        signed_end = end
        if last and self._signature is not None:
            if len(pending) < end + 2:
                return None
            signed_end = end + 2 + int.from_bytes(pending[end : end + 2], "big")
        if len(pending) < signed_end:
            return None
        aad = self._header.message_id + text + self._next.to_bytes(4, "big") + length.to_bytes(8, "big")
        try:
            plaintext = self._aead.decrypt(nonce, bytes(pending[head:end]), aad)
        except InvalidTag:
            raise IntegrityError("frame", f"frame {self._next} does not verify") from None
        if self._signature is not None:
            self._signature.update(bytes(pending[:end]))
            if last:
                self._signature.verify(bytes(pending[end + 2 : signed_end]))
        del pending[:signed_end]
        self._done = last
        return plaintext


class _Signature:
    """The ECDSA signature over a whole message, made with a key that the context names."""

    def __init__(self, header: ForeignHeader, signing: Signing) -> None:
        try:
            point = base64.b64decode(header.context.get(PUBLIC_KEY_NAME, ""), validate=True)
            self._key = ec.EllipticCurvePublicKey.from_encoded_point(signing.curve(), point)
        except (binascii.Error, ValueError):
            raise IntegrityError("header", "the message names no usable verification key") from None
        self._algorithm = signing.digest()
        self._hash = hashes.Hash(self._algorithm)
        self._hash.update(header.raw)

    def update(self, signed: bytes) -> None:
        self._hash.update(signed)

    def verify(self, signature: bytes) -> None:
        try:
            self._key.verify(signature, self._hash.finalize(), ec.ECDSA(Prehashed(self._algorithm)))
        except InvalidSignature:
            raise IntegrityError("frame", "the signature of the message does not verify") from None


def _message_key(header: ForeignHeader, data_key: bytes) -> bytes:
    suite = header.suite
    if len(data_key) != suite.key_size:
        raise IntegrityError("header", "the data key has another length")
    if header.version == 2:
        key, commitment = derive_keys(data_key, header.message_id, header.suite_id)
        if not hmac.compare_digest(commitment, header.commitment):
            raise IntegrityError("header", "the message was not written with this data key")
        return key
    if suite.kdf is None:
        return data_key
    info = header.suite_id.to_bytes(2, "big") + header.message_id
    return HKDF(algorithm=suite.kdf(), length=suite.key_size, salt=None, info=info).derive(data_key)

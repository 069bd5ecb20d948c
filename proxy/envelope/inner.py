"""Headers of the messages below the capsule: content, parts and trailers, wrapped by the object's own keys.

They differ in the key, its name, the frame length and what the context says they are for; each has
exactly one form. So they are not parsed: everything that is not a key, an id or a tag is computed and
compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.envelope.context import serialise_context
from proxy.envelope.entropy import Entropy
from proxy.envelope.keyring import KEY_SIZE, NONCE_SIZE, PROVIDER, TAG_SIZE, AesKeyring, aes_info_prefix
from proxy.envelope.message import (
    MESSAGE_ID_SIZE,
    START,
    DataKey,
    OpeningKey,
    SealingKey,
    header_tail,
    open_message,
)
from proxy.errors import IntegrityError

USE_NAME = "s3w-n"
"""The context pair that says what a message is for: `body`, or a part number in five digits."""

_ID_END = len(START) + MESSAGE_ID_SIZE
_WRAPPED_SIZE = KEY_SIZE + TAG_SIZE


@dataclass(frozen=True, slots=True)
class InnerForm:
    """The one form of the header of one kind of inner message."""

    edk_name: str
    use: str
    frame_length: int
    _context: bytes = field(repr=False)
    _middle: bytes = field(repr=False)
    _tail: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Length of the header."""
        wrapped = NONCE_SIZE + 2 + _WRAPPED_SIZE
        return _ID_END + len(self._middle) + wrapped + len(self._tail) + 32 + TAG_SIZE

    def seal(self, wrapping_key: bytes, entropy: Entropy) -> tuple[bytes, SealingKey]:
        """Make such a header with a fresh data key, and the key that seals the body after it."""
        data_key = DataKey(entropy)
        context = {USE_NAME: self.use}
        edk = AesKeyring(PROVIDER, self.edk_name, wrapping_key, entropy).wrap(data_key.plaintext, context)
        return data_key.seal_header(context, (edk,), self.frame_length)

    def open(self, raw: bytes, wrapping_key: bytes) -> OpeningKey:
        """Verify such a header, which `raw` must be as a whole; raises `IntegrityError` header or edk."""
        nonce_start = _ID_END + len(self._middle)
        nonce_end = nonce_start + NONCE_SIZE
        wrapped_end = nonce_end + 2 + _WRAPPED_SIZE
        tail_end = wrapped_end + len(self._tail)
        if (
            len(raw) != self.size
            or raw[: len(START)] != START
            or raw[_ID_END:nonce_start] != self._middle
            or raw[nonce_end : nonce_end + 2] != _WRAPPED_SIZE.to_bytes(2, "big")
            or raw[wrapped_end:tail_end] != self._tail
        ):
            raise IntegrityError("header", f"not the header of a `{self.use}` message")
        try:
            wrapped = raw[nonce_end + 2 : wrapped_end]
            data_key = AESGCM(wrapping_key).decrypt(raw[nonce_start:nonce_end], wrapped, self._context)
        except InvalidTag:
            raise IntegrityError("edk", f"the data key of the `{self.use}` message does not open") from None
        return open_message(data_key, message_id_of(raw), raw[tail_end:-TAG_SIZE], raw[-TAG_SIZE:], raw[:-TAG_SIZE])


def inner_form(edk_name: str, use: str, frame_length: int) -> InnerForm:
    """Compute the form of the header of an inner message."""
    context = serialise_context({USE_NAME: use})
    info = aes_info_prefix(edk_name)
    provider = PROVIDER.encode()
    middle = b"".join(
        (
            len(context).to_bytes(2, "big"),
            context,
            b"\0\1",  # one encrypted data key
            len(provider).to_bytes(2, "big"),
            provider,
            (len(info) + NONCE_SIZE).to_bytes(2, "big"),
            info,
        )
    )
    return InnerForm(edk_name, use, frame_length, context, middle, header_tail(frame_length))


def message_id_of(header: bytes) -> bytes:
    """Return the message id that a header claims."""
    return header[len(START) : _ID_END]

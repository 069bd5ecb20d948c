"""What ties an unfinished upload to what it keeps beside itself on the backend.

Keys that no proxy could get otherwise are sealed. The whole document carries a tag under the object's own keys, so
that it is refused beside any other upload, even one to the same object. No proxy remembers an upload; any of a
fleet that has the secret opens what another one sealed.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.entropy import Entropy
from proxy.envelope.keyring import NONCE_SIZE, TAG_SIZE
from proxy.errors import IntegrityError

MIN_SECRET = 32
"""Bytes a state secret must have at least."""

_SALT = b"s3w/1 state"
_TAG_USE = b"s3w/1 upload"


def upload_tag(keys: ObjectKeys, name: str, document: bytes) -> bytes:
    """Return the tag of what the upload called `name` keeps: 32 bytes, HMAC-SHA256.

    Under a key of its own, from the one of the object's keys that every completion has.
    """
    key = hmac.digest(keys.trailer, _TAG_USE, "sha256")
    raw = name.encode("utf-8", "surrogateescape")
    return hmac.digest(key, struct.pack(">I", len(raw)) + raw + document, "sha256")


def check_upload_tag(tag: bytes, keys: ObjectKeys, name: str, document: bytes) -> None:
    """Raise `IntegrityError` upload-context unless `tag` is that of this upload and document."""
    if not hmac.compare_digest(tag, upload_tag(keys, name, document)):
        raise IntegrityError("upload-context", "the upload context was changed or is that of another upload")


class StateSeal:
    """Seals and opens small state under the configured secrets: the first writes, all read."""

    __slots__ = ("_aeads", "_entropy")

    def __init__(self, secrets: Sequence[bytes], entropy: Entropy) -> None:
        if not secrets or any(len(secret) < MIN_SECRET for secret in secrets):
            raise ValueError(f"a state secret has at least {MIN_SECRET} bytes")
        # HKDF-Extract: a uniform key from a secret of any length, used for nothing else.
        self._aeads = tuple(AESGCM(hmac.digest(_SALT, secret, "sha256")) for secret in secrets)
        self._entropy = entropy

    def seal(self, plaintext: bytes, name: str) -> bytes:
        """Seal bytes that may stand only in the state object called `name`."""
        nonce = self._entropy.random(NONCE_SIZE)
        return nonce + self._aeads[0].encrypt(nonce, plaintext, name.encode())

    def open(self, sealed: bytes, name: str) -> bytes:
        """Open what `seal` made for the same name; raises `IntegrityError` state."""
        if len(sealed) >= NONCE_SIZE + TAG_SIZE:
            for aead in self._aeads:
                try:
                    return aead.decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], name.encode())
                except InvalidTag:
                    continue
        raise IntegrityError("state", "the sealed upload state does not open with any configured secret")

    def __repr__(self) -> str:
        return f"StateSeal(<{len(self._aeads)} secrets>)"

"""The seal on what an unfinished upload keeps beside itself on the backend: keys that no proxy could get otherwise.

No proxy remembers an upload; any of a fleet that has the secret opens what another one sealed.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.envelope.entropy import Entropy
from proxy.envelope.keyring import NONCE_SIZE, TAG_SIZE
from proxy.errors import IntegrityError

MIN_SECRET = 32
"""Bytes a state secret must have at least."""

_SALT = b"s3w/1 state"


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

"""Wrapping a data key with a local key, and unwrapping it again: raw AES and raw RSA keyrings.

An encrypted data key (EDK) says who wrapped it (`provider_id`), with which key (`key_info`) and holds
the result. This module knows the two EDK forms that need nothing but key material; it knows neither
configuration nor key services, which produce and accept the same `Edk`.

Source: https://github.com/awslabs/aws-encryption-sdk-specification/tree/master/framework (raw keyrings)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.envelope.context import Context, serialise_context
from proxy.envelope.entropy import Entropy
from proxy.errors import IntegrityError

PROVIDER = "s3w"
KEY_SIZE = 32
NONCE_SIZE = 12
TAG_SIZE = 16

# Key info of a raw AES EDK: name, tag length in bits, nonce length in bytes, nonce.
_LENGTHS = (128).to_bytes(4, "big") + NONCE_SIZE.to_bytes(4, "big")
_OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


@dataclass(frozen=True, slots=True)
class Edk:
    """An encrypted data key as it stands in a message header."""

    provider_id: str
    key_info: bytes
    ciphertext: bytes


class Keyring(Protocol):
    """One key that wraps data keys. Key services offer the same two verbs asynchronously."""

    def wrap(self, data_key: bytes, context: Context) -> Edk:
        """Wrap `data_key`, bound to `context` (stored and required pairs together) where the key can."""
        ...

    def unwrap(self, edk: Edk, context: Context) -> bytes | None:
        """Return the data key, or None when the EDK names another key.

        Raises `IntegrityError` edk when it names this key and does not open.
        """
        ...


def aes_info_prefix(name: str) -> bytes:
    """Return the key info of a raw AES EDK up to the nonce, which is its end."""
    return name.encode() + _LENGTHS


class AesKeyring:
    """A raw AES-GCM keyring: AES-128, -192 or -256 by the length of `key`."""

    __slots__ = ("_aead", "_entropy", "_info_prefix", "name", "provider_id")

    def __init__(self, provider_id: str, name: str, key: bytes | bytearray, entropy: Entropy) -> None:
        self.provider_id = provider_id
        self.name = name
        self._info_prefix = aes_info_prefix(name)
        self._aead = AESGCM(key)
        self._entropy = entropy

    def wrap(self, data_key: bytes, context: Context) -> Edk:
        """Wrap under a random nonce; the context is authenticated."""
        nonce = self._entropy.random(NONCE_SIZE)
        ciphertext = self._aead.encrypt(nonce, data_key, serialise_context(context))
        return Edk(self.provider_id, self._info_prefix + nonce, ciphertext)

    def unwrap(self, edk: Edk, context: Context) -> bytes | None:
        """Unwrap an EDK made under this provider and key name."""
        prefix = self._info_prefix
        if edk.provider_id != self.provider_id or edk.key_info[: len(prefix)] != prefix:
            return None
        nonce = edk.key_info[len(prefix) :]
        if len(nonce) != NONCE_SIZE:
            return None
        try:
            return self._aead.decrypt(nonce, edk.ciphertext, serialise_context(context))
        except (InvalidTag, ValueError):
            raise IntegrityError("edk", f"the data key wrapped with `{self.name}` does not open") from None

    def __repr__(self) -> str:
        return f"AesKeyring({self.provider_id!r}, {self.name!r})"


class RsaKeyring:
    """A raw RSA keyring with OAEP-SHA256. With a public key alone it can only wrap."""

    __slots__ = ("_info", "_private", "_public", "name", "provider_id")

    def __init__(
        self, provider_id: str, name: str, public: rsa.RSAPublicKey, private: rsa.RSAPrivateKey | None = None
    ) -> None:
        self.provider_id = provider_id
        self.name = name
        self._info = name.encode()
        self._public = public
        self._private = private

    def wrap(self, data_key: bytes, context: Context) -> Edk:
        """Wrap; the context is bound by the header tag of the message, not by RSA."""
        return Edk(self.provider_id, self._info, self._public.encrypt(data_key, _OAEP))

    def unwrap(self, edk: Edk, context: Context) -> bytes | None:
        """Unwrap an EDK made under this provider and key name; None without the private key."""
        if self._private is None or edk.provider_id != self.provider_id or edk.key_info != self._info:
            return None
        try:
            return self._private.decrypt(edk.ciphertext, _OAEP)
        except ValueError:
            raise IntegrityError("edk", f"the data key wrapped with `{self.name}` does not open") from None

    def __repr__(self) -> str:
        return f"RsaKeyring({self.provider_id!r}, {self.name!r})"


def unwrap_any(edks: Iterable[Edk], keyrings: Sequence[Keyring], context: Context) -> bytes:
    """Return the data key from the first EDK that one of the keyrings opens.

    Raises `IntegrityError`: `edk` when a key was named but opened nothing, `key` when none of the keys
    is named at all.
    """
    failure: IntegrityError | None = None
    for edk in edks:
        for keyring in keyrings:
            try:
                data_key = keyring.unwrap(edk, context)
            except IntegrityError as error:
                failure = error
                continue
            if data_key is not None:
                return data_key
    raise failure or IntegrityError("key", "none of the configured keys is named by this message")

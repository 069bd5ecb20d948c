"""The sealed checksum: what a client declared about its plaintext, kept where only the proxy reads it.

A plaintext checksum in clear metadata would tell guessed content from other content.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.entropy import Entropy
from proxy.envelope.keyring import NONCE_SIZE, TAG_SIZE
from proxy.envelope.metadata import decode_value, encode_value
from proxy.errors import IntegrityError

_AAD = b"s3w/1 checksum"
MAX_TEXT = 256
"""A SHA-512 in base64 with its algorithm and type is about 120 characters."""


def seal_checksum(text: str, keys: ObjectKeys, entropy: Entropy) -> str:
    """Seal a text such as `crc32c=yZRlqg==;FULL_OBJECT`; returns the metadata value."""
    nonce = entropy.random(NONCE_SIZE)
    return encode_value(nonce + AESGCM(keys.checksum).encrypt(nonce, text.encode("ascii"), _AAD))


def open_checksum(value: str, keys: ObjectKeys) -> str:
    """Open a metadata value made by `seal_checksum`; raises `IntegrityError` metadata or checksum."""
    raw = decode_value(value)
    if not NONCE_SIZE + TAG_SIZE <= len(raw) <= NONCE_SIZE + TAG_SIZE + MAX_TEXT:
        raise IntegrityError("checksum", "the stored checksum has an impossible length")
    try:
        text = AESGCM(keys.checksum).decrypt(raw[:NONCE_SIZE], raw[NONCE_SIZE:], _AAD)
    except InvalidTag:
        raise IntegrityError("checksum", "the stored checksum does not verify") from None
    return text.decode("ascii")

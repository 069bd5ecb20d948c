"""No nonce is ever used twice under one key, whatever is written.

In GCM a repeated nonce gives away the authentication key, and with it forged frames. The header tag of
a message has a fixed nonce, so a (data key, message id) pair must get one header tag, ever.
"""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.envelope import capsule, checksum, frames, inner, keyring, message, state
from proxy.envelope.capsule import Kind, ObjectKeys, parse_capsule, redraft_capsule
from proxy.envelope.checksum import seal_checksum
from proxy.envelope.context import object_arn
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.keyring import AesKeyring
from proxy.envelope.manifest import seal_trailer
from proxy.envelope.state import StateSeal

ARN = object_arn("bucket", "key")


class Watched:
    """AES-GCM that counts the nonces used for sealing under each key."""

    used: ClassVar[Counter[tuple[bytes, bytes]]] = Counter()

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._aead = AESGCM(key)

    def encrypt(self, nonce, data, aad) -> bytes:
        Watched.used[self._key, bytes(nonce)] += 1
        return self._aead.encrypt(nonce, data, aad)

    def encrypt_into(self, nonce, data, aad, out) -> int:
        Watched.used[self._key, bytes(nonce)] += 1
        return self._aead.encrypt_into(nonce, data, aad, out)

    def decrypt(self, nonce, data, aad) -> bytes:
        return self._aead.decrypt(nonce, data, aad)


@pytest.fixture
def watched(monkeypatch) -> Counter[tuple[bytes, bytes]]:
    Watched.used = Counter()
    for module in (inner, keyring, message, checksum, state):
        monkeypatch.setattr(module, "AESGCM", Watched)
    assert not hasattr(capsule, "AESGCM")
    assert frames.AESGCM is AESGCM  # only as a type: frames get their cipher from `message`
    return Watched.used


def test_no_write_copy_rewrap_retry_or_completion_repeats_a_nonce(watched, writer) -> None:
    writer.entropy = entropy = SystemEntropy()
    writer.keyring = AesKeyring("s3w", "hr@1", bytes(32), entropy)
    for _ in range(3):
        single = writer.single(bytes(200_000))
        writer.multipart([(1, bytes(70_000)), (2, b"x")], spilled=True)
        keys = single.keys
        old, _ = parse_capsule(writer.capsule(Kind.SINGLE, ARN, keys))
        for arn in (ARN, object_arn("bucket", "copy")):
            draft = redraft_capsule(old, arn, keys, entropy)
            draft.seal([writer.keyring.wrap(draft.data_key, draft.context)])
        parts = []
        for _ in range(3):
            _, part = writer.segment(1, bytes(100_000), keys)
            parts.append(part)
        for part in parts:
            seal_trailer([part], spilled=False, keys=keys, entropy=entropy)
            seal_trailer([part], spilled=False, keys=keys, entropy=entropy)
        seal_checksum("crc32c=yZRlqg==;FULL_OBJECT", keys, entropy)
        seal_checksum("crc32c=yZRlqg==;FULL_OBJECT", keys, entropy)
    seal = StateSeal([b"s" * 32], entropy)
    seal.seal(b"x", "name")
    seal.seal(b"x", "name")
    assert len(watched) > 100
    assert set(watched.values()) == {1}


def test_every_message_of_an_object_has_its_own_data_key_and_message_id(writer) -> None:
    keys = ObjectKeys.fresh(writer.entropy)
    messages = [writer.segment(1, b"x", keys)[0] for _ in range(20)]
    messages += [writer.capsule(Kind.SINGLE, ARN, keys) for _ in range(20)]
    assert len({raw[3:35] for raw in messages}) == 40

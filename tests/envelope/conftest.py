"""What the tests of the stored format share: repeatable randomness, keys, whole stored objects."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from proxy.envelope.capsule import Kind, ObjectKeys, draft_capsule
from proxy.envelope.context import EMPTY, Context, object_arn
from proxy.envelope.frames import FrameSealer
from proxy.envelope.keyring import AesKeyring
from proxy.envelope.manifest import Part, seal_trailer
from proxy.envelope.multipart import seal_segment_header
from proxy.envelope.single import envelope_value, seal_body_header


class SeededEntropy:
    """Randomness that a seed decides: SHA-256 over a counter."""

    def __init__(self, seed: str = "seed") -> None:
        self._seed = seed.encode()
        self._count = 0

    def random(self, size: int) -> bytes:
        out = b""
        while len(out) < size:
            out += hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
            self._count += 1
        return out[:size]


@dataclass
class Stored:
    """An object as the backend holds it, and what it was made of."""

    value: str
    body: bytes
    keys: ObjectKeys
    plaintext: bytes
    segments: list[bytes] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    trailer: bytes = b""


@dataclass
class Writer:
    """Writes objects the way the proxy does, all in memory."""

    entropy: SeededEntropy
    keyring: AesKeyring

    def capsule(self, kind: Kind, arn: str, keys: ObjectKeys, context: Context = EMPTY) -> bytes:
        draft = draft_capsule(kind, arn, keys, self.entropy, client_context=context)
        return draft.seal([self.keyring.wrap(draft.data_key, draft.context)])

    def single(self, plaintext: bytes, arn: str = object_arn("bucket", "key"), context: Context = EMPTY) -> Stored:
        keys = ObjectKeys.fresh(self.entropy)
        header, key = seal_body_header(keys, self.entropy)
        sealer = FrameSealer(key)
        body = bytes(sealer.feed(plaintext)) + bytes(sealer.finish())
        return Stored(envelope_value(self.capsule(Kind.SINGLE, arn, keys, context), header), body, keys, plaintext)

    def segment(self, number: int, plaintext: bytes, keys: ObjectKeys) -> tuple[bytes, Part]:
        header, key = seal_segment_header(number, keys, self.entropy)
        sealer = FrameSealer(key)
        raw = header + bytes(sealer.feed(plaintext)) + bytes(sealer.finish())
        return raw, Part(number, len(plaintext), key.message_id)

    def multipart(
        self,
        pieces: Sequence[tuple[int, bytes]],
        *,
        spilled: bool = False,
        arn: str = object_arn("bucket", "key"),
        keys: ObjectKeys | None = None,
    ) -> Stored:
        keys = keys or ObjectKeys.fresh(self.entropy)
        made = [self.segment(number, plaintext, keys) for number, plaintext in pieces]
        segments, parts = [raw for raw, _ in made], [part for _, part in made]
        trailer = seal_trailer(parts, spilled=spilled, keys=keys, entropy=self.entropy)
        value = envelope_value(self.capsule(Kind.MULTIPART, arn, keys))
        plaintext = b"".join(plaintext for _, plaintext in pieces)
        return Stored(value, b"".join(segments) + trailer, keys, plaintext, segments, parts, trailer)


@pytest.fixture
def entropy() -> SeededEntropy:
    return SeededEntropy()


@pytest.fixture
def keyring(entropy: SeededEntropy) -> AesKeyring:
    return AesKeyring("s3w", "hr@1", bytes(range(32)), entropy)


@pytest.fixture
def writer(entropy: SeededEntropy, keyring: AesKeyring) -> Writer:
    return Writer(entropy, keyring)

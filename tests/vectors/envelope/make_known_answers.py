"""Write known-answers.json: stored objects made with randomness that a seed decides.

Format 1 is frozen: the file is made once, and a change that needs it made again breaks stored objects.

    python tests/vectors/envelope/make_known_answers.py
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from proxy.envelope.capsule import Kind, ObjectKeys, draft_capsule
from proxy.envelope.checksum import seal_checksum
from proxy.envelope.context import object_arn
from proxy.envelope.frames import FrameSealer
from proxy.envelope.keyring import AesKeyring
from proxy.envelope.manifest import Part, seal_trailer
from proxy.envelope.message import SealingKey
from proxy.envelope.multipart import mark_part_etag, seal_segment_header
from proxy.envelope.single import envelope_value, seal_body_header
from proxy.s3.state import upload_directory

ARN = object_arn("bucket", "some/kéy")
MASTER = bytes(range(32))
CONTEXT = {"department": "hr"}


class SeededEntropy:
    """SHA-256 over a counter."""

    def __init__(self) -> None:
        self._count = 0

    def random(self, size: int) -> bytes:
        out = b""
        while len(out) < size:
            out += hashlib.sha256(b"s3w known answers" + self._count.to_bytes(8, "big")).digest()
            self._count += 1
        return out[:size]


def plaintext_of(size: int) -> bytes:
    """Repeatable content: the SHA-256 chain of nothing."""
    out, block = b"", b""
    while len(out) < size:
        block = hashlib.sha256(block).digest()
        out += block
    return out[:size]


def body_of(size: int, key: SealingKey) -> bytes:
    sealer = FrameSealer(key)
    return bytes(sealer.feed(plaintext_of(size))) + bytes(sealer.finish())


def stored_form(body: bytes) -> dict[str, object]:
    """Small bodies whole, large ones by their hash."""
    digest = {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    return {**digest, "base64": base64.b64encode(body).decode()} if len(body) < 4096 else digest


def build() -> dict[str, object]:
    entropy = SeededEntropy()
    keyring = AesKeyring("s3w", "hr@1", MASTER, entropy)

    def capsule(kind: Kind, keys: ObjectKeys) -> bytes:
        draft = draft_capsule(kind, ARN, keys, entropy, client_context=CONTEXT)
        return draft.seal([keyring.wrap(draft.data_key, draft.context)])

    singles = []
    for size in (0, 1, 100, 65_536, 65_537, 200_000):
        keys = ObjectKeys.fresh(entropy)
        header, key = seal_body_header(keys, entropy)
        body = body_of(size, key)
        value = envelope_value(capsule(Kind.SINGLE, keys), header)
        checksum = seal_checksum("crc32c=yZRlqg==;FULL_OBJECT", keys, entropy)
        singles.append({"size": size, "metadata": value, "checksum": checksum, "body": stored_form(body)})
    multiparts = []
    for sizes, spilled in (((10,), True), ((100, 0, 50), False), ((65_536, 70_000), False)):
        keys = ObjectKeys.fresh(entropy)
        body, parts, etags = b"", [], []
        for number, size in enumerate(sizes, 1):
            header, key = seal_segment_header(number, keys, entropy)
            parts.append(Part(number, size, key.message_id))
            etags.append(mark_part_etag('"0cc175b9c0f1b6a831c399e269772661"', key.message_id))
            body += header + body_of(size, key)
        body += seal_trailer(parts, spilled=spilled, keys=keys, entropy=entropy)
        value = envelope_value(capsule(Kind.MULTIPART, keys))
        multiparts.append(
            {"sizes": sizes, "spilled": spilled, "metadata": value, "part_etags": etags, "body": stored_form(body)}
        )
    return {
        "arn": ARN,
        "master_key": MASTER.hex(),
        "client_context": CONTEXT,
        "upload_hash": upload_directory("bucket", "some/kéy", "upload-id").split("/")[-2],
        "singles": singles,
        "multiparts": multiparts,
    }


if __name__ == "__main__":
    Path(__file__).with_name("known-answers.json").write_text(json.dumps(build(), indent=2) + "\n")

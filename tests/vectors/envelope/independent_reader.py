"""A second reader of the stored format, written from docs/reference/envelope.md and the SDK's message format alone.

It shares no line with the proxy, so that a mistake which writer and reader there make alike shows here. It
reads; it does not try to be fast, or to bear with anything but the objects of known-answers.json.

    python tests/vectors/envelope/independent_reader.py
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class Cursor:
    """Bytes that are taken from the front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        self.at += size
        assert self.at <= len(self.data), "cut off"
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def field(self) -> bytes:
        return self.take(self.number(2))

    @property
    def is_at_end(self) -> bool:
        return self.at == len(self.data)


def serialised(pairs: dict[bytes, bytes]) -> bytes:
    """Write an encryption context in its one order."""
    if not pairs:
        return b""
    rows = [len(text).to_bytes(2, "big") + text for pair in sorted(pairs.items()) for text in pair]
    return len(pairs).to_bytes(2, "big") + b"".join(rows)


def context_of(raw: bytes) -> dict[bytes, bytes]:
    if not raw:
        return {}
    cursor = Cursor(raw)
    pairs = {cursor.field(): cursor.field() for _ in range(cursor.number(2))}
    assert serialised(pairs) == raw
    return pairs


def open_message(
    cursor: Cursor, name: str, wrapping_key: bytes, required: dict[bytes, bytes] | None = None
) -> tuple[bytes, dict[bytes, bytes]]:
    """Open the message at the cursor; return its plaintext and its stored context."""
    start = cursor.at
    assert cursor.take(3) == bytes.fromhex("020478")
    message_id = cursor.take(32)
    stored = context_of(cursor.field())
    assert cursor.number(2) == 1
    provider, info, wrapped = cursor.field(), cursor.field(), cursor.field()
    assert provider == b"s3w"
    assert info[:-12] == name.encode() + bytes.fromhex("000000800000000c")
    assert cursor.number(1) == 2
    frame_length, commitment = cursor.number(4), cursor.take(32)
    header = cursor.data[start : cursor.at]
    data_key = AESGCM(wrapping_key).decrypt(info[-12:], wrapped, serialised({**stored, **(required or {})}))

    def derived(purpose: bytes) -> bytes:
        return HKDF(hashes.SHA512(), 32, message_id, purpose).derive(data_key)

    assert derived(b"COMMITKEY") == commitment
    cipher = AESGCM(derived(b"\x04\x78DERIVEKEY"))
    cipher.decrypt(bytes(12), cursor.take(16), header + serialised(required or {}))
    plaintext, number = b"", 0
    while True:
        number += 1
        sequence = cursor.number(4)
        is_final = sequence == 0xFFFFFFFF
        assert (cursor.number(4) if is_final else sequence) == number
        nonce = cursor.take(12)
        assert nonce == number.to_bytes(12, "big")
        length = cursor.number(4) if is_final else frame_length
        kind = b"AWSKMSEncryptionClient Final Frame" if is_final else b"AWSKMSEncryptionClient Frame"
        about = message_id + kind + number.to_bytes(4, "big") + length.to_bytes(8, "big")
        plaintext += cipher.decrypt(nonce, cursor.take(length + 16), about)
        if is_final:
            return plaintext, stored


def read(metadata: str, body: bytes, arn: str, name: str, master: bytes) -> tuple[bytes, bytes, dict[bytes, bytes]]:
    """Return plaintext, the key of its checksum, and the client's context of a stored object."""
    cursor = Cursor(base64.b64decode(metadata))
    keys, context = open_message(cursor, name, master, {b"aws:s3:arn": arn.encode()})
    kind = context.pop(b"s3w")
    wrap, tail, checksum = keys[:32], keys[32:64], keys[64:]
    if kind == b"1s":
        message = Cursor(cursor.data[cursor.at :] + body)
        plaintext, use = open_message(message, "body", wrap)
        assert use == {b"s3w-n": b"body"}
        assert message.is_at_end
        assert len(body) == len(plaintext) + 32 * max(1, -(-len(plaintext) // 65_536)) + 8
        return plaintext, checksum, context
    assert kind == b"1m"
    assert cursor.is_at_end
    assert body[-16:-8] == b"S3WTRLR1"
    segments_end = len(body) - 16 - int.from_bytes(body[-8:], "big")
    listing, use = open_message(Cursor(body[segments_end:-16]), "tail", tail)
    assert use == {b"s3w-n": b"00000"}
    rows, segments, plaintext = Cursor(listing), Cursor(body[:segments_end]), b""
    total, count = rows.number(8), rows.number(4)
    for _ in range(count):
        number, size, message_id = rows.number(4), rows.number(8), rows.take(32)
        assert segments.data[segments.at + 3 : segments.at + 35] == message_id
        piece, use = open_message(segments, "part", wrap)
        assert use == {b"s3w-n": b"%05d" % number}
        assert len(piece) == size
        plaintext += piece
    assert segments.is_at_end
    assert not any(listing[rows.at :])
    assert len(plaintext) == total
    return plaintext, checksum, context


def plaintext_of(size: int) -> bytes:
    """Return the content that known answers have: the SHA-256 chain of nothing."""
    out, block = b"", b""
    while len(out) < size:
        block = hashlib.sha256(block).digest()
        out += block
    return out[:size]


def check(known: dict[str, Any], entry: dict[str, Any], body: bytes) -> None:
    """Raise unless a stored object of known-answers.json is what its entry says; `body` is what is stored."""
    assert (len(body), hashlib.sha256(body).hexdigest()) == (entry["body"]["length"], entry["body"]["sha256"])
    master = bytes.fromhex(known["master_key"])
    plaintext, checksum_key, context = read(entry["metadata"], body, known["arn"], "hr@1", master)
    sizes = entry.get("sizes", [entry.get("size")])
    assert plaintext == b"".join(map(plaintext_of, sizes))
    assert {name.decode(): value.decode() for name, value in context.items()} == known["client_context"]
    if "checksum" in entry:
        sealed = base64.b64decode(entry["checksum"])
        text = AESGCM(checksum_key).decrypt(sealed[:12], sealed[12:], b"s3w/1 checksum")
        assert text == b"crc32c=yZRlqg==;FULL_OBJECT"
    if "sizes" in entry:
        count, total = len(sizes) + (not entry["spilled"]), len(plaintext)
        assert len(body) == total + 32 * -(-total // 65_536) + 229 * count + 341 + 48 * count


if __name__ == "__main__":
    answers = json.loads(Path(__file__).with_name("known-answers.json").read_text())
    for each in [*answers["singles"], *answers["multiparts"]]:
        if "base64" in each["body"]:
            check(answers, each, base64.b64decode(each["body"]["base64"]))

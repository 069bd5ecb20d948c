"""What an encrypted bucket holds, read from the store behind the proxy's back and compared with what clients see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PIECE = 16
"""Bytes that do not occur in ciphertext by chance."""
PIECES = 64


def plaintexts(stored: Any, shown: Any, bucket: str) -> set[bytes]:
    """Prove that nothing of any object's text is stored; return the texts.

    `stored` is a client of the store and `shown` one of the proxy. The bucket keeps versions, so what clients
    overwrote and deleted is looked at as well.
    """
    texts = set()
    for key, version in _versions(stored, bucket):
        of = {"Bucket": bucket, "Key": key, "VersionId": version}
        found = stored.get_object(**of)
        body = found["Body"].read()
        got = shown.get_object(**of)
        text = got["Body"].read()
        assert "s3w" in found["Metadata"], f"{key} is stored without an envelope"
        assert "s3w" not in got["Metadata"], f"{key} shows its envelope"
        assert found["ContentLength"] > len(text), key
        assert not any(piece in body for piece in _pieces(text)), f"{key} is stored in the clear"
        texts.add(text)
    return texts


def _versions(stored: Any, bucket: str) -> Iterator[tuple[str, str]]:
    for page in stored.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for each in page.get("Versions", []):
            yield each["Key"], each["VersionId"]


def _pieces(text: bytes) -> Iterator[bytes]:
    """Return the beginning, the end, and what is between them here and there."""
    if len(text) < PIECE // 2:  # could be there by chance
        return
    last = max(len(text) - PIECE, 0)
    for number in range(PIECES + 1):
        at = last * number // PIECES
        yield text[at : at + PIECE]

"""A bound on what is held in memory of objects that can only be opened whole, however many are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from proxy.envelope.s3ec import MAX_OBJECT
from proxy.errors import S3Error

MAX_HELD = 256 * 2**20
"""Stored bytes of such objects at once; opening one takes up to three times its size for a moment."""


def refuse_large_object(size: int) -> None:
    """Raise `S3Error` NotImplemented for an object of the S3 Encryption Client that nobody could verify in memory."""
    if size > MAX_OBJECT:
        what = f"Objects of the S3 Encryption Client are read and copied up to {MAX_OBJECT} stored bytes"
        raise S3Error("NotImplemented", f"{what}, since nothing of them can be verified before their end.")


class Holding:
    """Counts what is held."""

    def __init__(self) -> None:
        self._held = 0

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Hold an object of `size` stored bytes; raises `S3Error` SlowDown when that would be too much."""
        if self._held + size > MAX_HELD:
            detail = f"{self._held} bytes of objects that other software encrypted are in memory"
            raise S3Error("SlowDown", headers={"Retry-After": "1"}, detail=detail)
        self._held += size
        try:
            yield
        finally:
            self._held -= size

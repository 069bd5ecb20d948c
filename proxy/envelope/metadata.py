"""The two metadata fields this format keeps on stored objects, and their one way to write base64."""

from __future__ import annotations

import base64
import binascii

from proxy.errors import IntegrityError

ENVELOPE_HEADER = "x-amz-meta-s3w"
CHECKSUM_HEADER = "x-amz-meta-s3w-ck"
PREFIX = "x-amz-meta-s3w"
"""No client may set or see metadata whose name starts like this."""


def encode_value(raw: bytes) -> str:
    """Write bytes as a metadata value: standard base64 with padding."""
    return base64.b64encode(raw).decode("ascii")


def decode_value(text: str) -> bytes:
    """Read a metadata value back; raises `IntegrityError` metadata on anything but its canonical form.

    Base64 readers forgive stray bits, white space and padding; a value that may be written in two ways
    is a value that can be changed unnoticed.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise IntegrityError("metadata", "the stored metadata is not base64") from None
    if encode_value(raw) != text:
        raise IntegrityError("metadata", "the stored metadata is not canonical base64")
    return raw

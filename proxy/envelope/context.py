"""Encryption contexts: the authenticated name-value pairs of a message, in canonical bytes.

A context has exactly one serialised form: pairs sorted by the UTF-8 bytes of their names. Parsing
accepts nothing else, so two readers cannot see two contexts in the same bytes.

Source: https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from proxy.errors import IntegrityError, S3Error

Context: TypeAlias = Mapping[str, str]
"""Name-value pairs; the order of the mapping means nothing."""

EMPTY: Context = MappingProxyType({})

MAX_PAIRS = 16
MAX_BYTES = 0xFFFF
"""The length field of a header is 16 bits wide."""

ARN_NAME = "aws:s3:arn"
"""AWS's own name for the pair that binds SSE-KMS data keys to an object."""

# `aws:` and `aws-crypto-` belong to AWS, `s3w` to this format: a client must not forge either.
_RESERVED = ("s3w", "aws:", "aws-crypto-")


def object_arn(bucket: str, key: str) -> str:
    """Name an object as S3 does. A bucket name with `/` would make two objects share one name."""
    if "/" in bucket or not bucket:
        raise S3Error("InvalidBucketName")
    return f"arn:aws:s3:::{bucket}/{key}"


def serialise_context(context: Context) -> bytes:
    """Write the canonical form: nothing for no pairs, else a count and the sorted pairs."""
    if not context:
        return b""
    pieces = [len(context).to_bytes(2, "big")]
    for name, value in sorted((name.encode(), value.encode()) for name, value in context.items()):
        pieces += (len(name).to_bytes(2, "big"), name, len(value).to_bytes(2, "big"), value)
    return b"".join(pieces)


def parse_context(raw: bytes) -> Context:
    """Read a serialised context; raises `IntegrityError` header on anything but the canonical form."""
    if not raw:
        return EMPTY
    count = int.from_bytes(raw[:2], "big")
    if len(raw) < 2 or not 1 <= count <= MAX_PAIRS:
        raise IntegrityError("header", "the encryption context has too few or too many pairs")
    context: dict[str, str] = {}
    previous: bytes | None = None
    position = 2
    for _ in range(count):
        name, position = _take(raw, position)
        value, position = _take(raw, position)
        if previous is not None and name <= previous:
            raise IntegrityError("header", "the pairs of the encryption context are not in canonical order")
        previous = name
        context[_text(name)] = _text(value)
    if position != len(raw):
        raise IntegrityError("header", "the encryption context has bytes after its pairs")
    return MappingProxyType(context)


def check_client_context(context: Context) -> None:
    """Refuse pairs of a client's `x-amz-server-side-encryption-context` that cannot be stored.

    Raises `S3Error` InvalidArgument for reserved names in any letter case, names that differ in letter case
    only, text that is not Unicode, and contexts that would not fit beside the format's own pair.
    """
    if len(context) >= MAX_PAIRS:
        raise S3Error("InvalidArgument", f"The encryption context has more than {MAX_PAIRS - 1} pairs.")
    seen = set()
    for name in context:
        # INVARIANT: condition keys do not know letter case. `AWS:S3:ARN` would stand beside the object's own name,
        # and of two spellings whoever sends both would choose which one a key policy goes by.
        folded = name.casefold()
        if not name or folded.startswith(_RESERVED):
            raise S3Error("InvalidArgument", f"The encryption context must not contain the name `{name}`.")
        if folded in seen:
            raise S3Error(
                "InvalidArgument",
                "Names in the encryption context that differ only in letter case cannot be told apart.",
            )
        seen.add(folded)
    try:
        size = len(serialise_context(context))
    except (UnicodeEncodeError, OverflowError):
        raise S3Error("InvalidArgument", "The encryption context cannot be stored as UTF-8 text.") from None
    if size > MAX_CLIENT_BYTES:
        raise S3Error("InvalidArgument", "The encryption context is too large.")


MAX_CLIENT_BYTES = 2048
"""What S3 allows for user metadata, where the context ends up; the exact limit is checked on the whole."""


def _take(raw: bytes, position: int) -> tuple[bytes, int]:
    end = position + 2
    if end > len(raw):
        raise IntegrityError("header", "the encryption context is cut off")
    stop = end + int.from_bytes(raw[position:end], "big")
    if stop > len(raw):
        raise IntegrityError("header", "the encryption context is cut off")
    return raw[end:stop], stop


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise IntegrityError("header", "the encryption context is not UTF-8 text") from None

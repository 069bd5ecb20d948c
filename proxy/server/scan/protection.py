"""How one stored object is protected, by its metadata and, where they are looked at, its first bytes.

Nothing here is verified: whoever holds the store can write any metadata. It tells what an object claims,
which is what has to be known before keys are changed or policies tightened.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html and
https://github.com/aws/amazon-s3-encryption-client-java (specification/s3-encryption)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from proxy.envelope.foreign import looks_foreign, parse_foreign_header
from proxy.envelope.keyring import Edk
from proxy.envelope.message import MAX_HEADER
from proxy.envelope.metadata import ENVELOPE_HEADER
from proxy.envelope.s3ec import is_client_encrypted, parse_client_object
from proxy.envelope.single import Envelope, parse_envelope
from proxy.envelope.sizes import listed_plain_size
from proxy.errors import IntegrityError
from proxy.s3.headers import Headers

Kind: TypeAlias = Literal[
    "envelope", "damaged", "s3ec-v1", "s3ec-v2", "s3ec-v3", "esdk",
    "sse-c", "sse-kms", "sse-dsse", "sse-s3", "none", "unknown",
]  # fmt: skip
"""What protects an object: this proxy, a client before it, or the store behind it.

`damaged` claims to be the proxy's and cannot be; `unknown` is what the store would not tell about.
"""

KINDS: tuple[Kind, ...] = (
    "envelope", "damaged", "s3ec-v1", "s3ec-v2", "s3ec-v3", "esdk",
    "sse-c", "sse-kms", "sse-dsse", "sse-s3", "none", "unknown",
)  # fmt: skip

START_BYTES = MAX_HEADER
"""How much of an object is read at most to tell what it is."""

_SSE = "x-amz-server-side-encryption"
_SSE_KINDS: Mapping[str, Kind] = {"AES256": "sse-s3", "aws:kms": "sse-kms", "aws:kms:dsse": "sse-dsse"}
_METADATA = "x-amz-meta-"
_CLIENT_VERSIONS: tuple[tuple[str, Kind], ...] = (
    ("x-amz-3", "s3ec-v3"),
    ("x-amz-key-v2", "s3ec-v2"),
    ("x-amz-key", "s3ec-v1"),
)


@dataclass(frozen=True, slots=True)
class Protection:
    """What protects an object."""

    kind: Kind
    edks: tuple[Edk, ...] = ()
    """Of an envelope or an Encryption SDK message: who wrapped its data key."""
    sse: str = ""
    """The store's own encryption, as HEAD says: `AES256`, `aws:kms`."""
    sse_key: str = ""
    """The key of the store's own encryption."""
    detail: str = ""
    """Why it is damaged or unknown."""
    named: str = ""
    """The object that an Encryption SDK message says it is: an ARN."""


def read_head(headers: Headers, size: int) -> Protection:
    """Tell how an object is protected that HEAD answered 200 for; `size` is that of its stored bytes."""
    sse = headers.joined(_SSE) or ""
    found = Protection(
        _SSE_KINDS.get(sse, "none" if not sse else "unknown"),
        sse=sse,
        sse_key=headers.joined(f"{_SSE}-aws-kms-key-id") or "",
        detail=f"the store names an encryption that is not known here: {sse}" if sse and sse not in _SSE_KINDS else "",
    )
    if headers.joined(f"{_SSE}-customer-algorithm"):
        found = replace(found, kind="sse-c")
    values = headers.get_all(ENVELOPE_HEADER)
    if values:
        return _envelope(found, values, size, headers.joined("etag") or "")
    metadata = {
        name.removeprefix(_METADATA): headers.joined(name) or ""
        for name in headers.names()
        if name.startswith(_METADATA)
    }
    if not is_client_encrypted(metadata):
        return found
    kind = next(kind for name, kind in _CLIENT_VERSIONS if name in metadata)
    try:
        if kind != "s3ec-v1":
            parse_client_object(metadata)
    except IntegrityError as error:
        return replace(found, kind=kind, detail=str(error))
    return replace(found, kind=kind)


def read_start(found: Protection, start: bytes) -> Protection:
    """Look at the first `START_BYTES` of an object that no metadata speaks for: is it an Encryption SDK message?"""
    if not looks_foreign(start[:4]):
        return found
    try:
        header = parse_foreign_header(start)
    except IntegrityError:
        # Four bytes may be chance; a header that cannot be read is nothing that anybody could open.
        return found
    return replace(found, kind="esdk", edks=header.edks, named=header.context.get("aws:s3:arn", ""))


def worth_a_look(found: Protection, size: int) -> bool:
    """Tell whether the first bytes of an object could say more than its metadata did."""
    return found.kind in ("none", "sse-s3", "sse-kms", "sse-dsse") and size > len(b"\x02\x04\x78")


def _envelope(found: Protection, values: tuple[str, ...], size: int, etag: str) -> Protection:
    try:
        if len(values) != 1:
            raise IntegrityError("metadata", "the envelope is there several times")
        envelope: Envelope = parse_envelope(values[0])
        if listed_plain_size(size, etag) is None:
            raise IntegrityError("frame", f"no object of this kind has {size} bytes")
    except IntegrityError as error:
        return replace(found, kind="damaged", detail=str(error))
    return replace(found, kind="envelope", edks=envelope.capsule.edks)

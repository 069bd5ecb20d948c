"""What authentication found out about a request, and what its signature covers of the body.

A `Claim` is only made after every check passed. It names an access key, not a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Literal

from proxy.auth.chunks import ChunkVerifier
from proxy.errors import S3Error
from proxy.per_request import per_request
from proxy.s3.checksums import EMPTY_SHA256

AuthKind = Literal["REST-HEADER", "REST-QUERY-STRING", "POST"]
"""The values of `s3:authType`."""

SignatureVersion = Literal["AWS4-HMAC-SHA256", "AWS"]
"""The values of `s3:signatureversion`."""


class PayloadMode(Enum):
    """How the body relates to the signature."""

    NONE = "none"
    """Nothing is said about the body (Signature Version 2, anonymous)."""
    SHA256 = "sha256"
    UNSIGNED = "UNSIGNED-PAYLOAD"
    SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    @property
    def aws_chunked(self) -> bool:
        """Tell whether the body is in the aws-chunked encoding."""
        return self in _AWS_CHUNKED

    @property
    def signed_chunks(self) -> bool:
        """Tell whether each chunk carries a signature."""
        return self in _SIGNED_CHUNKS


_SIGNED_CHUNKS = frozenset({PayloadMode.SIGNED_CHUNKS, PayloadMode.SIGNED_CHUNKS_TRAILER})
_AWS_CHUNKED = _SIGNED_CHUNKS | {PayloadMode.UNSIGNED_TRAILER}


@per_request(frozen=True, slots=True)
class PayloadHash:
    """The declared payload hash: `text` as signed (also the value of `s3:x-amz-content-sha256`)."""

    mode: PayloadMode
    text: str = ""

    @property
    def sha256(self) -> str | None:
        """The lower-case hex digest that the body must have, or None."""
        return self.text.lower() if self.mode is PayloadMode.SHA256 else None


NO_PAYLOAD_HASH = PayloadHash(PayloadMode.NONE)

_LITERALS: Mapping[str, PayloadHash] = MappingProxyType(
    {
        EMPTY_SHA256: PayloadHash(PayloadMode.SHA256, EMPTY_SHA256),
        **{mode.value: PayloadHash(mode, mode.value) for mode in PayloadMode if mode.value.isupper()},
    }
)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def parse_payload_hash(text: str, method: str) -> PayloadHash:
    """Read a value of x-amz-content-sha256.

    Raises `S3Error` InvalidArgument for anything S3 does not know, or a streaming form outside of PUT,
    and NotImplemented for the Signature Version 4A forms.
    """
    known = _LITERALS.get(text)
    if known is None:
        if _SHA256.fullmatch(text):
            return PayloadHash(PayloadMode.SHA256, text)
        if text.startswith("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"):
            raise S3Error(
                "NotImplemented", "Signature Version 4A is not implemented.", {"Header": "x-amz-content-sha256"}
            )
        allowed = "UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
        allowed += "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
        raise _bad_payload_hash(f"x-amz-content-sha256 must be {allowed}, or a valid sha256 value.", text)
    if method != "PUT" and known.mode in _AWS_CHUNKED:
        # Only PutObject and UploadPart have bodies that can be streamed.
        raise _bad_payload_hash("x-amz-content-sha256 must be UNSIGNED-PAYLOAD, or a valid sha256 value.", text)
    return known


def _bad_payload_hash(message: str, value: str) -> S3Error:
    return S3Error("InvalidArgument", message, {"ArgumentName": "x-amz-content-sha256", "ArgumentValue": value[:128]})


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Which signatures are taken. `region` matters only when `strict_region` is on."""

    sigv2: bool = True
    strict_region: bool = False
    region: str = "us-east-1"


@per_request(frozen=True, slots=True)
class Claim:
    """Who a request says it is from, proven by its signature.

    All of `kind`, `signature_version` and `access_key_id` are None for an anonymous request.
    """

    kind: AuthKind | None = None
    signature_version: SignatureVersion | None = None
    access_key_id: str | None = None
    region: str | None = None
    """Region of the credential scope; None with Signature Version 2."""
    signed_at: float | None = None
    """Epoch seconds of the signature, where the request says so (for `s3:signatureAge`)."""
    payload: PayloadHash = NO_PAYLOAD_HASH
    chunk_signer: ChunkVerifier | None = None
    """Verifies chunk and trailer signatures; there exactly when `payload.mode.signed_chunks`."""
    plus_is_space: bool = False
    """The client signed a `+` in the query as a space; the query has to be read that way from
    here on, see `canonical.read_plus_as_space`."""


ANONYMOUS = Claim()

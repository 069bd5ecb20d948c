"""The chain of signatures over the chunks of a signed streaming body.

Each signature covers the one before it, the first covers the request's own. The framing around the
chunks is not known here: callers bring SHA-256 digests.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

from hmac import compare_digest, digest

from proxy.errors import S3Error
from proxy.s3.checksums import EMPTY_SHA256


class ChunkSigner:
    """Signs chunks one after another; used as it stands for bodies we send.

    `timestamp` and `scope` (`date/region/s3/aws4_request`) are those of the request, `seed` is its
    signature in hex.
    """

    __slots__ = ("_chunk_prefix", "_key", "_previous", "_trailer_prefix")

    def __init__(self, key: bytes, timestamp: str, scope: str, seed: str) -> None:
        self._key = key
        self._previous = seed
        self._chunk_prefix = f"AWS4-HMAC-SHA256-PAYLOAD\n{timestamp}\n{scope}\n"
        self._trailer_prefix = f"AWS4-HMAC-SHA256-TRAILER\n{timestamp}\n{scope}\n"

    def sign_chunk(self, sha256_hex: str) -> str:
        """Return the signature of the next chunk; the last one is empty and has the digest of nothing."""
        return self._sign(f"{self._chunk_prefix}{self._previous}\n{EMPTY_SHA256}\n{sha256_hex}")

    def sign_trailer(self, sha256_hex: str) -> str:
        r"""Return the signature of the trailer, digested as `name:value\n` lines without the signature's own."""
        return self._sign(f"{self._trailer_prefix}{self._previous}\n{sha256_hex}")

    def _sign(self, string_to_sign: str) -> str:
        self._previous = digest(self._key, string_to_sign.encode(), "sha256").hex()
        return self._previous

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ChunkVerifier:
    """Verifies the chunks of a received body in their order."""

    __slots__ = ("_chain",)

    def __init__(self, key: bytes, timestamp: str, scope: str, seed: str) -> None:
        self._chain = ChunkSigner(key, timestamp, scope, seed)

    def verify_chunk(self, sha256_hex: str, signature: str) -> None:
        """Check the signature of the next chunk. Raises `S3Error` SignatureDoesNotMatch."""
        _compare(self._chain.sign_chunk(sha256_hex), signature)

    def verify_trailer(self, sha256_hex: str, signature: str) -> None:
        """Check the signature of the trailer. Raises `S3Error` SignatureDoesNotMatch."""
        _compare(self._chain.sign_trailer(sha256_hex), signature)

    def __repr__(self) -> str:
        return "ChunkVerifier()"


def _compare(expected: str, provided: str) -> None:
    if not compare_digest(expected.encode(), provided.encode("utf-8", "replace")):
        raise S3Error("SignatureDoesNotMatch", extras={"SignatureProvided": provided}, close=True)

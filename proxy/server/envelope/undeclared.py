"""Objects that the proxy encrypted, in buckets of which the configuration does not say so.

Somebody moved them there past the proxy, or took the bucket's declaration away. Their ciphertext looks like
content to whoever gets it with a 200, so it is never sent, unless the bucket says that this is what it is for.
"""

from __future__ import annotations

from proxy.envelope.metadata import CHECKSUM_HEADER, ENVELOPE_HEADER
from proxy.errors import IntegrityError, S3Error
from proxy.s3.request import S3Request
from proxy.server.exchange import Exchange


def refuse_ciphertext(exchange: Exchange, bucket: str | None = None) -> None:
    """Raise `IntegrityError` undeclared for a marked object of `bucket`, by default the request's own.

    Not where the bucket passes ciphertext.
    """
    if bucket is None and exchange.completed is not None:
        bucket = exchange.completed.request.bucket
    if not passes_ciphertext(exchange, bucket or ""):
        raise undeclared(bucket or "")


def undeclared(bucket: str) -> IntegrityError:
    """Return the error about a marked object of `bucket`."""
    remedy = "declare it with `encryption: {mode: envelope, key: NAME}`, or move the object back to where it was"
    return IntegrityError("undeclared", f"it is encrypted, and the bucket `{bucket}` is not declared so: {remedy}")


def passes_ciphertext(exchange: Exchange, bucket: str) -> bool:
    """Tell whether objects pass a bucket as they are stored, those that the proxy encrypted included."""
    encryption = exchange.rules.config.bucket(bucket).encryption
    return encryption.mode == "forward" and encryption.pass_ciphertext


def refuse_marks(exchange: Exchange, request: S3Request) -> None:
    """Raise `S3Error` InvalidArgument for an upload that would make its object look like one of the proxy's.

    Reading it would be refused, and would look like damage.
    """
    headers = request.headers
    marked = ENVELOPE_HEADER in headers or CHECKSUM_HEADER in headers
    if marked and not passes_ciphertext(exchange, request.bucket or ""):
        message = f"Metadata names that begin with {ENVELOPE_HEADER} are reserved for objects that the proxy encrypts."
        raise S3Error("InvalidArgument", message, close=True)

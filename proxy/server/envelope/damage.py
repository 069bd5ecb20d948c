"""What is said about a stored object that failed verification: to the client, and to the operator."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType

from proxy.errors import IntegrityError, S3Error
from proxy.server.exchange import Exchange

_log = logging.getLogger("s3warden.integrity")

# What a client can do something about; anything else is damage.
_ERRORS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "key": ("KMS.NotFoundException", "The object is encrypted with a key that is not configured here."),
        "s3ec": ("InvalidRequest", "The object cannot be decrypted as an object of the S3 Encryption Client."),
        "undeclared": (
            "AccessDenied",
            "The object is encrypted by the proxy, and its bucket is not declared so: the operator of the proxy has to "
            "set the bucket's encryption to mode envelope.",
        ),
        "unmarked": ("AccessDenied", "The object is not encrypted, as its bucket demands."),
    }
)
_DAMAGED = ("InternalError", "The stored object failed verification and is not released.")


def damaged(exchange: Exchange, error: IntegrityError) -> S3Error:
    """Log a failed verification and return what the client is told."""
    completed = exchange.completed
    what = "an object" if completed is None else f"`{completed.request.bucket}/{completed.request.key or ''}`"
    if completed is not None and completed.request.version_id:
        what += f" (version `{completed.request.version_id}`)"
    if completed is not None and completed.request.operation.copies:
        what = f"the source of {what}, `{completed.request.headers.get('x-amz-copy-source')}`,"
    _log.error("request %s: %s failed verification (%s): %s", exchange.request_id, what, error.where, error)
    code, message = _ERRORS.get(error.where, _DAMAGED)
    return S3Error(code, message, detail=f"integrity: {error.where}: {error}")

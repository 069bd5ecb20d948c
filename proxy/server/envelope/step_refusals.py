"""What a store said to one of several requests that make one operation, as the client is told it."""

from __future__ import annotations

from proxy.errors import S3Error
from proxy.s3.xml import parse_xml

# What a store says of a list of parts that was true when the proxy compared it.
_OVERTAKEN = frozenset({"InvalidPart", "InvalidPartOrder"})


def refusal_of_completion(body: bytes) -> S3Error:
    """Return the error of a completion whose parts the proxy had checked, from the document that refuses it.

    A part that is another one now was written meanwhile: by the client, or by another attempt to complete.
    """
    refusal = refusal_of(400, body)
    return S3Error("OperationAborted", detail=refusal.code) if refusal.code in _OVERTAKEN else refusal


def refusal_of(status: int, body: bytes) -> S3Error:
    """Return the error that a store answered one of several steps with."""
    try:
        code = parse_xml(body).value("Code") or ""
    except S3Error:
        code = ""
    try:
        return S3Error(code)
    except KeyError:
        return S3Error("ServiceUnavailable", detail=f"the upstream answered {status} {code}")

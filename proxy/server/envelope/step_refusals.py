"""What a store said to one of several requests that make one operation, as the client is told it."""

from __future__ import annotations

from proxy.errors import S3Error
from proxy.s3.xml import parse_xml


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

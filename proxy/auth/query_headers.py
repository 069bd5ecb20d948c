"""Headers that a presigned URL carries in its query.

S3 treats `x-amz-meta-color=blue` or `X-Amz-Acl=private` in a presigned query as the header of that name.
A proxy that signs anew with a header must turn them into headers, and decide on them as such.
"""

from __future__ import annotations

import re
from dataclasses import replace

from proxy.errors import S3Error
from proxy.s3.head import RequestHead, parse_query

# Values of the checksum of a body that was not there when the URL was made (aws-sdk-js v3 puts the
# CRC32 of nothing): S3 does not look at them in a query, and so they are dropped.
_IGNORED = re.compile(r"x-amz-checksum-(?!algorithm$|type$|mode$).*|x-amz-sdk-checksum-algorithm")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NAME = re.compile(r"[a-z0-9-]+")


def read_query_headers(
    request: RequestHead, parameters: frozenset[str], others: frozenset[str] = frozenset()
) -> tuple[tuple[tuple[str, str], ...], frozenset[str]]:
    """Return the headers in the query, and the names of all parameters that are not to be forwarded.

    `parameters` are those of the signature itself, `others` lower-case names without `x-amz-` that count
    as headers too. Raises `S3Error` InvalidArgument when a header is there twice with two values, or has a
    value that no header can have.
    """
    found: dict[str, str] = {}
    consumed = set()
    for parameter, text in request.query:
        name = parameter.lower()
        if parameter in parameters:
            consumed.add(parameter)
        elif name.startswith("x-amz-") or name in others:
            consumed.add(parameter)
            if _IGNORED.fullmatch(name):
                continue
            value = text.encode("utf-8", "surrogateescape").decode("latin-1")
            if _FORBIDDEN.search(value) or not _NAME.fullmatch(name):
                raise _refusal(name, "is not a valid header")
            sent = found.get(name, request.headers.joined(name))
            if sent is not None and sent != value:
                raise _refusal(name, "is given twice, with different values")
            found[name] = value
    return tuple((name, value) for name, value in found.items() if name not in request.headers), frozenset(consumed)


def read_plus_as_space(request: RequestHead) -> RequestHead:
    """Return the request with each `+` in its query made a space, for a client that signed it so."""
    query_string = request.query_string.replace("+", "%20")
    return replace(request, query_string=query_string, query=parse_query(query_string))


def _refusal(name: str, problem: str) -> S3Error:
    return S3Error("InvalidArgument", f"The query parameter {name} {problem}.", {"ArgumentName": name})

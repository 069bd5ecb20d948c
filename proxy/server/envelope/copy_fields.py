"""The fields of a copy: what it takes over from its source, and what its request says instead.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
"""

from __future__ import annotations

from proxy.s3.checksum_elements import is_checksum_field
from proxy.s3.forwarding import upstream_headers, without_framing
from proxy.s3.headers import Headers
from proxy.sealing import SSE

_CONTENT = (
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires",
)  # fmt: skip
# About the request, or about how the object is copied; the new object is made by another request.
_OF_COPY = ("x-amz-copy-source", "x-amz-metadata-directive", "x-amz-tagging-directive")


def new_object_fields(headers: Headers, source: Headers, *, forwarded: bool = False) -> dict[str, str]:
    """Return the fields that a new object gets; `forwarded` keeps those of the store's own encryption."""
    asked = upstream_headers(headers)
    replaces = headers.get("x-amz-metadata-directive") == "REPLACE"
    kept = {}
    for name, value in asked.items():
        if name.startswith(_OF_COPY) or is_checksum_field(name) or (name.startswith(SSE) and not forwarded):
            continue
        if not replaces and (name in _CONTENT or name.startswith("x-amz-meta-")):
            continue
        kept[name] = value
    if not replaces:
        for name in source.names():
            if name in _CONTENT or name.startswith("x-amz-meta-"):
                value = source.joined(name) or ""
                kept[name] = without_framing(value) if name == "content-encoding" else value
    return {name: value for name, value in kept.items() if value or name != "content-encoding"}

"""An upload form as the upload it asks for: its fields are the headers of a PutObject.

S3 reads nothing of a form's HTTP headers, and neither do policies here: what the fields say is judged and
sent. A field that no PutObject would take as a header is refused.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from proxy.errors import S3Error
from proxy.s3.address import check_key
from proxy.s3.headers import Headers
from proxy.s3.operation import COMMON_HEADERS, HEADER_FAMILIES
from proxy.s3.operations import OPERATIONS
from proxy.s3.request import S3Request
from proxy.s3.tagging import parse_tagging, render_tagging_header
from proxy.s3.xml import parse_xml

_STORED = frozenset(
    {"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"}
)
# Belong to the form's own signature, or frame a request that is not this one.
_IGNORED = (COMMON_HEADERS | {"x-amz-algorithm", "x-amz-credential", "x-amz-signature"}) - {
    "x-amz-expected-bucket-owner",
    "x-amz-request-payer",
}
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
# RFC 9110 5.5: nothing may end a header field early.
_NOT_IN_VALUES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def form_upload(request: S3Request, fields: Mapping[str, str]) -> S3Request:
    """Return the form's request with the key and the headers that its fields stand for.

    `fields` have lower-case names, each once, with `${filename}` filled in. The operation stays PostObject and
    `head` what was received. Raises `S3Error` InvalidArgument, NotImplemented, or those of keys and tags.
    """
    key = fields.get("key")
    if not key:
        raise _refusal("key", "Bucket POST must contain a field named 'key'.")
    headers = {}
    for name, text in fields.items():
        found = _header(name, text)
        if found is None:
            continue
        header, value = found
        if header in headers:
            raise _refusal(name, f"The fields say {header} twice.")
        if _NOT_IN_VALUES.search(value):
            raise _refusal(name, f"The value of {name} cannot be a header.")
        headers[header] = value
    pairs = ((name.encode("ascii"), value.encode("utf-8", "surrogateescape")) for name, value in headers.items())
    return replace(request, address=replace(request.address, key=check_key(key)), headers=Headers(pairs))


def _header(name: str, value: str) -> tuple[str, str] | None:
    """Return the header a field stands for, None if for none."""
    if name == "acl":
        return "x-amz-acl", value
    if name == "tagging":
        document = parse_xml(value.encode("utf-8", "surrogateescape"))
        return "x-amz-tagging", render_tagging_header(parse_tagging(document))
    if name in _STORED:
        return name, value
    if not name.startswith("x-amz-") or name in _IGNORED:
        return None
    if name not in OPERATIONS["PutObject"].headers and not name.startswith(HEADER_FAMILIES):
        raise S3Error("NotImplemented", f"The form field {name} is not supported.", {"Header": name})
    if not _HEADER_NAME.fullmatch(name):
        raise _refusal(name, f"{name} cannot be the name of a header.")
    return name, value


def _refusal(name: str, message: str) -> S3Error:
    return S3Error("InvalidArgument", message, {"ArgumentName": name})

"""The fields of an upload form, said again as the headers of the PutObject that it amounts to.

Fields of the signature and of the answer have no header. Fields without a meaning for S3 (`submit`, ...) are
left out, as S3 ignores them; a field that looks like one of S3's headers but is none is refused, since
nobody would have been asked about what it does.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import S3Error
from proxy.s3.checksums import PREFIX
from proxy.s3.operation import COMMON_HEADERS, HEADER_FAMILIES
from proxy.s3.operations import OPERATIONS
from proxy.s3.tagging import parse_tagging, render_tagging_header
from proxy.s3.xml import parse_xml

_PLAIN = frozenset({"cache-control", "content-disposition", "content-encoding", "content-type", "expires"})
_OF_SIGNATURE = frozenset(
    {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature"}
)
_AS_FIELD = {"x-amz-expected-bucket-owner", "x-amz-request-payer", "x-amz-sdk-checksum-algorithm"}
# A copy source and whatever frames or signs a request are not among these.
_TAKEN = (OPERATIONS["PutObject"].headers - COMMON_HEADERS) | _AS_FIELD


def form_headers(fields: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the headers (lower-case name, latin-1 value) for fields with lower-case names, in their order.

    Raises `S3Error`: InvalidArgument for a field that cannot be a header, MalformedXML or InvalidTag for
    tags that are none.
    """
    headers = []
    for name, value in fields.items():
        if name == "acl":
            headers.append(("x-amz-acl", _header_value(name, value)))
        elif name == "tagging":
            tags = parse_tagging(parse_xml(value.encode("utf-8")))
            headers.append(("x-amz-tagging", render_tagging_header(tags)))
        elif name in _PLAIN or name in _TAKEN or name.startswith(HEADER_FAMILIES):
            headers.append((name, _header_value(name, value)))
        elif name.startswith("x-amz-") and name not in _OF_SIGNATURE:
            raise _invalid(name, value)
    names = [name for name, _ in headers]
    if len(set(names)) != len(names):
        raise _invalid("acl" if "acl" in fields else "tagging", "given as a field and as a header")
    return tuple(headers)


def _header_value(name: str, value: str) -> str:
    text = value.strip(" \t\r\n")
    if any(character < " " and character != "\t" for character in text) or "\x7f" in text:
        raise _invalid(name, value)
    if not text and name.startswith(PREFIX):
        raise _invalid(name, value)
    return text.encode("utf-8").decode("latin-1")


def _invalid(name: str, value: str) -> S3Error:
    return S3Error(
        "InvalidArgument",
        "The form has a field that an upload cannot have.",
        {"ArgumentName": name, "ArgumentValue": value[:256]},
    )

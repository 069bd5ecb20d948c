"""The header `x-amz-copy-source`: which object a copy reads.

It is decoded once as a form is (`+` is a space, which s5cmd relies on), may start with a slash, and names a
version after a literal `?versionId=`.
Sources by access point ARN are refused: policies here are written for buckets.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html; https://github.com/aws/aws-cli/issues/614
for a plus sign, which S3 does not take for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from proxy.errors import S3Error
from proxy.s3.address import check_bucket_name, check_key, encode_key

_VERSION = "versionId="


@dataclass(frozen=True, slots=True)
class CopySource:
    """The object a copy reads; `key` is decoded, `version_id` is None for the current version."""

    bucket: str
    key: str
    version_id: str | None = None

    def __str__(self) -> str:
        """Return the one spelling of it that goes upstream: what was judged is what is sent."""
        version = "" if self.version_id is None else f"?{_VERSION}{quote(self.version_id, safe='-_.~')}"
        return f"{self.bucket}/{encode_key(self.key)}{version}"


def parse_copy_source(value: str) -> CopySource:
    """Read the header's value; raises `S3Error` InvalidArgument, NotImplemented or those of names and keys."""
    raw, question, query = value.partition("?")
    version_id = None
    if question:
        if not query.startswith(_VERSION):
            raise _invalid(value)
        version_id = _decode(query.removeprefix(_VERSION), value)
        if not version_id or "?" in query or "&" in query:
            raise _invalid(value)
    path = _decode(raw.replace("+", " "), value)
    if path.startswith("arn:"):
        raise S3Error(
            "NotImplemented", "Access points are not supported as a copy source.", {"Header": "x-amz-copy-source"}
        )
    bucket, _, key = path.removeprefix("/").partition("/")
    if not key:
        raise _invalid(value)
    return CopySource(check_bucket_name(bucket), check_key(key), version_id)


def _decode(text: str, value: str) -> str:
    try:
        # Headers are latin-1 text of the bytes received; some clients send UTF-8 without encoding it.
        return unquote_to_bytes(text.encode("latin-1")).decode("utf-8")
    except UnicodeError:
        raise _invalid(value) from None


def _invalid(value: str) -> S3Error:
    return S3Error(
        "InvalidArgument",
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        {"ArgumentName": "x-amz-copy-source", "ArgumentValue": value},
    )

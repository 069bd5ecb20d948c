"""Signature Version 2, in the Authorization header and in presigned URLs.

Old, but not gone: boto3 still makes such URLs by default in the older regions. It covers neither the
host nor most headers, and of the query only what names a sub-resource; `UNSIGNED_QUERY` therefore
lists what may go unsigned, and everything else counts as signed.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from hmac import compare_digest, digest
from operator import itemgetter

from proxy.auth import canonical
from proxy.auth.claim import AuthSettings, Claim, PayloadHash
from proxy.auth.credential import Credential, CredentialLookup, find_credential
from proxy.auth.dates import parse_http_date, write_iso
from proxy.auth.v4 import check_skew, mismatch
from proxy.errors import S3Error
from proxy.s3.address import Address
from proxy.s3.head import RequestHead, percent_decode

PARAMETERS = frozenset({"AWSAccessKeyId", "Signature", "Expires", "x-amz-security-token"})
_ENTITY_HEADERS = frozenset({"content-type", "content-md5"})

UNSIGNED_QUERY = frozenset(
    {
        "AWSAccessKeyId",
        "Signature",
        "Expires",
        "prefix",
        "delimiter",
        "marker",
        "max-keys",
        "encoding-type",
        "list-type",
        "continuation-token",
        "start-after",
        "fetch-owner",
        "key-marker",
        "version-id-marker",
        "upload-id-marker",
        "max-uploads",
        "max-parts",
        "part-number-marker",
        "max-buckets",
        "bucket-region",
        "x-id",
    }
)
"""Parameters that narrow a listing or say nothing. Clients disagree on which sub-resources they sign
(botocore's list lacks `retention`, for one); one that is not signed could be put on another's URL and
turn a PUT of an object into something else, so a request with one does not verify."""


def verify_header(
    request: RequestHead,
    address: Address,
    authorization: str,
    payload: PayloadHash,
    lookup: CredentialLookup,
    settings: AuthSettings,
    now: float,
) -> Claim:
    """Verify `Authorization: AWS access-key:signature`. Raises `S3Error`."""
    check_enabled(settings)
    access_key_id, colon, provided = authorization.removeprefix("AWS ").strip().rpartition(":")
    if not colon or not access_key_id or not provided:
        raise S3Error("InvalidArgument", "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature")
    headers = request.headers
    amz_date = headers.get("x-amz-date")
    date = headers.get("date") or ""
    signed_at = check_skew(parse_http_date(amz_date or date), amz_date or date, now)
    credential = find_credential(access_key_id, headers.get("x-amz-security-token"), lookup, now)
    # With x-amz-date among the signed headers the Date line stays empty.
    _verify(request, address, "" if amz_date else date, {}, credential, provided)
    return Claim("REST-HEADER", "AWS", access_key_id, None, signed_at, payload)


def verify_presigned(
    request: RequestHead,
    address: Address,
    payload: PayloadHash,
    lookup: CredentialLookup,
    settings: AuthSettings,
    now: float,
) -> Claim:
    """Verify a URL with `AWSAccessKeyId`, `Signature` and `Expires`. Raises `S3Error`."""
    check_enabled(settings)
    given: dict[str, str] = {}
    for name, value in request.query:
        if name in PARAMETERS:
            if name in given:
                raise S3Error("InvalidArgument", extras={"ArgumentName": name})
            given[name] = value
    if not (given.get("AWSAccessKeyId") and given.get("Signature") and given.get("Expires")):
        raise S3Error(
            "AccessDenied",
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
        )
    _check_expires(given["Expires"], now)
    access_key_id = given["AWSAccessKeyId"]
    token = given.get("x-amz-security-token", request.headers.get("x-amz-security-token"))
    credential = find_credential(access_key_id, token, lookup, now)
    _verify(request, address, given["Expires"], _signed_query(request), credential, given["Signature"])
    return Claim("REST-QUERY-STRING", "AWS", access_key_id, payload=payload)


def check_enabled(settings: AuthSettings) -> None:
    """Refuse Version 2 when it is switched off, in the words that AWS's newer regions use. Raises `S3Error`."""
    if not settings.sigv2:
        raise S3Error(
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        )


def _check_expires(text: str, now: float) -> None:
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {text[:64]}")
    if now > int(text):
        raise S3Error(
            "AccessDenied", "Request has expired", {"Expires": write_iso(int(text)), "ServerTime": write_iso(now)}
        )


def _signed_query(request: RequestHead) -> dict[str, list[str]]:
    """Return the query parameters of a presigned URL that were headers when it was signed."""
    found: dict[str, list[str]] = {}
    for parameter, value in request.query:
        name = parameter.lower()
        if name.startswith("x-amz-") or name in _ENTITY_HEADERS:
            found.setdefault(name, []).append(canonical.as_latin1(value))
    return found


def _verify(
    request: RequestHead,
    address: Address,
    date: str,
    query_headers: dict[str, list[str]],
    credential: Credential,
    provided: str,
) -> None:
    head = _head(request, date, query_headers)
    key = credential.secret_access_key.encode()
    first = ""
    for resource in _resources(request, address, bool(query_headers)):
        string_to_sign = head + resource
        expected = b64encode(digest(key, string_to_sign.encode("latin-1", "replace"), "sha1"))
        if compare_digest(expected, provided.encode("utf-8", "replace")):
            return
        first = first or string_to_sign
    raise mismatch(credential.access_key_id, first, provided)


def _head(request: RequestHead, date: str, query_headers: dict[str, list[str]]) -> str:
    """Return everything of the string to sign that comes before the resource."""
    headers = request.headers
    lines = [request.method]
    for name in ("content-md5", "content-type"):
        value = headers.get(name)
        lines.append(value.strip(" \t") if value is not None else "".join(query_headers.get(name, [])))
    lines.append(date)
    amz = {name for name in (*headers.names(), *query_headers) if name.startswith("x-amz-")}
    for name in sorted(amz):
        values = [value.strip(" \t") for value in headers.get_all(name)]
        # Sent both ways it counts twice, and so cannot be what was signed.
        lines.append(f"{name}:{','.join([*values, *query_headers.get(name, [])])}")
    return "\n".join(lines) + "\n"


def _resources(request: RequestHead, address: Address, from_query: bool) -> Iterator[str]:
    """Yield what may have been signed as the resource; the path as received comes first."""
    bucket = f"/{address.bucket}" if address.style == "virtual" and address.bucket else ""
    query = _sub_resources(request, from_query)
    path = canonical.as_latin1(request.path)
    yield f"{bucket}{path}{query}"
    clean = canonical.fallback_path(request.path)
    if clean != path:
        yield f"{bucket}{clean}{query}"
    if address.key is None and address.style == "path" and not path.endswith("/"):
        # S3 takes both for a bucket. botocore sends `/bucket` and signs `/bucket/`; others sign what they send.
        yield f"{path}/{query}"


def _sub_resources(request: RequestHead, from_query: bool) -> str:
    signed = []
    for piece in request.query_string.split("&"):
        raw_name, equals, raw_value = piece.partition("=")
        name = percent_decode(raw_name)
        lower = name.lower()
        if not piece or name in UNSIGNED_QUERY:
            continue
        if from_query and (lower.startswith("x-amz-") or lower in _ENTITY_HEADERS):
            continue
        # Values are signed decoded; `acl=` and `acl` are two different things.
        signed.append((name, f"{name}{equals}{percent_decode(raw_value)}"))
    if not signed:
        return ""
    signed.sort(key=itemgetter(0))
    return canonical.as_latin1("?" + "&".join([text for _, text in signed]))

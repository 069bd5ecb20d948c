"""Who signed this request: finds the one mechanism used and has it verified.

Forms uploaded by browsers carry their signature in the body; see `post_form`.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.auth import presigned, v2, v4
from proxy.auth.claim import (
    ANONYMOUS,
    NO_PAYLOAD_HASH,
    AuthSettings,
    Claim,
    PayloadHash,
    parse_payload_hash,
)
from proxy.auth.credential import CredentialLookup
from proxy.errors import S3Error
from proxy.s3.address import Address
from proxy.s3.head import RequestHead

_V4_QUERY = frozenset(
    {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Expires"}
)
_V2_QUERY = frozenset({"AWSAccessKeyId", "Signature"})
_V4A = "AWS4-ECDSA-P256-SHA256"


def authenticate(
    request: RequestHead,
    address: Address,
    lookup: CredentialLookup,
    settings: AuthSettings,
    now: float,
    hosts: Iterable[str] = (),
) -> Claim:
    """Verify the signature of a request, or find that it has none.

    `now` is in epoch seconds. `hosts` are names beside the `Host` header under which the client may have
    addressed this proxy: what a trusted proxy in front says, and configured public names.
    Raises `S3Error` with AWS's code for everything but a good signature or a request without any.
    """
    authorization = request.headers.get("authorization")
    if not request.query_string and authorization is not None and authorization.startswith("AWS4-HMAC-SHA256 "):
        return v4.verify_header(request, authorization, lookup, settings, now, hosts)
    refuse_unsupported(request)
    mechanisms = [authorization is not None, *_in_query(request)]
    if sum(mechanisms) > 1:
        raise only_one_mechanism()
    if authorization is not None:
        return _from_header(request, address, authorization, lookup, settings, now, hosts)
    if mechanisms[1]:
        return presigned.verify_presigned(request, lookup, settings, now, hosts)
    if mechanisms[2]:
        return v2.verify_presigned(request, address, _loose_payload(request), lookup, settings, now)
    payload = _loose_payload(request)
    return ANONYMOUS if payload is NO_PAYLOAD_HASH else Claim(payload=payload)


def _from_header(
    request: RequestHead,
    address: Address,
    authorization: str,
    lookup: CredentialLookup,
    settings: AuthSettings,
    now: float,
    hosts: Iterable[str],
) -> Claim:
    scheme, _, _ = authorization.partition(" ")
    if scheme == v4.ALGORITHM:
        return v4.verify_header(request, authorization, lookup, settings, now, hosts)
    if scheme == "AWS":
        return v2.verify_header(request, address, authorization, _loose_payload(request), lookup, settings, now)
    # The value could be anyone's token, so it is not repeated as AWS would.
    raise S3Error("InvalidArgument", "Unsupported Authorization Type", {"ArgumentName": "Authorization"})


def _in_query(request: RequestHead) -> tuple[bool, bool]:
    """Tell whether the query carries a Version 4 and a Version 2 signature."""
    has_v4 = has_v2 = False
    for name, _ in request.query:
        has_v4 = has_v4 or name in _V4_QUERY
        has_v2 = has_v2 or name in _V2_QUERY
    return has_v4, has_v2


def is_signed(request: RequestHead) -> bool:
    """Tell whether header or query claim any signature at all; says nothing on whether it is good."""
    return request.headers.joined("authorization") is not None or any(_in_query(request))


def only_one_mechanism() -> S3Error:
    """Make the error for a request signed in two ways at once."""
    return S3Error(
        "InvalidArgument",
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
        "Signature query string parameter or the Authorization header should be specified",
        {"ArgumentName": "Authorization"},
    )


def refuse_unsupported(request: RequestHead) -> None:
    """Refuse Signature Version 4A and S3 Express sessions. Raises `S3Error` NotImplemented."""
    headers = request.headers
    authorization = headers.joined("authorization") or ""
    names = {name.lower() for name, _ in request.query}
    if (
        authorization.startswith(_V4A)
        or "x-amz-region-set" in headers
        or "x-amz-region-set" in names
        or request.query_value("X-Amz-Algorithm") == _V4A
    ):
        raise S3Error("NotImplemented", "Signature Version 4A is not implemented.", {"Header": "Authorization"})
    if "x-amz-s3session-token" in headers or "x-amz-s3session-token" in names:
        raise S3Error("NotImplemented", "S3 Express sessions are not implemented.", {"Header": "x-amz-s3session-token"})


def _loose_payload(request: RequestHead) -> PayloadHash:
    """Return what is said about the body of a request that no Version 4 signature covers."""
    text = request.headers.get("x-amz-content-sha256")
    if text is None:
        return NO_PAYLOAD_HASH
    payload = parse_payload_hash(text, request.method)
    if payload.mode.signed_chunks:
        raise S3Error("InvalidRequest", "Chunk signatures need a request signed with AWS4-HMAC-SHA256.")
    return payload

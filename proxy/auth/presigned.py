"""Signature Version 4 in the query of a presigned URL.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxy.auth import canonical, v4
from proxy.auth.claim import AuthSettings, Claim, PayloadHash, PayloadMode, parse_payload_hash
from proxy.auth.credential import CredentialLookup, find_credential
from proxy.auth.dates import MAX_SKEW_SECONDS, parse_timestamp, write_iso
from proxy.errors import S3Error
from proxy.s3.head import RequestHead

MAX_EXPIRES = 604800
"""Seven days, the most S3 takes."""

REQUIRED = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)
PARAMETERS = frozenset({*REQUIRED, "X-Amz-Security-Token", "X-Amz-Content-Sha256"})
_SCOPE_PREFIX = "Error parsing the X-Amz-Credential parameter; "


def verify_presigned(
    request: RequestHead, lookup: CredentialLookup, settings: AuthSettings, now: float, hosts: Iterable[str] = ()
) -> Claim:
    """Verify a presigned URL. Raises `S3Error`."""
    given = _parameters(request)
    scope = _scope(given["X-Amz-Credential"], settings)
    timestamp = given["X-Amz-Date"]
    signed_at = parse_timestamp(timestamp)
    if signed_at is None:
        raise _bad("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    if scope.date != timestamp[:8]:
        raise _bad(
            f'Invalid credential date "{scope.date}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
        )
    _check_time(signed_at, _lifetime(given["X-Amz-Expires"]), now)
    names = v4.parse_signed_names(given["X-Amz-SignedHeaders"])
    canonical.check_signed_names(request.headers, names)
    token = given.get("X-Amz-Security-Token", request.headers.get("x-amz-security-token"))
    credential = find_credential(scope.access_key_id, token, lookup, now)
    payload = _payload(request, given)
    signed = v4.Signed(scope, timestamp, names, given["X-Amz-Signature"], payload, "X-Amz-Signature")
    plus_is_space = v4.verify_signature(request, signed, credential, hosts)
    return Claim(
        "REST-QUERY-STRING",
        v4.ALGORITHM,
        scope.access_key_id,
        scope.region,
        signed_at,
        payload,
        v4.chunk_verifier(signed, credential),
        plus_is_space,
    )


def _parameters(request: RequestHead) -> Mapping[str, str]:
    given: dict[str, str] = {}
    for name, value in request.query:
        if name in PARAMETERS:
            if name in given:
                raise _bad(f"The {name} parameter must be given only once.")
            given[name] = value
    algorithm = given.get("X-Amz-Algorithm")
    if algorithm is not None and algorithm != v4.ALGORITHM:
        raise _bad('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"')
    if not all(given.get(name) for name in REQUIRED):
        raise _bad(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    return given


def _scope(text: str, settings: AuthSettings) -> v4.Scope:
    try:
        scope = v4.parse_scope(text)
    except v4.ScopeError as error:
        raise _bad(f"{_SCOPE_PREFIX}{error}") from None
    v4.check_region(scope, settings, "AuthorizationQueryParametersError", _SCOPE_PREFIX)
    return scope


def _lifetime(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 18:
        raise _bad("X-Amz-Expires should be a number")
    seconds = int(text)
    if seconds < 0:
        raise _bad("X-Amz-Expires must be non-negative")
    if seconds == 0:
        raise _bad("X-Amz-Expires must be at least 1 second")
    if seconds > MAX_EXPIRES:
        raise _bad(
            "X-Amz-Expires must be less than a week (in seconds); "
            "that is, the given X-Amz-Expires must be less than 604800 seconds"
        )
    return seconds


def _check_time(signed_at: int, lifetime: int, now: float) -> None:
    if signed_at > now + MAX_SKEW_SECONDS:
        raise S3Error("AccessDenied", "Request is not valid yet", {"ServerTime": write_iso(now)})
    if now > signed_at + lifetime:
        raise S3Error(
            "AccessDenied",
            "Request has expired",
            {
                "X-Amz-Expires": str(lifetime),
                "Expires": write_iso(signed_at + lifetime),
                "ServerTime": write_iso(now),
            },
        )


def _payload(request: RequestHead, given: Mapping[str, str]) -> PayloadHash:
    text = given.get("X-Amz-Content-Sha256", request.headers.get("x-amz-content-sha256"))
    if text is None:
        return PayloadHash(PayloadMode.UNSIGNED, PayloadMode.UNSIGNED.value)
    return parse_payload_hash(text, request.method)


def _bad(message: str) -> S3Error:
    return S3Error("AuthorizationQueryParametersError", message)

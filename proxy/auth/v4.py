"""Signature Version 4 in the Authorization header, and what both carriers of it share.

The cost per request matters here: the common case builds one canonical request and compares; other
readings of the same request are tried only when that fails.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Final

from proxy.auth import canonical
from proxy.auth.chunks import ChunkVerifier
from proxy.auth.claim import AuthSettings, Claim, PayloadHash, parse_payload_hash
from proxy.auth.credential import Credential, CredentialLookup, find_credential, signing_key
from proxy.auth.dates import MAX_SKEW_SECONDS, is_date, parse_http_date, parse_timestamp, write_iso, write_timestamp
from proxy.errors import S3Error
from proxy.per_request import per_request
from proxy.s3.head import RequestHead

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SERVICE = "s3"
_TERMINATOR = "aws4_request"
_HEX_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_MALFORMED = "The authorization header is malformed; "


@per_request(frozen=True, slots=True)
class Scope:
    """A parsed `Credential=`: whose key, and for which day and region the signing key was derived."""

    access_key_id: str
    date: str
    region: str
    text: str
    """`date/region/s3/aws4_request`."""


@per_request(frozen=True, slots=True)
class Signed:
    """What a request says about its signature, however it was carried."""

    scope: Scope
    timestamp: str
    names: tuple[str, ...]
    """The signed headers, lower-case and sorted."""
    signature: str
    payload: PayloadHash
    without_parameter: str | None = None
    """Query parameter left out of the canonical query: the signature itself."""


def verify_header(
    request: RequestHead,
    authorization: str,
    lookup: CredentialLookup,
    settings: AuthSettings,
    now: float,
    hosts: Iterable[str] = (),
) -> Claim:
    """Verify a request signed in its `Authorization` header. Raises `S3Error`."""
    headers = request.headers
    # All but the signature repeats from one request of a client to the next.
    repeated, mark, signature = authorization.partition("Signature=")
    if mark and len(repeated) <= 1024 and _HEX_SIGNATURE.fullmatch(signature):
        scope, names = _read_repeated(repeated)
    else:
        scope, names, signature = _read_authorization(authorization)
    if settings.strict_region:
        check_region(scope, settings, "AuthorizationHeaderMalformed", _MALFORMED)
    timestamp, signed_at = _request_time(request, now)
    if scope.date != timestamp[:8]:
        raise S3Error(
            "AuthorizationHeaderMalformed",
            f'{_MALFORMED}Invalid credential date "{scope.date}". '
            f'This date is not the same as X-Amz-Date: "{timestamp[:8]}".',
        )
    payload_text = headers.get("x-amz-content-sha256")
    if payload_text is None:
        raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    payload = parse_payload_hash(payload_text, request.method)
    canonical.check_signed_names(headers, names)
    credential = find_credential(scope.access_key_id, headers.get("x-amz-security-token"), lookup, now)
    signed = Signed(scope, timestamp, names, signature, payload)
    plus_is_space = verify_signature(request, signed, credential, hosts)
    return Claim(
        "REST-HEADER",
        ALGORITHM,
        scope.access_key_id,
        scope.region,
        signed_at,
        payload,
        chunk_verifier(signed, credential),
        plus_is_space=plus_is_space,
    )


@lru_cache(maxsize=4096)
def _read_repeated(text: str) -> tuple[Scope, tuple[str, ...]]:
    """Read the header up to its signature; raises `S3Error`."""
    scope, names, _ = _read_authorization(f"{text}Signature=0")
    return scope, names


def _read_authorization(authorization: str) -> tuple[Scope, tuple[str, ...], str]:
    """Return the scope, the names of the signed headers, and the signature; raises `S3Error`."""
    credential, names, signature = _components(authorization)
    try:
        scope = parse_scope(credential)
    except ScopeError as error:
        raise S3Error("AuthorizationHeaderMalformed", f"{_MALFORMED}{error}") from None
    return scope, parse_signed_names(names), signature


def _components(authorization: str) -> tuple[str, str, str]:
    """Split the header into credential, signed headers and signature; spaces after commas are optional."""
    credential = names = signature = ""
    for component in authorization[len(ALGORITHM) :].split(","):
        name, _, value = component.strip().partition("=")
        if name == "Credential":
            credential = value
        elif name == "SignedHeaders":
            names = value
        elif name == "Signature":
            signature = value
    if not credential or not names or not signature:
        raise S3Error(
            "AuthorizationHeaderMalformed",
            f"{_MALFORMED}the authorization header requires three components: "
            "Credential, SignedHeaders, and Signature.",
        )
    return credential, names, signature


class ScopeError(Exception):
    """A credential scope is not one for S3; carriers put the text into their own error."""


def parse_scope(text: str) -> Scope:
    """Read `access-key/YYYYMMDD/region/s3/aws4_request`. Raises `ScopeError`, or `S3Error` for S3 Express."""
    # Longer ones are nobody's in practice and would only fill the cache.
    return _parse_scope(text) if len(text) <= 256 else _parse_scope.__wrapped__(text)


@lru_cache(maxsize=4096)
def _parse_scope(text: str) -> Scope:
    # Split from the right: some stores have access keys with slashes.
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or not text.isascii():
        raise ScopeError('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    access_key_id, date, region, service, terminator = parts
    if not access_key_id:
        raise ScopeError("a non-empty Access Key (AKID) must be provided in the credential.")
    if not is_date(date):
        raise ScopeError(
            f'incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".'
        )
    if service == "s3express":
        raise S3Error("NotImplemented", "S3 Express sessions are not implemented.", {"Header": "Authorization"})
    if service != _SERVICE:
        raise ScopeError(f'incorrect service "{service}". This endpoint belongs to "s3".')
    if terminator != _TERMINATOR:
        raise ScopeError(f'incorrect terminal "{terminator}". This endpoint uses "aws4_request".')
    return Scope(access_key_id, date, region, f"{date}/{region}/{service}/{terminator}")


def parse_signed_names(text: str) -> tuple[str, ...]:
    """Read `host;x-amz-date`; names are lower-cased and sorted, as they are signed."""
    return _parse_signed_names(text) if len(text) <= 1024 else _parse_signed_names.__wrapped__(text)


@lru_cache(maxsize=2048)
def _parse_signed_names(text: str) -> tuple[str, ...]:
    # Header names are ASCII; others can match nothing and are left as text that cannot.
    return tuple(sorted({name.strip() for name in canonical.as_latin1(text).lower().split(";")} - {""}))


def check_region(scope: Scope, settings: AuthSettings, code: str, prefix: str) -> None:
    """Refuse another region in strict mode, naming the right one so that SDKs can correct themselves."""
    if settings.strict_region and scope.region != settings.region:
        raise S3Error(
            code,
            f"{prefix}the region '{scope.region}' is wrong; expecting '{settings.region}'",
            {"Region": settings.region},
        )


def _request_time(request: RequestHead, now: float) -> tuple[str, int]:
    """Return the time of the request as signed and in epoch seconds, after the check of clock skew."""
    timestamp = request.headers.get("x-amz-date")
    if timestamp is None:
        signed_at = parse_http_date(request.headers.get("date") or "")
        timestamp = "" if signed_at is None else write_timestamp(signed_at)
    else:
        signed_at = parse_timestamp(timestamp)
        if signed_at is None:
            signed_at = parse_http_date(timestamp)
            timestamp = "" if signed_at is None else write_timestamp(signed_at)
    return timestamp, check_skew(signed_at, timestamp, now)


def check_skew(signed_at: int | None, text: str, now: float) -> int:
    """Return `signed_at` if it is within 15 minutes of `now`. Raises `S3Error`."""
    if signed_at is None:
        raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    if abs(now - signed_at) > MAX_SKEW_SECONDS:
        raise S3Error(
            "RequestTimeTooSkewed",
            extras={
                "RequestTime": text,
                "ServerTime": write_iso(now),
                "MaxAllowedSkewMilliseconds": str(MAX_SKEW_SECONDS * 1000),
            },
        )
    return signed_at


def verify_signature(request: RequestHead, signed: Signed, credential: Credential, hosts: Iterable[str]) -> bool:
    """Compare signatures; return whether the client signed `+` in the query as a space.

    Raises `S3Error` SignatureDoesNotMatch with what was computed for the request as received.
    """
    scope = signed.scope
    key = signing_key(credential, scope.date, scope.region)
    prefix = f"{ALGORITHM}\n{signed.timestamp}\n{scope.text}\n"
    provided = signed.signature.encode("utf-8", "replace")

    def is_of(string_to_sign: str) -> bool:
        return compare_digest(digest(key, string_to_sign.encode(), "sha256").hex().encode(), provided)

    received = _as_received(request, signed)
    string_to_sign = prefix + _hashed(received)
    if is_of(string_to_sign):
        return False
    for text, plus_is_space in _other_readings(request, signed, hosts):
        if is_of(prefix + _hashed(text)):
            return plus_is_space
    raise mismatch(credential.access_key_id, string_to_sign, signed.signature, received)


def _hashed(canonical_request: str) -> str:
    return sha256(canonical_request.encode("latin-1", "replace")).hexdigest()


def _as_received(request: RequestHead, signed: Signed) -> str:
    """Return the canonical request, read as the specification says."""
    headers, query = request.headers, request.query_string
    path = canonical.as_latin1(request.path)
    query = canonical.canonical_query(query, omit=signed.without_parameter) if query else ""
    lines = canonical.canonical_headers(headers, signed.names, headers.get("host") or "")
    return f"{request.method}\n{path}\n{query}\n{lines}\n{';'.join(signed.names)}\n{signed.payload.text}"


def _other_readings(request: RequestHead, signed: Signed, hosts: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield what clients sign that send something else, with whether `+` was read as a space."""
    query_string = request.query_string
    omit = signed.without_parameter
    tail = f"\n{';'.join(signed.names)}\n{signed.payload.text}"
    received = request.headers.get("host") or ""
    paths = dict.fromkeys((canonical.as_latin1(request.path), canonical.fallback_path(request.path)))
    queries = {canonical.canonical_query(query_string, omit=omit): False}
    if "+" in query_string:
        queries[canonical.canonical_query(query_string, omit=omit, plus_is_space=True)] = True
    for host in canonical.host_candidates(received, hosts):
        lines = canonical.canonical_headers(request.headers, signed.names, host)
        for path in paths:
            for query, plus_is_space in queries.items():
                yield f"{request.method}\n{path}\n{query}\n{lines}{tail}", plus_is_space


def mismatch(access_key_id: str, string_to_sign: str, provided: str, canonical_request: str = "") -> S3Error:
    """Make SignatureDoesNotMatch as S3 answers it, with secret values cut out of what is shown."""
    extras = {"AWSAccessKeyId": access_key_id}
    string_to_sign = canonical.redact(string_to_sign)
    extras["StringToSign"] = _readable(string_to_sign)
    extras["SignatureProvided"] = provided
    extras["StringToSignBytes"] = string_to_sign.encode("latin-1", "replace").hex(" ")
    if canonical_request:
        canonical_request = canonical.redact(canonical_request)
        extras["CanonicalRequest"] = _readable(canonical_request)
        extras["CanonicalRequestBytes"] = canonical_request.encode("latin-1", "replace").hex(" ")
    return S3Error("SignatureDoesNotMatch", extras=extras)


def _readable(text: str) -> str:
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def chunk_verifier(signed: Signed, credential: Credential) -> ChunkVerifier | None:
    """Return what verifies the chunks that follow, if the request announced signed ones."""
    if not signed.payload.mode.signed_chunks:
        return None
    scope = signed.scope
    key = signing_key(credential, scope.date, scope.region)
    return ChunkVerifier(key, signed.timestamp, scope.text, signed.signature)

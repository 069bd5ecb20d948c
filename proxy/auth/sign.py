"""Signs what the proxy sends: Signature Version 4 for the upstream, in headers or in a URL.

The path and query given must be exactly what will be sent, already percent-encoded. Nothing is sent
from here.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from hmac import digest
from urllib.parse import quote

from proxy.auth.canonical import canonical_query, trim
from proxy.auth.chunks import ChunkSigner
from proxy.auth.credential import Credential, signing_key
from proxy.auth.dates import write_timestamp
from proxy.per_request import per_request

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"

# Headers that clients and proxies on the way may rewrite; botocore leaves out the same ones, and
# accept-encoding is the classic of those that break when signed.
_UNSIGNED_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "baggage",
        "connection",
        "date",
        "expect",
        "forwarded",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-amzn-trace-id",
        "x-forwarded-for",
    }
)


@per_request(frozen=True, slots=True)
class SignedHeaders:
    """What to add to a request, and what signs its chunks if they are to be signed."""

    headers: tuple[tuple[str, str], ...]
    chunk_signer: ChunkSigner | None = None


def sign_v4(
    method: str,
    path: str,
    query: str,
    headers: Iterable[tuple[str, str]],
    payload_hash: str,
    credential: Credential,
    region: str,
    now: float,
) -> SignedHeaders:
    """Sign a request in its headers.

    `headers` are all that will be sent (latin-1 values, `host` among them), without those added here:
    x-amz-date, x-amz-content-sha256, x-amz-security-token, authorization. `payload_hash` is the hex
    digest of the body or one of the constants above.
    """
    timestamp = write_timestamp(now)
    added = [("x-amz-date", timestamp), ("x-amz-content-sha256", payload_hash)]
    if credential.session_token is not None:
        added.append(("x-amz-security-token", credential.session_token))
    lines, names = _canonical_headers([*headers, *added])
    canonical = f"{method}\n{path}\n{canonical_query(query)}\n{lines}\n{names}\n{payload_hash}"
    scope = f"{timestamp[:8]}/{region}/s3/aws4_request"
    key = signing_key(credential, timestamp[:8], region)
    signature = _sign(key, timestamp, scope, canonical)
    added.append(
        (
            "authorization",
            f"AWS4-HMAC-SHA256 Credential={credential.access_key_id}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}",
        )
    )
    signer = None
    if payload_hash in (SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER):
        signer = ChunkSigner(key, timestamp, scope, signature)
    return SignedHeaders(tuple(added), signer)


def presign_v4(
    method: str,
    path: str,
    query: str,
    headers: Sequence[tuple[str, str]],
    credential: Credential,
    region: str,
    now: float,
    expires: int,
    payload_hash: str = UNSIGNED_PAYLOAD,
) -> str:
    """Return the query of a URL good for `expires` seconds (1..604800).

    `headers` must be sent by whoever uses the URL; `host` is among them.
    """
    timestamp = write_timestamp(now)
    scope = f"{timestamp[:8]}/{region}/s3/aws4_request"
    lines, names = _canonical_headers(headers)
    parameters = [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", f"{credential.access_key_id}/{scope}"),
        ("X-Amz-Date", timestamp),
        ("X-Amz-Expires", str(expires)),
        ("X-Amz-SignedHeaders", names),
    ]
    if credential.session_token is not None:
        parameters.append(("X-Amz-Security-Token", credential.session_token))
    if payload_hash != UNSIGNED_PAYLOAD:
        parameters.append(("X-Amz-Content-Sha256", payload_hash))
    unsigned = "&".join(
        [*filter(None, [query]), *(f"{name}={quote(value, safe='-_.~')}" for name, value in parameters)]
    )
    canonical = f"{method}\n{path}\n{canonical_query(unsigned)}\n{lines}\n{names}\n{payload_hash}"
    signature = _sign(signing_key(credential, timestamp[:8], region), timestamp, scope, canonical)
    return f"{unsigned}&X-Amz-Signature={signature}"


def _canonical_headers(headers: Iterable[tuple[str, str]]) -> tuple[str, str]:
    fields: dict[str, str] = {}
    for written, value in headers:
        name = written.lower()
        if name in _UNSIGNED_HEADERS:
            continue
        trimmed = trim(value) if " " in value or "\t" in value else value
        fields[name] = f"{fields[name]},{trimmed}" if name in fields else trimmed
    names = sorted(fields)
    return "".join([f"{name}:{fields[name]}\n" for name in names]), ";".join(names)


def _sign(key: bytes, timestamp: str, scope: str, canonical: str) -> str:
    hashed = sha256(canonical.encode("latin-1")).hexdigest()
    return digest(key, f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashed}".encode(), "sha256").hex()

"""Clients' signatures in all their forms, written from AWS's documents and not from the proxy's code.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html (version 2) and
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from urllib.parse import quote

from tests.journeys.wire import Wire, encode_query

EMPTY = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
REGION = "us-east-1"


@dataclass(frozen=True)
class Key:
    id: str
    secret: str
    token: str | None = None


def amz_date(at: float | None = None) -> str:
    return datetime.fromtimestamp(time.time() if at is None else at, UTC).strftime("%Y%m%dT%H%M%SZ")


def hmac256(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signing_key(secret: str, date: str, region: str = REGION) -> bytes:
    key = f"AWS4{secret}".encode()
    for piece in (date[:8], region, "s3", "aws4_request"):
        key = hmac256(key, piece)
    return key


def scope(date: str, region: str = REGION) -> str:
    return f"{date[:8]}/{region}/s3/aws4_request"


def canonical(wire: Wire, names: Sequence[str], payload: str) -> str:
    """The canonical request."""
    query = encode_query(sorted(wire.query))
    values = "".join(f"{name}:{' '.join((wire.header(name) or '').split())}\n" for name in names)
    return "\n".join([wire.method, wire.path, query, values, ";".join(names), payload])


def signature(wire: Wire, names: Sequence[str], payload: str, key: Key, date: str, region: str = REGION) -> str:
    digest = hashlib.sha256(canonical(wire, names, payload).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope(date, region), digest])
    return hmac256(signing_key(key.secret, date, region), text).hex()


def sign_v4(
    wire: Wire,
    key: Key,
    host: str,
    payload: str | None = None,
    *,
    at: float | None = None,
    region: str = REGION,
) -> Wire:
    """Sign in the Authorization header. `payload` None means the SHA-256 of the body."""
    date = amz_date(at)
    payload = hashlib.sha256(wire.body).hexdigest() if payload is None else payload
    wire = wire.with_header("Host", wire.header("Host") or host)
    wire = wire.with_header("x-amz-date", date).with_header("x-amz-content-sha256", payload)
    if key.token is not None:
        wire = wire.with_header("x-amz-security-token", key.token)
    names = sorted({name.lower() for name, _ in wire.headers})
    found = signature(wire, names, payload, key, date, region)
    credential = f"Credential={key.id}/{scope(date, region)}"
    value = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={';'.join(names)}, Signature={found}"
    return wire.with_header("Authorization", value)


def presign_v4(
    wire: Wire, key: Key, host: str, expires: int = 600, *, at: float | None = None, signed: Sequence[str] = ()
) -> Wire:
    """Sign in the query."""
    date = amz_date(at)
    wire = wire.with_header("Host", wire.header("Host") or host)
    names = sorted({"host", *signed})
    added = [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", f"{key.id}/{scope(date)}"),
        ("X-Amz-Date", date),
        ("X-Amz-Expires", str(expires)),
        ("X-Amz-SignedHeaders", ";".join(names)),
    ]
    if key.token is not None:
        added.append(("X-Amz-Security-Token", key.token))
    wire = wire.with_(query=(*wire.query, *added))
    found = signature(wire, names, UNSIGNED, key, date)
    return wire.with_parameter("X-Amz-Signature", found)


_SIGNED_QUERY_V2 = {
    "acl",
    "uploads",
    "uploadId",
    "partNumber",
    "tagging",
    "versionId",
    "response-content-type",
    "delete",
}


def string_to_sign_v2(wire: Wire, date: str) -> str:
    amz = sorted((n.lower(), v) for n, v in (*wire.headers, *wire.query) if n.lower().startswith("x-amz-"))
    lines = "".join(f"{name}:{value}\n" for name, value in amz)
    chosen = sorted((n, v) for n, v in wire.query if n in _SIGNED_QUERY_V2)
    resource = wire.path + ("?" + "&".join(f"{n}={v}" if v else n for n, v in chosen) if chosen else "")
    md5, kind = wire.header("Content-MD5") or "", wire.header("Content-Type") or ""
    return f"{wire.method}\n{md5}\n{kind}\n{date}\n{lines}{resource}"


def hmac_sha1(secret: str, text: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()


def sign_v2(wire: Wire, key: Key, *, at: float | None = None) -> Wire:
    """Sign the way of before 2014, in the header."""
    date = formatdate(at, usegmt=True)
    wire = wire.with_header("Date", date)
    if key.token is not None:
        wire = wire.with_header("x-amz-security-token", key.token)
    return wire.with_header("Authorization", f"AWS {key.id}:{hmac_sha1(key.secret, string_to_sign_v2(wire, date))}")


def presign_v2(wire: Wire, key: Key, expires: int = 600, *, at: float | None = None) -> Wire:
    """Sign the way of before 2014, in the query."""
    until = str(int((time.time() if at is None else at) + expires))
    if key.token is not None:
        wire = wire.with_parameter("x-amz-security-token", key.token)
    found = hmac_sha1(key.secret, string_to_sign_v2(wire, until))
    return wire.with_(
        query=(*wire.query, ("AWSAccessKeyId", key.id), ("Expires", until), ("Signature", found)),
    )


def chunked(
    wire: Wire,
    key: Key,
    host: str,
    mode: str,
    pieces: Sequence[bytes],
    trailers: Mapping[str, str] | None = None,
    *,
    spoil: str = "",
) -> Wire:
    """Sign and frame an upload in chunks. `spoil` names what is made wrong after signing."""
    length = sum(map(len, pieces))
    wire = wire.with_header("x-amz-decoded-content-length", str(length)).with_header("Content-Encoding", "aws-chunked")
    if trailers:
        wire = wire.with_header("x-amz-trailer", ",".join(trailers))
    wire = sign_v4(wire, key, host, mode)
    date = wire.header("x-amz-date") or ""
    previous = (wire.header("Authorization") or "").rpartition("=")[2]
    secret = signing_key(key.secret, date)
    body = b""
    for number, piece in enumerate((*pieces, b"")):
        extension = ""
        if mode != UNSIGNED_TRAILER:
            digest = hashlib.sha256(piece).hexdigest()
            text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", date, scope(date), previous, EMPTY, digest])
            previous = hmac256(secret, text).hex()
            extension = f";chunk-signature={_spoilt(previous) if spoil == f'signature {number}' else previous}"
        sent = _flipped(piece) if spoil == f"chunk {number}" else piece
        body += f"{len(piece):x}{extension}\r\n".encode() + sent + (b"\r\n" if piece else b"")
    if trailers:
        hashed = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items()))
        body += hashed.replace("\n", "\r\n").encode()
        if mode == SIGNED_TRAILER:
            digest = hashlib.sha256(hashed.encode()).hexdigest()
            text = "\n".join(["AWS4-HMAC-SHA256-TRAILER", date, scope(date), previous, digest])
            found = hmac256(secret, text).hex()
            found = _spoilt(found) if spoil == "trailer signature" else found
            body += f"x-amz-trailer-signature:{found}\r\n".encode()
    return wire.with_(body=body + b"\r\n")


def _spoilt(signature: str) -> str:
    return ("1" if signature[0] == "0" else "0") + signature[1:]


def _flipped(piece: bytes) -> bytes:
    return bytes([piece[0] ^ 1]) + piece[1:]


def multipart(fields: Sequence[tuple[str, str]], content: bytes, *, name: str = "file.txt") -> tuple[bytes, str]:
    """Write a browser's form; returns its body and Content-Type."""
    border = "----walkformborder"
    body = b"".join(
        f'--{border}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields
    )
    body += f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'.encode()
    body += b"Content-Type: text/plain\r\n\r\n" + content + f"\r\n--{border}--\r\n".encode()
    return body, f"multipart/form-data; boundary={border}"


def post_policy(conditions: Sequence[object], *, seconds: float = 600) -> str:
    until = datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return base64.b64encode(json.dumps({"expiration": until, "conditions": list(conditions)}).encode()).decode()


def form_fields_v4(
    bucket: str, name: str, key: Key, *more: tuple[str, str], seconds: float = 600
) -> list[tuple[str, str]]:
    """Fields of a form with a version 4 signature, `more` of them covered by its policy."""
    date = amz_date()
    fields = [
        ("key", name),
        *more,
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", f"{key.id}/{scope(date)}"),
        ("x-amz-date", date),
    ]
    if key.token is not None:
        fields.append(("x-amz-security-token", key.token))
    conditions = [{"bucket": bucket}, *({field: value} for field, value in fields), ["content-length-range", 1, 1000]]
    policy = post_policy(conditions, seconds=seconds)
    found = hmac256(signing_key(key.secret, date), policy).hex()
    return [*fields, ("policy", policy), ("x-amz-signature", found)]


def form_fields_v2(
    bucket: str, name: str, key: Key, *more: tuple[str, str], seconds: float = 600
) -> list[tuple[str, str]]:
    """Fields of a form with a version 2 signature."""
    fields = [("key", name), *more]
    if key.token is not None:
        fields.append(("x-amz-security-token", key.token))
    policy = post_policy([{"bucket": bucket}, *({field: value} for field, value in fields)], seconds=seconds)
    return [*fields, ("AWSAccessKeyId", key.id), ("policy", policy), ("signature", hmac_sha1(key.secret, policy))]


def encode_path(bucket: str, key: str = "") -> str:
    """Percent-encode a path as SDKs do."""
    return f"/{bucket}/{quote(key, safe='/-_.~')}" if key else f"/{bucket}"

"""The canonical form of a request in Signature Version 4, as S3 computes it.

Works on what was received: the path is taken raw, the query is decoded once and encoded again, header
values are trimmed. Text here is latin-1 throughout, so that every byte of a header keeps its value.
Some clients sign a cleaner request than they send; `fallback_path` and the `plus_is_space` argument
are for those.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from urllib.parse import quote_from_bytes, unquote_to_bytes

from proxy.auth.credential import REDACTED
from proxy.errors import S3Error
from proxy.s3.head import RequestHead, parse_query
from proxy.s3.headers import Headers

_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]*")


def as_latin1(text: str) -> str:
    """Return the bytes of a request target as latin-1 text; ASCII, which nearly all are, stays as it is."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def decode_bytes(text: str, *, plus_is_space: bool = False) -> bytes:
    """Percent-decode raw target text once."""
    if plus_is_space:
        text = text.replace("+", " ")
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape"))


def fallback_path(path: str) -> str:
    """Return the path with only unreserved characters and `/` left unencoded, as RFC 3986 would write it.

    For clients that sign this form but send `=`, `(` or `'` as they are.
    """
    return quote_from_bytes(decode_bytes(path), safe="/-_.~")


def canonical_query(query_string: str, *, omit: str | None = None, plus_is_space: bool = False) -> str:
    """Return the query decoded, encoded again and sorted; `omit` is the name left out (the signature)."""
    if not query_string:
        return ""
    pairs = []
    for piece in query_string.split("&"):
        if not piece:
            continue
        name, _, value = piece.partition("=")
        name = _encode_again(name, plus_is_space)
        if name != omit:
            pairs.append((name, _encode_again(value, plus_is_space)))
    # Sorted as pairs: sorting the joined text would put `a-b=` before `a=`.
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs])


def _encode_again(raw: str, plus_is_space: bool) -> str:
    if _UNRESERVED.fullmatch(raw):
        return raw
    return quote_from_bytes(decode_bytes(raw, plus_is_space=plus_is_space), safe="-_.~")


def read_plus_as_space(request: RequestHead) -> RequestHead:
    """Return the request with each `+` in its query made a space, for a client that signed it so."""
    query_string = request.query_string.replace("+", "%20")
    return replace(request, query_string=query_string, query=parse_query(query_string))


def trim(value: str) -> str:
    """Trim a header value and make one space of each run of spaces and tabs."""
    if " " in value or "\t" in value:
        # Not str.split() on the text: it would cut at 0x85 and 0xA0, which are halves of UTF-8 characters.
        return b" ".join(value.encode("latin-1").split()).decode("latin-1")
    return value


def canonical_headers(headers: Headers, names: Iterable[str], host: str) -> str:
    r"""Return the `name:value\n` lines of the signed headers; one that is absent counts as empty."""
    lines = []
    for name in names:
        # libs3 lists `transfer-encoding` without sending it, and S3 takes that.
        value = headers.index.get(name, "") if name != "host" else host
        if not isinstance(value, str) or ((" " in value or "\t" in value) and name != "host"):
            value = ",".join([trim(single) for single in headers.get_all(name)])
        lines.append(f"{name}:{value}\n")
    return "".join(lines)


def host_candidates(received: str, others: Iterable[str]) -> Iterator[str]:
    """Yield what the client may have signed as its host, the likeliest first, each once.

    `others` are names the proxy is known by or was told by a trusted proxy in front. A default port may
    have been added or cut off on the way.
    """
    seen = {received}
    yield received
    known = [received, *others]
    for host in (*known[1:], *(form for name in known for form in _other_port_forms(name))):
        if host not in seen:
            seen.add(host)
            yield host


def _other_port_forms(host: str) -> tuple[str, ...]:
    if not host:
        return ()
    name, colon, port = host.rpartition(":")
    if colon and port in {"80", "443"}:
        return (name,)
    if colon and port.isdecimal():
        return ()
    return (f"{host}:80", f"{host}:443")


def check_signed_names(headers: Headers, names: Iterable[str]) -> None:
    """Refuse a request whose `host` or any `x-amz-*` header is not covered by its signature.

    Whoever got hold of a signed request could add such headers, and this proxy would sign them.
    Raises `S3Error` AccessDenied.
    """
    loose = [name for name in headers.names() if name not in names and name[:6] == "x-amz-"]
    if loose and "x-amz-content-sha256" in loose:
        # Covered all the same: its value is the last line of the canonical request.
        loose.remove("x-amz-content-sha256")
    if "host" not in names:
        loose.insert(0, "host")
    if loose:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            {"HeadersNotSigned": ", ".join(loose)},
        )


# Values that are secrets of the sender: session tokens and customer-provided encryption keys and their digests.
_PRIVATE_NAMES = (
    r"x-amz-security-token|x-amz-s3session-token|authorization|proxy-authorization|cookie"
    r"|x-amz-(?:copy-source-)?server-side-encryption-customer-key(?:-md5)?"
)
_PRIVATE = re.compile(rf"(?im)(^(?:{_PRIVATE_NAMES}):)[^\n]*|((?:(?<=&)|^)(?:{_PRIVATE_NAMES})=)[^&\n]*")


def redact(text: str) -> str:
    """Return a canonical request or string to sign with the values of secret headers and parameters cut out."""
    return _PRIVATE.sub(lambda match: (match[1] or match[2]) + REDACTED, text)

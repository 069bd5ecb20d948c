"""Which header fields pass the proxy, in both directions.

Towards the store only what S3 gives a meaning to: the rest could mean something to that one store, and no
policy was asked about it. What frames or signs a message is made anew for every hop. Towards the client
everything passes that does not belong to the connection or to the store's own host.

Sources: RFC 9110 section 7.6.1 (hop-by-hop), the S3 API reference for the rest.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from proxy.errors import S3Error
from proxy.s3.address import encode_key
from proxy.s3.copy_source import parse_copy_source
from proxy.s3.headers import Headers, NameTable
from proxy.s3.request import S3Request
from proxy.s3.tagging import parse_tagging_header, render_tagging_header

# RFC 9110 7.6.1 and what was hop-by-hop before it.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Headers of HTTP itself that S3 acts on, stores, or offers to policies.
_FORWARDED = frozenset(
    {
        "access-control-request-headers",
        "access-control-request-method",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-md5",
        "content-type",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "origin",
        "range",
        "referer",
        "user-agent",
    }
)
# The signature and the framing of the body are made anew. x-amz-te asks for an MD5 appended to the body, which
# the body's length here would not count.
_REPLACED = frozenset(
    {
        "x-amz-api-version",
        "x-amz-cf-id",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-security-token",
        "x-amz-te",
        "x-amz-trailer",
        "x-amz-user-agent",
    }
)
_NOT_RETURNED = HOP_BY_HOP | {"alt-svc", "date", "server", "set-cookie", "strict-transport-security", "via"}
_BARE_CONNECTIONS = frozenset({"close", "keep-alive"})
_FRAMING_TOKEN = "aws-chunked"  # noqa: S105 - a content coding, not a secret


def upstream_headers(headers: Headers) -> dict[str, str]:
    """Return what goes upstream, lower-case names with fields of the same name joined.

    Without signature, length and framing: who signs and who plans the body add those. Raises `S3Error`
    for a copy source or tags that cannot be read (both leave in the one spelling every store reads
    alike) and for a Connection header that names fields of the request.
    """
    kept: dict[str, str] = {}
    _check_connection(headers)
    for name, value in headers.index.items():
        if name in _FORWARDED or (name[:6] == "x-amz-" and name not in _REPLACED):
            kept[name] = value if isinstance(value, str) else ",".join(value)
    if "content-encoding" in kept:
        _set_or_drop(kept, "content-encoding", without_framing(kept["content-encoding"]))
    if "x-amz-copy-source" in kept:
        kept["x-amz-copy-source"] = str(parse_copy_source(kept["x-amz-copy-source"]))
    if "x-amz-tagging" in kept:
        kept["x-amz-tagging"] = render_tagging_header(parse_tagging_header(kept["x-amz-tagging"]))
    # S3 never compresses an answer; another store or a proxy before it must not either.
    kept["accept-encoding"] = "identity"
    return kept


def without_framing(content_encoding: str) -> str:
    """Return a Content-Encoding without `aws-chunked`, which frames the upload and is not stored."""
    codings = [coding.strip() for coding in content_encoding.split(",")]
    return ",".join(coding for coding in codings if coding and coding.lower() != _FRAMING_TOKEN)


def upstream_path(bucket: str | None, key: str | None, *, virtual_host: bool) -> str:
    """Return the path of a request upstream, percent-encoded as signatures want it."""
    tail = "" if key is None else encode_key(key)
    if bucket is None or virtual_host:
        return f"/{tail}"
    return f"/{bucket}" if key is None else f"/{bucket}/{tail}"


def upstream_query(request: S3Request) -> str:
    """Return the query of a request upstream: what was recognised, encoded anew; no signature, no decoration."""
    if not request.parameters:
        return ""
    return "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in request.parameters.items()
    )


def client_headers(received: Headers, without: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    """Return the fields of an upstream's answer that go to the client, in their order and spelling.

    Left out are `without` (lower-case) and what belongs to the connection. A Location is kept if it names
    no host, since another one would lead clients around the proxy.
    """
    passing = _passing(without)
    kept = [(name, str(value, "latin-1")) for sent, value in received.raw if (name := passing[sent])]
    listed = received.joined("connection")
    if listed is not None and listed.lower() not in _BARE_CONNECTIONS:
        tokens = {token.strip().lower() for token in listed.split(",")}
        kept = [(name, value) for name, value in kept if name.lower() not in tokens]
    if "location" in received or "content-encoding" in received:
        kept = [(name, value) for name, text in kept if (value := _returned(name.lower(), text)) is not None]
    return kept


@lru_cache(maxsize=8)
def _passing(without: frozenset[str]) -> NameTable:
    """Return the table of names that pass, as they are sent; for others it has an empty text."""
    left_out = _NOT_RETURNED | without
    return NameTable(lambda name: "" if name.lower() in left_out else name)


def _returned(name: str, value: str) -> str | None:
    """Return a value as the client gets it, None if it does not."""
    if name == "location":
        return value if value.startswith("/") and not value.startswith("//") else None
    # Stores that do not know the framing keep its name with the object.
    return without_framing(value) or None if name == "content-encoding" else value


def _check_connection(headers: Headers) -> None:
    """Refuse a Connection header that names what was judged: dropping it afterwards would undo the judgement."""
    listed = headers.joined("connection")
    if listed is None:
        return
    for token in listed.split(","):
        name = token.strip().lower()
        if name in _FORWARDED or name.startswith("x-amz-"):
            raise S3Error("BadRequest", f"The header {name} belongs to the request, not to the connection.")


def _set_or_drop(headers: dict[str, str], name: str, value: str) -> None:
    if value:
        headers[name] = value
    else:
        del headers[name]

"""The head of a request as received: method, target, headers, split but not interpreted.

Nothing is decoded and encoded again: signatures are computed over these bytes.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from proxy.per_request import per_request
from proxy.s3.headers import Headers

QueryPairs = tuple[tuple[str, str], ...]


@per_request(frozen=True, slots=True)
class RequestHead:
    """Method, raw path, raw query and headers of one HTTP request.

    `path` starts with `/` and is percent-encoded as received (origin form; scheme, authority and
    fragment of other forms are already cut off). `query_string` is the raw text after `?`, without it.
    `query` holds its (name, value) pairs in order, percent-decoded once (a `+` stays a `+`), with
    undecodable bytes kept as surrogates.
    """

    method: str
    path: str
    query_string: str
    query: QueryPairs
    headers: Headers

    def query_value(self, name: str) -> str | None:
        """Return the first value of a query parameter, or None; names are case-sensitive."""
        for key, value in self.query:
            if key == name:
                return value
        return None

    def has_query(self, name: str) -> bool:
        """Tell whether a query parameter is present, with or without a value."""
        return any(key == name for key, _ in self.query)


def parse_head(method: str, target: str, headers: Headers) -> RequestHead:
    """Split a raw request target. `target` is the ASCII text of the request line, any RFC 9112 form."""
    if not target.startswith("/"):
        target = _origin_form(target)
    target, _, _ = target.partition("#")
    path, _, query_string = target.partition("?")
    return RequestHead(method, path or "/", query_string, parse_query(query_string), headers)


def parse_query(query_string: str) -> QueryPairs:
    """Split on `&` and the first `=`, percent-decode once; empty pieces are dropped, duplicates kept."""
    if not query_string:
        return ()
    pairs = []
    for piece in query_string.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((percent_decode(name), percent_decode(value)))
    return tuple(pairs)


def percent_decode(text: str) -> str:
    """Decode %XX once as UTF-8; bytes that are not UTF-8 become surrogates and so match no policy text."""
    if "%" not in text:
        return text
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def _origin_form(target: str) -> str:
    scheme, separator, rest = target.partition("://")
    if separator and scheme.isalnum():
        slash = rest.find("/")
        return rest[slash:] if slash >= 0 else "/"
    return "/" + target if target != "*" else "/"

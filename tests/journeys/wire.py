"""Requests as bytes: sent as they are, whatever they say, and their answers."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self) -> str:
        """The S3 error code; empty where the body is no error."""
        return self.element("Code") if b"<Error" in self.body else ""

    @property
    def request_id(self) -> str:
        return self.headers["x-amz-request-id"]

    def element(self, name: str) -> str:
        """Return the text of the first element of a name."""
        return next(iter(self.texts(name)), "")

    def texts(self, name: str) -> list[str]:
        tree = ElementTree.fromstring(self.body)  # noqa: S314 - it comes from a process that the test started
        return [each.text or "" for each in tree.iter() if each.tag.rpartition("}")[2] == name]


@dataclass(frozen=True)
class Wire:
    """A request; every `with_*` returns another one."""

    method: str
    path: str
    """Percent-encoded, as it is sent."""
    query: Pairs = ()
    """Decoded."""
    headers: Pairs = ()
    body: bytes = b""
    raw_query: str | None = field(default=None)
    """Sent instead of `query` where the spelling counts."""

    @property
    def target(self) -> str:
        text = self.raw_query if self.raw_query is not None else encode_query(self.query)
        return f"{self.path}?{text}" if text else self.path

    def header(self, name: str) -> str | None:
        return next((value for n, value in self.headers if n.lower() == name.lower()), None)

    def parameter(self, name: str) -> str | None:
        return next((value for n, value in self.query if n == name), None)

    def with_header(self, name: str, value: str) -> Wire:
        kept = tuple((n, v) for n, v in self.headers if n.lower() != name.lower())
        return replace(self, headers=(*kept, (name, value)))

    def without_header(self, name: str) -> Wire:
        return replace(self, headers=tuple((n, v) for n, v in self.headers if n.lower() != name.lower()))

    def with_parameter(self, name: str, value: str) -> Wire:
        return replace(self, query=(*((n, v) for n, v in self.query if n != name), (name, value)))

    def without_parameter(self, name: str) -> Wire:
        return replace(self, query=tuple((n, v) for n, v in self.query if n != name))

    def with_(self, **changes: object) -> Wire:
        return replace(self, **changes)  # type: ignore[arg-type]  # checked by dataclasses

    def edit_header(self, name: str, old: str, new: str) -> Wire:
        value = self.header(name) or ""
        assert old in value, (old, value)
        return self.with_header(name, value.replace(old, new, 1))

    def edit_parameter(self, name: str, old: str, new: str) -> Wire:
        value = self.parameter(name) or ""
        assert old in value, (old, value)
        return replace(self, query=tuple((n, v.replace(old, new, 1) if n == name else v) for n, v in self.query))


def encode_query(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)


def decode_query(text: str) -> Pairs:
    pieces = (piece.partition("=") for piece in text.split("&") if piece)
    return tuple((unquote(name), unquote(value)) for name, _, value in pieces)


def send(endpoint: str, wire: Wire, context: ssl.SSLContext | None = None) -> Answer:
    """Send a request on a connection of its own and read the answer."""
    parts = urlsplit(endpoint)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, port, timeout=30, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.putrequest(wire.method, wire.target, skip_host=True, skip_accept_encoding=True)
        names = {name.lower() for name, _ in wire.headers}
        if "host" not in names:
            connection.putheader("Host", parts.netloc)
        for name, value in wire.headers:
            connection.putheader(name, value.encode())
        if not names & {"content-length", "transfer-encoding"} and (wire.body or wire.method in ("PUT", "POST")):
            connection.putheader("Content-Length", str(len(wire.body)))
        connection.endheaders(wire.body or None)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()

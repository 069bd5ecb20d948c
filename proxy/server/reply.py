"""Answers to clients: head and body written to the socket, with S3's manners.

Header values are latin-1 text that round-trips the store's bytes; aiohttp's own response would encode
them as UTF-8 and change metadata on its way, so heads are written here. A body that cannot be finished
ends the connection: a short read is the only way left to say that an answer is not whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import web

from proxy.clock import Clock
from proxy.s3.checksums import Buffer

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_JOINED = 1 << 14
_BODILESS = frozenset({204, 304})


class ClientReply:
    """Writes one answer to the client's connection."""

    def __init__(self, http: web.BaseRequest, dates: HttpDates) -> None:
        self._http = http
        self._dates = dates
        self._chunked = False
        self._bodiless = False
        self._head = b""
        self.started = False
        """Whether any byte is on the wire: from then on there is no other answer."""
        self.keep_alive = http.keep_alive
        self.sent = 0

    def start(self, status: int, headers: Iterable[tuple[str, str]], length: int | None) -> None:
        """Make the head, which goes out with the first piece of the body.

        `length` is the Content-Length to announce, None when it is unknown.

        `headers` must hold neither Content-Length nor connection-level fields. For HEAD, 204 and 304 no
        body follows whatever the length says.
        """
        self._bodiless = self._http.method == "HEAD" or status in _BODILESS
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if length is not None:
            if status not in _BODILESS:
                lines.append(f"Content-Length: {length}")
        elif not self._bodiless:
            if self._http.version >= (1, 1):
                self._chunked = True
                lines.append("Transfer-Encoding: chunked")
            else:
                self.keep_alive = False
        lines.append(f"Date: {self._dates.now()}")
        if not self.keep_alive:
            lines.append("Connection: close")
        elif self._http.version < (1, 1):
            lines.append("Connection: keep-alive")
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
            raise ValueError("a line break in the head of an answer")
        self._head = (text + "\r\n\r\n").encode("latin-1")

    async def write(self, piece: Buffer) -> None:
        """Write a piece of the body, and wait while the client is slower than we are."""
        if self._bodiless or not piece:
            return
        self.sent += len(piece)
        if self._chunked:
            piece = b"".join((b"%x\r\n" % len(piece), piece, b"\r\n"))
        if self._head:
            head, self._head = self._head, b""
            # One segment for a small answer; a large piece is not worth copying for that.
            if len(piece) <= _JOINED:
                piece = b"".join((head, piece))
            else:
                self._write(head)
        self._write(piece)
        if self._http.protocol.writing_paused:
            await self._http.writer.drain()

    async def finish(self) -> web.StreamResponse:
        """End the body and return the token that aiohttp expects of a handler."""
        end = b"0\r\n\r\n" if self._chunked else b""
        if self._head or end:
            self._write(self._head + end)
            self._head = b""
            await self._http.writer.drain()
        return _KEEP if self.keep_alive else _CLOSE

    def break_off(self) -> None:
        """Cut the connection: the answer under way is not whole and must not look it."""
        transport = self._http.transport
        if transport is not None:
            transport.abort()

    def _write(self, data: Buffer) -> None:
        transport = self._http.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self.started = True
        transport.write(data)


class _Sent(web.StreamResponse):
    """Tells aiohttp that the answer is already on the wire, and whether the connection lives on."""

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


def _sent(keep_alive: bool) -> _Sent:
    token = _Sent()
    token._keep_alive = keep_alive
    return token


_KEEP = _sent(True)
_CLOSE = _sent(False)


class HttpDates:
    """Writes the time of day as RFC 9110 wants it, once a second; SDKs correct their clocks from it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._text = ""

    def now(self) -> str:
        second = int(self._clock.now())
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text

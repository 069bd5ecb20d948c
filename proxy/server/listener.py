"""The data port: aiohttp's low-level server, speaking S3 and nothing else.

Low-level, because aiohttp's application would answer `Expect: 100-continue` and look at routes before
anybody was authenticated. Bodies are not decompressed: what was signed is what is read.

What is no request never reaches the pipeline. It is answered here, in S3's words, and recorded: what the
parser refuses, heads that are too long or never end, and connections beyond the limit.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from proxy.access.connection import Connection, connect
from proxy.config import Limits
from proxy.errors import S3Error
from proxy.s3.xml import error_xml
from proxy.server.patience import SlowReaders
from proxy.server.turns import Turns

Handle = Callable[[web.BaseRequest, Connection], Awaitable[web.StreamResponse]]
Refused = Callable[[Connection, str, S3Error], None]
"""Told the client, the request id, and what was answered."""

KEEPALIVE_SECONDS = 75.0
"""Longer than load balancers keep an idle connection (60 s at AWS), so that they close first."""

HANDSHAKE_SECONDS = 15.0
"""A client that does not come to the end of its TLS handshake is not counted among the connections yet."""

LINGER_SECONDS = 5.0
"""How long the rest of a refused upload is read and thrown away, so that its sender sees the answer."""

READ_BYTES = 1 << 16
MAX_HEADERS = 512
TELL_SECONDS = 10.0
"""A flood of connections is told of this often, or the log would be flooded too."""

_QUOTATION = re.compile(r"[:\n]")
_log = logging.getLogger("s3warden.listener")


class S3Listener(web.Server):
    """Makes a protocol for each connection and knows them all."""

    def __init__(self, handle: Handle, limits: Limits, refused: Refused) -> None:
        super().__init__(
            self._handle,
            handler_cancellation=True,
            auto_decompress=False,
            lingering_time=LINGER_SECONDS,
            read_bufsize=READ_BYTES,
            max_headers=MAX_HEADERS,
            access_log=None,
        )
        self._answer = handle
        self._turned_away = 0
        self._told = -TELL_SECONDS
        self.refused = refused
        self.slow_readers = SlowReaders(self._loop, limits.idle_seconds)
        self.adopt(limits, limits.connections)

    def adopt(self, limits: Limits, connections: int) -> None:
        """Bound the connections that come by these limits; those that are open keep the times they began with."""
        self.limit = connections
        self.head_limit = limits.header_bytes
        self.slow_readers.idle_seconds = limits.idle_seconds
        self._kwargs.update(
            keepalive_timeout=min(KEEPALIVE_SECONDS, limits.idle_seconds),
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
        )

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        connection = http.protocol
        if not isinstance(connection, S3Connection):
            raise TypeError("a request from another server's connection")
        try:
            return await self._answer(http, connection.connection)
        finally:
            connection.answered += 1

    def __call__(self) -> RequestHandler:
        return S3Connection(self, loop=self._loop, **self._kwargs)

    @property
    def is_full(self) -> bool:
        """Whether no further connection may be held."""
        return len(self._connections) >= self.limit

    def turned_away(self) -> None:
        """Tell the operator that a connection was refused, now and then."""
        self._turned_away += 1
        now = self._loop.time()
        if now - self._told >= TELL_SECONDS:
            _log.warning("limits.connections is reached: %d connections were refused", self._turned_away)
            self._turned_away, self._told = 0, now

    def drain(self) -> None:
        """Let go of connections on which nothing is under way; the others go on."""
        for each in list(self._connections):
            if isinstance(each, S3Connection) and each.is_idle:
                each.force_close()


class S3Connection(Turns):
    """One client connection."""

    def __init__(self, manager: S3Listener, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(manager, loop=loop, **kwargs)
        self._listener = manager
        self._unfinished = 0
        """Bytes of a head whose end has not come."""
        self._body: StreamReader = EMPTY_PAYLOAD
        """The body of the last request whose head has come."""
        self.answered = 0
        """How many of its requests have had their answer."""
        self.connection = Connection("", secure=False)
        self.given_up = ""
        """Why the connection was broken off, if it was."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way: its head may be."""
        if self._messages:
            return False
        return self._request_count == 0 or (self._waiter is not None and not self._waiter.done())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look at the socket once, for all requests on it."""
        peer = transport.get_extra_info("peername")
        session = transport.get_extra_info("ssl_object")
        tls = session.version() if isinstance(session, (ssl.SSLObject, ssl.SSLSocket)) else None
        self.connection = connect(str(peer[0]) if peer else "", tls)
        if self._listener.is_full:
            # Never was a connection to aiohttp: nothing to clean up.
            self._listener.turned_away()
            error = S3Error("SlowDown", headers={"Retry-After": "1"})
            refused = cast("asyncio.Transport", transport)  # uvloop's transports are no subclasses
            refused.write(_written(error, secrets.token_hex(8).upper()))
            refused.close()
            return
        super().connection_made(transport)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio keeps the other direction open when told so
        """Tell a client that ends in mid-upload so, and take one that is being answered for gone.

        Closing in peace would wait for the latter to read what is written already, and hold the store meanwhile.
        TLS cannot end in one direction only.
        """
        if self.transport is None:
            return False
        if self._request_count > self.answered and not self._body.is_eof() and not self.connection.secure:
            self._lingering_time = 0  # for what will never come
            self._body.set_exception(EOFError("the client ended the connection before the body"))
            return True
        if self._request_in_progress:
            self.transport.abort()
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection, unless it was refused at once."""
        self._listener.slow_readers.end(self)
        if self.transport is not None or self._task_handler is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and bound those that do not become a request."""
        if self.transport is None:
            return
        before, between = self._request_count, self._body.is_eof()
        super().data_received(data)
        if self._request_count != before:
            self._unfinished = 0
            self._body = self._messages[-1][1]
        elif between:
            self._unfinished += len(data)
            if self._unfinished > self._listener.head_limit:
                limit = str(self._listener.head_limit)
                detail = f"a head of more than {limit} bytes"
                self._refuse(S3Error("RequestHeaderSectionTooLarge", extras={"MaxSizeAllowed": limit}, detail=detail))

    def pause_writing(self) -> None:
        """Begin to watch whether the client reads at all."""
        super().pause_writing()
        self._listener.slow_readers.begin(self)

    def resume_writing(self) -> None:
        """The client has read."""
        self._listener.slow_readers.end(self)
        super().resume_writing()

    def give_up(self, why: str) -> None:
        """Break the connection off."""
        self.given_up = why
        if self.transport is not None:
            self.transport.abort()

    def _process_keepalive(self) -> None:
        """Close an idle connection; one that has begun to ask is told why."""
        due = self._loop.time() >= self._next_keepalive_close_time
        if due and self._unfinished and self._keepalive and self.is_idle:
            self._refuse(S3Error("RequestTimeout", detail="the head of a request did not come to its end in time"))
        else:
            super()._process_keepalive()

    def _refuse(self, error: S3Error) -> None:
        """Answer what will never be a request, unless others are before it, and close."""
        if self.transport is None or self._force_close or self._close:
            return
        if not self.is_idle:
            self.close()
            return
        self.transport.write(_written(error, self._record(error)))
        self.force_close()

    def _record(self, error: S3Error) -> str:
        request_id = secrets.token_hex(8).upper()
        self._listener.refused(self.connection, request_id, error)
        return request_id

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp's parser refused, with S3's words and a closed connection."""
        if not isinstance(exc, HttpProcessingError):
            # A walk that was broken off: it is recorded, and no second answer may follow the first.
            raise ConnectionResetError("the answer could not be finished") from exc
        # Of the parser's message only its first words: what follows quotes the request, secrets included.
        detail = f"no HTTP: {type(exc).__name__}: {_QUOTATION.split(message or exc.message, 1)[0]}"
        if isinstance(exc, LineTooLong):
            problem = S3Error("RequestHeaderSectionTooLarge", detail=detail)
        else:
            problem = S3Error("BadRequest", "An error occurred when parsing the HTTP request.", detail=detail)
        request_id = self._record(problem)
        answer = web.Response(
            status=problem.status, body=_document(problem, request_id), headers=_headers(problem, request_id)
        )
        answer.force_close()
        return answer


def why_gone(http: web.BaseRequest) -> str:
    """Say why a client's connection ended before its answer did."""
    protocol = http.protocol
    return (protocol.given_up if isinstance(protocol, S3Connection) else "") or "the client left"


def _document(error: S3Error, request_id: str) -> bytes:
    return error_xml(error, "", request_id, f"s3warden/{request_id}")


def _headers(error: S3Error, request_id: str) -> dict[str, str]:
    own = {"Content-Type": "application/xml", "Server": "s3warden", "x-amz-request-id": request_id}
    return {**own, "x-amz-id-2": f"s3warden/{request_id}", **error.headers}


def _written(error: S3Error, request_id: str) -> bytes:
    """Write a whole answer after which the connection ends."""
    document = _document(error, request_id)
    fields = {**_headers(error, request_id), "Content-Length": str(len(document)), "Connection": "close"}
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + document

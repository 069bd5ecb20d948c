"""The data port: aiohttp's low-level server, speaking S3 and nothing else.

Low-level, because aiohttp's application would answer `Expect: 100-continue` and look at routes before
anybody was authenticated. Bodies are not decompressed: what was signed is what is read.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from proxy.access.connection import Connection, connect
from proxy.config import Limits
from proxy.errors import S3Error
from proxy.s3.xml import error_xml

Handle = Callable[[web.BaseRequest, Connection], Awaitable[web.StreamResponse]]

KEEPALIVE_SECONDS = 75.0
"""Longer than load balancers keep an idle connection (60 s at AWS), so that they close first."""

LINGER_SECONDS = 5.0
"""How long the rest of a refused upload is read and thrown away, so that its sender sees the answer."""

READ_BYTES = 1 << 16
MAX_HEADERS = 512

_log = logging.getLogger("s3warden.listener")


class S3Listener(web.Server):
    """Makes a protocol for each connection and knows them all."""

    def __init__(self, handle: Handle, limits: Limits) -> None:
        super().__init__(
            self._handle,
            handler_cancellation=True,
            auto_decompress=False,
            keepalive_timeout=min(KEEPALIVE_SECONDS, limits.idle_seconds),
            lingering_time=LINGER_SECONDS,
            read_bufsize=READ_BYTES,
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
            max_headers=MAX_HEADERS,
            access_log=None,
        )
        self._answer = handle
        self.limit = limits.connections

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        protocol = http.protocol
        if not isinstance(protocol, S3Connection):
            raise TypeError("a request from another server's connection")
        return await self._answer(http, protocol.connection)

    def __call__(self) -> RequestHandler:
        return S3Connection(self, loop=self._loop, **self._kwargs)


class S3Connection(RequestHandler):
    """One client connection."""

    def __init__(self, manager: S3Listener, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(manager, loop=loop, **kwargs)
        self._listener = manager
        self.connection = Connection("", secure=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look at the socket once, for all requests on it."""
        if len(self._listener.connections) >= self._listener.limit:
            _log.warning("limits.connections is reached: a connection was refused")
            # Never was a connection to aiohttp: nothing to clean up.
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
            return
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        session = transport.get_extra_info("ssl_object")
        tls = session.version() if isinstance(session, (ssl.SSLObject, ssl.SSLSocket)) else None
        self.connection = connect(str(peer[0]) if peer else "", tls)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection, unless it was refused at once."""
        if self.transport is not None or self._task_handler is not None:
            super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp's parser refused, with S3's words and a closed connection."""
        if request.writer.output_size > 0:
            raise ConnectionResetError("an answer is already under way")
        request_id = secrets.token_hex(8).upper()
        code = "RequestHeaderSectionTooLarge" if isinstance(exc, LineTooLong) else "BadRequest"
        problem = S3Error(code, "" if code != "BadRequest" else "An error occurred when parsing the HTTP request.")
        _log.warning(
            "request %s from %s is no HTTP: %s",
            request_id,
            self.connection.source_ip,
            type(exc).__name__ if exc else "",
        )
        body = error_xml(problem, "", request_id, f"s3warden/{request_id}")
        headers = {"Content-Type": "application/xml", "Server": "s3warden", "x-amz-request-id": request_id}
        answer = web.Response(status=problem.status, body=body, headers=headers)
        answer.force_close()
        return answer

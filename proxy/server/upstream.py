"""The store behind the proxy: one method, `send`, over pooled HTTP/1.1 connections.

Built on aiohttp's response protocol (its C parser, stream reader and flow control) without aiohttp's
client session: no URL is parsed or normalised again, no header is added, nothing is decompressed,
redirected or retried behind the proxy's back. What was signed is what is sent.

An upload that fails half-way closes its connection, so that a store which was promised an exact
Content-Length discards it. A request is sent a second time only when a pooled connection turned out to
be dead before any byte of its answer or of its body was moved.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from aiohttp import ServerDisconnectedError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader

from proxy.errors import S3Error
from proxy.forward import Prepared
from proxy.s3.checksums import Buffer
from proxy.s3.headers import Headers

READ_SIZE = 1 << 16
"""Bytes the stream reader takes before it slows the store down; a transfer holds about twice this."""

MAX_HEADER_BYTES = 1 << 16
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


class UpstreamAnswer(Protocol):
    """What the store answered: the head at once, the body piece by piece."""

    status: int
    headers: Headers

    async def read(self) -> bytes:
        """Return the next piece of the body, `b""` at its end; raises `UpstreamError` if cut short."""
        ...

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it. Safe to repeat."""
        ...


class Upstream(Protocol):
    """The port: anything that can carry a request to the store."""

    async def send(self, request: Prepared) -> UpstreamAnswer:
        """Send a request and return the head of its answer.

        Raises `UpstreamError` when there is none, and whatever the body iterator raised.
        """
        ...


class UpstreamError(Exception):
    """The store could not be reached, or broke off. The text is for the log, not for clients."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the store listens, and how long to wait for it. `tls` is None for plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_seconds: float = 10.0
    idle_seconds: float = 60.0
    keepalive_seconds: float = 5.0
    connections: int = 256
    """Most connections open at a time; further requests wait for one, at most `connect_seconds`."""


class PooledUpstream:
    """Keeps idle connections to one endpoint and sends requests over them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: deque[tuple[float, ResponseHandler]] = deque()
        self._loop = asyncio.get_running_loop()
        self._sweep: asyncio.TimerHandle | None = None
        self._places = asyncio.Semaphore(endpoint.connections)
        self._retired = False

    async def send(self, request: Prepared) -> UpstreamAnswer:
        await self._take_place()
        try:
            return await self._send(request)
        except BaseException:
            self._places.release()
            raise

    async def _send(self, request: Prepared) -> UpstreamAnswer:
        while (connection := self._take_idle()) is not None:
            try:
                return await self._exchange(connection, request)
            except _StaleConnectionError:
                continue
        connection = await self._connect()
        try:
            return await self._exchange(connection, request)
        except _StaleConnectionError as error:
            raise UpstreamError(str(error)) from error

    def retire(self) -> None:
        """Keep no connection any longer; requests under way end in peace."""
        self._retired = True
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            self._idle.pop()[1].close()

    def give_back(self, connection: ResponseHandler, *, reusable: bool) -> None:
        """Take back the place of a connection, and keep one whose last answer was read to the end."""
        self._places.release()
        if not reusable or self._retired:
            connection.abort()
            return
        self._idle.append((self._loop.time() + self._endpoint.keepalive_seconds, connection))
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._endpoint.keepalive_seconds, self._close_expired)

    async def _take_place(self) -> None:
        try:
            async with asyncio.timeout(self._endpoint.connect_seconds):
                await self._places.acquire()
        except TimeoutError as error:
            raise UpstreamError("no free connection: upstream.connections is reached") from error

    def _take_idle(self) -> ResponseHandler | None:
        now = self._loop.time()
        while self._idle:
            expires, connection = self._idle.pop()
            # A store may close first; data on an idle connection is an answer to nothing.
            if expires > now and connection.is_connected() and not connection.should_close:
                return connection
            connection.close()
        return None

    def _close_expired(self) -> None:
        self._sweep = None
        now = self._loop.time()
        while self._idle and self._idle[0][0] <= now:
            self._idle.popleft()[1].close()
        if self._idle:
            self._sweep = self._loop.call_at(self._idle[0][0], self._close_expired)

    async def _connect(self) -> ResponseHandler:
        endpoint = self._endpoint
        try:
            async with asyncio.timeout(endpoint.connect_seconds):
                _, connection = await self._loop.create_connection(
                    lambda: ResponseHandler(self._loop),
                    endpoint.host,
                    endpoint.port,
                    ssl=endpoint.tls,
                    server_hostname=endpoint.host if endpoint.tls else None,
                )
        except (OSError, TimeoutError) as error:
            reason = str(error) or f"no connection within {endpoint.connect_seconds:g} s"
            raise UpstreamError(f"cannot connect to the upstream: {reason}") from error
        return connection

    async def _exchange(self, connection: ResponseHandler, request: Prepared) -> UpstreamAnswer:
        connection.set_response_params(
            skip_payload=request.method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=self._endpoint.idle_seconds,
            read_bufsize=READ_SIZE,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=512,
        )
        head = serialize_head(request)
        if isinstance(request.body, bytes):
            upload = None
            _write(connection, head + request.body if request.body else head)
            connection.start_timeout()
        else:
            _write(connection, head)
            upload = _Upload(connection, request.body, self._endpoint.idle_seconds)
        try:
            message, payload = await _first_answer(connection, upload)
        except BaseException as error:
            connection.abort()
            if upload is not None:
                await upload.stop()
            raise _explain(error, request, upload) from error
        return _Answer(self, connection, message, payload)


class _StaleConnectionError(Exception):
    """The pooled connection died before it carried anything; the request may go over another one."""


class _Upload:
    """Writes a body to the store while the answer is awaited, at the pace the store takes it."""

    def __init__(self, connection: ResponseHandler, body: AsyncIterator[Buffer], idle: float) -> None:
        self.started = False
        self._connection = connection
        self._body = body
        self._idle = idle
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        connection = self._connection
        try:
            async for piece in self._body:
                self.started = True
                _write(connection, piece)
                if connection.writing_paused:
                    async with asyncio.timeout(self._idle):
                        await connection._drain_helper()
            connection.start_timeout()
        except BaseException:
            # The promised length is not reached: only closing tells the store to discard the upload.
            connection.abort()
            raise

    def failure(self) -> BaseException | None:
        """Return why the body could not be produced, if that is what ended the upload."""
        if self.task.done() and not self.task.cancelled():
            error = self.task.exception()
            return error if isinstance(error, S3Error) else None
        return None

    async def stop(self) -> None:
        """End the upload and wait until its body iterator is finished with."""
        self.task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self.task


class _Answer:
    """An answer being read from a connection."""

    __slots__ = ("_connection", "_payload", "_pool", "headers", "status")

    def __init__(
        self, pool: PooledUpstream, connection: ResponseHandler, message: RawResponseMessage, payload: StreamReader
    ) -> None:
        self.status = message.code
        self.headers = Headers(message.raw_headers)
        self._pool = pool
        self._connection: ResponseHandler | None = connection
        self._payload = payload

    async def read(self) -> bytes:
        try:
            return await self._payload.readany()
        except Exception as error:
            raise UpstreamError(f"the upstream broke off its answer: {error}") from error

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        whole = self._payload.is_eof() and connection.is_connected() and not connection.should_close
        self._pool.give_back(connection, reusable=whole)


async def _first_answer(connection: ResponseHandler, upload: _Upload | None) -> tuple[RawResponseMessage, StreamReader]:
    """Wait for the final answer, skipping 1xx, and settle what becomes of an upload still under way."""
    while True:
        message, payload = await connection.read()
        if message.code >= 200 or message.code == 101:
            break
    if upload is not None and not upload.task.done():
        if message.code < 300:
            # A success may only be believed when the whole body was checked and sent.
            await upload.task
        else:
            connection.force_close()
            await upload.stop()
    elif upload is not None:
        upload.task.result()
    return message, payload


def _explain(error: BaseException, request: Prepared, upload: _Upload | None) -> BaseException:
    """Turn what went wrong on the connection into an error of this room; cancellation stays itself."""
    if upload is not None and (failure := upload.failure()) is not None:
        return failure
    if not isinstance(error, Exception):
        return error
    if isinstance(error, S3Error):
        return error
    untouched = upload is None or not upload.started
    if untouched and request.method in _IDEMPOTENT and isinstance(error, (ServerDisconnectedError, OSError)):
        return _StaleConnectionError(f"the upstream closed the connection: {error}")
    if isinstance(error, TimeoutError):
        return UpstreamError("the upstream did not answer in time")
    return UpstreamError(f"the upstream did not answer properly: {error or type(error).__name__}")


def _write(connection: ResponseHandler, data: Buffer) -> None:
    transport = connection.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the upstream closed the connection")
    transport.write(data)


def serialize_head(request: Prepared) -> bytes:
    """Write request line and header fields; a line break inside any of them is a ValueError."""
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    text = "\r\n".join(lines)
    # One CR and one LF per line end: any other would be a header of somebody else's making.
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1 or "\0" in text:
        raise ValueError("a line break in the head of a request")
    return (text + "\r\n\r\n").encode("latin-1")

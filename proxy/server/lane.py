"""One request and its answer on one connection to the store.

An upload that fails half-way closes its connection, so that a store which was promised an exact
Content-Length discards what it has. A connection on which nothing moves for the idle time is closed by a
watch that looks at all of them once in a while: a timer for every request would cost more than it tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from aiohttp import ServerDisconnectedError
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader

from proxy.forward import Prepared
from proxy.s3.checksums import Buffer
from proxy.s3.headers import Headers
from proxy.server.upstream_connection import UpstreamConnection

READ_AHEAD = 1 << 17
"""Bytes of an upload that are read and checked before the store hears of it; smaller ones go at once."""

_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


class UpstreamError(Exception):
    """The store could not be reached, or broke off. The text is for the log, not for clients."""


class StaleConnectionError(Exception):
    """The pooled connection died before it carried anything; the request may go over another one."""


class Stalls:
    """Closes connections that were waited on for too long."""

    def __init__(self, loop: asyncio.AbstractEventLoop, idle_seconds: float) -> None:
        self._loop = loop
        self._idle_seconds = idle_seconds
        self._since: dict[UpstreamConnection, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.closed: set[UpstreamConnection] = set()
        """Connections that were closed for this, until their lanes notice."""

    def begin(self, connection: UpstreamConnection) -> None:
        """Something is awaited of the store from now on."""
        self._since[connection] = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(min(1.0, self._idle_seconds / 4), self._look)

    def end(self, connection: UpstreamConnection) -> None:
        """It came."""
        self._since.pop(connection, None)

    def _look(self) -> None:
        self._timer = None
        oldest = self._loop.time() - self._idle_seconds
        for connection in [each for each, since in self._since.items() if since < oldest]:
            del self._since[connection]
            self.closed.add(connection)
            _break(connection)
        if self._since:
            self._timer = self._loop.call_later(min(1.0, self._idle_seconds / 4), self._look)


class ReadAhead:
    """The beginning of an upload that is longer than what is read ahead, and the rest."""

    __slots__ = ("pieces", "rest")

    def __init__(self, pieces: list[Buffer], rest: AsyncIterator[Buffer]) -> None:
        self.pieces = pieces
        self.rest = rest


async def read_ahead(body: AsyncIterator[Buffer]) -> bytes | ReadAhead:
    """Return a small body whole, or the beginning of a large one; raises what the body's checks raise."""
    pieces: list[Buffer] = []
    size = 0
    async for piece in body:
        pieces.append(piece)
        size += len(piece)
        if size >= READ_AHEAD:
            return ReadAhead(pieces, body)
    return b"".join(pieces)


class Lane:
    """One exchange on a connection. `give_back` takes the connection and whether it can be used again."""

    __slots__ = ("_connection", "_give_back", "_stalls")

    def __init__(
        self, connection: UpstreamConnection, stalls: Stalls, give_back: Callable[[UpstreamConnection, bool], None]
    ) -> None:
        self._connection = connection
        self._stalls = stalls
        self._give_back = give_back

    async def exchange(self, request: Prepared, body: bytes | ReadAhead) -> Answer:
        """Send and return the answer's head; raises `StaleConnectionError`, `UpstreamError` or the body's error."""
        connection = self._connection
        connection.ask(head=request.method == "HEAD")
        upload = None
        try:
            head = serialize_head(request)
            if isinstance(body, bytes):
                _write(connection, head + body if body else head)
                self._stalls.begin(connection)
            else:
                _write(connection, b"".join((head, *body.pieces)))
                body.pieces.clear()
                upload = _Upload(connection, body.rest, self._stalls)
            message, payload = await _first_answer(connection, upload)
        except BaseException as error:
            connection.abort()
            self._stalls.end(connection)
            if upload is not None:
                await upload.stop()
            raise self._explain(error, request, upload) from error
        self._stalls.end(connection)
        return Answer(connection, message, payload, self._stalls, self._give_back)

    def _explain(self, error: BaseException, request: Prepared, upload: _Upload | None) -> BaseException:
        """Turn what went wrong on the connection into an error of this room; cancellation stays itself."""
        late = self._connection in self._stalls.closed
        self._stalls.closed.discard(self._connection)
        if not isinstance(error, Exception):
            return error
        if upload is not None and isinstance(upload.failure, Exception):
            return upload.failure
        if late:
            return UpstreamError("the upstream did not answer in time")
        if upload is None and request.method in _IDEMPOTENT and isinstance(error, (ServerDisconnectedError, OSError)):
            return StaleConnectionError(f"the upstream closed the connection: {error}")
        return UpstreamError(f"the upstream did not answer properly: {error or type(error).__name__}")


class _Upload:
    """Writes the rest of a body while the answer is awaited, at the pace the store takes it."""

    def __init__(self, connection: UpstreamConnection, body: AsyncIterator[Buffer], stalls: Stalls) -> None:
        self._connection = connection
        self._body = body
        self._stalls = stalls
        self.failure: BaseException | None = None
        """Why the body could not be produced, if that is what ended the upload."""
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        connection = self._connection
        try:
            await self._drain()
            while (piece := await self._next_piece()) is not None:
                _write(connection, piece)
                # The connection holds what it has not sent; memory nobody looks at takes the next piece.
                del piece
                await self._drain()
            self._stalls.begin(connection)
        except Exception:
            # The promised length is not reached: only closing tells the store to discard the upload. Whoever
            # cancels this closes the connection in time, perhaps after the store's answer was read.
            _break(connection)
            raise

    async def _drain(self) -> None:
        connection = self._connection
        if connection.writing_paused:
            self._stalls.begin(connection)
            await connection._drain_helper()
            self._stalls.end(connection)

    async def _next_piece(self) -> Buffer | None:
        try:
            return await anext(self._body, None)
        except BaseException as error:
            self.failure = error
            raise

    async def stop(self) -> None:
        """End the upload and wait until its body iterator is finished with."""
        self.task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self.task


class Answer:
    """An answer being read from a connection."""

    __slots__ = ("_connection", "_give_back", "_payload", "_stalls", "headers", "status")

    def __init__(
        self,
        connection: UpstreamConnection,
        message: RawResponseMessage,
        payload: StreamReader,
        stalls: Stalls,
        give_back: Callable[[UpstreamConnection, bool], None],
    ) -> None:
        self.status = message.code
        self.headers = Headers(message.raw_headers)
        self._connection: UpstreamConnection | None = connection
        self._payload = payload
        self._stalls = stalls
        self._give_back = give_back

    async def read(self) -> bytes:
        """Return the next piece of the body, `b""` at its end; raises `UpstreamError` if cut short."""
        connection, payload = self._connection, self._payload
        if connection is None or payload.at_eof():
            return b""
        self._stalls.begin(connection)
        try:
            data = await payload.readany()
        except Exception as error:
            self._stalled(connection, error)
            raise UpstreamError(f"the upstream broke off: {error}") from error
        finally:
            self._stalls.end(connection)
        if not data:
            # Without a length, closing a connection that stalls looks like the end of its body.
            self._stalled(connection)
        return data

    def _stalled(self, connection: UpstreamConnection, cause: Exception | None = None) -> None:
        if connection in self._stalls.closed:
            self._stalls.closed.discard(connection)
            raise UpstreamError("the upstream stalled") from cause

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it. Safe to repeat."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._stalls.closed.discard(connection)
            whole = self._payload.is_eof() and connection.is_connected() and not connection.should_close
            self._give_back(connection, whole)


async def _first_answer(
    connection: UpstreamConnection, upload: _Upload | None
) -> tuple[RawResponseMessage, StreamReader]:
    """Wait for the final answer, skipping 1xx, and settle what becomes of an upload still under way."""
    while True:
        message, payload = await connection.read()
        if message.code == 101 or message.code >= 600:
            raise UpstreamError(f"status {message.code}")
        if message.code >= 200:
            break
    if upload is None:
        return message, payload
    if message.code < 300:
        # A success may only be believed when the whole body was checked and sent.
        await upload.task
    else:
        connection.force_close()
        await upload.stop()
    return message, payload


def _break(connection: UpstreamConnection) -> None:
    """Abort a connection so that everybody who waits for it hears of it.

    `connection.abort()` would forget the body of an answer without telling its reader.
    """
    if connection.transport is not None:
        connection.transport.abort()


def _write(connection: UpstreamConnection, data: Buffer) -> None:
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

"""The store behind the proxy: one method, `send`, over pooled HTTP/1.1 connections.

Built on aiohttp's response protocol (its C parser, stream reader and flow control) without aiohttp's
client session: no URL is parsed or normalised again, no header is added, nothing is decompressed,
redirected or retried behind the proxy's back. What was signed is what is sent.

A request is sent a second time only when a pooled connection turned out to be dead before any byte of an
answer came, and only if its whole body is at hand.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from proxy.forward import Prepared
from proxy.s3.headers import Headers
from proxy.server.lane import Lane, StaleConnectionError, Stalls, UpstreamError, read_ahead
from proxy.server.places import Places
from proxy.server.upstream_connection import UpstreamConnection

__all__ = ["Endpoint", "PooledUpstream", "Upstream", "UpstreamAnswer", "UpstreamError"]


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
        self._loop = asyncio.get_running_loop()
        self._idle: deque[tuple[float, UpstreamConnection]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._places = Places(endpoint.connections)
        self._stalls = Stalls(self._loop, endpoint.idle_seconds)
        self._retired = False

    async def send(self, request: Prepared) -> UpstreamAnswer:
        # A small upload is checked as a whole before any of it, or any connection, is needed.
        body = request.body if isinstance(request.body, bytes) else await read_ahead(request.body)
        if not self._places.take_at_once():
            await self._wait_for_place()
        try:
            connection = self._take_idle()
            if connection is not None:
                # Once: a request that breaks the store would otherwise do so on every idle connection.
                with suppress(StaleConnectionError):
                    return await self._lane(connection).exchange(request, body)
            connection = await self._connect()
            try:
                return await self._lane(connection).exchange(request, body)
            except StaleConnectionError as error:
                raise UpstreamError(str(error)) from error
        except BaseException:
            self._places.release()
            raise

    def retire(self) -> None:
        """Keep no connection any longer; requests under way end in peace."""
        self._retired = True
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            self._idle.pop()[1].close()

    def _lane(self, connection: UpstreamConnection) -> Lane:
        return Lane(connection, self._stalls, self._give_back)

    def _give_back(self, connection: UpstreamConnection, reusable: bool) -> None:
        """Take back the place of a connection, and keep one whose last answer was read to the end."""
        self._places.release()
        if not reusable or self._retired or not connection.rest():
            connection.abort()
            return
        self._idle.append((self._loop.time() + self._endpoint.keepalive_seconds, connection))
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._endpoint.keepalive_seconds, self._close_expired)

    async def _wait_for_place(self) -> None:
        try:
            await self._places.take(self._endpoint.connect_seconds)
        except TimeoutError as error:
            raise UpstreamError("no free connection: upstream.connections is reached") from error

    def _take_idle(self) -> UpstreamConnection | None:
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

    async def _connect(self) -> UpstreamConnection:
        endpoint = self._endpoint
        try:
            async with asyncio.timeout(endpoint.connect_seconds):
                _, connection = await self._loop.create_connection(
                    lambda: UpstreamConnection(self._loop),
                    endpoint.host,
                    endpoint.port,
                    ssl=endpoint.tls,
                    server_hostname=endpoint.host if endpoint.tls else None,
                )
        except (OSError, TimeoutError) as error:
            reason = str(error) or f"no connection within {endpoint.connect_seconds:g} s"
            raise UpstreamError(f"cannot connect to the upstream: {reason}") from error
        return connection

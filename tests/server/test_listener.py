"""The listener answers by itself what is no request, and lets go of idle connections only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from proxy.access.connection import Connection
from proxy.clock import SystemClock
from proxy.config import Limits
from proxy.errors import S3Error
from proxy.server.listener import S3Listener
from proxy.server.reply import ClientReply, HttpDates

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Front:
    """A listener on a port of its own, and what it refused."""

    def __init__(self, **limits: Any) -> None:
        self.refused: list[tuple[str, str]] = []
        self.release = asyncio.Event()
        self.listener = S3Listener(self._handle, Limits(**limits), self._note)

    async def _handle(self, http: web.BaseRequest, connection: Connection) -> web.StreamResponse:
        if http.path == "/wait":
            await self.release.wait()
        if http.path == "/fail":
            raise ConnectionResetError("broken off")
        if http.path == "/mistake":
            raise KeyError("a mistake of ours")
        body = "" if http.path == "/unread" else await http.text()
        text = f"{connection.source_ip} {http.path} {body}".encode()
        reply = ClientReply(http, HttpDates(SystemClock()))
        reply.start(200, [], len(text))
        await reply.write(text)
        return await reply.finish()

    def _note(self, client: Connection, request_id: str, error: S3Error) -> None:
        assert client.source_ip == "127.0.0.1"
        assert len(request_id) == 16
        self.refused.append((error.code, error.detail))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = await asyncio.get_running_loop().create_server(self.listener, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await self.listener.shutdown(0.1)


async def talk(port: int, data: bytes) -> bytes:
    """Send, and return what comes until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


async def test_what_the_parser_refuses_is_answered_in_xml_and_told() -> None:
    front = Front()
    async with front.running() as port:
        answer = await talk(port, b"GET / HTTP/1.1\r\nHost: h\r\nX : secret\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"<Code>BadRequest</Code>" in answer
    ((code, detail),) = front.refused
    assert code == "BadRequest"
    assert detail.startswith("no HTTP: ")
    assert "secret" not in detail, "the log must not quote what may be a credential"


async def test_a_field_that_is_too_long_is_not_quoted_in_the_log() -> None:
    front = Front(header_bytes=8192)
    async with front.running() as port:
        answer = await talk(port, GET[:-2] + b"x-amz-security-token: secret" + b"a" * 9000 + b"\r\n\r\n")
    assert b"<Code>RequestHeaderSectionTooLarge</Code>" in answer
    assert b"secret" not in answer
    ((_, detail),) = front.refused
    assert detail == "no HTTP: LineTooLong: Got more than 8192 bytes when reading"


async def test_a_head_that_grows_beyond_the_limit_is_refused_before_it_ends() -> None:
    front = Front(header_bytes=8192)
    async with front.running() as port:
        answer = await talk(port, GET[:-2] + (b"X: " + b"a" * 1000 + b"\r\n") * 100)
    assert b"<Code>RequestHeaderSectionTooLarge</Code>" in answer
    assert front.refused[0][0] == "RequestHeaderSectionTooLarge"


async def test_a_head_that_does_not_end_in_time_is_told_so() -> None:
    front = Front(idle_seconds=0.2)
    async with front.running() as port:
        assert b"<Code>RequestTimeout</Code>" in await talk(port, GET[:-2])
        assert await talk(port, b"") == b"", "who has said nothing is told nothing"
    assert [code for code, _ in front.refused] == ["RequestTimeout"]


async def test_a_large_body_is_not_taken_for_a_head() -> None:
    front = Front(header_bytes=8192)
    async with front.running() as port:
        body = b"b" * 500_000
        head = b"PUT / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 500000\r\n\r\n"
        assert (await talk(port, head + body)).endswith(body)
    assert not front.refused


async def test_a_walk_that_was_broken_off_gets_no_second_answer() -> None:
    front = Front()
    async with front.running() as port:
        assert await talk(port, GET.replace(b"/ ", b"/fail ")) == b""
    assert not front.refused, "the walk has recorded itself"


async def test_requests_sent_ahead_are_answered_in_their_order() -> None:
    front = Front()
    async with front.running() as port:
        ahead = b"".join(GET.replace(b"/ ", b"/%d " % number) for number in range(40))
        answers = await talk(port, ahead + GET[:-2] + b"Connection: close\r\n\r\n")
    places = [answers.index(b" /%d " % number) for number in range(40)]
    assert places == sorted(places)
    assert answers.count(b"200 OK") == 41


async def test_a_switch_of_protocols_that_was_sent_ahead_has_its_turn() -> None:
    front = Front()
    switch = b"GET /switch HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with front.running() as port:
        answers = await talk(port, GET.replace(b"/ ", b"/first ") + switch + b"what follows is for nobody")
    assert answers.count(b"200 OK") == 2
    assert answers.index(b" /first ") < answers.index(b" /switch ")


async def test_a_mistake_of_ours_ends_the_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    front = Front()
    async with front.running() as port:
        assert await talk(port, GET.replace(b"/ ", b"/mistake ")) == b""
        assert b"200 OK" in await talk(port, GET[:-2] + b"Connection: close\r\n\r\n")
    assert "a mistake of ours" in caplog.text


async def test_the_rest_of_a_body_that_nobody_wants_is_taken_before_the_connection_ends() -> None:
    front = Front()
    async with front.running() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PUT /unread HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 8\r\n\r\nabcd")
        async with asyncio.timeout(5):
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            writer.write(b"efgh")
            assert (await reader.read()).endswith(b"/unread ")
        writer.close()


async def test_connections_beyond_the_limit_are_answered_and_closed() -> None:
    front = Front(connections=1)
    async with front.running() as port:
        _, first = await asyncio.open_connection("127.0.0.1", port)
        assert b"<Code>SlowDown</Code>" in await talk(port, b"")
        first.close()
        await first.wait_closed()
        await asyncio.sleep(0.05)
        assert b"200 OK" in await talk(port, GET[:-2] + b"Connection: close\r\n\r\n")


async def test_changed_limits_bound_the_connections_that_come() -> None:
    front = Front()
    large = GET[:-2] + b"Connection: close\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"
    async with front.running() as port:
        assert b"200 OK" in await talk(port, large)
        front.listener.adopt(Limits(header_bytes=8192), 5)
        assert b"<Code>RequestHeaderSectionTooLarge</Code>" in await talk(port, large)
        assert front.listener.limit == 5


async def test_draining_closes_idle_connections_and_no_others() -> None:
    front = Front()
    async with front.running() as port:
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        busy, busy_writer = await asyncio.open_connection("127.0.0.1", port)
        busy_writer.write(b"PUT /wait HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab")
        await asyncio.sleep(0.1)
        front.listener.drain()
        async with asyncio.timeout(5):
            assert await idle.read() == b""
            busy_writer.write(b"cd")
            front.release.set()
            assert b"200 OK" in await busy.readuntil(b"\r\n\r\n")
            assert (await busy.read(100)).endswith(b"abcd")
        for writer in (idle_writer, busy_writer):
            writer.close()

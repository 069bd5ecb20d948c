"""Answers are written as HTTP/1.1 wants them, and one that is not whole does not look it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiohttp import HttpVersion10, HttpVersion11, web

from proxy.clock import FixedClock
from proxy.server.reply import ClientReply, HttpDates

DATE = "Date: Wed, 18 Nov 2026 11:06:40 GMT"
NOW = 1_795_000_000.0


class Socket:
    """What stands in for a client's connection."""

    def __init__(self, method: str = "GET", *, old: bool = False, keep_alive: bool = True) -> None:
        self.method = method
        self.version = HttpVersion10 if old else HttpVersion11
        self.keep_alive = keep_alive
        self.transport: Any = self
        self.writer = self
        self.protocol = self
        self.writing_paused = True
        self.sent = b""
        self.closing = self.aborted = False
        self.drained = 0

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.aborted = True

    async def drain(self) -> None:
        self.drained += 1

    def reply(self) -> ClientReply:
        return ClientReply(cast("web.BaseRequest", self), HttpDates(FixedClock(NOW)))


def lines(socket: Socket) -> list[str]:
    return socket.sent.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


async def test_an_answer_of_known_length_is_written_with_it() -> None:
    socket = Socket()
    reply = socket.reply()
    reply.start(200, [("ETag", '"e"')], 5)
    await reply.write(b"hello")
    await reply.finish()
    assert lines(socket) == ["HTTP/1.1 200 OK", 'ETag: "e"', "Content-Length: 5", DATE]
    assert socket.sent.endswith(b"\r\n\r\nhello")
    assert (reply.sent, reply.started) == (5, True)


async def test_an_answer_of_unknown_length_is_chunked_or_ends_with_the_connection() -> None:
    socket = Socket()
    reply = socket.reply()
    reply.start(200, [], None)
    await reply.write(b"hello")
    await reply.write(b"")
    await reply.finish()
    assert "Transfer-Encoding: chunked" in lines(socket)
    assert socket.sent.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    socket = Socket(old=True)
    reply = socket.reply()
    reply.start(200, [], None)
    await reply.write(b"hello")
    await reply.finish()
    assert "Connection: close" in lines(socket)
    assert socket.sent.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    ("method", "status", "announced"), [("HEAD", 200, True), ("GET", 204, False), ("GET", 304, False)]
)
async def test_some_answers_have_no_body_whatever_their_length(method: str, status: int, announced: bool) -> None:
    socket = Socket(method)
    reply = socket.reply()
    reply.start(status, [], 7)
    await reply.write(b"hello")
    await reply.finish()
    assert ("Content-Length: 7" in lines(socket)) is announced
    assert socket.sent.endswith(b"\r\n\r\n")
    assert reply.sent == 0


async def test_a_connection_that_must_not_go_on_says_so() -> None:
    socket = Socket()
    reply = socket.reply()
    reply.keep_alive = False
    reply.start(403, [], 0)
    token = await reply.finish()
    assert "Connection: close" in lines(socket)
    assert token.keep_alive is False
    socket = Socket(old=True)
    reply = socket.reply()
    reply.start(200, [], 0)
    await reply.finish()
    assert "Connection: keep-alive" in lines(socket)


async def test_header_values_keep_their_bytes() -> None:
    socket = Socket()
    reply = socket.reply()
    reply.start(200, [("x-amz-meta-a", "grüße".encode().decode("latin-1"))], 0)
    await reply.finish()
    assert "grüße".encode() in socket.sent


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb"])
async def test_a_line_break_cannot_become_a_header(value: str) -> None:
    socket = Socket()
    with pytest.raises(ValueError, match="line break"):
        socket.reply().start(200, [("x", value)], 0)
    assert socket.sent == b""


async def test_a_slow_client_is_waited_for_and_a_lost_one_noticed() -> None:
    socket = Socket()
    reply = socket.reply()
    reply.start(200, [], 10)
    await reply.write(b"hello")
    assert socket.drained == 1
    socket.closing = True
    with pytest.raises(ConnectionResetError):
        await reply.write(b"hello")
    socket.transport = None
    with pytest.raises(ConnectionResetError):
        await reply.write(b"hello")
    reply.break_off()  # there is nothing left to break off


async def test_an_answer_can_be_broken_off() -> None:
    socket = Socket()
    reply = socket.reply()
    reply.start(200, [], 10)
    reply.break_off()
    assert socket.aborted


async def test_the_time_of_day_is_that_of_the_clock() -> None:
    clock = FixedClock(NOW)
    dates = HttpDates(clock)
    assert f"Date: {dates.now()}" == DATE
    await asyncio.sleep(0)
    assert dates.now() is dates.now()

"""A client's body is read piece by piece, patiently but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader, web

from proxy.errors import S3Error
from proxy.server.body import DOCUMENTS_BYTES, ClientBody, Documents


class Stream:
    """A body that arrives in pieces; an exception among them is raised, None never arrives."""

    def __init__(self, *pieces: bytes | Exception | None) -> None:
        self.pieces = list(pieces)
        self.waiter: asyncio.Future[bytes] | None = None

    def at_eof(self) -> bool:
        return not self.pieces

    def is_eof(self) -> bool:
        return False

    async def readany(self) -> bytes:
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        if piece is None:
            self.waiter = asyncio.get_running_loop().create_future()
            return await self.waiter
        return piece

    def set_exception(self, error: BaseException) -> None:
        assert self.waiter is not None
        self.waiter.set_exception(error)


class Http:
    def __init__(self, *pieces: bytes | Exception | None, expects: bool = False) -> None:
        self.content = Stream(*pieces)
        self.headers = {"Expect": "100-Continue"} if expects else {}
        self.transport: Any = self
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def body(self, idle_seconds: float = 5) -> ClientBody:
        return ClientBody(cast("web.BaseRequest", self), idle_seconds)


class Upper:
    """A machine that says what it was asked."""

    def __init__(self, problem: S3Error | None = None) -> None:
        self.problem = problem

    def feed(self, data: Any) -> list[Any]:
        return [bytes(data).upper()]

    def finish(self) -> list[Any]:
        if self.problem is not None:
            raise self.problem
        return [b"!"]


async def test_a_body_that_is_here_already_is_read_without_waiting_or_a_timer() -> None:
    http = Http()
    stream = StreamReader(Mock(), 1 << 16, loop=asyncio.get_running_loop())
    stream.feed_data(b"hello ")
    stream.feed_data(b"world")
    stream.feed_eof()
    http.content = cast("Stream", stream)
    body = http.body()
    reading = body.read()
    with pytest.raises(StopIteration) as read:
        reading.send(None)
    assert (read.value.value, await body.read(), body.received) == (b"hello world", b"", 11)
    assert body._watch is None


async def test_a_body_that_is_here_and_broken_is_incomplete() -> None:
    http = Http()
    stream = StreamReader(Mock(), 1 << 16, loop=asyncio.get_running_loop())
    stream.feed_data(b"hello ")
    stream.feed_eof()
    stream.set_exception(ValueError("framing"))
    http.content = cast("Stream", stream)
    with pytest.raises(S3Error) as error:
        await http.body().read()
    assert error.value.code == "IncompleteBody"


async def test_a_body_is_counted_while_it_is_read() -> None:
    body = Http(b"hello ", b"world").body()
    assert [await body.read() for _ in range(3)] == [b"hello ", b"world", b""]
    assert body.received == 11


async def test_a_client_that_asks_first_is_answered_by_the_first_read_and_only_once() -> None:
    http = Http(b"a", b"b", expects=True)
    body = http.body()
    assert http.written == b""
    await body.read()
    await body.read()
    assert http.written == b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_nobody_is_answered_who_is_gone() -> None:
    http = Http(b"a", expects=True)
    http.transport = None
    with pytest.raises(ConnectionResetError):
        await http.body().read()


async def test_a_whole_body_has_a_limit() -> None:
    assert await Http(b"12345", b"67890").body().read_all(10) == b"1234567890"
    with pytest.raises(S3Error, match="MaxMessageLengthExceeded") as caught:
        await Http(b"12345", b"67890").body().read_all(9)
    assert caught.value.close


async def test_a_client_that_sends_nothing_is_told_so() -> None:
    with pytest.raises(S3Error, match="RequestTimeout") as caught:
        await Http(b"a", None).body(0.01).read_all(100)
    assert caught.value.close


async def test_a_client_is_given_the_whole_idle_time_for_every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    timers: list[tuple[float, Callable[[], None]]] = []
    monkeypatch.setattr("proxy.server.body.monotonic", lambda: now)
    monkeypatch.setattr(
        asyncio.get_running_loop(), "call_later", lambda delay, look: timers.append((delay, look)) or Mock()
    )
    http = Http(None, None)
    body = http.body(10)
    first = asyncio.ensure_future(body.read())
    await asyncio.sleep(0)
    now = 9.0
    http.content.waiter.set_result(b"a" * 100_000)
    assert len(await first) == 100_000
    second = asyncio.ensure_future(body.read())
    await asyncio.sleep(0)
    now = 10.0
    (delay, look), *more = timers
    assert (delay, more) == (10, [])
    look()
    delay, look = timers[1]
    assert delay == 9
    now = 19.0
    look()
    with pytest.raises(S3Error, match="RequestTimeout"):
        await second


async def test_a_client_that_is_not_waited_for_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[Callable[[], None]] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda delay, look: timers.append(look) or Mock())
    http = Http(b"a", b"b")
    body = http.body(0)
    await body.read()
    timers[0]()
    assert await body.read() == b"b"
    assert len(timers) == 2


async def test_broken_framing_is_an_incomplete_body() -> None:
    with pytest.raises(S3Error, match="IncompleteBody"):
        await Http(web.HTTPException()).body().read()


async def test_a_lost_connection_stays_one() -> None:
    with pytest.raises(ConnectionResetError):
        await Http(ConnectionResetError()).body().read()


async def test_a_machine_gets_everything_and_has_the_last_word() -> None:
    body = Http(b"hello ", b"world").body()
    assert [bytes(piece) async for piece in body.through(Upper())] == [b"HELLO ", b"WORLD", b"!"]
    body = Http(b"hello").body()
    pieces = body.through(Upper(S3Error("BadDigest")))
    assert bytes(await anext(pieces)) == b"HELLO"
    with pytest.raises(S3Error, match="BadDigest"):
        await anext(pieces)


async def test_documents_share_a_bounded_memory_and_give_it_back() -> None:
    documents = Documents()
    piece = bytes(DOCUMENTS_BYTES // 2)
    first = ClientBody(cast("web.BaseRequest", Http(piece, b"a")), 5, documents)
    assert len(await first.read_all(DOCUMENTS_BYTES)) == len(piece) + 1
    second = ClientBody(cast("web.BaseRequest", Http(b"b", piece)), 5, documents)
    with pytest.raises(S3Error, match="SlowDown"):
        await second.read_all(DOCUMENTS_BYTES)
    for body in (first, second, first):
        body.release()
    assert documents.held == 0


async def test_a_body_that_trickles_in_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(0, 1000, 4))
    monkeypatch.setattr("proxy.server.body.monotonic", lambda: next(seconds))
    body = Http(b"a", b"b", b"c").body(idle_seconds=6)
    assert await body.read() == b"a"
    with pytest.raises(S3Error, match="RequestTimeout"):
        await body.read()

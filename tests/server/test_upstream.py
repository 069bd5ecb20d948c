"""The upstream port against stores that behave, misbehave and vanish, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from proxy.errors import S3Error
from proxy.forward import Prepared
from proxy.server.lane import READ_AHEAD, serialize_head
from proxy.server.upstream import Endpoint, PooledUpstream, UpstreamError

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HOST = ("host", "store")


class Store:
    """A store that follows a script per connection and remembers what it was sent."""

    def __init__(self) -> None:
        self.connections = 0
        self.heads: list[bytes] = []
        self.server: asyncio.Server | None = None

    async def start(self, script: Script, **endpoint: float) -> PooledUpstream:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            try:
                await script(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        self.server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        return PooledUpstream(Endpoint("127.0.0.1", port, None, **endpoint))

    async def head(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        return head


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = Store()
    yield made
    if made.server:
        made.server.close()


def get(target: str = "/b/k") -> Prepared:
    return Prepared("GET", target, (HOST,), b"")


def put(body: AsyncIterator[bytes], length: int) -> Prepared:
    return Prepared("PUT", "/b/k", (HOST, ("content-length", str(length))), body)


async def pieces(*items: bytes) -> AsyncIterator[bytes]:
    for item in items:
        yield item


async def drain(answer) -> bytes:
    body = b""
    while data := await answer.read():
        body += data
    answer.close()
    return body


async def test_keeps_a_connection_whose_answer_was_read_to_the_end(store):
    async def script(reader, writer):
        while True:
            await store.head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    upstream = await store.start(script)
    assert await drain(await upstream.send(get())) == b"hi"
    assert await drain(await upstream.send(get())) == b"hi"
    assert store.connections == 1
    upstream.retire()


async def test_sends_the_target_byte_for_byte(store):
    async def script(reader, writer):
        await store.head(reader)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    upstream = await store.start(script)
    await drain(await upstream.send(get("/b/a//../%2F%7E?x=%20+")))
    assert store.heads[0].startswith(b"GET /b/a//../%2F%7E?x=%20+ HTTP/1.1\r\n")
    upstream.retire()


async def test_closes_a_connection_whose_answer_was_not_read_to_the_end(store):
    async def script(reader, writer):
        await store.head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi")
        await asyncio.sleep(5)

    upstream = await store.start(script)
    answer = await upstream.send(get())
    assert await answer.read() == b"hi"
    answer.close()
    second = await upstream.send(get())
    second.close()
    assert store.connections == 2
    upstream.retire()


async def test_a_pooled_connection_that_died_is_replaced_without_the_caller_noticing(store):
    async def script(reader, writer):
        await store.head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        if store.connections == 1:
            await reader.readuntil(b"\r\n\r\n")  # takes the second request and closes on it

    upstream = await store.start(script)
    await drain(await upstream.send(get()))
    assert await drain(await upstream.send(get())) == b"hi"
    assert store.connections == 2
    upstream.retire()


async def test_a_post_is_never_sent_twice(store):
    async def script(reader, writer):
        await store.head(reader)
        if store.connections == 1 and len(store.heads) == 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            await store.head(reader)

    upstream = await store.start(script)
    await drain(await upstream.send(get()))
    with pytest.raises(UpstreamError):
        await upstream.send(Prepared("POST", "/b/k?uploads", (HOST, ("content-length", "0")), b""))
    assert len(store.heads) == 2
    upstream.retire()


async def test_an_upload_whose_checks_fail_leaves_the_store_with_a_short_body(store):
    received = asyncio.get_running_loop().create_future()

    async def script(reader, writer):
        await store.head(reader)
        received.set_result(await reader.read(-1))

    async def failing():
        yield b"a" * READ_AHEAD
        await asyncio.sleep(0.05)
        raise S3Error("BadDigest")

    upstream = await store.start(script)
    with pytest.raises(S3Error, match="BadDigest"):
        await upstream.send(put(failing(), READ_AHEAD + 1))
    assert await asyncio.wait_for(received, 5) == b"a" * READ_AHEAD
    upstream.retire()


async def test_the_store_never_hears_of_a_small_upload_whose_checks_fail(store):
    async def script(reader, writer):
        await store.head(reader)

    async def failing():
        yield b"abc"
        raise S3Error("BadDigest")

    upstream = await store.start(script)
    with pytest.raises(S3Error, match="BadDigest"):
        await upstream.send(put(failing(), 6))
    assert store.connections == 0
    upstream.retire()


async def test_a_small_upload_survives_a_dead_pooled_connection(store):
    async def script(reader, writer):
        await store.head(reader)
        if store.connections == 2:
            assert await reader.readexactly(6) == b"abcdef"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if store.connections == 1:
            await store.head(reader)  # takes the upload and closes on it

    upstream = await store.start(script)
    await drain(await upstream.send(get()))
    answer = await upstream.send(put(pieces(b"abc", b"def"), 6))
    assert (answer.status, store.connections) == (200, 2)
    answer.close()
    upstream.retire()


async def test_an_early_success_is_not_believed_before_the_whole_body_was_checked(store):
    async def script(reader, writer):
        await store.head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read(-1)

    async def failing_late():
        yield b"a" * READ_AHEAD
        await asyncio.sleep(0.1)
        raise S3Error("BadDigest")

    upstream = await store.start(script)
    with pytest.raises(S3Error, match="BadDigest"):
        await upstream.send(put(failing_late(), READ_AHEAD + 1))
    upstream.retire()


async def test_an_early_refusal_ends_the_upload_and_is_passed_on(store):
    async def script(reader, writer):
        await store.head(reader)
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await asyncio.sleep(1)

    stopped = []

    async def endless():
        try:
            while True:
                yield b"x" * READ_AHEAD
                await asyncio.sleep(0.01)
        finally:
            stopped.append(True)

    upstream = await store.start(script)
    answer = await upstream.send(put(endless(), 1 << 40))
    assert (answer.status, await drain(answer)) == (403, b"no")
    assert stopped
    upstream.retire()


async def test_a_100_continue_is_not_taken_for_the_answer(store):
    async def script(reader, writer):
        await store.head(reader)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    upstream = await store.start(script)
    answer = await upstream.send(put(pieces(b"ab"), 2))
    assert answer.status == 200
    answer.close()
    upstream.retire()


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n",
    ],
    ids=["short body", "no terminal chunk", "bad chunk"],
)
async def test_a_body_that_ends_too_early_is_an_error_and_never_an_end(store, sent):
    async def script(reader, writer):
        await store.head(reader)
        writer.write(sent)

    upstream = await store.start(script)
    with pytest.raises(UpstreamError):
        await drain(await upstream.send(get()))
    upstream.retire()


@pytest.mark.parametrize("sent", [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 20", b"\0" * 100])
async def test_garbage_and_silence_are_errors(store, sent):
    async def script(reader, writer):
        await store.head(reader)
        writer.write(sent)

    upstream = await store.start(script)
    with pytest.raises(UpstreamError):
        await upstream.send(get())
    upstream.retire()


async def test_a_stalled_store_is_given_up_after_the_idle_time(store):
    async def script(reader, writer):
        await store.head(reader)
        await asyncio.sleep(30)

    upstream = await store.start(script, idle_seconds=0.2)
    with pytest.raises(UpstreamError):
        await upstream.send(get())
    upstream.retire()


async def test_a_store_that_stops_reading_an_upload_is_given_up_after_the_idle_time(store):
    async def script(reader, writer):
        await store.head(reader)
        await asyncio.sleep(30)

    async def endless():
        while True:
            yield b"x" * 65536

    upstream = await store.start(script, idle_seconds=0.2)
    with pytest.raises(UpstreamError):
        await upstream.send(put(endless(), 1 << 40))
    upstream.retire()


async def test_nobody_listening_is_an_error(unused_tcp_port):
    upstream = PooledUpstream(Endpoint("127.0.0.1", unused_tcp_port, None))
    with pytest.raises(UpstreamError, match="cannot connect"):
        await upstream.send(get())


async def test_a_head_answer_has_no_body_whatever_its_length_says(store):
    async def script(reader, writer):
        while True:
            await store.head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")

    upstream = await store.start(script)
    for _ in range(2):
        answer = await upstream.send(Prepared("HEAD", "/b/k", (HOST,), b""))
        assert (answer.headers.get("content-length"), await drain(answer)) == ("1000", b"")
    assert store.connections == 1
    upstream.retire()


def test_a_line_break_can_never_become_a_header():
    for bad in ("a\r\nx: y", "a\nb", "a\0"):
        with pytest.raises(ValueError, match="line break"):
            serialize_head(Prepared("GET", "/", (("x-amz-meta-a", bad),), b""))


async def test_answers_with_and_without_bodies_take_turns_on_one_connection(store):
    async def script(reader, writer):
        while True:
            head = await store.head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if head.startswith(b"HEAD") else b"hi"))

    upstream = await store.start(script)
    for method in ("GET", "HEAD", "HEAD", "GET", "GET"):
        answer = await upstream.send(Prepared(method, "/b/k", (HOST,), b""))
        assert await drain(answer) == (b"hi" if method == "GET" else b"")
    assert store.connections == 1
    upstream.retire()


@pytest.mark.parametrize(
    "unasked", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"HTTP/1.1 200 OK\r\nContent-Le", b"\r\n", b"x"]
)
async def test_what_nobody_asked_for_is_no_answer_to_the_next_request(store, unasked):
    async def script(reader, writer):
        await store.head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(unasked)
        await reader.read()

    upstream = await store.start(script)
    assert await drain(await upstream.send(get())) == b"hi"
    await asyncio.sleep(0.15)
    assert await drain(await upstream.send(get())) == b"hi"
    assert store.connections == 2, "the first connection is not trusted any more"
    upstream.retire()


@pytest.mark.parametrize(
    "begun", [b"H", b"HTTP/1.1 200 OK\r\nX-Left: ", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: "]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_follows_an_answer_at_once_is_not_the_beginning_of_the_next(store, method, begun):
    async def script(reader, writer):
        await store.head(reader)
        if store.connections == 2:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        body = b"hi" if method == "GET" else b""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body + begun)
        await store.head(reader)
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    upstream = await store.start(script)
    assert await drain(await upstream.send(Prepared(method, "/b/k", (HOST,), b""))) == (
        b"hi" if method == "GET" else b""
    )
    answer = await upstream.send(get())
    assert answer.status == 404
    await drain(answer)
    assert store.connections == 2, "the first connection is not used again"
    upstream.retire()

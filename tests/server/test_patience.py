"""Clients that do not read are given up, and nobody else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from proxy.server.patience import SLOWEST, TOO_SLOW, SlowReaders, unread


class Client:
    """A connection with a client at its other end that reads when it is told to."""

    def __init__(self, transport: asyncio.Transport, other: socket.socket) -> None:
        self.transport: asyncio.Transport | None = transport
        self.other = other
        self.given_up = ""

    def give_up(self, why: str) -> None:
        self.given_up = why

    def fill(self) -> None:
        assert self.transport is not None
        self.transport.write(bytes(8 << 20))


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    ours, theirs = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    theirs.setblocking(False)
    made = Client(transport, theirs)
    yield made
    transport.abort()
    theirs.close()


def test_nothing_is_unread_where_there_is_no_connection() -> None:
    assert unread(None) == 0


async def test_what_was_written_and_not_read_is_counted(client: Client) -> None:
    client.fill()
    assert unread(client.transport) > 7 << 20


async def test_a_client_that_reads_nothing_is_given_up(client: Client) -> None:
    readers = SlowReaders(asyncio.get_running_loop(), 0.2)
    client.fill()
    readers.begin(client)
    await asyncio.sleep(0.1)
    assert not client.given_up
    await asyncio.sleep(0.4)
    assert client.given_up == TOO_SLOW


async def test_a_client_that_reads_enough_is_waited_for(client: Client) -> None:
    readers = SlowReaders(asyncio.get_running_loop(), 0.2)
    client.fill()
    readers.begin(client)
    for _ in range(10):
        await asyncio.sleep(0.05)
        client.other.recv(1 << 16)
    assert not client.given_up
    readers.end(client)


async def test_a_client_that_has_read_is_not_looked_at_any_more(client: Client) -> None:
    readers = SlowReaders(asyncio.get_running_loop(), 0.1)
    client.fill()
    readers.begin(client)
    readers.end(client)
    readers.end(client)
    await asyncio.sleep(0.3)
    assert not client.given_up


def test_a_slow_client_is_one_that_no_line_is_as_slow_as() -> None:
    assert SLOWEST * 8 < 28_800, "bits per second of a modem"

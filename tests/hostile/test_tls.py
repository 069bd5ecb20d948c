"""What is no TLS, or only begins to be, on a port that speaks nothing else."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostile.arena import Arena, besieged
from tests.journeys.front import until
from tests.journeys.wire import Wire
from tests.server.conftest import write_certificate

__all__ = ["write_certificate"]

HELLO = bytes.fromhex("160301020001000001fc0303") + bytes(32)


@pytest.fixture
def arena(tmp_path: Path, write_certificate: Callable[..., tuple[Path, Path]]) -> Iterator[Arena]:
    cert, key = write_certificate("site")
    context = ssl.create_default_context(cafile=str(cert))
    listen = {"tls": {"cert": str(cert), "key": str(key)}}
    with besieged(tmp_path, idle_seconds=1, listen=listen, context=context) as arena:
        yield arena


def connect(arena: Arena) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(arena.host.rpartition(":")[2])), timeout=10)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"\0" * 1000, HELLO + b"\xff" * 1000, b""])
def test_what_is_no_handshake_ends_the_connection_quietly(arena: Arena, data: bytes) -> None:
    for _ in range(20):
        with connect(arena) as connection:
            connection.sendall(data)
            if not data:
                connection.shutdown(socket.SHUT_WR)
            try:
                while connection.recv(1 << 16):
                    pass
            except ConnectionResetError:
                pass
    assert arena.walk.send(Wire("GET", "/open/key")).status == 200
    assert "Traceback" not in arena.walk.log(), arena.walk.log()


def test_a_stalled_handshake_and_a_truncated_session_hold_up_nobody(arena: Arena) -> None:
    stalled = [connect(arena) for _ in range(50)]
    for each in stalled:
        each.sendall(HELLO)
    assert arena.walk.context is not None
    for _ in range(20):
        with connect(arena) as plain:
            session = arena.walk.context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=True)
            session.sendall(b"GET /open/key HTTP/1.1\r\nHost: h\r\n\r\n")
            assert session.recv(1000).startswith(b"HTTP/1.1 200")
            session.close()  # without close_notify
    assert arena.walk.send(Wire("GET", "/open/key")).status == 200
    for each in stalled:
        each.close()
    assert until(lambda: arena.in_flight() == 0)
    assert "Traceback" not in arena.walk.log(), arena.walk.log()

"""A client that sends any bytes at all and reads whatever comes back."""

from __future__ import annotations

import io
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Self
from urllib.parse import urlsplit

from tests.journeys.wire import Answer, Wire

SECONDS = 20.0


class _Received(io.BytesIO):
    """Bytes that http.client reads as if from a socket; several answers may follow each other."""

    def makefile(self, mode: str) -> Self:
        return self

    def flush(self) -> None:
        pass

    def close(self) -> None:
        """Stay open for the answer that follows."""


def answers_in(data: bytes, method: str = "GET") -> list[Answer]:
    """Return the complete answers in what was received."""
    received = _Received(data)
    found = []
    while received.tell() < len(data):
        response = HTTPResponse(received, method=method)  # type: ignore[arg-type]  # only makefile is asked for
        try:
            response.begin()
            found.append(Answer(response.status, response.headers, response.read()))
        except (HTTPException, OSError, ValueError):
            break
    return found


@dataclass(frozen=True)
class Heard:
    """What a connection brought: its answers, and whether the proxy closed it."""

    data: bytes
    answers: list[Answer]
    closed: bool

    @property
    def answer(self) -> Answer:
        assert len(self.answers) == 1, self.data
        return self.answers[0]


class RawClient:
    """One connection to the proxy."""

    def __init__(self, endpoint: str, *, buffer: int | None = None) -> None:
        parts = urlsplit(endpoint)
        self.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(SECONDS)
        try:
            self.socket.connect((parts.hostname or "", parts.port or 80))
        except OSError:
            self.socket.close()
            raise
        self.data = b""
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send; a proxy that has closed already is no failure, its answer may be waiting."""
        with suppress(ConnectionError):
            self.socket.sendall(data)

    def half_close(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Vanish: RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def hear(self, expected: int | None = 1, *, seconds: float = SECONDS, method: str = "GET") -> Heard:
        """Read until so many answers are there (None: whatever comes), or the proxy closes, or time is up."""
        deadline = time.monotonic() + seconds
        while not self.closed and (expected is None or len(answers_in(self.data, method)) < expected):
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                piece = self.socket.recv(1 << 16)
            except TimeoutError:
                break
            except ConnectionError:
                piece = b""
            self.data += piece
            self.closed = not piece
        return Heard(self.data, answers_in(self.data, method), self.closed)

    def is_closed(self, seconds: float = SECONDS) -> bool:
        """Tell whether the proxy closes the connection in time; what it still says is kept."""
        return self.hear(None, seconds=seconds).closed


def talk(endpoint: str, data: bytes, expected: int | None = 1, *, seconds: float = SECONDS) -> Heard:
    """Send bytes on a connection of their own and hear the answers."""
    with RawClient(endpoint) as client:
        client.send(data)
        return client.hear(expected, seconds=seconds)


def as_bytes(wire: Wire, host: str = "") -> bytes:
    """Write a request down; Host and Content-Length are added where they are missing."""
    names = {name.lower() for name, _ in wire.headers}
    headers = list(wire.headers)
    if "host" not in names:
        headers.insert(0, ("Host", host))
    if wire.body and not names & {"content-length", "transfer-encoding"}:
        headers.append(("Content-Length", str(len(wire.body))))
    lines = [f"{wire.method} {wire.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + wire.body

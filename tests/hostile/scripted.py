"""A store that does what a test says, over real sockets: it answers, stalls, lies, and breaks off.

Every connection is handed to the script in force. `requests` keeps what arrived, whole or not.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.conftest import Store
from tests.journeys.front import Seen
from tests.journeys.listening import Listening

IDLE_SECONDS = 20.0
ANSWER = b'HTTP/1.1 200 OK\r\nETag: "5d41402abc4b2a76b9719d911017c592"\r\nContent-Length: 5\r\n\r\nhello'


class Conversation:
    """One connection of the proxy's."""

    def __init__(self, connection: socket.socket, requests: list[Seen]) -> None:
        self.socket = connection
        self.socket.settimeout(IDLE_SECONDS)
        self.requests = requests
        self.rest = b""

    def receive_head(self) -> Seen | None:
        """Read up to the end of a head; None where the connection ended first."""
        while b"\r\n\r\n" not in self.rest:
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self.rest += data
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        pairs = (each.partition(":") for each in fields)
        seen = Seen(method, target, {name.lower(): value.strip() for name, _, value in pairs})
        self.requests.append(seen)
        return seen

    def receive_body(self, seen: Seen, most: int | None = None) -> bool:
        """Read the body, or `most` bytes of it; tell whether they came."""
        length = int(seen.headers.get("content-length", "0"))
        wanted = length if most is None else min(most, length)
        while len(seen.body) < wanted:
            if not self.rest:
                self.rest = self.socket.recv(1 << 16)
                if not self.rest:
                    return False
            piece, self.rest = self.rest[: wanted - len(seen.body)], self.rest[wanted - len(seen.body) :]
            seen.body += piece
        return True

    def receive(self) -> Seen | None:
        """Read a whole request; None where the connection ended first."""
        seen = self.receive_head()
        return seen if seen is not None and self.receive_body(seen) else None

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset(self) -> None:
        """End with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Script = Callable[[Conversation], None]


def well_behaved(conversation: Conversation) -> None:
    """Answer every request on the connection with 200."""
    while conversation.receive() is not None:
        conversation.send(ANSWER)


def answering(answer: bytes) -> Script:
    """Read one request, send these bytes, and close."""

    def script(conversation: Conversation) -> None:
        if conversation.receive() is not None:
            conversation.send(answer)

    return script


class ScriptedStore:
    """Listens, and lets the script in force play the store on each connection."""

    def __init__(self) -> None:
        self.script: Script = well_behaved
        self.requests: list[Seen] = []
        self.connections = 0
        self._open: set[socket.socket] = set()
        self.server = Listening(self._converse)
        self.store = Store(self.server.endpoint, "AKIASTORE", "store-secret")

    def _converse(self, connection: socket.socket) -> None:
        self.connections += 1
        self._open.add(connection)
        with suppress(OSError):
            self.script(Conversation(connection, self.requests))
        self._open.discard(connection)

    @contextmanager
    def running(self) -> Iterator[ScriptedStore]:
        with self.server.serving():
            yield self

    def play(self, script: Script) -> None:
        """Put a script in force, end the connections that follow another one, and forget what was seen."""
        self.script = script
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        time.sleep(0.01 if self._open else 0)
        self.requests.clear()
        self.connections = 0

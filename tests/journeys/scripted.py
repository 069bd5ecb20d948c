"""A store that answers what a test tells it, down to the byte: for what real ones do rarely and never on demand."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from tests.conftest import Store
from tests.journeys.front import Reader, Seen
from tests.journeys.listening import Listening

Script = Callable[[Seen], Iterable[bytes]]
"""Gives the pieces of an answer; the connection ends after them where they do not say how long the body is."""

ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>said the store</Message>{more}</Error>'


def answer(status: int, body: bytes | str = b"", *, length: int | None = None, **headers: str) -> bytes:
    """Write an answer; `length` announces another length than the body has."""
    raw = body.encode() if isinstance(body, str) else body
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if status not in (204, 304):
        fields["Content-Length"] = str(len(raw) if length is None else length)
    head = f"HTTP/1.1 {status} Scripted\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{head}\r\n".encode() + raw


def error(status: int, code: str, more: str = "", **headers: str) -> bytes:
    return answer(status, ERROR.format(code=code, more=more), Content_Type="application/xml", **headers)


class ScriptedStore:
    """Listens on a free port; `script` may be changed between requests."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.early = False
        """Whether to answer once the head is there, and to close then."""
        self.script: Script = lambda seen: [answer(200)]
        self.server = Listening(self._converse)
        self.store = Store(self.server.endpoint, "AKIASCRIPTED", "scripted-secret")

    def _converse(self, connection: socket.socket) -> None:
        self.connections += 1
        with suppress(OSError):
            self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        mine: list[Seen] = []
        reader = Reader(mine)
        answered = 0
        while data := connection.recv(1 << 16):
            reader.feed(data)
            while answered < len(mine) and (mine[answered].whole or self.early):
                request = mine[answered]
                self.seen.append(request)
                answered += 1
                whole = True
                for piece in self.script(request):
                    whole = bool(piece)
                    connection.sendall(piece)
                if self.early:
                    # Closing on bytes that nobody has read is a reset, which can overtake the answer.
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):
                        pass
                    return
                if not whole:
                    # An empty piece at the end breaks the connection off.
                    return

    @contextmanager
    def running(self) -> Iterator[ScriptedStore]:
        with self.server.serving():
            yield self

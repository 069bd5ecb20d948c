"""A relay before a store that writes down what arrives, so that a test can prove what did not.

It changes nothing: bytes go on as they come, and a connection that one side breaks is broken on the other.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.journeys.listening import Listening


@dataclass
class Seen:
    """One request as it reached the store."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def whole(self) -> bool:
        """Tell whether all the bytes arrived that its Content-Length promised."""
        return len(self.body) == int(self.headers.get("content-length", "0"))


class Reader:
    """Splits one direction of a connection into requests; the proxy always says how long a body is."""

    def __init__(self, seen: list[Seen]) -> None:
        self.seen = seen
        self.rest = b""
        self.current: Seen | None = None

    def feed(self, data: bytes) -> None:
        self.rest += data
        while True:
            if self.current is not None:
                missing = int(self.current.headers.get("content-length", "0")) - len(self.current.body)
                self.current.body += self.rest[:missing]
                self.rest = self.rest[missing:]
                if not self.current.whole:
                    return
                self.current = None
            head, separator, rest = self.rest.partition(b"\r\n\r\n")
            if not separator:
                return
            self.rest = rest
            line, *fields = head.decode("latin-1").split("\r\n")
            method, target, _ = line.split(" ")
            pairs = (each.partition(":") for each in fields)
            self.current = Seen(method, target, {name.lower(): value.strip() for name, _, value in pairs})
            self.seen.append(self.current)


class Front:
    """The relay: `endpoint` is what the proxy is told, `seen` grows while requests arrive."""

    def __init__(self, name: str, store: str) -> None:
        self.name = name
        parts = urlsplit(store)
        self.store = (parts.hostname or "", parts.port or 80)
        self.seen: list[Seen] = []
        self.server = Listening(self.relay)
        self.endpoint = self.server.endpoint

    def relay(self, proxy: socket.socket) -> None:
        reader = Reader(self.seen)
        with socket.create_connection(self.store) as store:
            back = threading.Thread(target=pump, args=(store, proxy, lambda data: None), daemon=True)
            back.start()
            pump(proxy, store, reader.feed)
            back.join(10)

    @contextmanager
    def running(self) -> Iterator[Front]:
        with self.server.serving():
            yield self

    @contextmanager
    def watched(self) -> Iterator[list[Seen]]:
        """Collect what arrives within the block."""
        before = len(self.seen)
        found: list[Seen] = []
        yield found
        found += self.seen[before:]

    def forget(self) -> None:
        self.seen.clear()


def pump(source: socket.socket, target: socket.socket, note: Callable[[bytes], None]) -> None:
    """Copy until the source ends, then end the target the same way."""
    try:
        while data := source.recv(1 << 16):
            note(data)
            target.sendall(data)
    except OSError:
        # A reset goes on as a reset: that is how an upload is broken off.
        with suppress(OSError):
            target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(OSError):
            target.close()
    else:
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def until(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Wait for something that happens beside the test."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True

"""Every byte between a proxy and its store, counted on the wire: nothing is read or changed, so signatures hold."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from tests.conftest import Store

PIECE = 1 << 16


@dataclass
class Meter:
    """Bytes on the wire since the last `reset`, heads of requests and answers included."""

    store: Store
    sent: int = 0
    """To the store."""
    received: int = 0
    """From the store."""

    def reset(self) -> None:
        """Begin anew."""
        self.sent = self.received = 0


@contextmanager
def metered(behind: Store) -> Iterator[Meter]:
    """Listen in front of a store."""
    target = urlsplit(behind.endpoint)
    with socket.create_server(("127.0.0.1", 0)) as server:
        meter = Meter(replace(behind, endpoint=f"http://127.0.0.1:{server.getsockname()[1]}"))
        threading.Thread(target=_serve, args=(server, target.hostname, target.port, meter), daemon=True).start()
        yield meter
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, host: str, port: int, meter: Meter) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        store = socket.create_connection((host, port))
        for pair in ((client, store, "sent"), (store, client, "received")):
            threading.Thread(target=_pass_on, args=(*pair, meter), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, count: str, meter: Meter) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE):
            setattr(meter, count, getattr(meter, count) + len(piece))
            target.sendall(piece)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    # The other direction may still hold its end: whoever comes last lets go.
    source.close()

"""A server in threads of its own for as long as a test needs it."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import socket


class Listening(socketserver.ThreadingTCPServer):
    """Listens on a free port of the loopback, and hands every connection over in a thread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, converse: Callable[[socket], None]) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                converse(self.request)

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def endpoint(self) -> str:
        """The URL under which it is reached."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Accept connections within the block."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            self.server_close()
            thread.join()

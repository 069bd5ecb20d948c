"""A store in front of moto that keeps count of what is asked of it, and of the bytes it answers with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.conftest import Store


@dataclass
class Counts:
    """What was asked since the last `reset`."""

    store: Store
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Method and Range of each."""
    sent: int = 0
    """Bytes of bodies that went to the proxy."""
    before: Callable[[int], None] | None = None
    """Called ahead of each GET and HEAD with its number since the last `reset`, from 1: what happens meanwhile."""
    ignored: frozenset[str] = frozenset()
    """Names of fields that this store does not know, lower-case."""

    @property
    def reads(self) -> int:
        """How many times an object was asked for; what is left of uploads is cleared away by other requests."""
        return sum(method in ("GET", "HEAD") for method, _ in self.requests)

    def reset(self) -> None:
        """Begin anew."""
        self.requests.clear()
        self.sent = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behind: str
    counts: Counts

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.counts.requests.append((self.command, self.headers.get("Range")))
        if self.counts.before is not None and self.command in ("GET", "HEAD"):
            self.counts.before(self.counts.reads)
        fields = {name: value for name, value in self.headers.items() if name.lower() not in self.counts.ignored}
        connection = HTTPConnection(self.behind, timeout=30)
        connection.request(self.command, self.path, body, {**fields, "host": self.behind})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.counts.sent += len(content)
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.headers["Content-Length"] if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - names that the server looks up

    def log_message(self, format: str, *args: object) -> None:
        return None


@contextmanager
def counting_store(behind: Store) -> Iterator[Counts]:
    """Run one."""
    handler = type("Handler", (_Handler,), {"behind": urlsplit(behind.endpoint).netloc})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    counts = Counts(
        Store(f"http://127.0.0.1:{server.server_port}", behind.access_key_id, behind.secret_access_key, behind.region)
    )
    handler.counts = counts  # type: ignore[attr-defined]  # declared on the class it derives from
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield counts
    finally:
        server.shutdown()
        server.server_close()

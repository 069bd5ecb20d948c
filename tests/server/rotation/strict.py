"""A store in front of moto that checks the conditions which moto does not, and counts the bytes that pass."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.conftest import Store

STANDARD = "x-amz-copy-source-if-match"
CEPH = "x-amz-copy-if-match"
_REFUSAL = b"<Error><Code>PreconditionFailed</Code><Message>At least one of the pre-conditions failed</Message></Error>"


class StrictStore:
    """Which conditions of copies it checks, and what was sent to whom."""

    def __init__(self, behind: Store, source: str | None, *, destination: bool) -> None:
        self.behind = urlsplit(behind.endpoint).netloc
        self.source = source
        self.destination = destination
        self.received: Counter[str] = Counter()
        """Bytes of bodies that were sent to the store, by method."""
        self.sent: Counter[str] = Counter()
        """Bytes of bodies that the store sent, by method."""
        self.requests: Counter[str] = Counter()
        self.silent = False
        """Says nothing of the versions that it makes, as Ceph 16 after copies."""
        self.writing = threading.Lock()
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, answer = store.serve(self.command, self.path, dict(self.headers.items()), body)
                store.requests[self.command] += 1
                store.received[self.command] += len(body)
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                if self.command == "HEAD":
                    self.end_headers()
                    return
                store.sent[self.command] += len(answer)
                if status not in (204, 304):
                    self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do  # noqa: N815  as the server looks them up

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.store = Store(
            f"http://127.0.0.1:{self.server.server_port}", behind.access_key_id, behind.secret_access_key
        )

    def serve(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        if method in ("GET", "HEAD"):
            return self.ask(method, path, headers, body)
        with self.writing:
            given = {name.lower(): value for name, value in headers.items()}
            source = given.get("x-amz-copy-source")
            wanted = given.get(self.source or "")
            if source is not None and wanted is not None and self.etag("/" + source, given) != wanted:
                return 412, [], _REFUSAL
            wanted = given.pop("if-match", None)
            if self.destination and wanted is not None and self.etag(path.partition("?")[0], given) != wanted:
                return 412, [], _REFUSAL
            status, fields, answer = self.ask(method, path, given, body)
            if self.silent:
                fields = [(name, value) for name, value in fields if name.lower() != "x-amz-version-id"]
            return status, fields, answer

    def etag(self, path: str, headers: dict[str, str]) -> str | None:
        _, found, _ = self.ask("HEAD", path, {"authorization": headers["authorization"]}, b"")
        return next((value for name, value in found if name.lower() == "etag"), None)

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection(self.behind, timeout=30)
        try:
            connection.request(method, path, body, {**headers, "host": self.behind})
            answer = connection.getresponse()
            dropped = {"transfer-encoding", "connection", *(() if method == "HEAD" else ("content-length",))}
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in dropped]
            return answer.status, kept, answer.read()
        finally:
            connection.close()


@contextmanager
def strict_store(behind: Store, source: str | None = STANDARD, *, destination: bool = True) -> Iterator[StrictStore]:
    """Run one."""
    store = StrictStore(behind, source, destination=destination)
    threading.Thread(target=store.server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield store
    finally:
        store.server.shutdown()
        store.server.server_close()

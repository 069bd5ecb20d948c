"""Objects stream through: memory does not grow with their size."""

from __future__ import annotations

import http.client
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.conftest import Store
from tests.server.envelope.conftest import sealed_proxy

SIZE = 2**30
PIECE = bytes(range(256)) * 4096
LIMIT = 120 * 2**20


class _OneObject(BaseHTTPRequestHandler):
    """Keeps one object in a file, and the metadata that came with it."""

    protocol_version = "HTTP/1.1"
    file: Path
    value = ""

    def do_PUT(self) -> None:
        type(self).value = self.headers["x-amz-meta-s3w"]
        left = int(self.headers["Content-Length"])
        with self.file.open("wb") as file:
            while left:
                piece = self.rfile.read(min(left, 1 << 20))
                file.write(piece)
                left -= len(piece)
        self._answer(0)

    def do_GET(self) -> None:
        self._answer(self.file.stat().st_size)
        with self.file.open("rb") as file:
            while piece := file.read(1 << 20):
                self.wfile.write(piece)

    def _answer(self, length: int) -> None:
        self.send_response(200)
        for name, value in (("Content-Length", str(length)), ("ETag", '"e"'), ("x-amz-meta-s3w", self.value)):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return None


def pieces() -> Iterator[bytes]:
    for _ in range(SIZE // len(PIECE)):
        yield PIECE


def peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def test_a_gibibyte_streams_both_ways_in_little_memory(tmp_path: Path) -> None:
    handler = type("Handler", (_OneObject,), {"file": tmp_path / "object"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    store = Store(f"http://127.0.0.1:{server.server_port}", "AKIASTORE", "store-secret")
    try:
        with sealed_proxy(tmp_path, store) as proxy:
            named = {"Bucket": "sealed-big", "Key": "key"}
            connection = http.client.HTTPConnection(urlsplit(proxy.endpoint).netloc)
            url = urlsplit(proxy.client.generate_presigned_url("put_object", Params=named))
            connection.request("PUT", f"{url.path}?{url.query}", pieces(), {"Content-Length": str(SIZE)})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
            url = urlsplit(proxy.client.generate_presigned_url("get_object", Params=named))
            connection.request("GET", f"{url.path}?{url.query}")
            answer = connection.getresponse()
            assert (answer.status, answer.headers["Content-Length"]) == (200, str(SIZE))
            found = 0
            while piece := answer.read(1 << 20):
                found = zlib.crc32(piece, found)
            expected = 0
            for piece in pieces():
                expected = zlib.crc32(piece, expected)
            connection.close()
            assert found == expected
            assert peak(proxy.pid) < LIMIT
    finally:
        server.shutdown()
        server.server_close()

"""A stand-in for the transit engine of Vault, for what a real server cannot be made to show: garbage, say, or outages.

What it answers of itself is what the real one in `openbao.py` answers; `test_openbao.py` compares the two.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "hvs.transit-token"
DENIED = "1 error occurred:\n\t* permission denied\n\n"
"""What the real server says to a token that is good, and may not do this."""


@dataclass
class Transit:
    """Keys by name, each a list of versions; `status` answers everything with that status instead."""

    keys: dict[str, list[bytes]] = field(default_factory=lambda: {"hr": [os.urandom(32)]})
    status: int | None = None
    body: object | None = None
    redirect: str | None = None
    seen: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)

    def __enter__(self) -> Transit:
        transit = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer({})

            def do_POST(self) -> None:
                self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}"))

            def answer(self, asked: dict[str, str]) -> None:
                transit.seen.append((self.path, dict(self.headers), asked))
                status, body = transit.serve(self.path, self.headers.get("X-Vault-Token"), asked)
                raw = json.dumps(body).encode()
                self.send_response(status)
                if transit.redirect is not None:
                    self.send_header("Location", transit.redirect)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def serve(self, path: str, token: str | None, asked: dict[str, str]) -> tuple[int, object]:
        if self.redirect is not None:
            return 307, {}
        if self.status is not None or self.body is not None:
            return self.status or 200, self.body or {"errors": ["as told"]}
        if token != TOKEN:
            return 403, {"errors": ["permission denied"]}
        if path == "/v1/sys/capabilities-self":
            known = {f"transit/{verb}/{name}" for verb in ("encrypt", "decrypt") for name in self.keys}
            return 200, {"data": {each: ["update"] if each in known else ["deny"] for each in asked["paths"]}}
        if path.startswith("/v1/transit/keys/") and path.endswith("/rotate"):
            self.keys[path.split("/")[4]].append(os.urandom(32))
            return 200, {"data": {}}
        _, _, mount, verb, name = path.split("/")
        if mount != "transit" or name not in self.keys:
            return 403, {"errors": [DENIED]}
        aad = base64.b64decode(asked["associated_data"])
        if verb == "encrypt":
            versions = self.keys[name]
            nonce = os.urandom(12)
            sealed = nonce + AESGCM(versions[-1]).encrypt(nonce, base64.b64decode(asked["plaintext"]), aad)
            return 200, {"data": {"ciphertext": f"vault:v{len(versions)}:{base64.b64encode(sealed).decode()}"}}
        _, version, text = asked["ciphertext"].split(":")
        if int(version[1:]) > len(self.keys[name]):
            return 400, {"errors": ["invalid ciphertext: version is too new"]}
        try:
            sealed = base64.b64decode(text, validate=True)
        except binascii.Error:
            return 400, {"errors": ["invalid ciphertext: could not decode base64"]}
        if len(sealed) < 12:
            return 400, {"errors": ["invalid ciphertext length"]}
        try:
            plaintext = AESGCM(self.keys[name][int(version[1:]) - 1]).decrypt(sealed[:12], sealed[12:], aad)
        except InvalidTag:
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": base64.b64encode(plaintext).decode()}}

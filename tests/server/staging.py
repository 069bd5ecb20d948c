"""A worker in the test's own process, and a store that it speaks to and that follows a script."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from proxy.server.app import S3Worker
from proxy.server.worker import Slot
from tests.journeys.scripted import ScriptedStore
from tests.journeys.signing import sign_v4
from tests.journeys.walking import ALICE
from tests.journeys.wire import Answer, Wire, send

CONFIG = """
admin: null
upstream:
  endpoint: {endpoint}
  credentials: {{access_key_id: AKIAUP, secret_access_key: up-secret}}
  payload: {payload}
  lacks: [{lacks}]
owner: "123456789012"
identities:
  - arn: arn:aws:iam::123456789012:user/alice
    access_keys: [{{id: AKIAALICE, secret: alice-secret}}]
    policies: [alice.yaml]
policies: [bucket.yaml]
decision_log: {{path: decisions.jsonl}}
"""
ALICE_MAY = """\
Version: "2012-10-17"
Statement:
  - {Effect: Allow, Action: ["s3:PutObject", "s3:GetObject"], Resource: "*"}
"""
TAGS_COUNT = """\
Version: "2012-10-17"
Statement:
  - Sid: NotSecret
    Effect: Deny
    Principal: "*"
    Action: [s3:GetObject, s3:GetObjectTagging, s3:DeleteObject]
    Resource: arn:aws:s3:::labelled/*
    Condition: {StringEquals: {"s3:ExistingObjectTag/class": secret}}
"""


class Stage:
    """A worker in this process, and the store that it speaks to."""

    def __init__(self, worker: S3Worker, store: ScriptedStore, port: int, folder: Path) -> None:
        self.worker = worker
        self.store = store
        self.endpoint = f"http://127.0.0.1:{port}"
        self.folder = folder

    async def ask(
        self, method: str, path: str, body: bytes = b"", query: tuple[tuple[str, str], ...] = (), **headers: str
    ) -> Answer:
        pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return await self.send(sign_v4(Wire(method, path, query, pairs, body), ALICE, self.endpoint.partition("//")[2]))

    async def send(self, wire: Wire) -> Answer:
        """Send a request, and wait until it is recorded."""
        found = await asyncio.to_thread(send, self.endpoint, wire)
        async with asyncio.timeout(5):
            while self.worker._pipeline.in_flight:  # the log is written after the answer
                await asyncio.sleep(0.01)
        return found

    def decision(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads((self.folder / "decisions.jsonl").read_text().splitlines()[-1])
        return line


@asynccontextmanager
async def staged(folder: Path, *, payload: str = "checksums", lacks: str = "") -> AsyncIterator[Stage]:
    """Run both; `lacks` are sub-resources that the store is said not to know."""
    with ScriptedStore().running() as store, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        (folder / "alice.yaml").write_text(ALICE_MAY)
        (folder / "bucket.yaml").write_text(TAGS_COUNT)
        path = folder / "config.yaml"
        path.write_text(CONFIG.format(endpoint=store.store.endpoint, payload=payload, lacks=lacks))
        worker = S3Worker(path, Slot(), b"a secret of this test, and long enough")
        await worker.start([listener])
        try:
            yield Stage(worker, store, listener.getsockname()[1], folder)
        finally:
            await worker.close()

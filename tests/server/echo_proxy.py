"""A program that serves a trivial protocol under the real supervisor: `echo_proxy.py CONFIG`.

Clients send lines: `pid` and `revision` are answered, `sleep N` is answered after N seconds, and `crash`
ends the process as a bug in C code would.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from proxy.config import Config, load_config
from proxy.errors import ConfigError
from proxy.server.control import Control
from proxy.server.health import Health
from proxy.server.metrics import Metrics
from proxy.server.reload import Reloader, content_hash
from proxy.server.worker import Slot
from proxy.server.workers import serve


@dataclass(frozen=True, slots=True)
class Loaded:
    config: Config
    revision: str


class Echo:
    def __init__(self, path: Path, slot: Slot) -> None:
        self.path = path
        self.metrics = Metrics("1.0", slot.generation)
        self.reloader = Reloader(self.load, self.load(), self.metrics)
        self.control = Control(self.metrics, Health(), self.reloader.reload, generation=slot.generation)
        self.servers: list[asyncio.Server] = []
        self.busy: set[asyncio.Task[None]] = set()

    def load(self) -> Loaded:
        config = load_config(self.path)
        policy = config.policies[0] / "a.yaml"
        if policy.exists() and policy.read_text() == "broken":
            raise ConfigError([config.source.diagnostic(("policies",), "the policy is broken")])
        return Loaded(config, content_hash(config.policies)[:8])

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        for listener in listeners:
            backlog = self.reloader.current.config.listen.backlog
            self.servers.append(await asyncio.start_server(self.serve, sock=listener, backlog=backlog))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while line := (await reader.readline()).split():
                task = asyncio.create_task(self.answer(line, writer))
                self.busy.add(task)
                await task
                self.busy.discard(task)
        writer.close()

    async def answer(self, line: list[bytes], writer: asyncio.StreamWriter) -> None:
        self.metrics.request_started()
        if line[0] == b"crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if line[0] == b"sleep":
            await asyncio.sleep(float(line[1]))
        said = self.reloader.current.revision if line[0] == b"revision" else str(os.getpid())
        writer.write(said.encode() + b"\n")
        self.metrics.request_finished("GetObject", 200, "allow", 0.001, 0.001, 0, 1)

    async def drain(self, seconds: float) -> None:
        for server in self.servers:
            server.close()
        if self.busy:
            await asyncio.wait(self.busy, timeout=seconds)

    async def close(self) -> None:
        for server in self.servers:
            server.close()


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    path = Path(sys.argv[1])

    async def make(slot: Slot) -> Echo:
        return Echo(path, slot)

    try:
        return serve(load_config(path), make, "1.0")
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201  what a command line does
        return 2


if __name__ == "__main__":
    sys.exit(main())

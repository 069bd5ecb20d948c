"""Sockets of a port, and what signals do to the one process that serves."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from proxy.config import Config, load_config
from proxy.errors import ConfigError
from proxy.server.control import Control
from proxy.server.health import Health
from proxy.server.metrics import Metrics
from proxy.server.reload import ReloadOutcome
from proxy.server.worker import Signals, bind, bind_same, live


@pytest.fixture
def config(write_config: Callable[..., Path]) -> Config:
    return load_config(write_config())


class Scripted:
    """A worker that remembers what it was told."""

    def __init__(self, drain_takes: float = 0.0) -> None:
        self.events: list[str] = []
        self.drain_takes = drain_takes
        self.control = Control(Metrics("1.0"), Health(), self._reload, lambda: self.events.append("reopen"))

    async def _reload(self) -> ReloadOutcome:
        self.events.append("reload")
        return ReloadOutcome(True, "r1")

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        self.events.append("start")

    async def drain(self, seconds: float) -> None:
        self.events.append("drain" if self.control.health.draining else "drain while ready")
        await asyncio.sleep(self.drain_takes)
        self.events.append("drained")

    async def close(self) -> None:
        self.events.append("close")


async def told(worker: Scripted, *numbers: signal.Signals, drain_seconds: float = 5) -> float:
    """Let `worker` live, send it signals, and return how long it took to end."""
    loop = asyncio.get_running_loop()
    life = asyncio.create_task(live(worker, Signals(), drain_seconds))
    started = loop.time()
    for number in numbers:
        await asyncio.sleep(0.05)
        os.kill(os.getpid(), number)
    async with asyncio.timeout(10):
        await life
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.remove_signal_handler(number)
    return loop.time() - started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_end_it_is_not_ready_any_more_and_drains(number: signal.Signals):
    worker = Scripted()
    await told(worker, number)
    assert worker.events == ["drain", "drained"]


async def test_told_twice_it_does_not_wait(config: Config):
    worker = Scripted(drain_takes=30)
    assert await told(worker, signal.SIGTERM, signal.SIGTERM, drain_seconds=30) < 5
    assert worker.events == ["drain"]


async def test_draining_that_never_ends_is_cut_off_after_its_deadline():
    worker = Scripted(drain_takes=30)
    assert await told(worker, signal.SIGTERM, drain_seconds=0.1) < 5
    assert worker.events == ["drain"]


async def test_draining_that_fails_is_told_and_the_process_ends(caplog: pytest.LogCaptureFixture):
    class Failing(Scripted):
        async def drain(self, seconds: float) -> None:
            raise RuntimeError("cannot drain")

    await told(Failing(), signal.SIGTERM)
    assert "cannot drain" in caplog.text


async def test_a_hangup_reopens_logs_and_reloads_and_the_process_serves_on():
    worker = Scripted()
    await told(worker, signal.SIGHUP, signal.SIGHUP, signal.SIGTERM)
    assert worker.events == ["reopen", "reload", "reopen", "reload", "drain", "drained"]


async def test_it_ends_when_the_process_that_held_the_pipe_is_gone():
    read, write = os.pipe()
    signals = Signals()
    signals.stop_with_parent(read)
    os.close(write)
    async with asyncio.timeout(5):
        await signals.stopping.wait()
    os.close(read)
    assert not signals.hurrying.is_set()


async def test_systemd_is_told_when_it_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        await told(Scripted(), signal.SIGTERM)
        assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"STOPPING=1"]


def test_a_port_that_is_taken_is_told_with_its_place_in_the_configuration(config: Config):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"cannot listen on `127.0.0.1:{port}`: address already in use"):
            bind(config, "127.0.0.1", port, setting="listen")


def test_a_shared_port_on_which_somebody_listens_already_is_refused_too(config: Config):
    (other,) = bind(config, "127.0.0.1", 0, setting="listen", shared=True)
    with other:
        other.listen()
        with pytest.raises(ConfigError, match="address already in use"):
            bind(config, "127.0.0.1", other.getsockname()[1], setting="listen", shared=True)


def test_a_host_that_is_not_ours_is_told(config: Config):
    with pytest.raises(ConfigError, match="cannot listen on"):
        bind(config, "192.0.2.1", 0, setting="listen")


def test_every_address_of_a_name_gets_the_same_port(config: Config, monkeypatch: pytest.MonkeyPatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("127.0.0.1", "127.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
    for shared in (False, True):
        sockets = bind(config, "both.example.test", 0, setting="listen", shared=shared)
        names = [each.getsockname() for each in sockets]
        assert [host for host, _ in names] == ["127.0.0.1", "127.0.0.2"]
        assert names[0][1] == names[1][1]
        for each in sockets:
            each.close()


def test_only_the_socket_that_listens_gets_connections(config: Config):
    (kept,) = bind(config, "127.0.0.1", 0, setting="listen", shared=True)
    (own,) = bind_same([kept])
    with kept, own:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(kept.getsockname(), timeout=5)
        own.listen()
        own.setblocking(True)
        for _ in range(20):
            socket.create_connection(kept.getsockname(), timeout=5).close()
            own.accept()[0].close()

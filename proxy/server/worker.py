"""The life of a process that serves: start, reload on SIGHUP, drain on SIGTERM, end.

Knows nothing of requests: a `Worker` is what the composition root makes, and what is done with it here
is the same whether it is the only process or one of several.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from proxy.config import Config
from proxy.errors import ConfigError
from proxy.server.control import Control

T = TypeVar("T")
Address: TypeAlias = tuple[str | int | bytes, ...]

_log = logging.getLogger("s3warden.worker")


@dataclass(frozen=True, slots=True)
class Slot:
    """A worker's place: its number from 0, and how often it was started again after a crash."""

    index: int = 0
    generation: int = 0


class Worker(Protocol):
    """Serves S3 clients in one process."""

    @property
    def control(self) -> Control:
        """What the operator can ask and do."""
        ...

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        """Listen on these bound sockets, which are the worker's from now on, and serve."""
        ...

    async def drain(self, seconds: float) -> None:
        """Take no new connections, and return when all requests are done or `seconds` are over."""
        ...

    async def close(self) -> None:
        """Break off what is left and let everything go."""
        ...


MakeWorker: TypeAlias = Callable[[Slot], Awaitable[Worker]]
"""Called in the worker's own process and event loop. It loads configuration and policies by itself: what
was loaded before the process was forked may be older than what the other workers have reloaded since."""


def run_loop(main: Awaitable[T]) -> T:
    """Run `main` in a new event loop, uvloop's where there is one."""

    async def awaited() -> T:
        return await main

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(awaited())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class Signals:
    """SIGTERM, SIGINT and SIGHUP as events of the running loop."""

    def __init__(self, *, interrupt: bool = True) -> None:
        """Take the signals over; without `interrupt`, SIGINT is left alone."""
        self.stopping = asyncio.Event()
        """The process shall end: drain."""
        self.hurrying = asyncio.Event()
        """Told again: do not wait any longer."""
        self.hung_up = asyncio.Event()
        """Logs have been rotated, or files have changed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT) if interrupt else (signal.SIGTERM,):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.hung_up.set)

    def stop(self) -> None:
        """Stop, or hurry if already stopping."""
        (self.hurrying if self.stopping.is_set() else self.stopping).set()

    def stop_with_parent(self, pipe: int) -> None:
        """Stop when the other end of `pipe` is closed, because the process that held it is gone."""

        def gone() -> None:
            asyncio.get_running_loop().remove_reader(pipe)
            self.stopping.set()

        asyncio.get_running_loop().add_reader(pipe, gone)


async def live(worker: Worker, signals: Signals, drain_seconds: float) -> None:
    """Let a started worker serve until it is told to stop, then drain it; closing it is left to the caller."""
    _notify("READY=1")
    hangups = asyncio.create_task(_reload_on_hangup(worker.control, signals))
    try:
        await signals.stopping.wait()
        _notify("STOPPING=1")
        _log.info("draining for at most %g s", drain_seconds)
        worker.control.health.draining = True
        await _until(signals.hurrying, worker.drain(drain_seconds), drain_seconds + 1)
    finally:
        hangups.cancel()
        with suppress(asyncio.CancelledError):
            await hangups


async def _reload_on_hangup(control: Control, signals: Signals) -> None:
    while True:
        await signals.hung_up.wait()
        signals.hung_up.clear()
        control.reopen_logs()
        await control.reload()


async def _until(event: asyncio.Event, work: Awaitable[None], seconds: float) -> None:
    """Wait for `work` until `event` or `seconds` come first, then cancel it."""
    both = [asyncio.ensure_future(work), asyncio.ensure_future(event.wait())]
    await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in both:
        task.cancel()
    outcome, _ = await asyncio.gather(*both, return_exceptions=True)
    if isinstance(outcome, Exception):
        _log.error("draining failed", exc_info=outcome)


def bind(config: Config, host: str, port: int, *, setting: str, shared: bool = False) -> tuple[socket.socket, ...]:
    """Bind a TCP socket for every address of `host`, not yet listening; raises `ConfigError`.

    `shared` lets other sockets with that flag have the same port (SO_REUSEPORT); even then a port on
    which somebody listens already is refused, or two proxies would share it by mistake. `setting` names
    the configuration's section, for the error.
    """
    bound: list[socket.socket] = []
    try:
        for family, address in _addresses(host):
            # "Any port" of the first address is the port of the others.
            number = bound[0].getsockname()[1] if bound else port
            if shared:
                with _bound(family, _at(address, number), shared=False) as probe:
                    number = probe.getsockname()[1]
            bound.append(_bound(family, _at(address, number), shared))
    except OSError as error:
        for each in bound:
            each.close()
        reason = (error.strerror or str(error)).lower()
        found = config.source.diagnostic((setting, "port"), f"cannot listen on `{host}:{port}`: {reason}")
        raise ConfigError([found]) from error
    return tuple(bound)


def bind_same(sockets: Sequence[socket.socket]) -> tuple[socket.socket, ...]:
    """Bind another set of sockets to the addresses of sockets that were bound as `shared`."""
    return tuple(_bound(each.family, each.getsockname(), shared=True) for each in sockets)


def _addresses(host: str) -> list[tuple[int, Address]]:
    found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((int(family), address) for family, _, _, _, address in found))


def _at(address: Address, port: int) -> Address:
    return (address[0], port, *address[2:])


def _bound(family: int, address: Address, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


def _notify(state: str) -> None:
    """Tell systemd, if it has asked to be told. Source: man 3 sd_notify."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)

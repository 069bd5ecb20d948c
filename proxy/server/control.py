"""What the admin listener asks a worker: are you ready, what did you count, reload.

`WorkerPort` is the question; `Control` answers it inside the worker's own process, `RemoteWorker` asks
over a Unix socket, and `Fleet` makes one answer of many. Where there is one process, it asks itself.

A worker's socket is one of Linux's abstract ones, made by the supervisor before it forks: no file that
a read-only container would refuse or a crash leave behind, and the name is taken as long as the proxy
runs. File permissions do not guard such a socket, so both ends look who the other one is.

One question per connection, both ways one line of JSON: a worker that dies in mid-answer leaves no half
message for its successor, and its death is seen at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from proxy.server.health import CheckResult, Health, Readiness
from proxy.server.metrics import Metrics, Sample, Totals, render
from proxy.server.reload import ReloadOutcome

ANSWER_SECONDS = 5.0
RELOAD_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_LINE_BYTES = 1 << 24  # metrics of all operations in all outcomes are about 200 KiB

T = TypeVar("T")


class WorkerUnreachableError(Exception):
    """A worker did not answer: it is dead, being started, or stuck."""


class WorkerPort(Protocol):
    """One worker, as the admin listener sees it; every method may raise `WorkerUnreachableError`."""

    async def readiness(self) -> Readiness:
        """Tell whether it can serve."""
        ...

    async def counted(self) -> tuple[int, Sample]:
        """Return its generation and what it counted."""
        ...

    async def reload(self) -> ReloadOutcome:
        """Reload and wait for the outcome."""
        ...


@dataclass(frozen=True, slots=True)
class Control:
    """A worker's operable parts, put together by the composition root."""

    metrics: Metrics
    health: Health
    reloading: Callable[[], Awaitable[ReloadOutcome]]
    reopen_logs: Callable[[], None] = lambda: None
    generation: int = 0

    async def readiness(self) -> Readiness:
        """Run the checks."""
        return await self.health.readiness()

    async def counted(self) -> tuple[int, Sample]:
        """Copy the counters."""
        return self.generation, self.metrics.sample()

    async def reload(self) -> ReloadOutcome:
        """Reload and wait for the outcome."""
        return await self.reloading()


async def _readiness(control: Control) -> object:
    return asdict(await control.readiness())


async def _counted(control: Control) -> object:
    return await control.counted()


async def _reload(control: Control) -> object:
    return asdict(await control.reload())


_ANSWERS: Mapping[bytes, Callable[[Control], Awaitable[object]]] = {
    b"readiness": _readiness,
    b"counted": _counted,
    b"reload": _reload,
}


def control_socket() -> socket.socket:
    """Make a listening socket for a worker's control; its address is `getsockname()`."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind("")  # autobind: the kernel chooses a free abstract name
    made.listen(16)
    made.setblocking(False)
    return made


async def serve_control(control: Control, listener: socket.socket) -> asyncio.Server:
    """Answer questions on `listener` until the returned server is closed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not _is_same_user(writer.get_extra_info("socket")):
                return
            question = (await reader.readline()).strip()
            if question in _ANSWERS:
                writer.write(json.dumps(await _ANSWERS[question](control)).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # the asker has given up
        finally:
            writer.close()

    return await asyncio.start_unix_server(answer, sock=listener)


@dataclass(frozen=True, slots=True)
class RemoteWorker:
    """A worker in another process, asked at its control socket's address, if it runs at all."""

    address: bytes
    is_alive: Callable[[], bool] = lambda: True

    async def readiness(self) -> Readiness:
        """Tell whether it can serve."""
        answer = await self._ask(b"readiness", ANSWER_SECONDS)
        return Readiness(tuple(CheckResult(**check) for check in answer["checks"]))

    async def counted(self) -> tuple[int, Sample]:
        """Return its generation and what it counted."""
        generation, sample = await self._ask(b"counted", ANSWER_SECONDS)
        return generation, sample

    async def reload(self) -> ReloadOutcome:
        """Reload and wait for the outcome."""
        return ReloadOutcome(**await self._ask(b"reload", RELOAD_SECONDS))

    async def _ask(self, question: bytes, seconds: float) -> Any:
        asking = asyncio.create_task(_exchange(self.address, question))
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            # A worker that ends leaves the question in its socket's queue, where nobody sees it.
            while self.is_alive() and asyncio.get_running_loop().time() < deadline:
                await asyncio.wait({asking}, timeout=_LOOK_SECONDS)
                if asking.done():
                    return json.loads(asking.result())
        except (OSError, ValueError) as error:
            raise WorkerUnreachableError(f"no answer: {error}") from error
        finally:
            asking.cancel()
            await asyncio.wait({asking})
        raise WorkerUnreachableError("stuck" if self.is_alive() else "not running")


async def _exchange(address: bytes, question: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(sock=_connected(address), limit=_LINE_BYTES)
    try:
        writer.write(question + b"\n")
        return await reader.readline()
    finally:
        writer.close()


def _connected(address: bytes) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        made.connect(address)  # to a local queue: it is done at once, or the queue is full
        if not _is_same_user(made):
            raise PermissionError("the control socket is not ours")
    except OSError:
        made.close()
        raise
    return made


def _is_same_user(connection: socket.socket) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return bool(user == os.getuid())


class Fleet:
    """All workers as one."""

    def __init__(self, workers: Sequence[WorkerPort]) -> None:
        self._workers = workers
        self._totals = Totals()

    async def alive(self) -> bool:
        """Tell whether any worker answers: if none does, only a restart of the whole helps."""
        found = await self._ask_all(lambda worker: worker.counted())
        return any(counted is not None for counted in found)

    async def readiness(self) -> tuple[bool, tuple[Readiness, ...]]:
        """Tell whether requests should be sent here, and what each worker found.

        A worker that does not answer takes no connections either while it is started again: the
        others' word counts. It is listed with a problem all the same.
        """
        found = await self._ask_all(lambda worker: worker.readiness())
        answered = [readiness for readiness in found if readiness is not None]
        silent = Readiness((CheckResult("serving", "no answer"),))
        ready = bool(answered) and all(readiness.ready for readiness in answered)
        return ready, tuple(silent if readiness is None else readiness for readiness in found)

    async def metrics(self) -> bytes:
        """Return the counters of all workers, in Prometheus' text format."""
        found = await self._ask_all(lambda worker: worker.counted())
        for index, counted in enumerate(found):
            if counted is None:
                self._totals.absent(index)
            else:
                self._totals.update(index, *counted)
        return render(self._totals.sample())

    async def reload(self) -> ReloadOutcome:
        """Reload all workers at once; it worked if it worked everywhere."""
        found = await self._ask_all(lambda worker: worker.reload())
        outcomes = [outcome for outcome in found if outcome is not None]
        if not outcomes:
            return ReloadOutcome(False, "", "no worker answered")
        # A worker that is being started reads the files as they are now anyway.
        return next((outcome for outcome in outcomes if not outcome.ok), outcomes[0])

    async def _ask_all(self, question: Callable[[WorkerPort], Awaitable[T]]) -> list[T | None]:
        async def ask(worker: WorkerPort) -> T | None:
            try:
                return await question(worker)
            except WorkerUnreachableError:
                return None

        return await asyncio.gather(*map(ask, self._workers))

"""One process or several on one port, and what keeps several of them alive.

With one worker, the process itself serves, and the operator's listener runs beside it. With more, this
process becomes a supervisor that has no event loop and no threads, so that it can fork at any time: it
forks the workers and one more process for the operator's listener, starts again what crashes, passes
signals on, and ends last.

Every worker binds a socket of its own to the port (SO_REUSEPORT), and the kernel deals connections out
by a hash. On one shared listening socket all idle workers wake up for each connection and the first
takes whatever is waiting: of 64 connections opened at once, uvloop gave 64 to one worker and none to
the other, where separate sockets gave 31 and 33. A dead worker's socket dies with it, so that new
connections go to the others at once. The supervisor keeps the port with a bound socket that does not
listen, and gets no connections.

Source: https://lwn.net/Articles/542629/ (SO_REUSEPORT)
"""

from __future__ import annotations

import gc
import logging
import mmap
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from proxy.config import Admin, Config, Secret
from proxy.errors import ConfigError
from proxy.server.admin import AdminListener
from proxy.server.collector import settle
from proxy.server.control import Fleet, RemoteWorker, control_socket, serve_control
from proxy.server.heap import keep_freed_memory
from proxy.server.worker import MakeWorker, Signals, Slot, bind, bind_same, live, run_loop

EXIT_OK = 0
EXIT_CRASHED = 1
EXIT_CONFIG = 2

FIRST_DELAY = 0.5
MAX_DELAY = 30.0
STEADY_SECONDS = 60.0
"""A process that lived this long has not crashed at starting: its next start is not delayed further."""

KILL_SECONDS = 5.0
"""What draining may take beyond its deadline before a process is killed."""

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})

_log = logging.getLogger("s3warden.workers")


def serve(config: Config, make_worker: MakeWorker, version: str) -> int:
    """Serve until told to stop, and return the exit code; raises `ConfigError` if a port is taken."""
    keep_freed_memory()
    several = config.listen.workers > 1
    listeners = bind(config, config.listen.host, config.listen.port, setting="listen", shared=several)
    operator: tuple[socket.socket, ...] = ()
    if config.admin is not None:
        operator = bind(config, config.admin.host, config.admin.port, setting="admin")[:1]
    for each in (*listeners, *operator):
        _log.info("listening on %s port %d", *each.getsockname()[:2])
    if several:
        return Supervisor(config, make_worker, version, listeners, operator).run()
    return run_loop(_serve_alone(config, make_worker, version, listeners, operator))


async def _serve_alone(
    config: Config,
    make_worker: MakeWorker,
    version: str,
    listeners: Sequence[socket.socket],
    operator: Sequence[socket.socket],
) -> int:
    signals = Signals()
    worker = await make_worker(Slot())
    admin = AdminListener(Fleet([worker.control]), _token(config.admin), version)
    try:
        await worker.start(listeners)
        for listener in operator:
            await admin.start(listener)
        await live(worker, signals, config.limits.drain_seconds)
    finally:
        await worker.close()
        await admin.stop()
    return EXIT_OK


def _token(admin: Admin | None) -> Secret | None:
    return admin.token if admin is not None else None


@dataclass(slots=True, eq=False)
class _Child:
    """A process that shall run: `pid` is None while it waits to be started again, `due` says when."""

    name: str
    body: Callable[[Slot], int]
    slot: Slot
    pid: int | None = None
    started: float = 0.0
    due: float = 0.0
    delay: float = field(default=FIRST_DELAY)


class Supervisor:
    """Forks the processes and keeps them running. Single-threaded, without an event loop."""

    def __init__(
        self,
        config: Config,
        make_worker: MakeWorker,
        version: str,
        listeners: Sequence[socket.socket],
        operator: Sequence[socket.socket],
    ) -> None:
        self._config = config
        self._make_worker = make_worker
        self._version = version
        self._listeners = listeners
        self._operator = operator
        self._controls = [control_socket() for _ in range(config.listen.workers)]
        # One byte per worker, shared with the admin listener: does it run. Its control socket cannot tell,
        # since the supervisor keeps that open for the next one.
        self._alive = mmap.mmap(-1, config.listen.workers)
        self._parent_read, self._parent_write = os.pipe()
        self._workers = [_Child(f"worker {index}", self._worker, Slot(index)) for index in range(config.listen.workers)]
        self._admins = [_Child("admin listener", self._admin, Slot()) for _ in operator]
        self._stopping_since: float | None = None
        self._exit_code = EXIT_OK

    def run(self) -> int:
        """Run until all processes have ended."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        gc.freeze()  # what exists now is shared with the children, as long as no collector writes to it
        try:
            while self._start_due() or self._running():
                received = signal.sigtimedwait(_SIGNALS, self._seconds_to_wait())
                if received is not None:
                    self._signalled(received.si_signo)
                self._reap()
                self._finish()
        finally:
            gc.unfreeze()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for each in (*self._listeners, *self._operator, *self._controls):
                each.close()
            os.close(self._parent_read)
            os.close(self._parent_write)
        return self._exit_code

    # -- starting

    def _start_due(self) -> bool:
        """Start what shall run and does not; tell whether anything still waits for its time."""
        if self._stopping_since is not None:
            return False
        now = time.monotonic()
        for child in (*self._workers, *self._admins):
            if child.pid is None and child.due <= now:
                child.pid = self._fork(child)
                child.started = now
                self._mark(child, alive=True)
        return True

    def _fork(self, child: _Child) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        code = EXIT_CRASHED
        try:
            os.close(self._parent_write)
            # Ctrl-C reaches the whole foreground group: the supervisor alone says when to stop.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            code = child.body(child.slot)
        except ConfigError as error:
            _log.error("%s cannot start:\n%s", child.name, error)
            code = EXIT_CONFIG
        except BaseException:
            _log.exception("%s crashed", child.name)
        finally:
            logging.shutdown()
            os._exit(code)  # nothing that the supervisor has set up is the child's to take down

    def _worker(self, slot: Slot) -> int:
        return run_loop(self._live_as_worker(slot))

    async def _live_as_worker(self, slot: Slot) -> int:
        signals = Signals(interrupt=False)
        signals.stop_with_parent(self._parent_read)
        listeners = bind_same(self._listeners)
        for each in (*self._listeners, *self._operator):
            each.close()
        worker = await self._make_worker(slot)
        control = await serve_control(worker.control, self._controls[slot.index])
        try:
            await worker.start(listeners)
            settle()
            await live(worker, signals, self._config.limits.drain_seconds)
        finally:
            await worker.close()
            control.close()
        return EXIT_OK

    def _admin(self, _: Slot) -> int:
        return run_loop(self._live_as_admin())

    async def _live_as_admin(self) -> int:
        signals = Signals(interrupt=False)
        signals.stop_with_parent(self._parent_read)
        fleet = Fleet(
            [
                RemoteWorker(control.getsockname(), partial(self._is_alive, index))
                for index, control in enumerate(self._controls)
            ]
        )
        for each in (*self._listeners, *self._controls):
            each.close()
        admin = AdminListener(fleet, _token(self._config.admin), self._version)
        for listener in self._operator:
            await admin.start(listener)
        await signals.stopping.wait()
        await admin.stop()
        return EXIT_OK

    # -- running

    def _running(self) -> bool:
        return any(child.pid is not None for child in (*self._workers, *self._admins))

    def _seconds_to_wait(self) -> float:
        if self._stopping_since is not None:
            return 0.2
        now = time.monotonic()
        due = [child.due - now for child in (*self._workers, *self._admins) if child.pid is None]
        return max(0.0, min([MAX_DELAY, *due]))

    def _reap(self) -> None:
        for child in (*self._workers, *self._admins):
            if child.pid is not None:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid:
                    self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: _Child, code: int) -> None:
        pid, child.pid = child.pid, None
        self._mark(child, alive=False)
        if self._stopping_since is not None:
            return
        if code == EXIT_CONFIG and child.slot.generation == 0:
            self._exit_code = EXIT_CONFIG
            self._stop()
            return
        now = time.monotonic()
        child.delay = FIRST_DELAY if now - child.started >= STEADY_SECONDS else child.delay
        child.due = now + child.delay
        child.slot = Slot(child.slot.index, child.slot.generation + 1)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        _log.error("%s (pid %d) %s; starting it again in %g s", child.name, pid, how, child.delay)
        child.delay = min(MAX_DELAY, child.delay * 2)

    def _mark(self, child: _Child, *, alive: bool) -> None:
        if child in self._workers:
            self._alive[child.slot.index] = int(alive)

    def _is_alive(self, index: int) -> bool:
        return self._alive[index] == 1

    # -- stopping

    def _signalled(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP:
            self._send(self._workers, signal.SIGHUP)

    def _stop(self) -> None:
        """Tell the workers to drain; told twice, they hurry."""
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
        self._send(self._workers, signal.SIGTERM)

    def _finish(self) -> None:
        """End the admin listener when the workers have ended, and what does not end in time."""
        if self._stopping_since is None:
            return
        late = time.monotonic() - self._stopping_since - self._config.limits.drain_seconds
        if late > KILL_SECONDS:
            self._send(self._workers, signal.SIGKILL)
        if all(child.pid is None for child in self._workers):
            self._send(self._admins, signal.SIGKILL if late > 2 * KILL_SECONDS else signal.SIGTERM)

    def _send(self, children: Sequence[_Child], number: signal.Signals) -> None:
        for child in children:
            if child.pid is not None:
                os.kill(child.pid, number)  # not reaped yet, so the pid is still this child's

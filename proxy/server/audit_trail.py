"""The trail of key use while requests run: records are written beside the event loop, several at a time.

With `block` a use of a key counts only once its record is written: what cannot be recorded in time is
refused. With `drop-and-count` nobody waits, and the next record says how many are missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import SimpleQueue
from threading import Thread
from typing import Protocol, TypeAlias

from proxy.audit.database import Database
from proxy.audit.event import KeyUse, Outcome
from proxy.audit.journal import Journal
from proxy.config import Audit, Config
from proxy.errors import ConfigError, S3Error
from proxy.keys.witness import MasterUse

MAX_BATCH = 256
"""Records written in one go: each batch takes one lock and one write, however many wait."""
GATHER_TURNS = 2
"""So many turns of the event loop a record waits for others: no time when nothing else is ready."""

_log = logging.getLogger("s3warden.audit")


class Sink(Protocol):
    """Something that keeps records."""

    def append(self, events: Sequence[KeyUse], dropped: int = 0) -> None:
        """Keep records, after which `dropped` are missing; raises OSError."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


class KeyTrail(Protocol):
    """Where uses of keys are recorded."""

    async def record(self, event: KeyUse) -> None:
        """Record a use; raises `S3Error` ServiceUnavailable when it must be recorded and cannot."""
        ...


def master_event(use: MasterUse, event: KeyUse) -> KeyUse:
    """Return what is recorded when a master key opens or wraps a bucket key; `event` says on whose behalf."""
    error = use.error
    code = error.code if isinstance(error, S3Error) else None if error is None else "InternalError"
    outcome: Outcome = "allowed" if error is None else "failed"
    return replace(event, action=use.action, key=use.key, outcome=outcome, error=code, kek=use.kek, context=use.context)


class NoTrail:
    """Where they are recorded when the configuration wants no trail."""

    async def record(self, event: KeyUse) -> None:
        """Forget it."""


_Waiting: TypeAlias = "tuple[KeyUse, asyncio.Future[None]]"


class _Writer:
    """One sink, its thread, and what waits for it."""

    def __init__(self, name: str, sink: Sink, limit: int | None, count: Callable[[str, bool], None]) -> None:
        self.name = name
        self._sink = sink
        self._limit = limit
        self._count = count
        # A thread and a queue of its own take half the time of an executor, which is most of what a record costs.
        self._batches: SimpleQueue[tuple[asyncio.AbstractEventLoop, list[_Waiting], int] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=f"audit-{name}", daemon=True)
        self._thread.start()
        self._waiting: list[_Waiting] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._dropped = 0
        self._failing = False

    def add(self, event: KeyUse) -> asyncio.Future[None] | None:
        """Queue a record; returns what is done when it is written, None when it was dropped."""
        if self._limit is not None and len(self._waiting) >= self._limit:
            self._dropped += 1
            self._count(self.name, False)
            return None
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((event, done))
        if self._idle.is_set():
            self._idle.clear()
            loop.call_soon(self._gather, loop, GATHER_TURNS)
        return done

    async def close(self) -> None:
        """Write what waits, then let go."""
        await self._idle.wait()
        self._batches.put(None)
        self._thread.join()
        self._sink.close()

    def _gather(self, loop: asyncio.AbstractEventLoop, turns: int) -> None:
        """Let whatever else is ready run first, for what it may have to record, then hand over a batch."""
        if turns and len(self._waiting) < MAX_BATCH:
            loop.call_soon(self._gather, loop, turns - 1)
            return
        batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        self._batches.put((loop, batch, self._dropped))

    def _work(self) -> None:
        """Write batches as they come; runs in the thread."""
        while (handed := self._batches.get()) is not None:
            loop, batch, dropped = handed
            error: Exception | None = None
            try:
                self._sink.append([event for event, _ in batch], dropped)
            except Exception as failure:  # whatever it is: nobody may wait for a thread that is gone
                error = failure
            loop.call_soon_threadsafe(self._written, loop, batch, dropped, error)

    def _written(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting], dropped: int, failure: Exception | None
    ) -> None:
        error = failure if failure is None or isinstance(failure, OSError) else OSError(repr(failure))
        if error is None:
            self._dropped -= dropped
        elif self._limit is not None:
            self._dropped += len(batch)
        self._tell(error)
        if self._waiting:
            self._gather(loop, GATHER_TURNS)
        else:
            self._idle.set()
        for _, done in batch:
            self._count(self.name, error is None)
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
                done.exception()  # not everybody waits for it

    def _tell(self, error: OSError | None) -> None:
        if error is not None and not self._failing:
            _log.error("the use of keys is not recorded in the %s: %s", self.name, error)
        elif error is None and self._failing:
            _log.warning("the use of keys is recorded in the %s again", self.name)
        self._failing = error is not None


class AuditTrail:
    """Records uses of keys in all sinks of the configuration."""

    def __init__(self, settings: Audit, count: Callable[[str, bool], None]) -> None:
        """Open the sinks; raises OSError. `count` is told of each record whether it was written."""
        secrets = [secret.reveal().encode() for secret in settings.secret]
        sinks: list[tuple[str, Sink]] = []
        if settings.path is not None:
            sinks.append(("journal", Journal(settings.path, secrets, settings.rotate_bytes, sync=settings.sync)))
        if settings.store is not None:
            sinks.append(("store", Database(settings.store, secrets, sync=settings.sync)))
        self._blocks = settings.when_full == "block"
        self._seconds = settings.timeout_seconds
        limit = None if self._blocks else settings.queue
        self._writers = [_Writer(name, sink, limit, count) for name, sink in sinks]

    async def record(self, event: KeyUse) -> None:
        """Record a use in every sink; with `block`, raises `S3Error` ServiceUnavailable when one cannot."""
        waiting = [done for writer in self._writers if (done := writer.add(event)) is not None]
        if not self._blocks:
            return
        late = asyncio.get_running_loop().call_later(self._seconds, _give_up, waiting)
        try:
            for done in waiting:
                # A client that leaves does not take its record with it: only who waits for it is gone.
                await done
        except (OSError, TimeoutError) as error:
            reason = str(error) or f"not within {self._seconds:g} seconds"
            raise S3Error("ServiceUnavailable", detail=f"the use of a key could not be recorded: {reason}") from error
        finally:
            late.cancel()

    async def close(self) -> None:
        """Write what waits, and close the sinks."""
        for writer in self._writers:
            await writer.close()


def _give_up(waiting: Sequence[asyncio.Future[None]]) -> None:
    """Let nobody wait any longer; what was asked for is written all the same."""
    for done in waiting:
        if not done.done():
            done.set_exception(TimeoutError())
            done.exception()  # the first may have been enough


def open_trail(config: Config) -> AuditTrail | None:
    """Open the trail of a configuration for a command, None where there is none; raises `ConfigError`."""
    if config.audit is None:
        return None
    try:
        return AuditTrail(config.audit, lambda sink, ok: None)
    except OSError as error:
        message = f"cannot open the trail of key use: {error.strerror or error}"
        raise ConfigError([config.source.diagnostic(("audit",), message)]) from error

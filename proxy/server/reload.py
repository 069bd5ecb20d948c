"""Taking a changed configuration and changed policies into force, or keeping what works.

A reload loads everything anew beside what serves, runs all checks on it and then swaps one reference.
Whoever serves a request takes `current` once and finishes on it. What fails to load changes nothing:
it is logged and counted, and the proxy stays ready with its old state.

Changes are found by content, not by time stamps: Kubernetes swaps symbolic links under a mounted
volume, and some file systems keep seconds only.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from proxy.config import Config
from proxy.errors import ConfigError

WATCH_SECONDS = 2.0
_SUFFIXES = frozenset({".yaml", ".yml", ".json"})

_log = logging.getLogger("s3warden.reload")


class Snapshot(Protocol):
    """All that requests are judged by, immutable."""

    @property
    def config(self) -> Config:
        """The configuration it was made from."""
        ...

    @property
    def revision(self) -> str:
        """Names this state of the policies, in the log and in `policy_info`."""
        ...


class ReloadCounter(Protocol):
    """What counts reloads; `proxy.server.metrics.Metrics` is one."""

    def reloaded(self, ok: bool) -> None:
        """A reload worked, or the old state was kept."""
        ...

    def revision(self, revision: str) -> None:
        """From now on these policies are in force."""
        ...


S = TypeVar("S", bound=Snapshot)


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """How a reload ended: the revision now in force, and what went wrong or must be known."""

    ok: bool
    revision: str
    message: str = ""


class Reloader(Generic[S]):
    """Holds the snapshot in force and replaces it.

    `load` makes a new one from disk and raises `ConfigError`; `checks` look at it and raise the same;
    both run in a thread, so that requests go on. `steps` put it into force outside of the snapshot (a
    TLS certificate, say) and run in the event loop right before the swap; one that fails stops it.
    """

    def __init__(
        self,
        load: Callable[[], S],
        first: S,
        counter: ReloadCounter,
        *,
        checks: Sequence[Callable[[S], object]] = (),
        steps: Sequence[Callable[[S], None]] = (),
    ) -> None:
        self.current = first
        self._load = load
        self._counter = counter
        self._checks = checks
        self._steps = steps
        self._lock = asyncio.Lock()
        self._seen = content_hash(watched_paths(first.config))
        counter.revision(first.revision)

    async def reload(self) -> ReloadOutcome:
        """Load anew and swap, or keep what is; never raises. Reloads queue up behind each other."""
        async with self._lock:
            # Before loading: a file that changes meanwhile is found by the next look, not missed.
            self._seen = await asyncio.to_thread(content_hash, watched_paths(self.current.config))
            return await self._replace()

    async def watch(self, seconds: float = WATCH_SECONDS) -> None:
        """Reload whenever the content of a file has changed, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            async with self._lock:
                seen = await asyncio.to_thread(content_hash, watched_paths(self.current.config))
                if seen != self._seen:
                    self._seen = seen
                    await self._replace()

    async def _replace(self) -> ReloadOutcome:
        old = self.current
        try:
            new = await asyncio.to_thread(self._load_checked)
            for step in self._steps:
                step(new)
        except ConfigError as error:
            return self._kept(str(error))
        except Exception as error:  # a fault of ours must not end the watch, nor take the old state away
            _log.exception("reload failed")
            return self._kept(f"{type(error).__name__}: {error}")
        self.current = new
        self._counter.reloaded(ok=True)
        self._counter.revision(new.revision)
        waiting = needs_restart(old.config, new.config)
        message = f"needs a restart to take effect: {', '.join(waiting)}" if waiting else ""
        if waiting:
            _log.warning("%s", message)
        if new.revision != old.revision:
            _log.info("reloaded: revision %s replaces %s", new.revision, old.revision)
        else:
            _log.info("reloaded: policies are as before, revision %s", new.revision)
        return ReloadOutcome(True, new.revision, message)

    def _load_checked(self) -> S:
        new = self._load()
        for check in self._checks:
            check(new)
        return new

    def _kept(self, reason: str) -> ReloadOutcome:
        self._counter.reloaded(ok=False)
        _log.error("reload refused, revision %s stays in force:\n%s", self.current.revision, reason)
        return ReloadOutcome(False, self.current.revision, reason)


def watched_paths(config: Config) -> tuple[Path, ...]:
    """Return the files and folders whose content a reload reads.

    Files behind `${file:...}` are not among them: rotating a secret is an act, followed by SIGHUP.
    """
    paths = [config.path, *config.policies]
    for identity in config.identities:
        paths += identity.policies
    if config.listen.tls is not None:
        paths += [config.listen.tls.cert, config.listen.tls.key]
    if config.upstream.tls.ca is not None:
        paths.append(config.upstream.tls.ca)
    return tuple(dict.fromkeys(paths))


def content_hash(paths: Iterable[Path]) -> str:
    """Return the SHA-256 over names and contents of files, and of all policy files in folders.

    A file that cannot be read counts as absent: whether that is an error is for the loader to say.
    """
    digest = hashlib.sha256()
    for path in paths:
        for file in _files(path):
            try:
                content = file.read_bytes()
            except OSError:
                continue
            name = str(file).encode("utf-8", "surrogateescape")
            digest.update(b"%d %s %d " % (len(name), name, len(content)))
            digest.update(content)
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*")):
        if file.suffix in _SUFFIXES and not file.name.startswith("."):
            yield file


def needs_restart(old: Config, new: Config) -> tuple[str, ...]:
    """Name the settings that differ and that a running process cannot change."""
    pairs = {
        "listen.host": (old.listen.host, new.listen.host),
        "listen.port": (old.listen.port, new.listen.port),
        "listen.workers": (old.listen.workers, new.listen.workers),
        "listen.backlog": (old.listen.backlog, new.listen.backlog),
        "listen.tls": (old.listen.tls is None, new.listen.tls is None),
        "limits.drain_seconds": (old.limits.drain_seconds, new.limits.drain_seconds),
        "admin": (old.admin, new.admin),
        "decision_log": (old.decision_log, new.decision_log),
    }
    return tuple(name for name, (before, after) in pairs.items() if before != after)

"""Whether this process should be sent requests: named checks, each bounded in time.

A check is an async function that returns None when all is well, or says what is not. Whoever has
something to check registers it; nothing here knows what policies or key services are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

Check: TypeAlias = Callable[[], Awaitable[str | None]]
"""Returns None, or what is wrong in a few words fit for the operator."""

CHECK_SECONDS = 2.0
"""Longest time a check may take: probes of Kubernetes and load balancers give up after a few seconds."""

KEPT_SECONDS = 5.0
"""How long a probe of something remote is believed, so that readiness probes do not become load on it."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found; `problem` is None if all is well."""

    name: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """What all checks found."""

    checks: tuple[CheckResult, ...]

    @property
    def ready(self) -> bool:
        """True if no check has a problem."""
        return all(check.problem is None for check in self.checks)


class Health:
    """The checks of one process, and whether it is on its way out."""

    def __init__(self, check_seconds: float = CHECK_SECONDS) -> None:
        self._check_seconds = check_seconds
        self._checks: dict[str, Check] = {}
        self.draining = False
        """Set when the process stops taking requests; it is not ready from then on."""

    def register(self, name: str, check: Check) -> None:
        """Add a check, or replace the one of this name."""
        self._checks[name] = check

    async def readiness(self) -> Readiness:
        """Run all checks at once; takes at most the time of one."""
        state = CheckResult("serving", "draining: no new requests are taken" if self.draining else None)
        found = await asyncio.gather(*(self._run(name, check) for name, check in self._checks.items()))
        return Readiness((state, *found))

    async def _run(self, name: str, check: Check) -> CheckResult:
        try:
            async with asyncio.timeout(self._check_seconds):
                return CheckResult(name, await check())
        except TimeoutError:
            return CheckResult(name, f"no answer in {self._check_seconds:g} s")
        except Exception as error:  # a check that breaks must not take the others' answers with it
            return CheckResult(name, f"the check failed: {type(error).__name__}: {error}")


def kept(check: Check, seconds: float = KEPT_SECONDS) -> Check:
    """Make a check that asks at most every `seconds`, however many ask at a time."""
    lock = asyncio.Lock()
    last: tuple[float, str | None] | None = None

    async def ask() -> str | None:
        nonlocal last
        async with lock:
            now = asyncio.get_running_loop().time()
            if last is None or now - last[0] >= seconds:
                last = (now, await check())
            return last[1]

    return ask


def reachable(host: str, port: int, seconds: float = CHECK_SECONDS / 2) -> Check:
    """Make a check that a TCP connection to `host` can be opened.

    Whether the store likes our credentials is not asked: that would be a signed request per probe, and
    one that a bucket policy upstream may refuse although all is well.
    """

    async def connect() -> str | None:
        try:
            async with asyncio.timeout(seconds):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            return f"no connection to {host}:{port} in {seconds:g} s"
        except OSError as error:
            return f"no connection to {host}:{port}: {error.strerror or error}"
        writer.transport.abort()
        return None

    return connect

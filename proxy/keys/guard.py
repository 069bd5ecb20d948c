"""Bounds on what a key service can do to a request: time, tries, and a breaker for when it is down.

Fails closed: a service that does not answer is 503 ServiceUnavailable, never a request without its key.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from proxy.envelope.context import Context
from proxy.envelope.keyring import Edk
from proxy.errors import IntegrityError, S3Error
from proxy.keys.breaker import CircuitBreaker
from proxy.keys.service import KeyOp, KeyResult, KeyService, KeyUnavailableError, Observer, Provider

MAX_TRIES = 3
FIRST_PAUSE = 0.05
"""Seconds before the second try; doubled for the next. Each is multiplied by a random 0.5 to 1.5, so that
proxies that failed together do not come back together."""

_T = TypeVar("_T")
Jitter = Callable[[], float]


def _jitter() -> float:
    return 0.5 + random.random()  # noqa: S311 - spreads load, guards nothing


class GuardedKey:
    """A key of somebody else's service, asked within bounds."""

    is_remote = True

    def __init__(
        self,
        name: str,
        service: KeyService,
        seconds: float,
        observe: Observer,
        breaker: CircuitBreaker | None = None,
        jitter: Jitter = _jitter,
    ) -> None:
        self.name = name
        self._service = service
        self._seconds = seconds
        self._observe = observe
        self._breaker = breaker or CircuitBreaker()
        self._jitter = jitter

    @property
    def provider(self) -> Provider:
        """What kind of service this is."""
        return self._service.provider

    @property
    def can_unwrap(self) -> bool:
        """Whether the key can unwrap at all."""
        return self._service.can_unwrap

    def names(self, edk: Edk) -> bool:
        """Tell whether `edk` says that this key wrapped it."""
        return self._service.names(edk)

    async def wrap(self, data_key: bytes, context: Context) -> Edk:
        """Wrap; raises `S3Error` ServiceUnavailable when the service does not answer in time."""
        return await self._ask("wrap", lambda: self._service.wrap(data_key, context))

    async def unwrap(self, edk: Edk, context: Context) -> bytes | None:
        """Unwrap; raises `S3Error` ServiceUnavailable when the service does not answer in time."""
        if not self._service.names(edk):
            return None
        return await self._ask("unwrap", lambda: self._service.unwrap(edk, context))

    async def check(self) -> str | None:
        """Ask the service whether the key can be used; says so when it is being left alone."""
        try:
            return await self._ask("check", self._service.check)
        except S3Error as error:
            return error.detail or error.message

    async def close(self) -> None:
        """Let go of the service."""
        await self._service.close()

    async def _ask(self, op: KeyOp, call: Callable[[], Awaitable[_T]]) -> _T:
        if not self._breaker.allows():
            raise self._unavailable(op, "did not answer lately and is left alone for some seconds")
        result: KeyResult | None = None
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._try(call)
            result = "ok"
            return answer
        except (KeyUnavailableError, TimeoutError) as error:
            self._breaker.failed()
            raise self._unavailable(op, str(error) or f"did not answer in {self._seconds:g} seconds") from error
        except S3Error:
            result = "refused"
            raise
        except IntegrityError:
            result = "invalid"
            raise
        finally:
            if result is not None:
                self._breaker.succeeded()
                self._observe(self.provider, op, result)
            else:
                self._breaker.abandoned()

    async def _try(self, call: Callable[[], Awaitable[_T]]) -> _T:
        pause = FIRST_PAUSE
        for _ in range(MAX_TRIES - 1):
            try:
                return await call()
            except KeyUnavailableError:
                await asyncio.sleep(pause * self._jitter())
                pause *= 2
        return await call()

    def _unavailable(self, op: KeyOp, reason: str) -> S3Error:
        self._observe(self.provider, op, "unavailable")
        return S3Error("ServiceUnavailable", detail=f"the service of the key `{self.name}` {reason}")

    def __repr__(self) -> str:
        return f"GuardedKey({self.name!r}, {self.provider})"

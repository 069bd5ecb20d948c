"""A circuit breaker: after several failures in a row, a service is left alone for a while.

Requests then fail at once rather than each waiting for its own time-out, and the service is not
pressed while it recovers. After the pause one call is let through; its outcome decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FAILURES = 5
"""Failures in a row that open the circuit."""
PAUSE_SECONDS = 5.0
"""How long it stays open before one call may try again."""


class CircuitBreaker:
    """Decides whether a call may be made. `monotonic` gives seconds that never go back."""

    __slots__ = ("_failures", "_limit", "_monotonic", "_opened", "_pause", "_probing")

    def __init__(
        self,
        limit: int = FAILURES,
        pause: float = PAUSE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._pause = pause
        self._monotonic = monotonic
        self._failures = 0
        self._opened: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether the service is being left alone."""
        return self._opened is not None

    def allows(self) -> bool:
        """Tell whether a call may be made now; whoever is told so must report how it went."""
        if self._opened is None:
            return True
        if self._probing or self._monotonic() - self._opened < self._pause:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """The service answered, whatever it said."""
        self._failures = 0
        self._opened = None
        self._probing = False

    def failed(self) -> None:
        """The service did not answer."""
        self._failures += 1
        self._probing = False
        if self._failures >= self._limit or self._opened is not None:
            self._opened = self._monotonic()

    def abandoned(self) -> None:
        """The call was given up by its caller and says nothing about the service."""
        self._probing = False

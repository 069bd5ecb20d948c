"""How fast the long commands ask the store: so many objects a second, and no burst after a pause."""

from __future__ import annotations

import asyncio
import time


class Pace:
    """Lets through so many a second, evenly; no limit for None."""

    def __init__(self, rate: float | None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._next = time.monotonic()

    async def turn(self) -> None:
        """Wait for the next turn."""
        now = time.monotonic()
        wait = self._next - now
        self._next = max(now, self._next) + self._interval
        if wait > 0:
            await asyncio.sleep(wait)

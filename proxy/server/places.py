"""A bounded number of places: whoever finds none waits its turn.

`asyncio.Semaphore` does the same with two coroutines per place taken, which is felt where every small request
takes one and hardly ever has to wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class Places:
    """So many may be taken at a time."""

    __slots__ = ("_free", "_waiting")

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take_at_once(self) -> bool:
        """Take a place if one is free; nobody is overtaken, since places that come free go to who waits."""
        if not self._free:
            return False
        self._free -= 1
        return True

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    async def take(self, seconds: float) -> None:
        """Wait for a place and take it; raises TimeoutError."""
        if self.take_at_once():
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.release()  # it came, and came too late
            else:
                # While all places are held for long, those who gave up would pile up.
                with suppress(ValueError):
                    self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Give a place back, to whoever has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

"""Blocking client libraries, kept off the event loop in a few threads of their own.

A call that is given up goes on in its thread until its own time-out; the threads bound how many can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from proxy.keys.service import KeyUnavailableError

_T = TypeVar("_T")


class Threads:
    """Threads for the calls of one key."""

    def __init__(self, name: str, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, f"key-{name}")

    async def run(self, call: Callable[[], _T]) -> _T:
        """Run `call` in one of the threads and return what it returns, or raise what it raises."""
        try:
            running = asyncio.get_running_loop().run_in_executor(self._pool, call)
        except RuntimeError as error:
            # A reload closed the key under a request that had it already; trying again finds the new one.
            raise KeyUnavailableError("is being replaced") from error
        return await running

    def close(self) -> None:
        """Take no more calls; those under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

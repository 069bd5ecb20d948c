"""A pace is even, and none is no limit."""

from __future__ import annotations

import asyncio
import time

import pytest

from proxy.server.pace import Pace


async def test_a_rate_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    pace = Pace(10)
    for _ in range(4):
        await pace.turn()
    assert waits == pytest.approx([0.1, 0.2, 0.3])

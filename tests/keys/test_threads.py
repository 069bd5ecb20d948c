"""Calls run beside the event loop, and a key that was replaced says so."""

from __future__ import annotations

import threading

import pytest

from proxy.keys.service import KeyUnavailableError
from proxy.keys.threads import Threads


async def test_a_call_runs_in_a_thread_of_the_key() -> None:
    threads = Threads("hr", 1)
    assert (await threads.run(lambda: threading.current_thread().name)).startswith("key-hr")
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    threads.close()


async def test_after_a_reload_the_old_key_may_be_asked_no_more() -> None:
    threads = Threads("hr", 1)
    threads.close()
    with pytest.raises(KeyUnavailableError, match="is being replaced"):
        await threads.run(lambda: None)

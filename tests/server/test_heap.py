from __future__ import annotations

import subprocess
import sys

import pytest

from proxy.server.heap import keep_freed_memory

_CHURN = """
import resource
from proxy.server.heap import keep_freed_memory
assert keep_freed_memory({})
def churn():
    for _ in range(100):
        pieces = [b"x" * 256_000 for _ in range(8)]
churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
churn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_memory_of_pieces_is_not_fetched_again_from_the_kernel() -> None:
    done = subprocess.run([sys.executable, "-c", _CHURN], capture_output=True, text=True, check=True)
    # Given back each time, it would be 500 pages a round.
    assert int(done.stdout) < 1000


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"])
def test_an_operators_own_settings_stand(name: str) -> None:
    assert keep_freed_memory({name: "1"}) is False

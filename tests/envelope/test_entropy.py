"""The system's randomness."""

from __future__ import annotations

from proxy.envelope.entropy import SystemEntropy


def test_it_gives_as_many_bytes_as_asked_for_and_others_each_time() -> None:
    first, second = SystemEntropy().random(32), SystemEntropy().random(32)
    assert len(first) == len(second) == 32
    assert first != second

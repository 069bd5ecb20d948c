"""After failures in a row the service is left alone, then one call finds out."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.keys.breaker import CircuitBreaker


@dataclass
class Stopwatch:
    seconds: float = 0

    def __call__(self) -> float:
        return self.seconds


def opened(watch: Stopwatch) -> CircuitBreaker:
    breaker = CircuitBreaker(limit=2, pause=10, monotonic=watch)
    for _ in range(2):
        assert breaker.allows()
        breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = CircuitBreaker(limit=2, pause=10)
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert breaker.is_open
    assert not breaker.allows()


def test_after_the_pause_one_call_is_let_through() -> None:
    watch = Stopwatch()
    breaker = opened(watch)
    watch.seconds = 9.9
    assert not breaker.allows()
    watch.seconds = 10
    assert breaker.allows()
    assert not breaker.allows(), "one at a time"
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.allows()


def test_a_failed_probe_starts_the_pause_again() -> None:
    watch = Stopwatch()
    breaker = opened(watch)
    watch.seconds = 10
    assert breaker.allows()
    breaker.failed()
    watch.seconds = 19
    assert not breaker.allows()
    watch.seconds = 20
    assert breaker.allows()


def test_a_probe_that_was_given_up_makes_room_for_another() -> None:
    watch = Stopwatch()
    breaker = opened(watch)
    watch.seconds = 10
    assert breaker.allows()
    breaker.abandoned()
    assert breaker.allows()

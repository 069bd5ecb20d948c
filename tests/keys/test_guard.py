"""A key service can delay a request only so long, and one that is down is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from proxy.envelope.keyring import Edk
from proxy.errors import IntegrityError, S3Error
from proxy.keys.breaker import CircuitBreaker
from proxy.keys.guard import GuardedKey
from proxy.keys.service import KeyUnavailableError
from tests.keys.conftest import CONTEXT, DATA_KEY, FakeService, Observed


def guarded(service: FakeService, observed: Observed, seconds: float = 5, limit: int = 5) -> GuardedKey:
    return GuardedKey("hr", service, seconds, observed, CircuitBreaker(limit), jitter=lambda: 0.01)


def failing(times: int) -> Callable[[], None]:
    left = [times]

    def act() -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise KeyUnavailableError("cannot be reached")

    return act


async def test_a_call_that_works_is_counted_once(observed: Observed) -> None:
    key = guarded(FakeService(), observed)
    edk = await key.wrap(DATA_KEY, CONTEXT)
    assert await key.unwrap(edk, CONTEXT) == DATA_KEY
    assert await key.check() is None
    assert observed.seen == [("vault", "wrap", "ok"), ("vault", "unwrap", "ok"), ("vault", "check", "ok")]


async def test_a_short_failure_is_not_seen_outside(observed: Observed) -> None:
    service = FakeService(act=failing(2))
    await guarded(service, observed).wrap(DATA_KEY, CONTEXT)
    assert service.calls == 3
    assert observed.seen == [("vault", "wrap", "ok")]


async def test_a_service_that_stays_down_is_503_after_three_tries(observed: Observed) -> None:
    service = FakeService(act=failing(99))
    with pytest.raises(S3Error) as caught:
        await guarded(service, observed).wrap(DATA_KEY, CONTEXT)
    assert (caught.value.code, service.calls) == ("ServiceUnavailable", 3)
    assert "cannot be reached" in caught.value.detail
    assert "cannot be reached" not in caught.value.message, "what is inside is for the log only"
    assert observed.seen == [("vault", "wrap", "unavailable")]


async def test_a_service_that_hangs_is_given_up(observed: Observed) -> None:
    service = FakeService(act=lambda: asyncio.sleep(60))
    with pytest.raises(S3Error, match="ServiceUnavailable") as caught:
        await guarded(service, observed, seconds=0.05).wrap(DATA_KEY, CONTEXT)
    assert "did not answer in 0.05 seconds" in caught.value.detail


async def test_a_service_that_is_down_is_left_alone(observed: Observed) -> None:
    service = FakeService(act=failing(99))
    key = guarded(service, observed, limit=1)
    for _ in range(3):
        with pytest.raises(S3Error):
            await key.wrap(DATA_KEY, CONTEXT)
    assert service.calls == 3, "one call with its tries, then none"
    assert await key.check() == "the service of the key `hr` did not answer lately and is left alone for some seconds"


async def test_a_refusal_is_an_answer_and_not_tried_again(observed: Observed) -> None:
    def act() -> None:
        raise S3Error("AccessDenied")

    service = FakeService(act=act)
    key = guarded(service, observed, limit=1)
    for _ in range(2):
        with pytest.raises(S3Error, match="AccessDenied"):
            await key.wrap(DATA_KEY, CONTEXT)
    assert service.calls == 2
    assert observed.seen == [("vault", "wrap", "refused")] * 2


async def test_a_data_key_that_does_not_open_says_nothing_about_the_service(observed: Observed) -> None:
    def act() -> None:
        raise IntegrityError("edk", "it does not open")

    key = guarded(FakeService(act=act), observed, limit=1)
    for _ in range(2):
        with pytest.raises(IntegrityError):
            await key.unwrap(Edk("fake", b"fake", b"x"), CONTEXT)
    assert observed.seen == [("vault", "unwrap", "invalid")] * 2


async def test_somebody_elses_data_key_is_not_sent_to_the_service(observed: Observed) -> None:
    service = FakeService()
    assert await guarded(service, observed).unwrap(Edk("fake", b"other", b"x"), CONTEXT) is None
    assert service.calls == 0


async def test_a_client_that_goes_away_does_not_count_against_the_service(observed: Observed) -> None:
    service = FakeService(act=lambda: asyncio.sleep(60))
    key = guarded(service, observed, limit=1)
    task = asyncio.create_task(key.wrap(DATA_KEY, CONTEXT))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    service.act = lambda: None
    await key.wrap(DATA_KEY, CONTEXT)
    await key.close()
    assert service.closed

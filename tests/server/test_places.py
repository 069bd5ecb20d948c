"""Places are bounded, handed on in turn, and never lost."""

from __future__ import annotations

import asyncio

import pytest

from proxy.server.places import Places


def taken(places: Places) -> int:
    count = 0
    while places.take_at_once():
        count += 1
    return count


async def test_no_more_are_taken_than_there_are() -> None:
    places = Places(2)
    await places.take(1)
    assert taken(places) == 1
    with pytest.raises(TimeoutError):
        await places.take(0.01)


async def test_a_place_goes_to_who_has_waited_longest() -> None:
    places = Places(1)
    await places.take(1)
    order: list[int] = []

    async def wait(number: int) -> None:
        await places.take(5)
        order.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(3)]
    await asyncio.sleep(0)
    for _ in tasks:
        places.release()
        assert not places.take_at_once(), "it is promised to who waits"
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2]


async def test_a_place_is_not_lost_on_who_gave_up() -> None:
    places = Places(1)
    await places.take(1)
    gone = asyncio.create_task(places.take(5))
    await asyncio.sleep(0)
    gone.cancel()
    places.release()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert taken(places) == 1


async def test_a_place_that_comes_while_its_taker_is_cancelled_goes_on() -> None:
    places = Places(1)
    await places.take(1)
    late = asyncio.create_task(places.take(5))
    await asyncio.sleep(0)
    places.release()
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    assert taken(places) == 1


async def test_nothing_is_kept_of_who_gave_up_while_all_places_are_held() -> None:
    places = Places(1)
    await places.take(1)
    outcomes = await asyncio.gather(*(places.take(0.01) for _ in range(100)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {TimeoutError}
    assert places.waiting == 0
    places.release()
    assert taken(places) == 1

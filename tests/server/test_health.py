"""When a process says it is ready."""

import asyncio

from proxy.server.health import CheckResult, Health, kept, reachable


async def well() -> None:
    return None


async def ill() -> str:
    return "no policies"


async def test_a_process_without_checks_is_ready():
    assert (await Health().readiness()).ready


async def test_it_is_ready_when_all_checks_are_well():
    health = Health()
    health.register("policies", well)
    found = await health.readiness()
    assert found.ready
    assert found.checks == (CheckResult("serving"), CheckResult("policies"))


async def test_one_problem_is_enough_and_is_named():
    health = Health()
    health.register("upstream", well)
    health.register("policies", ill)
    found = await health.readiness()
    assert not found.ready
    assert found.checks[-1] == CheckResult("policies", "no policies")


async def test_a_draining_process_is_not_ready_however_well_it_is():
    health = Health()
    health.draining = True
    found = await health.readiness()
    assert not found.ready
    assert "draining" in str(found.checks[0].problem)


async def test_a_check_that_hangs_is_a_problem_and_does_not_delay_beyond_its_time():
    health = Health(check_seconds=0.05)

    async def hang() -> None:
        await asyncio.sleep(60)

    health.register("first", hang)
    health.register("second", hang)
    async with asyncio.timeout(2):
        found = await health.readiness()
    assert [check.problem for check in found.checks[1:]] == ["no answer in 0.05 s"] * 2


async def test_a_check_that_breaks_is_a_problem_and_leaves_the_others_their_word():
    health = Health()

    async def broken() -> None:
        raise KeyError("nope")

    health.register("broken", broken)
    health.register("policies", well)
    found = await health.readiness()
    assert found.checks[1:] == (CheckResult("broken", "the check failed: KeyError: 'nope'"), CheckResult("policies"))


async def test_what_is_kept_is_asked_once_however_many_ask():
    asked = 0

    async def count() -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return f"answer {asked}"

    check = kept(count, seconds=0.2)
    assert await asyncio.gather(*(check() for _ in range(5))) == ["answer 1"] * 5
    await asyncio.sleep(0.25)
    assert await check() == "answer 2"


async def test_an_upstream_that_listens_is_reachable_and_one_that_does_not_is_named():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await reachable("127.0.0.1", port)() is None
    server.close()
    await server.wait_closed()
    problem = await reachable("127.0.0.1", port)()
    assert problem is not None
    assert problem.startswith(f"no connection to 127.0.0.1:{port}")

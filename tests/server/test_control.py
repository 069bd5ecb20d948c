"""Questions to workers in other processes, and one answer made of many."""

import asyncio
import socket

import pytest

from proxy.server import control as module
from proxy.server.control import (
    Control,
    Fleet,
    RemoteWorker,
    WorkerUnreachableError,
    control_socket,
    serve_control,
)
from proxy.server.health import Health, Readiness
from proxy.server.metrics import Metrics
from proxy.server.reload import ReloadOutcome

DONE = ReloadOutcome(True, "r1")


def control(outcome: ReloadOutcome = DONE, generation: int = 0) -> Control:
    async def reloading() -> ReloadOutcome:
        return outcome

    metrics = Metrics("1.0", generation)
    metrics.request_started()
    metrics.request_finished("GetObject", 200, "allow", 0.01, 0.01, 1, 2)
    return Control(metrics, Health(), reloading, generation=generation)


class Dead:
    async def readiness(self) -> Readiness:
        raise WorkerUnreachableError

    async def counted(self) -> tuple[int, dict[str, list[tuple[list[str], list[float]]]]]:
        raise WorkerUnreachableError

    async def reload(self) -> ReloadOutcome:
        raise WorkerUnreachableError


async def test_a_worker_answers_the_same_over_its_socket_as_in_its_own_process():
    local = control(ReloadOutcome(False, "r1", "line 3:\nno"), generation=2)

    async def ill() -> str:
        return "unreachable"

    local.health.register("upstream", ill)
    listener = control_socket()
    remote = RemoteWorker(listener.getsockname())
    server = await serve_control(local, listener)
    assert await remote.readiness() == await local.readiness()
    assert await remote.reload() == await local.reload()
    generation, sample = await remote.counted()
    assert generation == 2
    assert sample["requests"] == [[["GetObject", "2xx", "allow"], [1.0]]]
    server.close()


async def test_a_worker_that_does_not_run_is_not_waited_for():
    with control_socket() as listener:
        async with asyncio.timeout(1):
            with pytest.raises(WorkerUnreachableError, match="not running"):
                await RemoteWorker(listener.getsockname(), lambda: False).readiness()


async def test_a_worker_that_is_stuck_is_given_up_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    with control_socket() as listener, pytest.raises(WorkerUnreachableError):
        await RemoteWorker(listener.getsockname()).counted()
    await asyncio.sleep(0.01)  # the connection is closed by the loop's next turns


async def test_a_worker_that_is_gone_or_dies_in_mid_answer_is_unreachable():
    listener = control_socket()
    address = listener.getsockname()

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"checks": [')
        writer.close()

    server = await asyncio.start_unix_server(die, sock=listener)
    with pytest.raises(WorkerUnreachableError):
        await RemoteWorker(address).readiness()
    server.close()
    await server.wait_closed()
    with pytest.raises(WorkerUnreachableError):
        await RemoteWorker(address).readiness()


async def test_another_users_processes_are_not_answered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.os, "getuid", lambda: 4711)
    listener = control_socket()
    address = listener.getsockname()
    server = await serve_control(control(), listener)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.setblocking(False)
        stranger.connect(address)
        reader, writer = await asyncio.open_unix_connection(sock=stranger)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    with pytest.raises(WorkerUnreachableError, match="not ours"):
        await RemoteWorker(address).counted()
    server.close()


async def test_an_unknown_question_gets_no_answer():
    listener = control_socket()
    address = listener.getsockname()
    server = await serve_control(control(), listener)
    reader, writer = await asyncio.open_unix_connection(address)
    writer.write(b"secrets\n")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    server.close()


async def test_the_fleet_is_ready_while_the_workers_that_run_are():
    ill = control()
    ill.health.draining = True
    assert (await Fleet([control(), Dead()]).readiness())[0]
    assert not (await Fleet([control(), ill]).readiness())[0]
    assert not (await Fleet([Dead()]).readiness())[0]
    found = await Fleet([control(), Dead()]).readiness()
    assert [readiness.ready for readiness in found[1]] == [True, False]


async def test_the_fleet_is_alive_while_any_worker_answers():
    assert await Fleet([Dead(), control()]).alive()
    assert not await Fleet([Dead(), Dead()]).alive()


async def test_the_fleet_counts_what_all_workers_count():
    fleet = Fleet([control(), control(), Dead()])
    for _ in range(2):
        assert b"s3warden_response_body_bytes_total 4.0" in await fleet.metrics()


async def test_a_reload_worked_if_it_worked_everywhere():
    refused = ReloadOutcome(False, "r1", "no")
    assert (await Fleet([control(), Dead()]).reload()).ok
    assert await Fleet([control(), control(refused)]).reload() == refused
    assert not (await Fleet([Dead()]).reload()).ok

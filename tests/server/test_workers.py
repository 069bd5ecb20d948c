"""Real processes on a real port: sharing, crashing, reloading, draining, ending."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

WAIT = 20.0
ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("echo_proxy.py")


def wait_for(condition: Callable[[], Any], seconds: float = WAIT) -> Any:
    """Return what `condition` returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(ConnectionError, TimeoutError):
            if found := condition():
                return found
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Client:
    """A connection on which lines are said and answered."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        self.file = self.socket.makefile("rwb")

    def say(self, line: str) -> None:
        self.file.write(line.encode() + b"\n")
        self.file.flush()

    def hear(self) -> str:
        return self.file.readline().decode().strip()

    def ask(self, line: str) -> str:
        self.say(line)
        return self.hear()

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Proxy:
    """The program, running."""

    def __init__(self, config: Path, log: Path) -> None:
        self.log = log
        self.clients: list[Client] = []
        with log.open("wb") as stderr:
            command = [sys.executable, str(PROGRAM), str(config)]
            self.process = subprocess.Popen(command, stderr=stderr, env=os.environ | {"PYTHONPATH": str(ROOT)})

    def text(self) -> str:
        return self.log.read_text()

    def ports(self) -> list[int]:
        """The data port and the admin port."""
        return wait_for(lambda: (p := [int(n) for n in re.findall(r"port (\d+)", self.text())]) and len(p) == 2 and p)

    def started(self, workers: int) -> None:
        wait_for(lambda: self.get("/readyz")[0] == 200)
        wait_for(lambda: len(self.pids()) == workers)

    def connect(self) -> Client:
        self.clients.append(Client(self.ports()[0]))
        return self.clients[-1]

    def ask(self, line: str) -> str:
        client = Client(self.ports()[0])
        try:
            return client.ask(line)
        finally:
            client.close()

    def pids(self) -> set[int]:
        """The workers that answer now."""
        return {int(said) for said in (self.ask("pid") for _ in range(24)) if said}

    def get(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports()[1], timeout=WAIT)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        families = text_string_to_metric_families(self.get("/metrics")[1].decode())
        return sum(s.value for family in families for s in family.samples if s.name == f"s3warden_{name}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(WAIT)

    def clean_up(self) -> None:
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(WAIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(WAIT)


Start = Callable[..., Proxy]


@pytest.fixture
def start(write_config: Callable[..., Path], tmp_path: Path) -> Iterator[Start]:
    proxies: list[Proxy] = []

    def run(workers: int, **settings: Any) -> Proxy:
        proxies.append(Proxy(write_config(workers, **settings), tmp_path / "stderr.log"))
        proxies[-1].started(workers)
        return proxies[-1]

    yield run
    for proxy in proxies:
        proxy.clean_up()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_ends_all_processes_with_code_0(start: Start, workers: int):
    proxy = start(workers)
    pids = proxy.pids()
    assert proxy.end() == 0
    assert not any(map(is_running, pids))


def test_connections_are_dealt_out_to_all_workers(start: Start):
    proxy = start(2)
    clients = [proxy.connect() for _ in range(60)]
    served = Counter(client.ask("pid") for client in clients)
    assert len(served) == 2
    assert min(served.values()) >= 12


def test_a_crashed_worker_is_started_again_while_the_others_serve(start: Start):
    proxy = start(2)
    before = proxy.pids()
    victim = proxy.connect()
    dead = int(victim.ask("pid"))
    (other,) = before - {dead}
    victim.say("crash")
    wait_for(lambda: "was killed by SIGKILL; starting it again in 0.5 s" in proxy.text())
    assert {int(proxy.ask("pid")) for _ in range(20)} == {other}
    assert proxy.get("/readyz")[0] == 200
    assert json.loads(proxy.get("/readyz")[1])["workers"].count({"serving": "no answer"}) == 1
    after = wait_for(lambda: (pids := proxy.pids()) and len(pids) == 2 and pids)
    assert other in after
    assert dead not in after
    assert proxy.metric("worker_restarts_total") == 1


def test_a_crashed_admin_listener_is_started_again(start: Start):
    proxy = start(2)
    children = Path(f"/proc/{proxy.process.pid}/task/{proxy.process.pid}/children").read_text().split()
    (admin,) = {int(pid) for pid in children} - proxy.pids()
    os.kill(admin, signal.SIGKILL)
    wait_for(lambda: "admin listener" in proxy.text())
    wait_for(lambda: proxy.get("/readyz")[0] == 200)
    assert proxy.end() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_metrics_of_all_workers_come_as_one_and_do_not_go_down_when_one_crashes(start: Start, workers: int):
    proxy = start(workers)
    for _ in range(20):
        proxy.ask("pid")
    counted = proxy.metric("response_body_bytes_total")
    assert counted >= 20
    if workers > 1:
        proxy.connect().say("crash")
        wait_for(lambda: "starting it again" in proxy.text())
        assert proxy.metric("response_body_bytes_total") >= counted
        wait_for(lambda: len(proxy.pids()) == 2)
    assert proxy.metric("response_body_bytes_total") >= counted
    assert proxy.metric("requests_in_flight") == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_reaches_every_worker_and_is_answered_when_it_is_done(start: Start, tmp_path: Path, workers: int):
    proxy = start(workers)
    old = proxy.ask("revision")
    connection = proxy.connect()
    (tmp_path / "policies" / "a.yaml").write_text("one")
    status, body = proxy.get("/-/reload", "POST")
    assert status == 200
    assert json.loads(body)["revision"] != old
    assert {proxy.ask("revision") for _ in range(20)} == {json.loads(body)["revision"]}
    assert connection.ask("revision") == json.loads(body)["revision"]
    (tmp_path / "policies" / "a.yaml").write_text("broken")
    status, broken = proxy.get("/-/reload", "POST")
    assert status == 422
    assert "the policy is broken" in json.loads(broken)["message"]
    assert proxy.get("/readyz")[0] == 200
    assert proxy.metric("config_last_reload_successful") == 0
    assert {proxy.ask("revision") for _ in range(20)} == {json.loads(body)["revision"]}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hangup_reloads_every_worker(start: Start, tmp_path: Path, workers: int):
    proxy = start(workers)
    old = proxy.ask("revision")
    (tmp_path / "policies" / "a.yaml").write_text("one")
    proxy.process.send_signal(signal.SIGHUP)
    wait_for(lambda: old not in {proxy.ask("revision") for _ in range(20)})
    assert len(proxy.pids()) == workers


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_in_flight_are_finished_while_new_connections_are_refused_and_readiness_says_so(
    start: Start, workers: int
):
    proxy = start(workers)
    client = proxy.connect()
    assert client.ask("pid")
    client.say("sleep 1.5")
    time.sleep(0.1)
    proxy.process.send_signal(signal.SIGTERM)
    wait_for(lambda: proxy.get("/readyz")[0] == 503)
    assert proxy.get("/livez")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        proxy.ask("pid")
    assert client.hear().isdigit()
    assert proxy.process.wait(WAIT) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_the_deadline_cuts_off_what_takes_too_long(start: Start, workers: int):
    proxy = start(workers, drain_seconds=0.3)
    client = proxy.connect()
    client.say("sleep 60")
    time.sleep(0.1)
    assert proxy.end() == 0  # waits for less time than the client wants to sleep
    assert client.hear() == ""


@pytest.mark.parametrize("workers", [1, 2])
def test_told_twice_it_does_not_wait(start: Start, workers: int):
    proxy = start(workers, drain_seconds=60)
    client = proxy.connect()
    client.say("sleep 60")
    time.sleep(0.1)
    proxy.process.send_signal(signal.SIGINT)
    wait_for(lambda: "draining" in proxy.text())
    proxy.end(signal.SIGINT)  # waits for less time than draining may take


def test_workers_end_when_the_supervisor_is_killed(start: Start):
    proxy = start(2)
    pids = proxy.pids()
    proxy.process.kill()
    proxy.process.wait(WAIT)
    wait_for(lambda: not any(map(is_running, pids)))
    with pytest.raises(ConnectionRefusedError):
        proxy.ask("pid")


def test_without_an_admin_section_nothing_else_listens(write_config: Callable[..., Path], tmp_path: Path):
    proxy = Proxy(write_config(2, admin="null"), tmp_path / "stderr.log")
    try:
        wait_for(lambda: "port" in proxy.text())
        port = int(re.findall(r"port (\d+)", proxy.text())[0])
        client = wait_for(lambda: Client(port))
        assert client.ask("pid").isdigit()
        client.close()
        assert proxy.text().count("listening") == 1
        assert proxy.end() == 0
    finally:
        proxy.clean_up()


def test_a_configuration_that_workers_refuse_at_the_start_ends_it_all_with_code_2(
    write_config: Callable[..., Path], tmp_path: Path
):
    path = write_config(2)
    (tmp_path / "policies" / "a.yaml").write_text("broken")
    proxy = Proxy(path, tmp_path / "stderr.log")
    try:
        assert proxy.process.wait(WAIT) == 2
        assert "the policy is broken" in proxy.text()
        assert "starting it again" not in proxy.text()
    finally:
        proxy.clean_up()


def test_a_second_proxy_on_the_same_port_is_refused(start: Start, write_config: Callable[..., Path], tmp_path: Path):
    first = start(2)
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text().replace("port: 0, workers", f"port: {first.ports()[0]}, workers"))
    second = Proxy(path, tmp_path / "second.log")
    try:
        assert second.process.wait(WAIT) == 2
        assert "address already in use" in second.text()
    finally:
        second.clean_up()


async def test_two_hundred_idle_connections_do_not_stop_the_workers(start: Start):
    proxy = await asyncio.to_thread(start, 2)
    port = proxy.ports()[0]
    idle = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(200)))
    assert len(await asyncio.to_thread(proxy.pids)) == 2
    for _, writer in idle:
        writer.close()

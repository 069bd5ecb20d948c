"""What a proxy lives through: crashes, drains, reloads, and more connections than it has room for."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from tests.hostile.arena import OPEN, Arena, besieged
from tests.hostile.rawclient import RawClient
from tests.hostile.scripted import Conversation
from tests.journeys.front import until
from tests.journeys.walking import FULL_ACCESS, bucket_policy
from tests.journeys.wire import Wire

GET = Wire("GET", "/bucket/key")
LARGE = Wire("PUT", "/bucket/key", body=bytes(1 << 21))
HALF = len(LARGE.body) // 2


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ended(pid: int) -> bool:
    """Tell whether a process has ended; a child of the test's is left as a zombie until its fixture ends."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def readiness(arena: Arena) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{arena.walk.admin}/readyz", timeout=5) as response:  # noqa: S310  loopback
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, "not listening yet"


class Loop:
    """Requests without a pause, beside the test, each answer counted."""

    def __init__(self, ask: Callable[[], object], threads: int = 2) -> None:
        self.ask = ask
        self.outcomes: Counter[object] = Counter()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                outcome = self.ask()
            except (OSError, AssertionError) as error:
                outcome = f"{type(error).__name__}: {error}"
            self.outcomes[outcome] += 1

    def go_on(self, count: int) -> None:
        """Wait for so many more answers."""
        wanted = self.outcomes.total() + count
        assert until(lambda: self.outcomes.total() >= wanted, 20)

    @contextmanager
    def running(self) -> Iterator[Loop]:
        for thread in self.threads:
            thread.start()
        try:
            yield self
        finally:
            self.stopping.set()
            for thread in self.threads:
                thread.join()


# -- crashing


def test_a_worker_that_is_killed_is_started_again_while_the_other_serves(tmp_path: Path) -> None:
    with besieged(tmp_path, listen={"workers": 2}) as arena:
        assert until(lambda: len(children(arena.walk.pid)) == 3, 10), "two workers and the admin listener"
        assert until(lambda: readiness(arena)[0] == 200, 10)
        before = children(arena.walk.pid)
        victim = before[0]
        os.kill(victim, signal.SIGKILL)
        assert until(lambda: victim not in children(arena.walk.pid))
        with Loop(lambda: arena.ask(GET).status).running() as loop:
            assert until(lambda: len(children(arena.walk.pid)) == 3, 10)
            time.sleep(1)
        assert loop.outcomes.keys() == {200}, loop.outcomes
        assert loop.outcomes[200] > 20
        assert "was killed by SIGKILL; starting it again" in arena.walk.log()
        assert readiness(arena)[0] == 200
        assert set(before[1:]) < set(children(arena.walk.pid)), "the others are the same"


# -- draining


def started_upload(arena: Arena, opened: ExitStack) -> tuple[RawClient, bytes]:
    """Send half of an upload; return the client and what is left."""
    wire = arena.signed(LARGE)
    client = opened.enter_context(arena.client())
    client.send(wire[:-HALF])
    assert until(lambda: len(arena.requests) == 1)
    return client, wire[-HALF:]


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_an_upload_finish_and_says_so(tmp_path: Path, workers: int) -> None:
    with besieged(tmp_path, listen={"workers": workers}) as arena, ExitStack() as opened:
        assert until(lambda: readiness(arena)[0] == 200, 10)
        client, rest = started_upload(arena, opened)
        idle = opened.enter_context(arena.client())
        assert until(lambda: arena.in_flight() == 1)
        os.kill(arena.walk.pid, signal.SIGTERM)
        assert until(lambda: readiness(arena)[0] == 503)
        assert "draining" in readiness(arena)[1]
        assert idle.is_closed(5), "nobody waits for an idle connection"
        with pytest.raises(OSError, match=r"refused|reset"):
            arena.client()
        for at in range(0, len(rest), 1 << 17):
            client.send(rest[at : at + (1 << 17)])
            time.sleep(0.02)
        heard = client.hear()
        assert heard.answer.status == 200
        assert heard.answer.headers["Connection"] == "close" or client.is_closed(5)
        assert arena.requests[0].whole
        assert until(lambda: ended(arena.walk.pid), 10)


def test_a_drain_ends_at_its_deadline_and_stores_nothing_half(tmp_path: Path) -> None:
    with besieged(tmp_path, limits={"drain_seconds": 1}) as arena, ExitStack() as opened:
        client, _ = started_upload(arena, opened)
        begun = time.monotonic()
        os.kill(arena.walk.pid, signal.SIGTERM)
        assert until(lambda: ended(arena.walk.pid), 10)
        assert 0.9 < time.monotonic() - begun < 4
        assert client.is_closed(5)
        assert not arena.requests[0].whole


def test_a_second_sigterm_does_not_wait(tmp_path: Path) -> None:
    with besieged(tmp_path) as arena, ExitStack() as opened:
        started_upload(arena, opened)
        os.kill(arena.walk.pid, signal.SIGTERM)
        assert until(lambda: readiness(arena)[0] == 503)
        os.kill(arena.walk.pid, signal.SIGTERM)
        assert until(lambda: ended(arena.walk.pid), 5)


# -- reloading


def test_certificates_and_policies_are_reread_without_dropping_a_request(
    tmp_path: Path, write_certificate: Callable[..., tuple[Path, Path]]
) -> None:
    pairs = [write_certificate(f"made-{number}") for number in range(2)]
    used = (tmp_path / "served.pem", tmp_path / "served.key")

    def install(number: int) -> None:
        for source, target in zip(pairs[number], used, strict=True):
            shutil.copy(source, target.with_suffix(".new"))
            target.with_suffix(".new").replace(target)

    install(0)
    trust = ssl.create_default_context()
    for certificate, _ in pairs:
        trust.load_verify_locations(certificate)
    tls = {"cert": str(used[0]), "key": str(used[1])}
    with besieged(tmp_path, listen={"tls": tls}, context=trust) as arena:
        policy = tmp_path / "buckets" / "open.yaml"
        open_to_all = policy.read_text()
        closed = yaml.safe_dump(bucket_policy({"Effect": "Deny", "Action": "s3:GetObject", "Resource": OPEN[1]}))

        def ask() -> object:
            return arena.walk.send(Wire("GET", "/open/key")).status

        def fingerprint() -> str:
            pem = ssl.get_server_certificate(("127.0.0.1", int(arena.host.rpartition(":")[2])))
            return next(str(n) for n, (cert, _) in enumerate(pairs) if pem.strip() == cert.read_text().strip())

        assert fingerprint() == "0"
        upload = Wire("PUT", "/open/key", body=bytes(1 << 20))
        with Loop(ask).running() as reads, Loop(lambda: arena.walk.send(upload).status, 1).running() as writes:
            for number in (1, 0, 1):
                install(number)
                (tmp_path / "full.yaml").write_text(yaml.safe_dump(dict(FULL_ACCESS)) + f"# {number}\n")
                policy.write_text(open_to_all + f"# {number}\n")
                os.kill(arena.walk.pid, signal.SIGHUP)
                assert until(lambda number=number: fingerprint() == str(number), 10)
                reads.go_on(5)
                writes.go_on(2)
        assert reads.outcomes.keys() == {200}, reads.outcomes
        assert writes.outcomes.keys() == {200}, writes.outcomes
        policy.write_text(closed)
        os.kill(arena.walk.pid, signal.SIGHUP)
        assert until(lambda: ask() == 403, 10)


def test_an_upload_under_way_ends_under_the_policy_it_began_with(tmp_path: Path) -> None:
    with besieged(tmp_path) as arena, ExitStack() as opened:
        client, rest = started_upload(arena, opened)
        nothing = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}
        (tmp_path / "full.yaml").write_text(yaml.safe_dump(nothing))
        os.kill(arena.walk.pid, signal.SIGHUP)
        assert until(lambda: arena.ask(GET).status == 403, 10)
        client.send(rest)
        assert client.hear().answer.status == 200


def test_limits_are_reread_too(tmp_path: Path) -> None:
    with besieged(tmp_path) as arena, arena.client() as first:
        config = tmp_path / "config.yaml"
        settings = yaml.safe_load(config.read_text())
        first.send(arena.signed(GET))
        assert first.hear().answer.status == 200
        config.write_text(yaml.safe_dump({**settings, "limits": {"connections": 1}}))
        os.kill(arena.walk.pid, signal.SIGHUP)

        def refused() -> bool:
            with arena.client() as late:
                return [answer.code for answer in late.hear(1, seconds=0.2).answers] == ["SlowDown"]

        assert until(refused, 10)


def test_a_broken_policy_changes_nothing(tmp_path: Path) -> None:
    with besieged(tmp_path) as arena:
        (tmp_path / "full.yaml").write_text("Statement: [")
        os.kill(arena.walk.pid, signal.SIGHUP)
        assert until(lambda: "reload refused" in arena.walk.log(), 10)
        assert arena.ask(GET).status == 200
        assert readiness(arena)[0] == 200


# -- many connections


@contextmanager
def many_files() -> Iterator[None]:
    """Let this process have as many sockets as it needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_two_thousand_idle_connections_are_held_cheaply_while_others_are_served(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))  # what the proxy inherits, and must raise
    with ExitStack() as opened:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        arena = opened.enter_context(besieged(tmp_path, idle_seconds=60))
        opened.enter_context(many_files())
        assert arena.ask(GET).status == 200
        memory, files = arena.rss(), arena.descriptors()
        clients = [opened.enter_context(arena.client()) for _ in range(2000)]
        assert until(lambda: arena.descriptors() >= files + 1990, 20)
        for client in clients[::20]:
            client.send(arena.signed(GET))
        assert all(client.hear().answer.status == 200 for client in clients[::20])
        started = time.monotonic()
        assert arena.ask(GET).status == 200
        assert time.monotonic() - started < 1
        assert arena.rss() - memory < 2000 * (20 << 10), "20 KiB each"
        for client in clients:
            client.socket.close()
        assert until(lambda: arena.descriptors() <= files + 5, 10)


def test_connections_beyond_the_limit_are_told_to_come_back(tmp_path: Path) -> None:
    with besieged(tmp_path, limits={"connections": 20}) as arena, ExitStack() as opened:
        clients = [opened.enter_context(arena.client()) for _ in range(20)]
        for client in clients:
            client.send(arena.signed(GET))
            assert client.hear().answer.status == 200
        for _ in range(50):
            with arena.client() as late:
                heard = late.hear(None)
                assert heard.closed
                assert (heard.answer.status, heard.answer.code) == (503, "SlowDown")
                assert heard.answer.headers["Retry-After"]
        assert arena.walk.log().count("limits.connections is reached") == 1, "told once, not 50 times"
        clients[0].socket.close()
        assert until(lambda: arena.ask(GET).status == 200)


def test_a_process_that_runs_out_of_files_goes_on_when_there_are_some_again(tmp_path: Path) -> None:
    with besieged(tmp_path) as arena, ExitStack() as opened:
        assert arena.ask(GET).status == 200
        files = arena.descriptors()
        resource.prlimit(arena.walk.pid, resource.RLIMIT_NOFILE, (files + 20, files + 20))
        clients = [opened.enter_context(arena.client()) for _ in range(100)]
        time.sleep(0.5)
        for client in clients:
            client.socket.close()
        assert until(lambda: served(arena), 15)
        assert not ended(arena.walk.pid)


def served(arena: Arena) -> bool:
    try:
        return arena.ask(GET).status == 200
    except (OSError, AssertionError):
        return False


def test_a_limit_of_files_that_is_too_low_is_told_and_lowers_the_limit_of_connections(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with besieged(tmp_path, limits={"connections": hard}) as arena:
        assert f"only {hard} files may be open" in arena.walk.log()
        assert arena.ask(GET).status == 200


# -- thousands of hostile requests


def slow_and_broken(conversation: Conversation) -> None:
    conversation.receive()
    conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(1000))


HOSTILE: tuple[Callable[[Arena], bytes], ...] = (
    lambda arena: b"nonsense\r\n\r\n",
    lambda arena: b"GET /open/key HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 100_000,
    lambda arena: b"PUT /open/key HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc",
    lambda arena: arena.signed(LARGE)[:300_000],
    lambda arena: arena.signed(GET),
    lambda arena: b"POST /open?delete HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n<Delete><",
    lambda arena: b"GET /open/key HTTP/1.1\r\nHost: h\r\n\r\n" * 50,
    lambda arena: b"PUT /open/key HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
)


def test_memory_and_files_stay_flat_over_thousands_of_hostile_requests(tmp_path: Path) -> None:
    with besieged(tmp_path) as arena:

        def besiege(count: int) -> None:
            threads = [threading.Thread(target=attack, args=(range(start, count, 8),)) for start in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        def attack(numbers: Sequence[int]) -> None:
            for number in numbers:
                with arena.client() as client:
                    client.send(HOSTILE[number % len(HOSTILE)](arena))
                    if number % 3:
                        client.hear(seconds=0.05)
                    if number % 2:
                        client.reset()

        def settled() -> tuple[int, int]:
            assert until(lambda: arena.in_flight() == 0, 20)
            time.sleep(0.2)
            return arena.rss(), arena.descriptors()

        arena.play(slow_and_broken)
        besiege(800)
        memory, files = settled()
        besiege(2400)
        memory_after, files_after = settled()
        assert memory_after - memory < 4 << 20
        assert files_after <= files + 5
        arena.assert_well()

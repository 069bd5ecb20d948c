"""With `block` nothing counts that was not recorded; with `drop-and-count` nobody waits and nothing is hidden."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from proxy.audit.chain import verify
from proxy.audit.database import database_head, database_places
from proxy.audit.event import KeyUse
from proxy.audit.journal import Journal, journal_places, read_head
from proxy.config import Audit, Secret
from proxy.errors import S3Error
from proxy.server.audit_trail import MAX_BATCH, AuditTrail, NoTrail
from tests.audit.conftest import event

SECRET = "s" * 32


class Counted:
    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def __call__(self, sink: str, ok: bool) -> None:
        self.seen.append((sink, ok))


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


async def test_every_sink_has_every_record_before_the_request_goes_on(path: Path, counted: Counted) -> None:
    store = path.with_suffix(".db")
    trail = AuditTrail(Audit(path, store, (Secret(SECRET),)), counted)
    await asyncio.gather(*(trail.record(event(number)) for number in range(300)))
    assert verify(journal_places(path), (SECRET.encode(),), read_head(path)).records == 300
    verified = verify(database_places(store), (SECRET.encode(),), database_head(store))
    assert (verified.records, verified.broken) == (300, ())
    assert sorted(set(counted.seen)) == [("journal", True), ("store", True)]
    await trail.close()


class Gate:
    """Holds up, or fails, the writing of a journal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.error: OSError | None = None
        real: Callable[..., None] = Journal.append

        def append(journal: Journal, events: Sequence[KeyUse], dropped: int = 0) -> None:
            self.open.wait(10)
            if self.error is not None:
                raise self.error
            real(journal, events, dropped)

        monkeypatch.setattr(Journal, "append", append)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


async def test_blocked_by_a_slow_sink_the_use_is_refused(path: Path, counted: Counted, gate: Gate) -> None:
    trail = AuditTrail(Audit(path, timeout_seconds=0.05), counted)
    with pytest.raises(S3Error, match="ServiceUnavailable") as caught:
        await trail.record(event())
    assert "not within 0.05 seconds" in caught.value.detail
    gate.open.set()
    await trail.close()
    assert verify(journal_places(path)).records == 1, "what was asked for stays on record"


async def test_blocked_by_a_full_disk_the_use_is_refused_until_there_is_room(
    path: Path, counted: Counted, gate: Gate
) -> None:
    gate.open.set()
    gate.error = OSError(28, "No space left on device")
    trail = AuditTrail(Audit(path), counted)
    with pytest.raises(S3Error, match="ServiceUnavailable") as caught:
        await trail.record(event())
    assert "No space left" in caught.value.detail
    gate.error = None
    await trail.record(event())
    assert counted.seen == [("journal", False), ("journal", True)]
    await trail.close()


async def test_dropping_nobody_waits_and_the_next_record_says_how_many_are_missing(
    path: Path, counted: Counted, gate: Gate
) -> None:
    trail = AuditTrail(Audit(path, when_full="drop-and-count", queue=2), counted)
    await trail.record(event(1))
    await asyncio.sleep(0.02)
    for number in range(2, 7):
        await asyncio.wait_for(trail.record(event(number)), 0.1)
    gate.open.set()
    await asyncio.sleep(0.1)
    await trail.record(event(7))
    await trail.close()
    verified = verify(journal_places(path), (), read_head(path))
    assert verified.broken == ()
    assert (verified.records, verified.dropped) == (4, 3)
    assert counted.seen.count(("journal", False)) == 3


async def test_dropping_counts_what_a_full_disk_swallowed(path: Path, counted: Counted, gate: Gate) -> None:
    gate.open.set()
    gate.error = OSError(28, "No space left on device")
    trail = AuditTrail(Audit(path, when_full="drop-and-count"), counted)
    await trail.record(event(1))
    await asyncio.sleep(0.05)
    gate.error = None
    await trail.record(event(2))
    await trail.close()
    verified = verify(journal_places(path))
    assert (verified.records, verified.dropped) == (1, 1)


async def test_a_client_that_leaves_does_not_take_its_record_with_it(path: Path, counted: Counted, gate: Gate) -> None:
    trail = AuditTrail(Audit(path), counted)
    task = asyncio.create_task(trail.record(event()))
    await asyncio.sleep(0.01)
    task.cancel()
    gate.open.set()
    await trail.close()
    assert verify(journal_places(path)).records == 1


async def test_without_a_trail_nothing_happens() -> None:
    await NoTrail().record(event())


def test_a_place_that_cannot_be_written_is_an_error_at_start(tmp_path: Path, counted: Counted) -> None:
    with pytest.raises(OSError, match="No such file"):
        AuditTrail(Audit(tmp_path / "gone" / "x"), counted)


async def test_whatever_a_sink_trips_over_nobody_waits_for_it_and_it_goes_on(
    path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., None] = Journal.append
    found: list[Exception] = [RuntimeError("a mistake in the sink")]

    def append(journal: Journal, events: Sequence[KeyUse], dropped: int = 0) -> None:
        if found:
            raise found.pop()
        real(journal, events, dropped)

    monkeypatch.setattr(Journal, "append", append)
    trail = AuditTrail(Audit(path), counted)
    with pytest.raises(S3Error, match="ServiceUnavailable") as caught:
        await trail.record(event())
    assert "a mistake in the sink" in caught.value.detail
    await trail.record(event())
    await trail.close()
    assert verify(journal_places(path)).records == 1


async def test_what_is_recorded_together_is_written_together(
    path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., None] = Journal.append
    sizes: list[int] = []

    def append(journal: Journal, events: Sequence[KeyUse], dropped: int = 0) -> None:
        sizes.append(len(events))
        real(journal, events, dropped)

    monkeypatch.setattr(Journal, "append", append)

    async def after(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await trail.record(event(turns))

    trail = AuditTrail(Audit(path), counted)
    await asyncio.gather(*(after(number % 5) for number in range(600)))
    assert sum(sizes) == 600
    assert (max(sizes), len(sizes)) == (MAX_BATCH, 3)
    await trail.close()

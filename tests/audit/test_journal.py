"""Several processes append to one chain, and a crash at any point loses and forges nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proxy.audit.chain import verify
from proxy.audit.journal import Journal, head_path, journal_files, journal_places, read_head
from tests.audit.conftest import event

WRITER = """
import sys
from pathlib import Path
from proxy.audit.journal import Journal
from tests.audit.conftest import event
journal = Journal(Path(sys.argv[1]), (), int(sys.argv[3]))
for number in range(int(sys.argv[2])):
    journal.append([event(number, request_id=f"{sys.argv[4]}-{number}")])
    print(number, flush=True)
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def writer(path: Path, count: int, name: str, rotate: int = 1 << 30) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), str(count), str(rotate), name]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def check(path: Path, count: int, secrets: tuple[bytes, ...] = ()) -> None:
    verified = verify(journal_places(path), secrets, read_head(path))
    assert verified.broken == ()
    assert verified.records == count


def test_records_follow_each_other_over_restarts(path: Path) -> None:
    for number in range(3):
        journal = Journal(path)
        journal.append([event(number), event(number)])
        journal.close()
    check(path, 6)
    assert path.stat().st_mode & 0o777 == 0o640


def test_two_processes_make_one_chain(path: Path) -> None:
    writers = [writer(path, 200, name, rotate=20_000) for name in "ab"]
    assert [each.wait() for each in writers if each.communicate()] == [0, 0]
    check(path, 400)
    assert len(journal_files(path)) > 3, "rotated while both wrote"


def test_killing_a_writer_loses_nothing_that_it_said_was_written(path: Path) -> None:
    survivor = Journal(path)
    said = 0
    for attempt in range(5):
        process = writer(path, 100_000, str(attempt))
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.02 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        said += 1 + len(process.communicate()[0].splitlines())
        survivor.append([event()])
        said += 1
    verified = verify(journal_places(path), (), read_head(path))
    assert verified.broken == ()
    assert said <= verified.records <= said + 5, "one more each, whose line was not yet said to be there"


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_a_record_cut_off_by_a_crash_is_named_by_the_next(path: Path, cut: int) -> None:
    journal = Journal(path)
    journal.append([event(1)])
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(whole.replace(b'"seq":1', b'"seq":2')[:cut])
    journal.append([event(2)])
    journal.append([event(3)])
    assert path.read_bytes().count(b'"torn":') == 1
    check(path, 3)


def test_a_record_whose_head_was_not_noted_is_taken_over(path: Path) -> None:
    journal = Journal(path)
    journal.append([event(1)])
    noted = head_path(path).read_bytes()
    journal.append([event(2)])
    head_path(path).write_bytes(noted)
    Journal(path).append([event(3)])
    check(path, 3)


def test_without_its_head_file_the_chain_goes_on_from_its_last_record(path: Path) -> None:
    journal = Journal(path, (b"s" * 32,))
    journal.append([event(1), event(2)])
    journal.close()
    head_path(path).unlink()
    with path.open("ab") as file:
        file.write(b'{"seq":3')
    Journal(path, (b"s" * 32,)).append([event(3)])
    check(path, 3, (b"s" * 32,))


def test_a_crash_between_rotation_and_the_next_record_breaks_nothing(path: Path) -> None:
    journal = Journal(path)
    journal.append([event(1)])
    path.rename(path.with_name(f"{path.name}.{1:020d}"))
    journal.append([event(2)])
    check(path, 2)


def test_records_cut_off_at_the_end_are_missed_and_stay_missed(path: Path) -> None:
    journal = Journal(path)
    journal.append([event(1), event(2), event(3)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    assert verify(journal_places(path), (), read_head(path)).broken
    journal.append([event(4)])
    assert verify(journal_places(path), (), read_head(path)).broken


def test_a_disk_that_is_full_is_an_error_and_the_chain_goes_on_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(path, sync=True)
    journal.append([event(1)])
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:50]))
    with pytest.raises(OSError, match="50 of"):
        journal.append([event(2)])
    monkeypatch.undo()
    journal.append([event(2)], dropped=1)
    check(path, 2)
    assert verify(journal_places(path)).dropped == 1


def test_a_journal_that_is_not_there_has_no_head(path: Path) -> None:
    assert read_head(path) is None
    assert journal_files(path) == []


def test_what_is_read_while_others_write_and_rotate_is_whole(path: Path) -> None:
    writers = [writer(path, 400, name, rotate=3000) for name in ("one", "two")]
    while not path.exists():
        time.sleep(0.01)
    seen = [0]
    while any(each.poll() is None for each in writers):
        noted = read_head(path)
        verified = verify(journal_places(path), (), noted)
        assert verified.broken == ()
        seen.append(verified.records)
    for each in writers:
        each.communicate()
    check(path, 800)
    assert len(journal_files(path)) > 50
    assert len(set(seen)) > 3, "it was read in the middle"
    assert seen == sorted(seen)

"""Whatever is done to the files of a trail, `audit verify` says so: every kind of change, at every place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.audit.journal import Journal, head_path, journal_files
from proxy.cli.main import main
from tests.audit.conftest import event

RECORDS = 40
SECRET = b"a secret that whoever changes the files does not know"
Change = Callable[[list[Path]], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of four files or more, each record of which was written by itself."""
    path = tmp_path / "keys.jsonl"
    journal = Journal(path, [SECRET], 5000)
    for number in range(RECORDS):
        journal.append([event(number)])
    journal.close()
    (tmp_path / "secret").write_bytes(SECRET)
    assert len(journal_files(path)) > 3
    return path


def verify(path: Path, *more: str) -> int:
    return main(["audit", "verify", "--path", str(path), "--secret-file", str(path.with_name("secret")), *more])


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_every_byte_that_is_changed_is_found(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = journal_files(path)[-1]
    raw = last.read_bytes()
    for place in range(0, len(raw), 7):
        last.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        assert verify(path) == 1, place
    last.write_bytes(raw)
    assert verify(path) == 0
    capsys.readouterr()


def test_wherever_the_last_file_is_cut_off_it_is_found(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = journal_files(path)[-1]
    raw = last.read_bytes()
    # Without the line end of the last record all of it is still there.
    for size in range(0, len(raw) - 1, 7):
        last.write_bytes(raw[:size])
        assert verify(path) == 1, size
    boundaries = [sum(map(len, raw.splitlines(keepends=True)[:count])) for count in range(raw.count(b"\n"))]
    for size in boundaries:
        last.write_bytes(raw[:size])
        assert verify(path) == 1, size
    capsys.readouterr()


@pytest.mark.parametrize("number", [0, 1, -1], ids=["the first", "a middle", "the last"])
def test_a_file_that_is_gone_is_missed(path: Path, number: int) -> None:
    journal_files(path)[number].unlink()
    assert verify(path) == 1


def swap_records(files: list[Path]) -> None:
    first, second, *rest = lines(files[1])
    files[1].write_bytes(second + first + b"".join(rest))


def swap_files(files: list[Path]) -> None:
    one, two = files[0].read_bytes(), files[1].read_bytes()
    files[0].write_bytes(two)
    files[1].write_bytes(one)


def move_between_files(files: list[Path]) -> None:
    first, *rest = lines(files[1])
    files[1].write_bytes(b"".join(rest))
    files[2].write_bytes(files[2].read_bytes() + first)


def remove_a_record(files: list[Path]) -> None:
    files[1].write_bytes(b"".join(lines(files[1])[1:]))


def repeat_a_record(files: list[Path]) -> None:
    found = lines(files[1])
    files[1].write_bytes(b"".join([*found, found[-1]]))


def add_a_line(files: list[Path]) -> None:
    files[-1].write_bytes(files[-1].read_bytes() + b"{}\n")


def forge_a_record(files: list[Path]) -> None:
    forger = Journal(files[-1])  # without the secret
    forger.append([event(99)])
    forger.close()


def say_allowed(files: list[Path]) -> None:
    record = json.loads(lines(files[1])[0])
    files[1].write_bytes(files[1].read_bytes().replace(record["object"].encode(), b"file-x", 1))


def begin_again_without_the_first(files: list[Path]) -> None:
    files[0].unlink()
    files[1].write_bytes(b"".join(lines(files[1])))


@pytest.mark.parametrize(
    "change",
    [
        swap_records, swap_files, move_between_files, remove_a_record, repeat_a_record, add_a_line, forge_a_record,
        say_allowed, begin_again_without_the_first,
    ],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_every_kind_of_change_is_found(path: Path, change: Change) -> None:
    assert verify(path) == 0
    change(journal_files(path))
    assert verify(path) == 1


def test_who_cuts_the_trail_and_its_noted_head_alike_is_found_by_a_head_kept_elsewhere(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify(path)
    head = capsys.readouterr().out.rpartition("head ")[2].strip()
    last = journal_files(path)[-1]
    kept = lines(last)[:-1]
    last.write_bytes(b"".join(kept))
    record = json.loads(kept[-1])
    size = last.stat().st_size
    head_path(path).write_text(f"{record['seq']:020d} {record['hash']} {size:020d}\n")
    assert verify(path) == 0, "nothing in the files themselves is wrong"
    assert verify(path, "--head", head) == 1

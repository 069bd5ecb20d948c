"""A change, a gap, another order: whatever was done to a chain shows."""

from __future__ import annotations

import hashlib
import json

import pytest

from proxy.audit.chain import GENESIS, Head, Place, link, read, records, verify
from proxy.audit.event import to_fields
from tests.audit.conftest import event

SECRET = b"s" * 32


def chain(count: int = 5, secret: bytes = b"") -> tuple[list[str], Head]:
    head, lines = Head(), []
    for number in range(1, count + 1):
        line, head = link(head, to_fields(event(number)), secret)
        lines.append(line)
    return lines, head


def places(lines: list[str]) -> list[Place]:
    return [Place("audit.jsonl", number, line) for number, line in enumerate(lines, 1)]


def problems(lines: list[str], secrets: tuple[bytes, ...] = (), expected: Head | None = None) -> list[str]:
    return [str(broken) for broken in verify(places(lines), secrets, expected).broken]


def test_an_untouched_chain_verifies() -> None:
    lines, head = chain()
    verified = verify(places(lines), (), head)
    assert (verified.records, verified.head, verified.broken) == (5, head, ())
    assert json.loads(lines[0])["prev"] == GENESIS


def test_a_record_is_one_line_of_printable_ascii_and_of_json() -> None:
    line = chain(1)[0][0]
    assert line.isprintable()
    assert line.isascii()
    record = json.loads(line)
    assert record["time"] == "2026-11-18T11:06:41.125Z"
    assert (record["seq"], record["object"], record["user_agent"]) == (1, "file-1", 'curl/8 "x"\n\x7f')
    assert "error" not in record


def test_a_changed_record_is_found() -> None:
    lines, _ = chain()
    lines[2] = lines[2].replace("alice", "carol")
    found = problems(lines)
    assert "audit.jsonl:3: the record was changed, or is none" in found


def test_a_changed_record_with_its_hash_made_anew_is_found_at_the_next() -> None:
    lines, _ = chain()
    record = json.loads(lines[2])
    del record["hash"], record["seq"], record["prev"]
    before = json.loads(lines[1])
    lines[2], _ = link(Head(2, before["hash"]), {**record, "principal": "carol"})
    assert problems(lines) == ["audit.jsonl:4: record 4 does not follow from the one before it: that one was changed"]


@pytest.mark.parametrize("gone", [0, 2])
def test_a_removed_record_is_found(gone: int) -> None:
    lines, _ = chain()
    del lines[gone]
    assert "removed, added or moved" in problems(lines)[0]


def test_records_in_another_order_are_found() -> None:
    lines, _ = chain()
    lines[1], lines[2] = lines[2], lines[1]
    assert len(problems(lines)) == 3


def test_a_record_written_twice_is_found() -> None:
    lines, _ = chain()
    assert problems([*lines[:3], lines[2], *lines[3:]])


def test_records_missing_at_the_end_are_found_by_the_head_that_was_noted() -> None:
    lines, head = chain()
    assert problems(lines[:-1]) == []
    assert problems(lines[:-1], (), head) == ["end:4: record 5, known to have been written, is not there"]
    assert problems(lines, (), Head(4, json.loads(lines[3])["hash"])) == [], "a head may be older than the end"


def test_with_a_secret_nobody_else_can_make_a_chain() -> None:
    lines, head = chain(secret=SECRET)
    assert problems(lines, (b"new" * 11, SECRET), head) == []
    forged, _ = chain()
    assert len(problems(forged, (SECRET,))) == 5


def test_what_a_crash_cut_off_is_excused_by_the_record_after_it() -> None:
    lines, _ = chain(2)
    remains = b'{"seq":3,"pre'
    after, _ = link(Head(2, json.loads(lines[1])["hash"]), to_fields(event(3)), torn=remains)
    whole = [*lines, remains.decode(), after]
    assert problems(whole) == []
    assert problems([*lines, "something else", after]) == ["audit.jsonl:3: the record was changed, or is none"]
    assert problems([*lines, after]) == ["chain:2: the remains of a crash were removed"]
    assert problems(whole[:-1]) == ["audit.jsonl:3: the record was changed, or is none"]
    assert hashlib.sha256(remains).hexdigest() in after


def test_events_that_were_dropped_are_told() -> None:
    line, head = link(Head(), to_fields(event(1)), dropped=7)
    assert verify(places([line])).dropped == 7
    assert head.seq == 1


@pytest.mark.parametrize("line", ["", "{}", "x" * 100, '{"a":1,"hash":"' + "0" * 64 + '"}'])
def test_what_is_no_record_is_not_read(line: str) -> None:
    assert read(line) is None


def test_searching_reads_what_can_be_read() -> None:
    lines, _ = chain(2)
    assert [record["seq"] for record in records(places([lines[0], "junk", '["x"]', lines[1]]))] == [1, 2]

"""The SQLite store keeps the same chain, searches it, and its columns cannot lie."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.audit.chain import verify
from proxy.audit.database import Database, Search, database_head, database_places, wrong_columns
from tests.audit.conftest import KEY, event

WRITER = """
import sys
from pathlib import Path
from proxy.audit.database import Database
from tests.audit.conftest import event
database = Database(Path(sys.argv[1]))
for number in range(100):
    database.append([event(number)])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


def test_two_processes_make_one_chain(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) for _ in "ab"]
    assert [each.wait() for each in writers] == [0, 0]
    verified = verify(database_places(path), (), database_head(path))
    assert (verified.records, verified.broken) == (200, ())


def test_searching_finds_what_fits_in_order(path: Path) -> None:
    database = Database(path, sync=True)
    database.append([event(1), event(2, outcome="denied", principal=None), event(3, key=KEY + "2")], dropped=2)
    database.close()

    def found(search: Search) -> list[int]:
        return [place.number for place in database_places(path, search)]

    assert found(Search()) == [1, 2, 3]
    assert found(Search(outcome="denied")) == [2]
    assert found(Search(key=KEY, principal="arn:aws:iam::123456789012:user/alice")) == [1]
    assert found(Search(since="2026-11-18T11:06:42", until="2026-11-18T11:06:43")) == [2]
    assert found(Search(bucket="hr-data", object="file-3", action="kms:Decrypt", request_id="REQ3")) == [3]
    assert verify(database_places(path)).dropped == 2


def test_a_search_fits_the_same_records_outside_of_the_database() -> None:
    record = {"time": "2026-11-18T11:06:42.125Z", "key": KEY, "outcome": "allowed"}
    assert Search(key=KEY, since="2026-11-18").fits(record)
    assert not Search(until="2026-11-18T11:06:42").fits(record)
    assert not Search(outcome="denied").fits(record)


def tampered(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)


def test_a_column_that_says_something_else_than_its_record_is_found(path: Path) -> None:
    Database(path).append([event(1), event(2)])
    assert list(wrong_columns(path)) == []
    tampered(path, "UPDATE events SET principal = 'x' WHERE seq = 2")
    assert list(wrong_columns(path)) == [2]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM events WHERE seq = 2",
        "DELETE FROM events WHERE seq = 3",
        "UPDATE events SET record = replace(record, 'a', 'b')",
    ],
)
def test_a_removed_or_changed_record_is_found(path: Path, statement: str) -> None:
    Database(path).append([event(number) for number in (1, 2, 3)])
    tampered(path, statement)
    assert verify(database_places(path), (), database_head(path)).broken


def test_a_failed_transaction_leaves_nothing(path: Path) -> None:
    database = Database(path)
    database.append([event(1)])
    tampered(path, "INSERT INTO events (seq, record) VALUES (3, 'x')")
    with pytest.raises(OSError, match="UNIQUE"):
        database.append([event(2), event(3)])
    tampered(path, "DELETE FROM events WHERE seq = 3")
    database.append([event(4)])
    assert verify(database_places(path), (), database_head(path)).records == 2


def test_a_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no database at all" * 100)
    with pytest.raises(OSError, match="cannot open"):
        Database(tmp_path / "x")
    with pytest.raises(OSError, match="cannot read"):
        list(database_places(tmp_path / "gone"))

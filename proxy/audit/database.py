"""The trail in an SQLite file: the same chained records, to be searched by index.

SQLite orders the processes that write and undoes what a crash interrupts. The columns repeat what is in
the record, for searching; the record is what counts, and verification compares the two.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.audit.chain import Head, Place, link
from proxy.audit.event import KeyUse, to_fields

BUSY_SECONDS = 5.0
COLUMNS = ("time", "outcome", "action", "key", "bucket", "object", "principal", "request_id")

_COLUMNS = ", ".join(f"{name} TEXT" for name in COLUMNS)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, {_COLUMNS}, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_time ON events (time);
CREATE INDEX IF NOT EXISTS by_key ON events (key, time);
CREATE INDEX IF NOT EXISTS by_principal ON events (principal, time);
CREATE INDEX IF NOT EXISTS by_object ON events (bucket, object, time);
CREATE TABLE IF NOT EXISTS head (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL);
"""


class Database:
    """Appends records. One per process; not for several threads at once."""

    def __init__(self, path: Path, secrets: Sequence[bytes] = (), *, sync: bool = False) -> None:
        """Open or create the file; raises OSError."""
        self._secret = secrets[0] if secrets else b""
        try:
            # Made by one thread and used by another, never by two at once.
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise OSError(f"cannot open `{path}`: {error}") from error

    def append(self, events: Sequence[KeyUse], dropped: int = 0) -> None:
        """Append records in one transaction; raises OSError, and then none of them is there."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._insert(events, dropped)
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _insert(self, events: Sequence[KeyUse], dropped: int) -> None:
        found = self._connection.execute("SELECT seq, hash FROM head").fetchone()
        head = Head(*found) if found is not None else Head()
        rows = []
        for event in events:
            written = to_fields(event)
            line, head = link(head, written, self._secret, dropped=dropped)
            dropped = 0
            rows.append((head.seq, *(written.get(name) for name in COLUMNS), line))
        marks = ", ".join("?" * (len(COLUMNS) + 2))
        self._connection.executemany(f"INSERT INTO events VALUES ({marks})", rows)  # noqa: S608 - question marks only
        self._connection.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?)", (head.seq, head.hash))


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for; None is anything."""

    since: str | None = None
    until: str | None = None
    key: str | None = None
    principal: str | None = None
    bucket: str | None = None
    object: str | None = None
    outcome: str | None = None
    action: str | None = None
    request_id: str | None = None

    def fits(self, record: Mapping[str, Any]) -> bool:
        """Tell whether a record is looked for. Times compare as their texts do."""
        when = str(record.get("time", ""))
        if (self.since is not None and when < self.since) or (self.until is not None and when >= self.until):
            return False
        return all(wanted is None or record.get(name) == wanted for name, wanted in self._equal().items())

    def _equal(self) -> dict[str, str | None]:
        return {
            "key": self.key,
            "principal": self.principal,
            "bucket": self.bucket,
            "object": self.object,
            "outcome": self.outcome,
            "action": self.action,
            "request_id": self.request_id,
        }

    def condition(self) -> tuple[str, list[str]]:
        """Return the SQL condition and its values."""
        parts = [("time >= ?", self.since), ("time < ?", self.until)]
        parts += [(f"{name} = ?", wanted) for name, wanted in self._equal().items()]
        given = [(text, wanted) for text, wanted in parts if wanted is not None]
        return " AND ".join(text for text, _ in given) or "1", [wanted for _, wanted in given]


def database_places(path: Path, search: Search | None = None) -> Iterator[Place]:
    """Yield the records of a database in their order; raises OSError."""
    condition, values = (search or Search()).condition()
    statement = f"SELECT seq, record FROM events WHERE {condition} ORDER BY seq"  # noqa: S608 - fixed texts only
    with _reading(path) as connection:
        for seq, record in connection.execute(statement, values):
            yield Place(str(path), seq, record if isinstance(record, str) else repr(record))


def wrong_columns(path: Path) -> Iterator[int]:
    """Yield the numbers of the rows whose columns are not what their record says; raises OSError."""
    pairs = " OR ".join(f"{name} IS NOT json_extract(record, '$.{name}')" for name in ("seq", *COLUMNS))
    # Whoever changed a record may have left anything there.
    wrong = f"CASE WHEN typeof(record) = 'text' AND json_valid(record) THEN {pairs} ELSE 1 END"
    with _reading(path) as connection:
        for (seq,) in connection.execute(f"SELECT seq FROM events WHERE {wrong}"):  # noqa: S608 - our columns
            yield seq


def database_head(path: Path) -> Head | None:
    """Return the head that the database notes, None where it notes none; raises OSError."""
    with _reading(path) as connection:
        noted = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'head'").fetchone()
        found = connection.execute("SELECT seq, hash FROM head").fetchone() if noted is not None else None
    return None if found is None else Head(*found)


class _reading:  # noqa: N801 - read as `with _reading(path)`
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=BUSY_SECONDS)
            self._connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            self._connection.execute("SELECT 1 FROM events LIMIT 1")
        except sqlite3.Error as error:
            raise OSError(f"cannot read `{self._path}`: {error}") from error
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        self._connection.close()
        if isinstance(error, sqlite3.Error):
            raise OSError(f"cannot read `{self._path}`: {error}") from error

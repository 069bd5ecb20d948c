"""What a scan found, on disk: a line for each object, and after each page how far it is.

A scan that broke off, wherever and however, is gone on with from the last whole page: what follows it is
cut off, and looked at again. Nothing of it is held in memory, so a bucket may have any number of objects.

    {"scan": {"bucket": ..., "prefix": ...}}          which scan this is: another one is refused
    {"key": ..., "protection": ..., "findings": [...]} an object
    {"page": {"key": ..., "version_id": ...}, "crc": N} everything up to this marker is above, with this checksum
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError
from proxy.server.scan.judging import Finding
from proxy.server.scan.survey import Marker

_PAGE = b'{"page"'
_MAX_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """What was found of one object."""

    key: str
    version_id: str
    latest: bool
    size: int
    """Stored bytes."""
    modified: str
    protection: str
    """One of `protection.KINDS`."""
    keys: tuple[str, ...] = ()
    wrapping: str = ""
    bucket_key: str = ""
    sse: str = ""
    findings: tuple[Finding, ...] = field(default=())

    def data(self) -> dict[str, object]:
        """Return it as it is written."""
        return {
            "key": self.key,
            "version_id": self.version_id,
            "latest": self.latest,
            "size": self.size,
            "modified": self.modified,
            "protection": self.protection,
            "keys": list(self.keys),
            "wrapping": self.wrapping,
            "bucket_key": self.bucket_key,
            "sse": self.sse,
            "findings": [
                {"rule": each.rule, "severity": each.severity.value, "message": each.message, "help": each.help}
                for each in self.findings
            ],
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Row:
        """Read what `data` returned."""
        findings = tuple(
            Finding(each["rule"], Severity(each["severity"]), each["message"], each["help"])
            for each in data["findings"]
        )
        rest = {name: value for name, value in data.items() if name not in ("findings", "keys")}
        return cls(**rest, keys=tuple(data["keys"]), findings=findings)


class Journal:
    """The file of one scan, locked as long as it is open."""

    def __init__(self, path: Path, what: Mapping[str, object]) -> None:
        """Open the file, or begin it; raises `ConfigError` for one of another scan, or in use."""
        self._path = path
        self._start = self._end = 0
        self._marker: Marker | None = Marker()
        try:
            self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=1 << 16)
        except OSError as error:
            raise self._refused(f"cannot open the state of the scan: {error.strerror}") from error
        try:
            self._begin(what)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def marker(self) -> Marker | None:
        """How far the scan is; None once it is complete."""
        return self._marker

    def add(self, rows: Iterable[Row], marker: Marker | None) -> None:
        """Keep a page of objects; when this returns it will be found again, whatever happens."""
        written = b"".join(_line(row.data()) for row in rows)
        place = None if marker is None else {"key": marker.key, "version_id": marker.version_id}
        self._file.seek(self._end)
        self._file.write(written + _line({"page": place, "crc": zlib.crc32(written)}))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._end = self._file.tell()
        self._marker = marker

    def rows(self) -> Iterator[Row]:
        """Read everything that was found, in the order of the listing."""
        self._file.seek(self._start)
        while self._file.tell() < self._end:
            line = self._file.readline(_MAX_LINE)
            if not line.startswith(_PAGE):
                yield Row.of(json.loads(line))

    def _begin(self, what: Mapping[str, object]) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise self._refused("another scan is at work on this state") from error
        head = _line({"scan": dict(what)})
        first = self._file.readline(_MAX_LINE)
        if not first or not first.endswith(b"\n"):
            # Nothing, or the beginning of a first line that was never finished.
            if not head.startswith(first):
                raise self._refused("this is not the state of a scan")
            self._file.seek(0)
            self._file.write(head)
            self._file.flush()
        elif first != head:
            remedy = "name another file with --state, or delete this one to start afresh"
            raise self._refused("this is the state of a scan with other settings or other policies", remedy)
        self._start = self._end = len(head)
        self._find_end()
        self._file.truncate(self._end)

    def _find_end(self) -> None:
        """Go through whole pages, as far as they are what was written."""
        self._file.seek(self._start)
        crc, position = 0, self._start
        while (line := self._file.readline(_MAX_LINE)).endswith(b"\n"):
            position += len(line)
            if not line.startswith(_PAGE):
                crc = zlib.crc32(line, crc)
                continue
            page = _read(line)
            if page is None or page.get("crc") != crc:
                return
            place = page["page"]
            self._marker = None if place is None else Marker(place["key"], place["version_id"])
            self._end, crc = position, 0

    def _refused(self, message: str, remedy: str = "") -> ConfigError:
        return ConfigError([Diagnostic(Severity.ERROR, "scan-state", message, Span(str(self._path)), remedy)])


def _line(data: object) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

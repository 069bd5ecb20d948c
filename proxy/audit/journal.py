"""The trail as JSON lines in a file that several processes append to, rotated by size.

A small file beside it holds the head of the chain and the size it belongs to; its lock orders the
processes. A record is written first and the head after it: what a crash leaves in between is found by
the next writer, which takes a whole record over and names the remains of one that was cut off.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from proxy.audit.chain import GENESIS, Head, Place, link, read
from proxy.audit.event import KeyUse, to_fields

ROTATE_BYTES = 1 << 27
_MODE = 0o640
_HEAD_FORMAT = "{:020d} {} {:020d}\n"
_TAIL = 1 << 20
_HEAD_SIZE = len(_HEAD_FORMAT.format(0, GENESIS, 0))


@dataclass(frozen=True, slots=True)
class _Mark:
    """What the file beside the journal says."""

    head: Head
    size: int


class Journal:
    """Appends records. One per process; not for several threads at once."""

    def __init__(
        self, path: Path, secrets: Sequence[bytes] = (), rotate_bytes: int = 1 << 27, *, sync: bool = False
    ) -> None:
        """Open both files; raises OSError. The first secret writes, all read."""
        self._path = path
        self._secrets = tuple(secrets)
        self._rotate_bytes = rotate_bytes
        self._sync = sync
        self._lock = os.open(head_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        self._file = _open(path)
        self._opened = os.fstat(self._file).st_ino

    def append(self, events: Sequence[KeyUse], dropped: int = 0) -> None:
        """Append records in one go; raises OSError when not all of them are there."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            self._append(events, dropped)
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close both files."""
        os.close(self._file)
        os.close(self._lock)

    def _append(self, events: Sequence[KeyUse], dropped: int) -> None:
        size = self._follow_rotation()
        head, torn = self._recover(size)
        if torn:
            # It was given a line end.
            size = os.fstat(self._file).st_size
        secret = self._secrets[0] if self._secrets else b""
        lines = []
        for event in events:
            line, head = link(head, to_fields(event), secret, torn=torn, dropped=dropped)
            lines.append(line)
            torn, dropped = b"", 0
        data = ("\n".join(lines) + "\n").encode("ascii")
        if size and size + len(data) > self._rotate_bytes:
            self._rotate(head.seq - len(lines))
            size = 0
        self._write(data)
        if self._sync:
            os.fdatasync(self._file)
        self._note(head, size + len(data))

    def _write(self, data: bytes) -> None:
        written = os.write(self._file, data)
        if written < len(data):
            raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes were written")

    def _follow_rotation(self) -> int:
        """Open the file that has the name now, as another process may have moved the old one away; return its size."""
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            named = None
        if named is None or named.st_ino != self._opened:
            fresh = _open(self._path)
            os.close(self._file)
            self._file = fresh
            named = os.fstat(fresh)
            self._opened = named.st_ino
        return named.st_size

    def _rotate(self, last: int) -> None:
        os.rename(self._path, self._path.with_name(f"{self._path.name}.{last:020d}"))
        self._follow_rotation()

    def _recover(self, size: int) -> tuple[Head, bytes]:
        """Return the head of the chain and the remains of a record that was cut off, as a line of their own."""
        mark = _read_mark(self._lock)
        if mark is not None and size == mark.size:
            return mark.head, b""
        if mark is not None and size > mark.size:
            return self._adopt(mark.head, _read_from(self._path, mark.size))
        # The file was cut, or what was noted beside it is gone. Verification will find what is missing.
        head = mark.head if mark is not None else _last_record(self._path, self._secrets)
        rest = _read_from(self._path, max(0, size - _TAIL)).rpartition(b"\n")[2]
        if rest:
            self._write(b"\n")
        return head, rest

    def _adopt(self, head: Head, raw: bytes) -> tuple[Head, bytes]:
        torn = b""
        *lines, rest = raw.split(b"\n")
        for line in lines:
            record = read(line.decode("ascii", "replace"), self._secrets)
            if record is not None and record.get("seq") == head.seq + 1 and record.get("prev") == head.hash:
                head, torn = Head(head.seq + 1, _own_hash(line)), b""
            elif line:
                torn = line
        if rest:
            self._write(b"\n")
            torn = rest
        return head, torn

    def _note(self, head: Head, size: int) -> None:
        os.pwrite(self._lock, _HEAD_FORMAT.format(head.seq, head.hash, size).encode(), 0)


def head_path(path: Path) -> Path:
    """Return the file beside a journal that holds its head."""
    return path.with_name(path.name + ".head")


def read_head(path: Path) -> Head | None:
    """Return the head that was noted beside the journal at `path`, None if there is none."""
    try:
        file = os.open(head_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        mark = _read_mark(file)
    finally:
        os.close(file)
    return None if mark is None else mark.head


def journal_files(path: Path) -> list[Path]:
    """Return the files of a journal in their order, those moved away by rotation first."""
    rotated = _rotated_files(path)
    return [*rotated, path] if path.exists() else rotated


def journal_places(path: Path) -> Iterator[Place]:
    """Yield every line of a journal as it is now, whoever writes and rotates meanwhile; raises OSError."""
    with ExitStack() as opened:
        # While the writers wait: what is read is what one of them left, and the file with the name is the last one.
        with _waiting_writers(path):
            rotated = _rotated_files(path)
            current = opened.enter_context(path.open("rb")) if path.exists() else None
            size = os.fstat(current.fileno()).st_size if current is not None else 0
        for file in rotated:
            with file.open("rb") as stream:
                yield from _lines(file, stream, os.fstat(stream.fileno()).st_size)
        if current is not None:
            yield from _lines(path, current, size)


def _rotated_files(path: Path) -> list[Path]:
    return sorted(each for each in path.parent.glob(f"{path.name}.*") if each.name[len(path.name) + 1 :].isdigit())


@contextmanager
def _waiting_writers(path: Path) -> Iterator[None]:
    """Keep writers waiting, as far as there can be any: without a head file nobody has the journal open."""
    try:
        lock = os.open(head_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield
    finally:
        os.close(lock)


def _lines(path: Path, stream: BinaryIO, size: int) -> Iterator[Place]:
    """Yield the lines of the first `size` bytes of a file."""
    number = 0
    while size > 0 and (raw := stream.readline(size)):
        size -= len(raw)
        number += 1
        yield Place(str(path), number, raw.removesuffix(b"\n").decode("utf-8", "surrogateescape"))


def _read_mark(file: int) -> _Mark | None:
    raw = os.pread(file, _HEAD_SIZE, 0)
    if len(raw) < _HEAD_SIZE:
        return None
    seq, own, size = raw.decode("ascii").split()
    return _Mark(Head(int(seq), own), int(size))


def _last_record(path: Path, secrets: Sequence[bytes]) -> Head:
    """Return the last record of a journal whose head file is gone: as good as the files themselves."""
    head = Head()
    for file in journal_files(path):  # whoever asks holds the lock
        with file.open("rb") as stream:
            for place in _lines(file, stream, os.fstat(stream.fileno()).st_size):
                record = read(place.line, secrets)
                seq = None if record is None else record.get("seq")
                if isinstance(seq, int):
                    head = Head(seq, _own_hash(place.line.encode("utf-8", "surrogateescape")))
    return head


def _own_hash(line: bytes) -> str:
    return line[-66:-2].decode("ascii", "replace")


def _read_from(path: Path, start: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(start)
        return stream.read()


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)

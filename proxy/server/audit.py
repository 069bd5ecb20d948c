"""The decision log: one JSON line per request, saying who asked what, and why it was decided so.

A `DecisionRecord` has no field that could carry a secret: no query string, no header but those that a
bucket's rules changed, and of these the secret ones are named without their values. What a client can
choose is escaped to printable ASCII, so that a line cannot break out of its line or steer a terminal.

Lines are put together by hand from pieces that json's C encoder has quoted: a third of the time that
`json.dumps` takes. Each is one `write` to a descriptor opened for appending, so that the lines of
several workers do not mix (in files; in a pipe up to PIPE_BUF, which is 4 KiB on Linux).
"""

from __future__ import annotations

import logging
import os
import select
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quote
from pathlib import Path
from typing import Protocol

from proxy.per_request import per_request
from proxy.s3.headers import SECRET_VALUES

STDOUT = 1
MAX_TEXT = 256
"""Longest user agent or header value that is logged, in characters; more is cut and ends in `...`."""

HIDDEN = "(hidden)"
SECRET_HEADERS = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-amz-s3session-token",
        "x-amz-security-token",
        *SECRET_VALUES,
    }
)
_MODE = 0o640  # the log tells who reads what: not for everybody on the machine

_log = logging.getLogger("s3warden.audit")


@dataclass(frozen=True, slots=True)
class DecidingStatement:
    """A statement that decided, by its Sid (or its place in the list, `#3`), and where it is written."""

    sid: str
    policy_kind: str
    place: str
    """`file:line`"""


@dataclass(frozen=True, slots=True)
class ReportedOutcome:
    """What a policy in report mode would have decided."""

    decision: str
    statements: tuple[DecidingStatement, ...]


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """A header that a bucket's rules changed: what the client sent and what went on; None is absent."""

    name: str
    received: str | None
    sent: str | None


@per_request(frozen=True, slots=True)
class DecisionRecord:
    """What is written about one request. Times are seconds, `time` since the epoch; sizes are bytes."""

    time: float
    request_id: str
    client: str
    """The client's address, as far as proxies in front are trusted."""
    principal: str | None
    """ARN; None is an anonymous caller, or one who was never authenticated."""
    access_key_id: str | None
    operation: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    decision: str
    """`allow`, `explicit_deny`, `implicit_deny`, or `none` for a request refused before any decision."""
    statements: tuple[DecidingStatement, ...]
    policy_revision: str
    status: int
    """What the client got; 0 if it went away before an answer."""
    error: str | None
    """The S3 error code, if the answer was one."""
    bytes_in: int
    bytes_out: int
    duration: float
    first_byte: float | None
    denied_resources: tuple[str, ...] = ()
    """Resources that were refused in a request of which the rest went on, as in DeleteObjects."""
    reported: tuple[ReportedOutcome, ...] = ()
    header_changes: tuple[HeaderChange, ...] = ()
    upstream_request_id: str | None = None
    upstream_id_2: str | None = None
    user_agent: str | None = None
    detail: str | None = None
    """What the client was not told about its error, in words of the proxy's own."""


class AuditSink(Protocol):
    """Something that keeps decisions."""

    @property
    def refuses(self) -> bool:
        """Whether requests are to be refused since what is decided about them cannot be kept."""
        ...

    def write(self, record: DecisionRecord) -> None:
        """Keep `record`; never raises, because a full disk must not answer requests."""
        ...


class DecisionLog:
    """Writes records as JSON lines to a file, or to standard output where `path` is None."""

    def __init__(
        self, path: Path | None, count: Callable[[bool], None] = lambda ok: None, *, blocks: bool = False
    ) -> None:
        """Open the log; raises OSError. `count` is told of each record whether it was written.

        With `blocks` a reader of standard output that is behind is waited for, and `refuses` as long as lines fail.
        """
        self.refuses = False
        self._blocks = blocks
        self._dropped = 0
        self._path = path
        self._count = count
        self._fd = STDOUT if path is None else _open(path)
        self._failing = False
        self._torn = False
        self._room = None if blocks else _room_of(self._fd)

    def write(self, record: DecisionRecord) -> None:
        """Append one line. A failure is counted, and said once until a line gets through again."""
        data = serialise(record).encode("ascii")
        if self._dropped:
            data = b'%b,"dropped":%d}\n' % (data[:-2], self._dropped)
        if self._room is not None and not self._room.poll(0):
            self._failed("nobody reads them")
            return
        if self._torn:
            data = b"\n" + data  # what a full disk cut off must not swallow this line too
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            self._failed(error.strerror or str(error))
            return
        self._torn = written < len(data)
        if self._torn:
            self._failed(f"only {written} of {len(data)} bytes were written")
            return
        if self._failing:
            self._failing = self.refuses = False
            self._dropped = 0
            _log.warning("decisions are logged again")
        self._count(True)

    def reopen(self) -> None:
        """Open the file anew, after log rotation moved it away; the old one is kept if that fails."""
        if self._path is None:
            return
        try:
            fresh = _open(self._path)
        except OSError as error:
            _log.error("cannot reopen the decision log `%s`: %s", self._path, error.strerror)
            return
        os.close(self._fd)
        self._fd = fresh
        self._torn = False

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if self._path is not None:
            os.close(self._fd)

    def _failed(self, reason: str) -> None:
        self._count(False)
        self._dropped += 1
        if not self._failing:
            self._failing = True
            self.refuses = self._blocks
            _log.error("decisions are not logged: %s", reason)


def _room_of(fd: int) -> select.poll | None:
    """Return what tells whether a pipe or socket takes a line at once; None for files, which always do."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return None
    room = select.poll()
    room.register(fd, select.POLLOUT)
    return room


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)


def serialise(record: DecisionRecord) -> str:
    """Return the line for `record`, its line end included. Printable ASCII, fields in a fixed order."""
    quote = _quote
    line = (
        f'{{"time":"{_timestamp(record.time)}","request_id":{quote(record.request_id)}'
        f',"client":{quote(record.client)},"principal":{_text(record.principal)}'
        f',"access_key_id":{_text(record.access_key_id)},"operation":{quote(record.operation)}'
        f',"actions":{_texts(record.actions)},"resources":{_texts(record.resources)}'
        f',"decision":{quote(record.decision)},"statements":{_statements(record.statements)}'
        f',"policy_revision":{quote(record.policy_revision)},"status":{record.status}'
        f',"error":{_text(record.error)},"bytes_in":{record.bytes_in},"bytes_out":{record.bytes_out}'
        f',"duration_ms":{record.duration * 1000:.3f}'
    )
    if record.first_byte is not None:
        line += f',"first_byte_ms":{record.first_byte * 1000:.3f}'
    if record.upstream_request_id is not None:
        line += f',"upstream_request_id":{quote(record.upstream_request_id)}'
    if record.upstream_id_2 is not None:
        line += f',"upstream_id_2":{quote(record.upstream_id_2)}'
    if record.user_agent is not None:
        line += f',"user_agent":{quote(_cut(record.user_agent))}'
    if record.denied_resources:
        line += f',"denied_resources":{_texts(record.denied_resources)}'
    if record.reported:
        line += f',"reported":[{",".join(map(_reported, record.reported))}]'
    if record.header_changes:
        line += f',"header_changes":[{",".join(map(_change, record.header_changes))}]'
    if record.detail is not None:
        line += f',"detail":{quote(record.detail)}'
    if "\x7f" in line:  # the one control character that JSON does not escape
        line = line.replace("\x7f", "\\u007f")
    return line + "}\n"


def _timestamp(seconds: float) -> str:
    """ISO 8601 in UTC with milliseconds."""
    whole = int(seconds)
    return f"{_to_the_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _text(value: str | None) -> str:
    return "null" if value is None else _quote(value)


def _texts(values: tuple[str, ...]) -> str:
    if len(values) == 1:
        return f"[{_quote(values[0])}]"
    return f"[{','.join(map(_quote, values))}]"


def _statements(statements: Iterable[DecidingStatement]) -> str:
    return "[" + ",".join([_statement(statement) for statement in statements]) + "]"


def _statement(statement: DecidingStatement) -> str:
    kind = _quote(statement.policy_kind)
    return f'{{"sid":{_quote(statement.sid)},"policy_kind":{kind},"at":{_quote(statement.place)}}}'


def _reported(outcome: ReportedOutcome) -> str:
    return f'{{"decision":{_quote(outcome.decision)},"statements":{_statements(outcome.statements)}}}'


def _change(change: HeaderChange) -> str:
    received, sent = change.received, change.sent
    if change.name in SECRET_HEADERS:
        received, sent = (None if value is None else HIDDEN for value in (received, sent))
    received = None if received is None else _cut(received)
    sent = None if sent is None else _cut(sent)
    return f'{{"name":{_quote(change.name)},"received":{_text(received)},"sent":{_text(sent)}}}'


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "..."

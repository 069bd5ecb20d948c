"""Records that depend on all before them, so that a change, a gap or another order shows.

A record is one line of JSON. It carries its place, the hash of the record before it, and at its end its
own hash over everything up to there. With a secret the hash is an HMAC, and nobody without the secret
can make a chain that verifies; without one, whoever can write the file can write a whole new chain, so
the hash of the last record is to be kept elsewhere. What was cut off by a crash is named by the record
that follows it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

GENESIS = "0" * 64
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_HASH_MARK = ',"hash":"'
_END_SIZE = len(_HASH_MARK) + 64 + len('"}')


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of a chain."""

    seq: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Place:
    """A line and where it stands."""

    file: str
    number: int
    """Line (or row) number, from 1."""
    line: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that verification found."""

    file: str
    number: int
    problem: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What a chain turned out to be."""

    records: int
    head: Head
    dropped: int
    """Events that were not recorded because a sink was full, as the chain itself says."""
    broken: tuple[Broken, ...]


def link(
    head: Head, written: Mapping[str, object], secret: bytes = b"", *, torn: bytes = b"", dropped: int = 0
) -> tuple[str, Head]:
    """Return the record after `head`, without a line end, and the new head.

    `torn` are the bytes of a record that a crash cut off before this one, `dropped` counts events that were
    lost before it.
    """
    record: dict[str, object] = {"seq": head.seq + 1, "prev": head.hash, **written}
    if torn:
        record["torn"] = hashlib.sha256(torn).hexdigest()
    if dropped:
        record["dropped"] = dropped
    body = _encode(record)[:-1]
    if "\x7f" in body:
        body = body.replace("\x7f", "\\u007f")
    own = digest(body, secret)
    return f'{body}{_HASH_MARK}{own}"}}', Head(head.seq + 1, own)


def digest(body: str, secret: bytes) -> str:
    """Return the hash of a record up to the hash itself."""
    raw = body.encode("utf-8", "surrogateescape")
    return hmac.digest(secret, raw, "sha256").hex() if secret else hashlib.sha256(raw).hexdigest()


def read(line: str, secrets: Sequence[bytes] = ()) -> dict[str, object] | None:
    """Return a record whose own hash is right, None for anything else. `secrets` are tried in turn; none is plain."""
    body, mark, end = line[:-_END_SIZE], line[-_END_SIZE:][: len(_HASH_MARK)], line[-_END_SIZE:]
    if mark != _HASH_MARK or not end.endswith('"}'):
        return None
    own = end[len(_HASH_MARK) : -2]
    if not own.isascii() or not any(hmac.compare_digest(digest(body, secret), own) for secret in secrets or (b"",)):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def verify(places: Iterable[Place], secrets: Sequence[bytes] = (), expected: Head | None = None) -> Verified:
    """Follow a chain to its end. `expected` is the head that was noted elsewhere, or beside the chain."""
    follower = _Follower(secrets, expected)
    for place in places:
        follower.see(place)
    return follower.end()


class _Follower:
    def __init__(self, secrets: Sequence[bytes], expected: Head | None) -> None:
        self.secrets = secrets
        self.awaited = expected if expected is not None and expected.seq else None
        self.head = Head()
        self.records = 0
        self.dropped = 0
        self.broken: list[Broken] = []
        self.unread: Place | None = None

    def see(self, place: Place) -> None:
        record = read(place.line, self.secrets)
        if record is None:
            self._excuse(None)
            self.unread = place
            return
        self._excuse(record.get("torn"))
        seq, prev = record.get("seq"), record.get("prev")
        if seq != self.head.seq + 1:
            self._report(place, f"record {seq} stands where {self.head.seq + 1} should: removed, added or moved")
        elif prev != self.head.hash:
            self._report(place, f"record {seq} does not follow from the one before it: that one was changed")
        dropped = record.get("dropped")
        self.dropped += dropped if isinstance(dropped, int) else 0
        self.records += 1
        own = place.line[-_END_SIZE:][len(_HASH_MARK) : -2]
        self.head = Head(seq if isinstance(seq, int) else self.head.seq + 1, own)
        if self.head == self.awaited:
            self.awaited = None

    def end(self) -> Verified:
        self._excuse(None)
        if self.awaited is not None:
            problem = f"record {self.awaited.seq}, known to have been written, is not there"
            self.broken.append(Broken("end", self.head.seq, problem))
        return Verified(self.records, self.head, self.dropped, tuple(self.broken))

    def _excuse(self, torn: object) -> None:
        """Settle an unreadable line: only a record that names it makes it the remains of a crash."""
        place, self.unread = self.unread, None
        if place is None:
            if torn is not None:
                self.broken.append(Broken("chain", self.head.seq, "the remains of a crash were removed"))
        elif torn != hashlib.sha256(place.line.encode("utf-8", "surrogateescape")).hexdigest():
            self._report(place, "the record was changed, or is none")

    def _report(self, place: Place, problem: str) -> None:
        self.broken.append(Broken(place.file, place.number, problem))


def records(places: Iterable[Place]) -> Iterator[dict[str, object]]:
    """Yield every record that can be read, verified or not, for looking things up."""
    for place in places:
        try:
            record = json.loads(place.line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and "seq" in record:
            yield record

"""Encryption SDK messages too large to be held, as sources of copies: opened frame by frame on their way.

What a copy commits was verified: the last piece of a whole message is kept back until its end, and its signature
where it has one, were. A range of a signed message is released only after all of the message was read once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from weakref import WeakValueDictionary

from proxy.envelope.foreign import ForeignHeader, ForeignOpener
from proxy.envelope.foreign_ranges import (
    FINAL_HEAD,
    Extent,
    ForeignSpanOpener,
    extent_by_end,
    foreign_span,
    last_frames,
    measure,
)
from proxy.envelope.frames import Buffer
from proxy.errors import IntegrityError, S3Error
from proxy.forward import AuthorizedRequest
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.envelope.keys import Place
from proxy.server.envelope.manifests import Manifests
from proxy.server.envelope.messages import MAX_VERIFIED, read_start
from proxy.server.envelope.passage import opened
from proxy.server.exchange import Exchange
from proxy.server.upstream import UpstreamAnswer


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """The stored bytes of a source, as long as it is the same."""

    manifests: Manifests
    exchange: Exchange
    authorized: AuthorizedRequest
    place: Place
    version: str
    found: Found

    @asynccontextmanager
    async def stretch(self, start: int, size: int) -> AsyncIterator[tuple[UpstreamAnswer, int]]:
        """Ask for some of them; yields an answer and what to skip of it, and it may have more at its end.

        Raises `S3Error` PreconditionFailed for an object that was replaced.
        """
        answer = await self.manifests.ranged(
            self.exchange, self.authorized, self.place, self.version, self.found.etag, f"{start}-{start + size - 1}"
        )
        try:
            here = conceal(answer)
            if answer.status in (404, 412) or (answer.status < 300 and here.etag != self.found.etag):
                raise S3Error("PreconditionFailed", detail="the source was replaced while it was copied")
            skip = start - here.start
            if answer.status not in (200, 206) or not 0 <= skip <= here.length - size:
                raise IntegrityError("range", "the backend answered with another range than it was asked for")
            yield answer, skip
        finally:
            answer.close()

    async def some(self, start: int, size: int) -> bytes:
        """Return a few of them."""
        async with self.stretch(start, size) as (answer, skip):
            # There are stores that answer a range with the whole object.
            return (await read_start(answer, skip + size))[skip : skip + size]


class Verified:
    """Remembers which signed messages were verified whole; several requests for one wait for the first of them."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    def add(self, name: bytes) -> None:
        """Remember one."""
        self._known[name] = None
        if len(self._known) > MAX_VERIFIED:
            self._known.popitem(last=False)

    async def once(self, name: bytes, verify: Callable[[], Awaitable[None]]) -> None:
        """Verify a message unless that was done; raises what `verify` raises."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            if name in self._known:
                self._known.move_to_end(name)
                return
            await verify()
            self.add(name)


@dataclass(frozen=True, slots=True)
class StreamedMessage:
    """A framed message, its header verified and its length known as far as it can be without reading it."""

    stored: StoredBytes
    header: ForeignHeader
    data_key: bytes = field(repr=False)
    extent: Extent
    verified: Verified

    @property
    def size(self) -> int:
        """Of the plaintext."""
        return self.extent.plain_size

    async def read(self, first: int, last: int) -> AsyncGenerator[Buffer, None]:
        """Yield bytes `first..last` of the plaintext; raises `IntegrityError`, `S3Error`."""
        if (first, last) == (0, self.size - 1):
            async with aclosing(self._whole()) as pieces:
                async for piece in pieces:
                    yield piece
            return
        if self.header.suite.signing is not None:
            await self.verified.once(self._name, self._verify)
        span = foreign_span(self.header, self.extent, first, last)
        async with self.stored.stretch(span.stored_start, span.stored_size) as (answer, skip):
            opener = ForeignSpanOpener(span, self.data_key)
            async for piece in opened(answer, opener, skip, span.stored_size):
                yield piece

    async def _whole(self) -> AsyncGenerator[Buffer, None]:
        """Yield all of the plaintext, the last piece once the whole message was verified."""
        start, total = len(self.header.raw), 0
        size = self.stored.found.size - start
        kept: Buffer = b""
        async with self.stored.stretch(start, size) as (answer, skip):
            opener = ForeignOpener(self.header, self.data_key)
            async for piece in opened(answer, opener, skip, size):
                total += len(piece)
                if total > self.size:
                    break
                if kept:
                    yield kept
                kept = piece
        if total != self.size:
            raise IntegrityError("size", "the message holds more or less than its length and its end say")
        if self.header.suite.signing is not None:
            self.verified.add(self._name)
        if kept:
            yield kept

    async def _verify(self) -> None:
        async with aclosing(self._whole()) as pieces:
            async for _ in pieces:
                pass

    @property
    def _name(self) -> bytes:
        place, found = self.stored.place, self.stored.found
        seen = repr((place.bucket, place.key, self.stored.version, found.etag, found.size))
        return sha256(self.header.raw + seen.encode("utf-8", "surrogateescape")).digest()


async def extent_of(stored: StoredBytes, header: ForeignHeader) -> Extent:
    """Return how much a framed message holds, as long as it is whole; raises `IntegrityError` size.

    How long a signature is shows only where the last frame begins, which is looked up.
    """
    size = stored.found.size
    if header.suite.signing is None:
        return measure(header, size)
    for start, number in last_frames(header, size):
        if start + FINAL_HEAD <= size:
            extent = extent_by_end(header, size, number, await stored.some(start, FINAL_HEAD))
            if extent is not None:
                return extent
    raise IntegrityError("size", "no signed message with these frames has this length")

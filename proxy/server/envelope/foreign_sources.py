"""Sources of copies that others encrypted: a copy takes what a read would show, never the ciphertext.

They are opened whole before the copy begins, since nothing outside of them tells what they hold.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

from proxy.envelope.context import ARN_NAME
from proxy.envelope.foreign import ForeignOpener, looks_foreign, parse_foreign_header
from proxy.envelope.message import MAX_HEADER
from proxy.envelope.s3ec import MAX_OBJECT, ClientObjectOpener, is_client_encrypted, need_client_object
from proxy.errors import IntegrityError, S3Error
from proxy.forward import AuthorizedRequest
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.envelope.holding import Holding
from proxy.server.envelope.keys import Capsules, Place
from proxy.server.envelope.manifests import Manifests
from proxy.server.envelope.messages import read_start
from proxy.server.envelope.plain_access import admit_plain
from proxy.server.exchange import Exchange
from proxy.server.upstream import UpstreamAnswer


@dataclass(frozen=True, slots=True)
class _Stored:
    """The stored bytes of a source, as long as it is the same."""

    manifests: Manifests
    exchange: Exchange
    authorized: AuthorizedRequest
    place: Place
    version: str
    found: Found

    @asynccontextmanager
    async def first(self, size: int) -> AsyncIterator[UpstreamAnswer]:
        """Ask for the first bytes; an answer may have more of them."""
        answer = await self.manifests.ranged(
            self.exchange, self.authorized, self.place, self.version, self.found.etag, f"0-{size - 1}"
        )
        try:
            if answer.status in (404, 412):
                raise S3Error("PreconditionFailed", detail="the source was replaced while it was copied")
            here = conceal(answer)
            if answer.status not in (200, 206) or here.start or here.length < size:
                raise IntegrityError("range", "the backend answered with another range than it was asked for")
            yield answer
        finally:
            answer.close()

    async def through(self, feed: Callable[[bytes], bytes | None], skip: int = 0) -> bytes:
        """Feed a machine with everything behind `skip` bytes; return what comes out of it."""
        pieces = []
        async with self.first(self.found.size) as answer:
            while data := await answer.read():
                pieces.append(feed(data[skip:]) or b"")
                skip = max(0, skip - len(data))
        return b"".join(pieces)


class ForeignSources:
    """Opens them."""

    def __init__(self, capsules: Capsules, manifests: Manifests) -> None:
        self._capsules = capsules
        self._manifests = manifests
        self._holding = Holding()

    async def open(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        place: Place,
        version: str,
        found: Found,
        held: ExitStack,
    ) -> bytes | None:
        """Return the plaintext of an object without our mark, None for one that is stored plain.

        It counts as held in memory until `held` is closed. Raises `S3Error` NotImplemented for what is too large to
        be held, `IntegrityError` unmarked where the bucket does not serve such objects, and whatever is wrong with
        them.
        """
        stored = _Stored(self._manifests, exchange, authorized, place, version, found)
        if is_client_encrypted(found.metadata):
            return await self._client_object(stored, held)
        start = b""
        if found.size:
            size = min(found.size, MAX_HEADER)
            async with stored.first(size) as answer:
                # There are stores that answer a range with the whole object.
                start = (await read_start(answer, size))[:size]
        if looks_foreign(start[:4]):
            return await self._message(stored, start, held)
        admit_plain(exchange, place)
        return None

    async def _client_object(self, stored: _Stored, held: ExitStack) -> bytes:
        admit_plain(stored.exchange, stored.place)
        self._hold(stored, held)
        client_object = need_client_object(stored.found.metadata)
        data_key = await self._capsules.unwrap_client_object(stored.exchange, stored.place, client_object)
        opener = ClientObjectOpener(client_object, data_key)
        await stored.through(opener.feed)
        return opener.finish()

    async def _message(self, stored: _Stored, start: bytes, held: ExitStack) -> bytes:
        header, place = parse_foreign_header(start), stored.place
        if header.context.get(ARN_NAME) != place.arn:
            admit_plain(stored.exchange, place)
        self._hold(stored, held)
        data_key = await self._capsules.unwrap(stored.exchange, place, header.edks, header.context)
        opener = ForeignOpener(header, data_key)
        plaintext = await stored.through(opener.feed, len(header.raw))
        opener.finish()
        return plaintext

    def _hold(self, stored: _Stored, held: ExitStack) -> None:
        if stored.found.size > MAX_OBJECT:
            what = f"What other software encrypted is copied up to {MAX_OBJECT} bytes; read and write this one."
            raise S3Error("NotImplemented", what)
        held.enter_context(self._holding.of(stored.found.size))

"""Sources of copies that others encrypted: a copy takes what a read would show, never the ciphertext.

What can be held is opened whole before the copy begins. Larger Encryption SDK messages are opened on their way;
objects of the S3 Encryption Client, which have one tag, cannot be.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from proxy.envelope.context import ARN_NAME
from proxy.envelope.foreign import ForeignOpener, looks_foreign, parse_foreign_header
from proxy.envelope.frames import Buffer
from proxy.envelope.message import MAX_HEADER
from proxy.envelope.s3ec import MAX_OBJECT, ClientObjectOpener, is_client_encrypted, need_client_object
from proxy.forward import AuthorizedRequest
from proxy.server.envelope.concealed import Found
from proxy.server.envelope.holding import Holding, refuse_large_object
from proxy.server.envelope.keys import Capsules, Place
from proxy.server.envelope.manifests import Manifests
from proxy.server.envelope.message_sources import StoredBytes, StreamedMessage, Verified, extent_of
from proxy.server.envelope.messages import refuse_unframed
from proxy.server.envelope.passage import opened
from proxy.server.envelope.plain_access import admit_plain
from proxy.server.exchange import Exchange


class Plaintext(Protocol):
    """What a source holds that other software encrypted."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def read(self, first: int, last: int) -> AsyncGenerator[Buffer, None]:
        """Yield bytes `first..last`; raises `IntegrityError`, `S3Error`."""
        ...


@dataclass(frozen=True, slots=True)
class HeldPlaintext:
    """One that was verified whole, and is in memory."""

    content: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.content)

    async def read(self, first: int, last: int) -> AsyncGenerator[Buffer, None]:
        """Yield bytes `first..last`."""
        yield self.content[first : last + 1]


class ForeignSources:
    """Opens them."""

    def __init__(self, capsules: Capsules, manifests: Manifests) -> None:
        self._capsules = capsules
        self._manifests = manifests
        self._holding = Holding()
        self._verified = Verified()

    async def open(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        place: Place,
        version: str,
        found: Found,
        held: ExitStack,
    ) -> Plaintext | None:
        """Return the plaintext of an object without our mark, None for one that is stored plain.

        What of it is in memory counts until `held` is closed. Raises `S3Error` NotImplemented for what would have to
        be held and is too large, `IntegrityError` unmarked where the bucket does not serve such objects, and whatever
        is wrong with them.
        """
        stored = StoredBytes(self._manifests, exchange, authorized, place, version, found)
        if is_client_encrypted(found.metadata):
            return await self._client_object(stored, held)
        start = b""
        if found.size:
            start = await stored.some(0, min(found.size, MAX_HEADER))
        if looks_foreign(start[:4]):
            return await self._message(stored, start, held)
        admit_plain(exchange, place)
        return None

    async def _client_object(self, stored: StoredBytes, held: ExitStack) -> HeldPlaintext:
        admit_plain(stored.exchange, stored.place)
        refuse_large_object(stored.found.size)
        held.enter_context(self._holding.of(stored.found.size))
        client_object = need_client_object(stored.found.metadata)
        data_key = await self._capsules.unwrap_client_object(stored.exchange, stored.place, client_object)
        opener = ClientObjectOpener(client_object, data_key)
        async with stored.stretch(0, stored.found.size) as (answer, _):
            while data := await answer.read():
                opener.feed(data)
        return HeldPlaintext(opener.finish())

    async def _message(self, stored: StoredBytes, start: bytes, held: ExitStack) -> Plaintext:
        header, place, size = parse_foreign_header(start), stored.place, stored.found.size
        if header.context.get(ARN_NAME) != place.arn:
            admit_plain(stored.exchange, place)
        refuse_unframed(header, size)
        whole = size <= MAX_OBJECT
        # On its way a frame is there as it came and as it was opened.
        held.enter_context(self._holding.of(size if whole else 2 * header.frame_length))
        data_key = await self._capsules.unwrap(stored.exchange, place, header.edks, header.context)
        opener = ForeignOpener(header, data_key)
        if not whole:
            return StreamedMessage(stored, header, data_key, await extent_of(stored, header), self._verified)
        first = len(header.raw)
        async with stored.stretch(first, size - first) as (answer, skip):
            pieces = [bytes(piece) async for piece in opened(answer, opener, skip, size - first)]
        return HeldPlaintext(b"".join(pieces))

"""Sources of copies that others encrypted: a copy takes what a read would show, never the ciphertext.

They are opened whole before the copy begins, since nothing outside of them tells what they hold.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from proxy.envelope.context import ARN_NAME
from proxy.envelope.foreign import ForeignOpener, looks_foreign, parse_foreign_header
from proxy.envelope.message import MAX_HEADER
from proxy.envelope.s3ec import MAX_OBJECT, ClientObjectOpener, is_client_encrypted, need_client_object
from proxy.errors import IntegrityError, S3Error
from proxy.forward import AuthorizedRequest
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.envelope.keys import Capsules, Place
from proxy.server.envelope.manifests import Manifests
from proxy.server.envelope.messages import read_start
from proxy.server.envelope.plain_access import admit_plain
from proxy.server.exchange import Exchange
from proxy.server.upstream import UpstreamAnswer


class ForeignSources:
    """Opens them."""

    def __init__(self, capsules: Capsules, manifests: Manifests) -> None:
        self._capsules = capsules
        self._manifests = manifests

    async def open(
        self, exchange: Exchange, authorized: AuthorizedRequest, place: Place, version: str, found: Found
    ) -> bytes | None:
        """Return the plaintext of an object without our mark, None for one that is stored plain.

        Raises `S3Error` NotImplemented for what is too large to be held, `IntegrityError` unmarked where the bucket
        does not serve such objects, and whatever is wrong with them.
        """

        @asynccontextmanager
        async def stored(size: int) -> AsyncIterator[UpstreamAnswer]:
            answer = await self._manifests.ranged(exchange, authorized, place, version, found.etag, f"0-{size - 1}")
            try:
                if answer.status in (404, 412):
                    raise S3Error("PreconditionFailed", detail="the source was replaced while it was copied")
                here = conceal(answer)
                if answer.status not in (200, 206) or here.start or here.length < size:
                    raise IntegrityError("range", "the backend answered with another range than it was asked for")
                yield answer
            finally:
                answer.close()

        async def feed(opener: Callable[[bytes], bytes | None], skip: int = 0) -> bytes:
            pieces = []
            async with stored(found.size) as answer:
                while data := await answer.read():
                    piece = opener(data[skip:])
                    skip = max(0, skip - len(data))
                    pieces.append(piece or b"")
            return b"".join(pieces)

        if is_client_encrypted(found.metadata):
            admit_plain(exchange, place)
            _refuse_large(found)
            client_object = need_client_object(found.metadata)
            whole = ClientObjectOpener(
                client_object, await self._capsules.unwrap_client_object(exchange, place, client_object)
            )
            await feed(whole.feed)
            return whole.finish()
        start = b""
        if found.size:
            size = min(found.size, MAX_HEADER)
            async with stored(size) as answer:
                # There are stores that answer a range with the whole object.
                start = (await read_start(answer, size))[:size]
        if not looks_foreign(start[:4]):
            admit_plain(exchange, place)
            return None
        header = parse_foreign_header(start)
        if header.context.get(ARN_NAME) != place.arn:
            admit_plain(exchange, place)
        _refuse_large(found)
        data_key = await self._capsules.unwrap(exchange, place, header.edks, header.context)
        opener = ForeignOpener(header, data_key)
        plaintext = await feed(opener.feed, len(header.raw))
        opener.finish()
        return plaintext


def _refuse_large(found: Found) -> None:
    if found.size > MAX_OBJECT:
        message = f"Objects that other software encrypted are copied up to {MAX_OBJECT} bytes; read and write this one."
        raise S3Error("NotImplemented", message)

"""Plaintext on its way to a client: verified before it is released, cut off when it cannot be.

The first frame is verified before the answer begins, so damage there is a clean error. Damage behind it
ends the connection: a short answer must never look like a whole one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from aiohttp import web

from proxy.envelope.frames import Buffer
from proxy.errors import IntegrityError, S3Error
from proxy.server.exchange import Exchange
from proxy.server.relay import begin
from proxy.server.upstream import UpstreamAnswer


class Opener(Protocol):
    """A machine that turns stored bytes into verified plaintext; `FrameOpener` is one."""

    def feed(self, stored: Buffer) -> Buffer:
        """Take stored bytes, return the plaintext they verify; raises `IntegrityError`."""
        ...

    def finish(self) -> None:
        """Raise `IntegrityError` unless everything came and was verified."""
        ...


REPLACED = frozenset({304, 404, 412, 416})
"""What a store answers about an object that is not the one it was a moment ago."""


def replaced() -> S3Error:
    """Return what is said where an object is not the same any more as when the reading of it began."""
    return S3Error("ServiceUnavailable", detail="the object was replaced while it was read")


async def opened(answer: UpstreamAnswer, opener: Opener, skip: int, size: int) -> AsyncIterator[Buffer]:
    """Yield the plaintext of `size` stored bytes that begin `skip` bytes into an answer's body.

    The rest of the body is read too, as long as it is no more than a frame's head, so that the connection
    can be used again. Raises `IntegrityError`, or `UpstreamError` when the store breaks off.
    """
    left = size
    while left:
        data = await answer.read()
        if not data:
            raise IntegrityError("size", "the backend sent less than it announced")
        view = memoryview(data)
        if skip:
            dropped = min(skip, len(view))
            skip -= dropped
            view = view[dropped:]
        view = view[:left]
        left -= len(view)
        piece = opener.feed(view)
        if piece:
            yield piece
        # Memory that is still looked at cannot take the next piece.
        del piece
    opener.finish()
    while await answer.read():
        pass


async def send(
    exchange: Exchange,
    status: int,
    fields: Iterable[tuple[str, str]],
    length: int,
    plaintext: AsyncIterator[Buffer],
) -> web.StreamResponse:
    """Answer with `length` bytes of plaintext; whatever `plaintext` raises first is raised before the head."""
    reply = exchange.reply
    piece = await anext(plaintext, None)
    begin(exchange, status, fields, length)
    sent = 0
    while piece is not None:
        sent += len(piece)
        await reply.write(piece)
        del piece
        piece = await anext(plaintext, None)
    if sent != length:
        raise IntegrityError("size", "the object has another length than its frames say")
    return await reply.finish()

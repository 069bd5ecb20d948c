"""Whole Encryption SDK messages in the body of an object: opened for those who ask for the object.

What fits in memory is opened whole, whatever is asked for. Larger messages go out as they come, and ranges of
them are read frame by frame: the store is asked once for the header, and once for the frames. A signature is
over everything, so the first range of a signed message reads all of it once, and releases nothing of that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256

from aiohttp import web

from proxy.envelope.context import ARN_NAME
from proxy.envelope.foreign import MAX_UNIT, ForeignHeader, ForeignOpener, parse_foreign_header
from proxy.envelope.foreign_ranges import Extent, ForeignSpanOpener, foreign_span, measure
from proxy.envelope.frames import Buffer
from proxy.envelope.s3ec import MAX_OBJECT
from proxy.errors import IntegrityError, S3Error
from proxy.s3.ranges import ByteRange
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.envelope.holding import Holding
from proxy.server.envelope.keys import Capsules, Fields
from proxy.server.envelope.multiparts import Asking
from proxy.server.envelope.passage import opened, replaced, send
from proxy.server.envelope.plain_access import admit_plain
from proxy.server.relay import answer_fields, begin
from proxy.server.upstream import UpstreamAnswer

MAX_VERIFIED = 1024
"""Signed messages that are remembered as verified."""

Ask = Callable[[Asking, ByteRange | None, str], Awaitable[UpstreamAnswer]]
"""Asks the store for an object or a range of it, as long as its ETag is the one given, if one is."""


class MessageReader:
    """Answers GetObject for messages."""

    def __init__(self, capsules: Capsules, ask: Ask, holding: Holding) -> None:
        self._capsules = capsules
        self._holding = holding
        self._ask = ask
        self._verified: OrderedDict[bytes, Extent] = OrderedDict()

    async def whole(
        self, asking: Asking, wanted: ByteRange | None, answer: UpstreamAnswer, start: bytes, found: Found
    ) -> web.StreamResponse:
        """Answer with a message whose bytes wait in `answer` behind `start`, or with a range of it."""
        exchange = asking.exchange
        header, data_key = await self._open(asking, start)
        refuse_unframed(header, found.size)
        opener = ForeignOpener(header, data_key)
        plaintext = _opened(opener, start[len(header.raw) :], answer)
        exchange.answered(answer.status, answer.headers)
        if found.size <= MAX_OBJECT:
            with self._holding.of(found.size):
                held = b"".join([piece async for piece in plaintext])
                return await send_held(asking, wanted, answer, held)
        if header.suite.signing is None:
            fields = answer_fields(exchange, answer)
            return await send(exchange, 200, fields, measure(header, found.size).plain_size, plaintext)
        # Nothing but its end tells the length of a signed message, so the answer says none beforehand.
        first = await anext(plaintext, b"")
        begin(exchange, 200, answer_fields(exchange, answer), None)
        await exchange.reply.write(first)
        async for piece in plaintext:
            await exchange.reply.write(piece)
        return await exchange.reply.finish()

    async def frames(self, asking: Asking, wanted: ByteRange, start: bytes, found: Found) -> web.StreamResponse | None:
        """Answer with a range of a message that begins with `start`; None for one that is to be opened whole."""
        exchange = asking.exchange
        header = parse_foreign_header(start)
        if found.size <= MAX_OBJECT:
            return None
        header, data_key = await self._open(asking, start)
        refuse_unframed(header, found.size)
        if header.suite.signing is None:
            extent = measure(header, found.size)
        else:
            extent = await self._verify(asking, header, data_key, found)
        first, last = wanted.resolve(extent.plain_size)
        span = foreign_span(header, extent, first, last)
        stored = ByteRange(span.stored_start, span.stored_start + span.stored_size - 1)
        answer = await self._ask(asking, stored, found.etag)
        try:
            here = conceal(answer)
            skip = span.stored_start - here.start
            if answer.status < 300 and here.etag != found.etag:
                raise replaced()
            if (
                answer.status not in (200, 206)
                or here.size != found.size
                or not 0 <= skip <= here.length - span.stored_size
            ):
                raise _replaced(answer.status)
            exchange.answered(206, answer.headers)
            fields = [*answer_fields(exchange, answer), ("Content-Range", f"bytes {first}-{last}/{extent.plain_size}")]
            plaintext = opened(answer, ForeignSpanOpener(span, data_key), skip, span.stored_size)
            return await send(exchange, 206, fields, last - first + 1, plaintext)
        finally:
            answer.close()

    async def _open(self, asking: Asking, start: bytes) -> tuple[ForeignHeader, bytes]:
        """Return the header at the start of a body and its data key; raises `S3Error`, `IntegrityError`."""
        header = parse_foreign_header(start)
        if header.context.get(ARN_NAME) != asking.place.arn:
            admit_plain(asking.exchange, asking.place)
        data_key = await self._capsules.unwrap(asking.exchange, asking.place, header.edks, header.context)
        return header, data_key

    async def _verify(self, asking: Asking, header: ForeignHeader, data_key: bytes, found: Found) -> Extent:
        """Return the extent of a signed message, all of which was verified once."""
        place = asking.place
        name = sha256(header.raw + repr((place.bucket, place.key, asking.version, found.etag)).encode()).digest()
        known = self._verified.get(name)
        if known is not None:
            self._verified.move_to_end(name)
            return known
        answer = await self._ask(asking, None, found.etag)
        try:
            here = conceal(answer)
            if answer.status == 200 and here.etag != found.etag:
                raise replaced()
            if answer.status != 200 or here.size != found.size:
                raise _replaced(answer.status)
            opener = ForeignOpener(header, data_key)
            start = await read_start(answer, len(header.raw))
            if start[: len(header.raw)] != header.raw:
                raise _replaced(answer.status)
            size = 0
            async for piece in _opened(opener, start[len(header.raw) :], answer):
                size += len(piece)
        finally:
            answer.close()
        extent = self._verified[name] = Extent(size, opener.frame_count)
        if len(self._verified) > MAX_VERIFIED:
            self._verified.popitem(last=False)
        return extent


def refuse_unframed(header: ForeignHeader, size: int) -> None:
    """Refuse a message in one piece that is too large to be held until its tag is verified."""
    if not header.frame_length and size > MAX_UNIT:
        raise S3Error("NotImplemented", f"Encryption SDK messages without frames are served up to {MAX_UNIT} bytes.")


def _replaced(status: int) -> S3Error | IntegrityError:
    if status in (404, 412):
        return replaced()
    return IntegrityError("range", f"the backend answered {status}, or with another range than it was asked for")


async def read_start(answer: UpstreamAnswer, size: int) -> bytes:
    """Read a body's beginning, `size` bytes or more unless it is shorter."""
    start = b""
    while len(start) < size and (data := await answer.read()):
        start += data
    return start


async def _opened(opener: ForeignOpener, start: bytes, answer: UpstreamAnswer) -> AsyncIterator[Buffer]:
    if piece := opener.feed(start):
        yield piece
    while data := await answer.read():
        if piece := opener.feed(data):
            yield piece
    opener.finish()


async def send_held(
    asking: Asking, wanted: ByteRange | None, answer: UpstreamAnswer, plaintext: bytes
) -> web.StreamResponse:
    """Answer with plaintext that is held whole, or with a range of it."""
    exchange, size = asking.exchange, len(plaintext)
    fields: Fields = answer_fields(exchange, answer)
    status = 200
    if wanted is not None:
        first, last = wanted.resolve(size)
        status, plaintext = 206, plaintext[first : last + 1]
        fields.append(("Content-Range", f"bytes {first}-{last}/{size}"))
    begin(exchange, status, fields, len(plaintext))
    await exchange.reply.write(plaintext)
    return await exchange.reply.finish()

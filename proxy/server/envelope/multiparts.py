"""Reading objects that were uploaded in parts: whole, in ranges, and part by part.

However many parts a range touches, it is one stretch of stored bytes, read with one request; the header
of its first part is fetched beside it where the range begins behind it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from proxy.envelope.multipart import SegmentsOpener
from proxy.envelope.ranges import plan_parts
from proxy.envelope.single import Envelope
from proxy.envelope.sizes import SEGMENT_HEADER
from proxy.envelope.spans import SpansOpener
from proxy.errors import IntegrityError, S3Error
from proxy.forward import AuthorizedRequest
from proxy.s3.ranges import ByteRange
from proxy.server.answers import Answers
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.envelope.fields import conditions
from proxy.server.envelope.keys import Capsules, Fields, Place
from proxy.server.envelope.manifests import Known, Manifests
from proxy.server.envelope.passage import opened, replaced, send
from proxy.server.exchange import Exchange
from proxy.server.relay import answer_fields
from proxy.server.upstream import UpstreamAnswer

_OTHER_CONDITIONS = frozenset({"if-range", "if-none-match", "if-modified-since", "if-unmodified-since"})


@dataclass(frozen=True, slots=True)
class Asking:
    """Who wants what of which object."""

    exchange: Exchange
    authorized: AuthorizedRequest
    place: Place

    @property
    def version(self) -> str:
        """The version asked for, empty for the current one."""
        return self.authorized.request.version_id or ""

    @property
    def overrides(self) -> tuple[tuple[str, str], ...]:
        """The query parameters that change fields of the answer."""
        parameters = self.authorized.request.parameters.items()
        return tuple((name, value) for name, value in parameters if name.startswith("response-"))


class MultipartReader:
    """Answers with plaintext of multipart objects."""

    def __init__(self, manifests: Manifests, capsules: Capsules, answers: Answers) -> None:
        self.manifests = manifests
        self._capsules = capsules
        self._answers = answers
        self._pairs: asyncio.Semaphore | None = None

    async def whole(
        self, asking: Asking, envelope: Envelope, found: Found, answer: UpstreamAnswer
    ) -> web.StreamResponse:
        """Answer with a whole object, whose bytes already wait in `answer`."""
        exchange = asking.exchange
        async with self._pair(exchange):
            # A second connection is needed while the first one waits: were all taken by first ones, none would end.
            known = await self.manifests.find(
                exchange, asking.authorized, asking.place, asking.version, envelope, found
            )
        manifest = known.manifest
        opener = SegmentsOpener(manifest, known.keys, allocate=self._capsules.buffers)
        fields = await self._fields(asking, known, answer)
        exchange.answered(200, answer.headers)
        plaintext = opened(answer, opener, 0, manifest.segments_size)
        return await send(exchange, 200, fields, manifest.plain_size, plaintext)

    async def cold(self, asking: Asking, envelope: Envelope, found: Found, wanted: ByteRange) -> web.StreamResponse:
        """Answer with a range of an object of which only the metadata is known."""
        known = await self.manifests.find(
            asking.exchange, asking.authorized, asking.place, asking.version, envelope, found
        )
        first, last = wanted.resolve(known.manifest.plain_size)
        answered = await self.stretch(asking, known, first, last)
        if answered is None:
            raise replaced()
        return answered

    async def warm(self, asking: Asking, wanted: ByteRange) -> web.StreamResponse | None:
        """Answer with a range of an object that is remembered; None when it is not, or not the same any more."""
        request, place = asking.authorized.request, asking.place
        known = self.manifests.remembered(place.bucket, place.key, asking.version)
        headers = request.headers
        if known is None or not _OTHER_CONDITIONS.isdisjoint(headers.names()):
            return None
        if conditions(headers).get("if-match", f'"{known.etag}"') != f'"{known.etag}"':
            return None
        if not wanted.touches(known.manifest.plain_size):
            # Only the store knows whether the object is still the one that ended before the range.
            return None
        known = await self.manifests.permitted(asking.exchange, asking.authorized, place, known)
        first, last = wanted.resolve(known.manifest.plain_size)
        return await self.stretch(asking, known, first, last)

    async def part(self, asking: Asking, envelope: Envelope, found: Found, number: int) -> tuple[Known, int, int]:
        """Return an object and the first and last byte of one of its parts; raises `S3Error` InvalidPartNumber."""
        known = await self.manifests.find(
            asking.exchange, asking.authorized, asking.place, asking.version, envelope, found
        )
        part = next((each for each in known.manifest.parts if each.number == number), None)
        if part is None:
            raise S3Error("InvalidPartNumber")
        return known, part.plain_start, part.plain_start + part.plain_size - 1

    async def stretch(
        self, asking: Asking, known: Known, first: int, last: int, extra: Fields | None = None
    ) -> web.StreamResponse | None:
        """Answer with bytes `first..last` of the plaintext; None when the object is not the same any more."""
        manifest, exchange = known.manifest, asking.exchange
        plans = plan_parts(manifest, first, last)
        opener = SpansOpener(plans, known.keys, known.part_keys, allocate=self._capsules.buffers)
        asked = [self._range(asking, known, opener.start, opener.size)]
        if opener.lacks_key:
            asked.append(self._range(asking, known, plans[0].header_start, SEGMENT_HEADER))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        try:
            failed = next((each for each in answers if isinstance(each, BaseException)), None)
            if failed is not None:
                raise failed
            good = [each for each in answers if not isinstance(each, BaseException)]
            if any(answer.status in (404, 412) for answer, _ in good):
                self.manifests.forget(asking.place.bucket, asking.place.key, asking.version)
                return None
            for answer, found in good:
                if answer.status not in (200, 206):
                    return await self._answers.reply(exchange, asking.authorized, answer)
                if (found.value, found.etag) != (known.value, known.etag):
                    # A fresh capsule stands round the same bytes: whether its key may be used must be asked anew.
                    self.manifests.forget(asking.place.bucket, asking.place.key, asking.version)
                    return None
            if opener.lacks_key:
                opener.learn(await _head(*good[1], plans[0].header_start))
            answer, found = good[0]
            skip = opener.start - found.start
            if found.size != known.size or skip < 0 or skip + opener.size > found.length:
                raise IntegrityError("range", "the backend answered with another range than it was asked for")
            fields = [*await self._fields(asking, known, answer), *(extra or [])]
            fields.append(("Content-Range", f"bytes {first}-{last}/{manifest.plain_size}"))
            exchange.answered(206, answer.headers)
            plaintext = opened(answer, opener, skip, opener.size)
            sent = await send(exchange, 206, fields, last - first + 1, plaintext)
            self.manifests.learn(known, opener.learnt)
            return sent
        finally:
            for each in answers:
                if not isinstance(each, BaseException):
                    each[0].close()

    async def _range(self, asking: Asking, known: Known, start: int, size: int) -> tuple[UpstreamAnswer, Found]:
        answer = await self.manifests.ranged(
            asking.exchange, asking.authorized, asking.place, asking.version, known.etag,
            f"{start}-{start + size - 1}", asking.overrides,
        )  # fmt: skip
        try:
            return answer, conceal(answer)
        except IntegrityError:
            answer.close()
            raise

    async def _fields(self, asking: Asking, known: Known, answer: UpstreamAnswer) -> Fields:
        described = await self._capsules.describe(asking.exchange, asking.place, known.envelope.capsule)
        return [*answer_fields(asking.exchange, answer), *described]

    def _pair(self, exchange: Exchange) -> asyncio.Semaphore:
        if self._pairs is None:
            self._pairs = asyncio.Semaphore(max(1, exchange.rules.config.upstream.connections // 2))
        return self._pairs


async def _head(answer: UpstreamAnswer, found: Found, start: int) -> bytes:
    """Read a part's header out of an answer."""
    skip = start - found.start
    head = b""
    while len(head) < skip + SEGMENT_HEADER:
        data = await answer.read()
        if not data:
            raise IntegrityError("range", "the backend sent less than it announced")
        head += data[: skip + SEGMENT_HEADER - len(head)]
    while await answer.read():
        pass
    return head[skip:]

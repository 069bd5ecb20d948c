"""GetObject and HeadObject: one request to the store for an object of one part, whatever the range.

What kind of object it is shows in the answer's own metadata, so nothing is asked beforehand.
"""

from __future__ import annotations

from aiohttp import web

from proxy.envelope.capsule import Kind, ObjectKeys
from proxy.envelope.checksum import open_checksum
from proxy.envelope.customer_key import customer_edk
from proxy.envelope.frames import FrameOpener
from proxy.envelope.ranges import Wanted, backend_range, locate, span
from proxy.envelope.single import Envelope, open_body_header, parse_envelope, plain_size_of_body
from proxy.envelope.sizes import MAX_PARTS, multipart_plain_size, part_count_of
from proxy.errors import IntegrityError, S3Error
from proxy.forward import AuthorizedRequest, Step
from proxy.s3.ranges import ByteRange, current_range, parse_range
from proxy.server.answers import Answers
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.envelope.customer_keys import key_of, refuse_idle_key
from proxy.server.envelope.fields import pinned, stored_fields
from proxy.server.envelope.keys import Capsules, Fields, Place
from proxy.server.envelope.manifests import Manifests
from proxy.server.envelope.multiparts import Asking, MultipartReader
from proxy.server.envelope.outlines import Outlines
from proxy.server.envelope.passage import REPLACED, opened, replaced, send
from proxy.server.envelope.unmarked import UnmarkedReader
from proxy.server.envelope.unmet import UNMET, Unmet
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked
from proxy.server.relay import answer_fields, begin
from proxy.server.store import Store
from proxy.server.upstream import UpstreamAnswer


class Reader:
    """Answers for stored objects."""

    def __init__(self, store: Store, capsules: Capsules, answers: Answers, manifests: Manifests) -> None:
        self._store = store
        self._capsules = capsules
        self._answers = answers
        self._manifests = manifests
        self._outlines = Outlines(store)
        self.unmarked = UnmarkedReader(store, capsules)
        self._unmet = Unmet(store, capsules)
        self._multipart = MultipartReader(self._manifests, capsules, answers)

    async def get(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Answer GetObject."""
        request = authorized.request
        asking = Asking(exchange, authorized, self._place(exchange, authorized))
        if "partNumber" in request.parameters:
            return await self._part(asking)
        wanted = parse_range(request.headers.get("range"))
        if wanted is not None:
            answered = await self._multipart.warm(asking, wanted)
            if answered is not None:
                return answered
        answer, found, wanted = await self._first(asking, wanted)
        try:
            if answer.status >= 300:
                return await self.refused(asking, answer)
            if found.value is None:
                refuse_idle_key(request.headers)
                return await self.unmarked.get(asking, wanted, answer, found)
            envelope = parse_envelope(found.value)
            if envelope.kind is Kind.SINGLE:
                return await self._single(asking, wanted, answer, found, envelope)
            if wanted is None:
                return await self._multipart.whole(asking, envelope, found, answer)
            answer.close()
            return await self._multipart.cold(asking, envelope, found, wanted)
        finally:
            answer.close()

    async def _first(self, asking: Asking, wanted: ByteRange | None) -> tuple[UpstreamAnswer, Found, ByteRange | None]:
        """Ask for an object, or as much of it as a range needs; return the range too, None where it does not hold."""
        exchange, authorized = asking.exchange, asking.authorized
        answer = await self.ask(exchange, authorized, wanted)
        try:
            found = conceal(answer)
            if answer.status == 416:
                # The store measures in stored bytes, and says nothing about the object.
                answer.close()
                answer = await self.ask(exchange, authorized, None)
                found = conceal(answer)
            if answer.status >= 300 or wanted is None:
                return answer, found, wanted
            wanted = current_range(authorized.request.headers, answer.headers)
            if wanted is None and (answer.status == 206 or found.length < found.size):
                answer.close()
                answer = await self.ask(exchange, authorized, None)
                found = conceal(answer)
        except BaseException:
            answer.close()
            raise
        return answer, found, wanted

    async def _part(self, asking: Asking) -> web.StreamResponse:
        """Answer GetObject or HeadObject with a part number."""
        exchange, authorized = asking.exchange, asking.authorized
        headers = authorized.request.headers
        number = part_number(authorized.request.parameters["partNumber"])
        if "range" in headers:
            raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter.")
        answer = await self.ask(exchange, authorized, None, method="HEAD")
        found = conceal(answer)
        answer.close()
        if answer.status >= 300:
            return await self.refused(asking, answer, looked=True)
        if found.value is None:
            refuse_idle_key(headers)
            return await self.unmarked.part(asking, number, answer, found)
        envelope = parse_envelope(found.value)
        extra: Fields = []
        if envelope.kind is Kind.SINGLE:
            plain = plain_size_of_body(found.size)
            if authorized.request.head.method == "HEAD" or not plain or number != 1:
                await self._capsules.prove(exchange, asking.place, envelope.capsule, headers)
            if number != 1:
                raise S3Error("InvalidPartNumber")
            first, last = 0, plain - 1
        else:
            known, first, last = await self._multipart.part(asking, envelope, found, number)
            plain = known.manifest.plain_size
            extra = [("x-amz-mp-parts-count", str(len(known.manifest.parts)))]
        fields = [*answer_fields(exchange, answer), *await self._describe(asking, envelope), *extra]
        if authorized.request.head.method == "HEAD" or last < first:
            span_text = f"bytes {first}-{last}/{plain}" if last >= first else ""
            fields += [("Content-Range", span_text)] if span_text else []
            exchange.answered(206, answer.headers)
            begin(exchange, 206 if span_text else 200, fields, last - first + 1)
            return await exchange.reply.finish()
        if envelope.kind is Kind.MULTIPART:
            answered = await self._multipart.stretch(asking, known, first, last, extra)
            if answered is None:
                raise replaced()
            return answered
        return await self._single_part(asking, ByteRange(first, last), found.etag)

    async def _single_part(self, asking: Asking, wanted: ByteRange, etag: str) -> web.StreamResponse:
        """Answer with all bytes of an object of one part, if it is still the one that was looked at."""
        exchange, authorized = asking.exchange, asking.authorized
        answer = await self.ask(exchange, authorized, wanted, etag=etag)
        try:
            found = conceal(answer)
            if answer.status >= 300 and answer.status not in REPLACED:
                return await self._answers.reply(exchange, authorized, answer)
            if answer.status >= 300 or found.value is None or found.etag != etag:
                raise replaced()
            envelope = parse_envelope(found.value)
            if envelope.kind is not Kind.SINGLE:
                raise replaced()
            return await self._single(asking, wanted, answer, found, envelope)
        finally:
            answer.close()

    async def head(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Answer HeadObject; nothing of the object is verified, as nothing of it is shown."""
        place, headers = self._place(exchange, authorized), authorized.request.headers
        asking = Asking(exchange, authorized, place)
        if "partNumber" in authorized.request.parameters:
            return await self._part(asking)
        answer = await self.ask(exchange, authorized, None)
        try:
            found = conceal(answer)
            if answer.status >= 300:
                return await self.refused(asking, answer)
            if found.value is None:
                refuse_idle_key(headers)
                return await self.unmarked.head(asking, answer, found)
            envelope = parse_envelope(found.value)
            keys = await self._capsules.prove(exchange, place, envelope.capsule, headers)
            plain = await self.shown_size(exchange, authorized, envelope, found, place.key)
            fields = [
                *answer_fields(exchange, answer),
                *await self._capsules.describe(exchange, place, envelope.capsule),
            ]
            if found.checksum is not None and _wants_checksum(authorized):
                keys = keys or await self._capsules.open(exchange, place, envelope.capsule, headers)
                fields += _checksum(found, keys)
            exchange.answered(200, answer.headers)
            wanted = current_range(headers, answer.headers)
            status, length = 200, plain
            if wanted is not None:
                first, last = wanted.resolve(plain)
                status, length = 206, last - first + 1
                fields.append(("Content-Range", f"bytes {first}-{last}/{plain}"))
            begin(exchange, status, fields, length)
            return await exchange.reply.finish()
        finally:
            answer.close()

    async def refused(self, asking: Asking, answer: UpstreamAnswer, *, looked: bool = False) -> web.StreamResponse:
        """Answer with what the store said in place of an object.

        `looked` tells that it said so to a HEAD of the proxy's own: a client that asked with GET gets a document.
        """
        exchange, authorized = asking.exchange, asking.authorized
        if looked and authorized.request.head.method != "HEAD":
            answer = await self.ask(exchange, authorized, None)
            conceal(answer)
            if answer.status < 300:
                answer.close()
                raise replaced()
        if answer.status in UNMET:
            answer = await self._unmet.held(exchange, authorized, asking.place, asking.version, answer)
        return await self._answers.reply(exchange, authorized, answer)

    async def ask(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        wanted: ByteRange | None,
        *,
        method: str = "",
        etag: str = "",
    ) -> UpstreamAnswer:
        """Ask the store for the object, with the stored bytes that a range of a single-part one needs.

        An `etag`, the store's own, takes the place of the client's conditions, which held when it was found.
        """
        request = authorized.request
        fields = stored_fields(request.headers)
        if etag:
            fields = pinned(fields, etag)
        if wanted is not None:
            limits = Wanted(wanted.first, wanted.last if wanted.first is not None else wanted.suffix)
            fields["range"] = backend_range(limits)
        query = tuple((name, value) for name, value in request.parameters.items() if name != "partNumber")
        step = Step(method or request.head.method, request.bucket or "", request.key or "", query, fields)
        return await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))

    async def shown_size(
        self, exchange: Exchange, authorized: AuthorizedRequest, envelope: Envelope, found: Found, key: str
    ) -> int:
        """Return the plaintext size of an object; raises `IntegrityError` size for a length that none has."""
        if envelope.kind is Kind.SINGLE:
            return plain_size_of_body(found.size)
        count = part_count_of(found.etag)
        size = multipart_plain_size(found.size, count) if count is not None else None
        if size is not None:
            return size
        if count is not None:
            raise IntegrityError("size", "no multipart object has this length and part count")
        # A store whose ETags tell no part count: the object itself has to.
        place = self._capsules.place(exchange, authorized.request.bucket or "", key)
        version = authorized.request.version_id or ""
        if customer_edk(envelope.capsule.edks) is not None and key_of(authorized.request.headers, source=False) is None:
            return await self._outlines.size(place.bucket, key, version, found)
        known = await self._manifests.find(exchange, authorized, place, version, envelope, found)
        return known.manifest.plain_size

    async def listed_size(self, exchange: Exchange, bucket: str, key: str, version: str, found: Found) -> int:
        """Return the size of an object without our mark, for a listing; raises `IntegrityError`, `S3Error`."""
        return await self.unmarked.listed_size(self._capsules.place(exchange, bucket, key), version, found)

    async def _single(
        self,
        asking: Asking,
        wanted: ByteRange | None,
        answer: UpstreamAnswer,
        found: Found,
        envelope: Envelope,
    ) -> web.StreamResponse:
        exchange, headers = asking.exchange, asking.authorized.request.headers
        plain = plain_size_of_body(found.size)
        # The key comes first: without it nobody learns from a range where the object ends.
        keys = await self._capsules.open(exchange, asking.place, envelope.capsule, headers)
        first, last = wanted.resolve(plain) if wanted is not None else (0, plain - 1)
        key = open_body_header(envelope.body_header, keys)
        fields = [*answer_fields(exchange, answer), *await self._describe(asking, envelope)]
        exchange.answered(answer.status, answer.headers)
        if wanted is None:
            if found.checksum is not None and _wants_checksum(asking.authorized):
                fields += _checksum(found, keys)
            opener = FrameOpener(key, plain, allocate=self._capsules.buffers)
            return await send(exchange, 200, fields, plain, opened(answer, opener, 0, found.size))
        frames = span(first, last, plain)
        skip = locate(frames, found.start, found.length)
        fields.append(("Content-Range", f"bytes {first}-{last}/{plain}"))
        part = frames.opener(key, allocate=self._capsules.buffers)
        plaintext = opened(answer, part, skip, frames.stored_size)
        return await send(exchange, 206, fields, last - first + 1, plaintext)

    async def _describe(self, asking: Asking, envelope: Envelope) -> Fields:
        return await self._capsules.describe(asking.exchange, asking.place, envelope.capsule)

    def _place(self, exchange: Exchange, authorized: AuthorizedRequest) -> Place:
        request = authorized.request
        return self._capsules.place(exchange, request.bucket or "", request.key or "")


def _wants_checksum(authorized: AuthorizedRequest) -> bool:
    return (authorized.request.headers.get("x-amz-checksum-mode") or "").upper() == "ENABLED"


def _checksum(found: Found, keys: ObjectKeys) -> Fields:
    """Return the fields of the checksum that the client sent with the object."""
    if found.checksum is None:
        return []
    text, _, kind = open_checksum(found.checksum, keys).partition(";")
    name, _, value = text.partition("=")
    return [(f"x-amz-checksum-{name}", value), ("x-amz-checksum-type", kind)]


def part_number(text: str) -> int:
    """Read a part number; raises `S3Error` InvalidArgument."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_PARTS):
        message = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
        raise S3Error("InvalidArgument", message, {"ArgumentName": "partNumber", "ArgumentValue": text})
    return int(text)

"""CreateMultipartUpload, UploadPart and AbortMultipartUpload of encrypted objects.

Each attempt at a part is a message of its own with a fresh key, so parts are taken in any order, by any
proxy, again and again. A part that the store would not take before another (the trailer comes last) waits
beside the upload's context until the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from proxy.auth.chunks import ChunkSigner
from proxy.envelope import sizes
from proxy.envelope.capsule import Kind, ObjectKeys
from proxy.envelope.metadata import ENVELOPE_HEADER
from proxy.envelope.multipart import mark_part_etag, seal_segment_header
from proxy.envelope.single import envelope_value
from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest
from proxy.payload import Framing, body_length
from proxy.s3.checksums import EMPTY_SHA256, Buffer
from proxy.s3.headers import Headers
from proxy.s3.holdback import VerifiedBody
from proxy.s3.xml import parse_xml
from proxy.sealing import (
    SealedPlan,
    answered_checksum,
    check_length,
    check_metadata,
    content_fields,
    dropped_fields,
    plan_sealed,
)
from proxy.server.answers import Answers
from proxy.server.envelope.concealed import conceal
from proxy.server.envelope.keys import Capsules, Fields
from proxy.server.envelope.reading import part_number
from proxy.server.envelope.spilling import Spills
from proxy.server.envelope.steps import reached
from proxy.server.envelope.upload_keys import Upload, UploadKeys
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked
from proxy.server.relay import answer_fields, begin, relay_edited
from proxy.server.store import Store, read_answer
from proxy.server.uploads import Uploads
from proxy.server.upstream import UpstreamAnswer


class Uploader:
    """Takes uploads from their creation to their last part."""

    def __init__(
        self, store: Store, capsules: Capsules, answers: Answers, uploads: Uploads, upload_keys: UploadKeys
    ) -> None:
        self._store = store
        self._capsules = capsules
        self._answers = answers
        self._uploads = uploads
        self._keys = upload_keys
        self._spills = Spills(store, uploads, upload_keys)

    async def create(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Begin an upload, with the capsule of the object that it will be."""
        request, capsules = authorized.request, self._capsules
        place = capsules.place(exchange, request.bucket or "", request.key or "")
        wish = await capsules.wish(exchange, place, request.headers)
        keys = ObjectKeys.fresh(capsules.entropy)
        value = envelope_value(await capsules.seal(exchange, place, wish, Kind.MULTIPART, keys))
        metadata = {ENVELOPE_HEADER: value}
        check_metadata(request.headers, metadata)
        fields = [("content-length", "0"), *content_fields(request.headers, framed=False), *metadata.items()]
        framing = Framing(EMPTY_SHA256, dropped_fields(request.headers), tuple(fields))
        prepared = self._store.forwarder.prepare(authorized, framing, lambda signer: b"", exchange.time)
        answer = await self._store.send(prepared)
        try:
            conceal(answer)
            if answer.status >= 300:
                return await self._answers.reply(exchange, authorized, answer)
            document = await read_answer(answer, exchange.rules.config.limits.xml_bytes)
            upload_id = parse_xml(document).value("UploadId")
            if not upload_id:
                raise S3Error("InternalError", detail="the upstream created an upload without an id")
            reached("created")
            question = authorized.verdict.answers[0].question
            sealed = partial(self._keys.context, value=value, keys=keys, place=place, upload_id=upload_id, wish=wish)
            await self._uploads.begin(place.bucket, place.key, upload_id, question, sealed)
            reached("context-written")
            add_fields(answer, wish.answer)
            return await relay_edited(exchange, answer, lambda read: read, document)
        finally:
            answer.close()

    async def part(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Take an attempt at a part."""
        request, claim = authorized.request, authorized.claim
        number = part_number(request.parameters["partNumber"])
        length = body_length(request.headers, claim.payload)
        check_length(length, sizes.MAX_PART_PLAIN)
        upload = await self._keys.find(exchange, authorized)
        check_number(number, length)
        head, key = seal_segment_header(number, upload.keys, self._capsules.entropy)
        plan = plan_sealed(
            request, claim.payload, claim.chunk_signer, exchange.rules.config.upstream.payload, length, key,
            head=head, added={}, allocate=self._capsules.buffers,
        )  # fmt: skip
        if is_spilled(length):
            return await self._spill(exchange, authorized, upload, number, plan)
        machine: VerifiedBody | None = None

        def make_body(signer: ChunkSigner | None) -> AsyncIterator[Buffer]:
            nonlocal machine
            machine = plan.start(signer)
            return exchange.body.through(machine)

        prepared = self._store.forwarder.prepare(authorized, plan.framing, make_body, exchange.time)
        answer = await self._store.send(prepared)
        try:
            etag = answer.headers.joined("etag") or ""
            conceal(answer)
            if answer.status >= 300 or machine is None:
                return await self._answers.reply(exchange, authorized, answer)
            reached("part-sent")
            while await answer.read():
                pass
            answer.headers = Headers(pair for pair in answer.headers.raw if pair[0].lower() != b"etag")
            fields = [*answer_fields(exchange, answer), ("ETag", mark_part_etag(etag, plan.key.message_id))]
            exchange.answered(200, answer.headers)
            return await self._confirm(exchange, upload, plan, machine, fields)
        finally:
            answer.close()

    async def abort(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Give an upload up, and what was kept for it."""
        framing = Framing(EMPTY_SHA256, dropped_fields(authorized.request.headers), ())
        prepared = self._store.forwarder.prepare(authorized, framing, lambda signer: b"", exchange.time)
        answer = await self._store.send(prepared)
        reached("aborted")
        ended = answer.status in (200, 204, 404)
        sent = await self._answers.reply(exchange, authorized, answer)
        request = authorized.request
        if ended:
            await self._uploads.end(request.bucket or "", request.key or "", request.parameters["uploadId"])
        return sent

    async def _spill(
        self, exchange: Exchange, authorized: AuthorizedRequest, upload: Upload, number: int, plan: SealedPlan
    ) -> web.StreamResponse:
        """Keep a small part beside the upload; it is the last one, or the upload cannot be completed."""
        # What is kept is the segment itself: however the store wants its bodies framed, this goes as it is.
        machine = plan.start_unframed()
        sealed = b"".join([piece async for piece in exchange.body.through(machine)])
        etag = await self._spills.keep(exchange, authorized, upload, number, sealed)
        fields = [("ETag", mark_part_etag(etag, plan.key.message_id))]
        return await self._confirm(exchange, upload, plan, machine, fields)

    async def _confirm(
        self, exchange: Exchange, upload: Upload, plan: SealedPlan, machine: VerifiedBody, fields: Fields
    ) -> web.StreamResponse:
        described = await self._capsules.describe(exchange, upload.place, upload.capsule)
        checksums = answered_checksum(plan.declared, machine.digest)
        begin(exchange, 200, [*fields, *described, *checksums], 0)
        return await exchange.reply.finish()


def is_spilled(length: int) -> bool:
    """Tell whether a part of `length` bytes is, once sealed, too small to be followed by another."""
    return sizes.segment_size(length) < sizes.MIN_PART


def check_number(number: int, length: int) -> None:
    """Raise `S3Error` InvalidArgument for a part that would leave the trailer without a number."""
    if number == sizes.MAX_PARTS and not is_spilled(length):
        message = f"Part {sizes.MAX_PARTS} of an encrypted object must be smaller than {sizes.MIN_PART} bytes."
        raise S3Error("InvalidArgument", message, {"ArgumentName": "partNumber", "ArgumentValue": str(number)})


def add_fields(answer: UpstreamAnswer, fields: Fields) -> None:
    """Add fields that tell how an object is encrypted to an answer."""
    added = ((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields)
    answer.headers = Headers((*answer.headers.raw, *added))

"""UploadPartCopy where one side or both are encrypted: a range of plaintext, read and sealed on its way.

The stored bytes of a range begin and end in the middle of frames, so the store could not copy them.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack

from aiohttp import web

from proxy.auth.chunks import ChunkSigner
from proxy.envelope import sizes
from proxy.envelope.multipart import mark_part_etag, seal_segment_header
from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest, Step
from proxy.s3.checksums import Buffer
from proxy.s3.copy_source import parse_copy_source
from proxy.sealing import SealingEncoder, check_length, plan_wire
from proxy.server.envelope.copying import PlainBody
from proxy.server.envelope.customer_keys import confirmed, for_the_store
from proxy.server.envelope.keys import Capsules
from proxy.server.envelope.late import Later, copy_result
from proxy.server.envelope.reading import part_number
from proxy.server.envelope.sources import Source, Sources
from proxy.server.envelope.spilling import Spills
from proxy.server.envelope.step_refusals import refusal_of
from proxy.server.envelope.steps import reached
from proxy.server.envelope.upload_keys import VALUE, Upload, UploadKeys
from proxy.server.envelope.uploading import check_number, is_spilled
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked
from proxy.server.relay import relay_late
from proxy.server.store import Store, read_answer
from proxy.server.uploads import Uploads

_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")


class PartCopier:
    """Answers UploadPartCopy."""

    def __init__(
        self, store: Store, capsules: Capsules, sources: Sources, uploads: Uploads, upload_keys: UploadKeys
    ) -> None:
        self._store = store
        self._capsules = capsules
        self._sources = sources
        self._spills = Spills(store, uploads, upload_keys)
        self._keys = upload_keys

    async def copy(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Copy a range of an object into an upload."""
        request = authorized.request
        number = part_number(request.parameters["partNumber"])
        named = parse_copy_source(request.headers.get("x-amz-copy-source") or "")
        with ExitStack() as held:
            source = await self._sources.look(exchange, authorized, named, held)
            return await self._copy(exchange, authorized, source, number)

    async def _copy(
        self, exchange: Exchange, authorized: AuthorizedRequest, source: Source, number: int
    ) -> web.StreamResponse:
        request = authorized.request
        first, last = _extent(request.headers.get("x-amz-copy-source-range"), source.size)
        if exchange.upload is not None and VALUE in exchange.upload.envelope:
            check_length(last - first + 1, sizes.MAX_PART_PLAIN)
            upload = await self._keys.find(exchange, authorized)
            check_number(number, last - first + 1)
            described = await self._capsules.describe(exchange, upload.place, upload.capsule)
            work = self._sealed(exchange, authorized, upload, source, number, first, last)
        else:
            described = confirmed(exchange)
            work = self._plain(exchange, authorized, source, first, last)
        later = Later(work, [*described, *source.version_fields])
        return await relay_late(exchange, later, lambda document: document)

    async def _sealed(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        upload: Upload,
        source: Source,
        number: int,
        first: int,
        last: int,
    ) -> bytes:
        length = last - first + 1
        head, key = seal_segment_header(number, upload.keys, self._capsules.entropy)
        stored = sizes.segment_size(length)
        if is_spilled(length):
            encoder = SealingEncoder(key, head, plan_wire(stored, "unsigned"), None)
            pieces = [piece async for piece in self._through(exchange, authorized, source, encoder, first, last)]
            etag = await self._spills.keep(exchange, authorized, upload, number, b"".join(pieces))
        else:
            wire = plan_wire(stored, exchange.rules.config.upstream.payload)

            def make_body(signer: ChunkSigner | None) -> AsyncIterator[Buffer]:
                encoder = SealingEncoder(key, head, wire, signer)
                return self._through(exchange, authorized, source, encoder, first, last)

            etag = await self._put(exchange, authorized, dict(wire.headers), wire.payload_hash, make_body)
            reached("part-sent")
        marked = mark_part_etag(etag, key.message_id)
        return copy_result(marked, exchange.time, "CopyPartResult", quoted=True)

    async def _plain(
        self, exchange: Exchange, authorized: AuthorizedRequest, source: Source, first: int, last: int
    ) -> bytes:
        wire = plan_wire(last - first + 1, exchange.rules.config.upstream.payload)

        def make_body(signer: ChunkSigner | None) -> AsyncIterator[Buffer]:
            return self._through(exchange, authorized, source, PlainBody(wire, signer), first, last)

        fields = {**for_the_store(authorized.request.headers), **dict(wire.headers)}
        etag = await self._put(exchange, authorized, fields, wire.payload_hash, make_body)
        return copy_result(etag, exchange.time, "CopyPartResult", quoted=True)

    async def _put(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        fields: dict[str, str],
        payload_hash: str,
        make_body: Callable[[ChunkSigner | None], AsyncIterator[Buffer]],
    ) -> str:
        request = authorized.request
        if "x-amz-decoded-content-length" in fields:
            fields["content-encoding"] = "aws-chunked"
        query = tuple(request.parameters.items())
        step = Step("PUT", request.bucket or "", request.key or "", query, fields, payload_hash, make_body)
        answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
        body = await read_answer(answer, exchange.rules.config.limits.xml_bytes)
        if answer.status != 200:
            raise refusal_of(answer.status, body)
        return answer.headers.joined("etag") or ""

    async def _through(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        source: Source,
        encoder: SealingEncoder | PlainBody,
        first: int,
        last: int,
    ) -> AsyncIterator[Buffer]:
        async for piece in self._sources.read(exchange, authorized, source, first, last):
            for out in encoder.feed([piece]):
                yield out
        for out in encoder.finish({}):
            yield out


def _extent(text: str | None, size: int) -> tuple[int, int]:
    """Return the first and last byte to copy; raises `S3Error` InvalidArgument."""
    if text is None:
        return 0, size - 1
    found = _RANGE.fullmatch(text.strip())
    first, last = (int(found[1]), int(found[2])) if found else (1, 0)
    if first > last:
        message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
        message += "zero-based offsets of the first and last bytes to copy"
        raise S3Error("InvalidArgument", message, {"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": text})
    if last >= size:
        message = f"Range specified is not valid for source object of size: {size}"
        raise S3Error("InvalidArgument", message, {"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": text})
    return first, last

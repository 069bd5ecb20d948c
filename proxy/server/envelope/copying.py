"""CopyObject where one side or both are encrypted.

Between encrypted buckets nothing is decrypted: the object keeps its keys and gets a fresh capsule for its
new name, and the store copies the sealed bytes; an object of several parts is copied part by part, since
its part count is part of its form. Across modes the plaintext streams through the proxy, by parts where it is
too large for one upload.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack

from aiohttp import web

from proxy.auth.chunks import ChunkSigner
from proxy.envelope import sizes
from proxy.envelope.capsule import Kind, ObjectKeys
from proxy.envelope.etags import mark_etag
from proxy.envelope.metadata import CHECKSUM_HEADER, ENVELOPE_HEADER
from proxy.envelope.single import envelope_value, seal_body_header
from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest, Step
from proxy.payload import LOCK
from proxy.s3.checksums import Buffer
from proxy.s3.copy_source import parse_copy_source
from proxy.s3.etags import map_etags, quote_etag
from proxy.s3.headers import Headers
from proxy.s3.pages import with_values
from proxy.s3.tagging import render_tagging_header
from proxy.s3.xml import parse_xml, render_xml
from proxy.sealing import SealingEncoder, Wire, check_metadata, plan_wire
from proxy.server.answers import Answers
from proxy.server.envelope.concealed import conceal
from proxy.server.envelope.copy_fields import new_object_fields
from proxy.server.envelope.customer_keys import confirmed
from proxy.server.envelope.keys import Capsules, Fields, Place
from proxy.server.envelope.late import Later, copy_result
from proxy.server.envelope.part_copies import PartCopies
from proxy.server.envelope.sources import Source, Sources
from proxy.server.envelope.step_refusals import refusal_of
from proxy.server.envelope.streamed_parts import StreamedParts
from proxy.server.envelope.uploading import add_fields
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked
from proxy.server.relay import relay_late
from proxy.server.store import Store, read_answer


class Copier:
    """Answers CopyObject."""

    def __init__(
        self,
        store: Store,
        capsules: Capsules,
        answers: Answers,
        sources: Sources,
        part_copies: PartCopies,
        streamed_parts: StreamedParts,
    ) -> None:
        self._store = store
        self._capsules = capsules
        self._answers = answers
        self._sources = sources
        self._parts = part_copies
        self._streamed = streamed_parts

    async def copy(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Copy an object in whichever way its two ends allow."""
        request = authorized.request
        named = parse_copy_source(request.headers.get("x-amz-copy-source") or "")
        place = self._capsules.place(exchange, request.bucket or "", request.key or "")
        _check_directives(request.headers)
        _refuse_idle(
            request.headers, same=(named.bucket, named.key, named.version_id) == (place.bucket, place.key, None)
        )
        sealed = exchange.rules.config.bucket(place.bucket).encryption.mode == "envelope"
        with ExitStack() as held:
            source = await self._sources.look(exchange, authorized, named, held)
            if sealed and source.envelope is not None:
                return await self._reseal(exchange, authorized, source, place)
            return await self._stream(exchange, authorized, source, place, sealed)

    async def _reseal(
        self, exchange: Exchange, authorized: AuthorizedRequest, source: Source, place: Place
    ) -> web.StreamResponse:
        """Copy sealed bytes on the store, under a fresh capsule."""
        if source.envelope is None:
            raise ValueError("the source is not encrypted")
        capsules, headers = self._capsules, authorized.request.headers
        kind = source.envelope.kind
        keys = await capsules.open(exchange, source.place, source.envelope.capsule, headers)
        wish = await capsules.wish(exchange, place, headers)
        capsule = await capsules.seal(exchange, place, wish, kind, keys)
        metadata = {ENVELOPE_HEADER: envelope_value(capsule, source.envelope.body_header)}
        if source.found.checksum is not None:
            metadata[CHECKSUM_HEADER] = source.found.checksum
        fields = new_object_fields(headers, source.headers)
        check_metadata(Headers.of(fields.items()), metadata)
        fields |= metadata
        if kind is Kind.MULTIPART:
            await self._copy_tags(exchange, authorized, source, fields)

            async def by_parts() -> bytes:
                made = await self._parts.copy(exchange, authorized, source, place, fields)
                later.add("x-amz-version-id", made.version)
                return copy_result(mark_etag(made.etag), exchange.time)

            later = Later(by_parts(), [*wish.answer, *source.version_fields])
            return await relay_late(exchange, later, _as_it_is)
        directive = headers.get("x-amz-tagging-directive")
        fields |= {
            "x-amz-copy-source": str(parse_copy_source(headers.get("x-amz-copy-source") or "")),
            "x-amz-copy-source-if-match": quote_etag(source.found.etag),
            "x-amz-metadata-directive": "REPLACE",
            **({"x-amz-tagging-directive": directive} if directive else {}),
            "content-length": "0",
        }
        step = Step("PUT", place.bucket, place.key, (), fields)
        answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
        conceal(answer)
        if answer.status >= 300:
            return await self._answers.reply(exchange, authorized, answer)
        add_fields(answer, wish.answer)
        return await relay_late(exchange, answer, _marked)

    async def _stream(
        self, exchange: Exchange, authorized: AuthorizedRequest, source: Source, place: Place, sealed: bool
    ) -> web.StreamResponse:
        """Read the source's plaintext and store it anew, sealed or as it is."""
        capsules, headers = self._capsules, authorized.request.headers
        fields = new_object_fields(headers, source.headers, forwarded=not sealed)
        await self._copy_tags(exchange, authorized, source, fields)
        if source.size > (sizes.MAX_SINGLE_PLAIN if sealed else sizes.MAX_PUT):
            return await self._stream_parts(exchange, authorized, source, place, sealed, fields)
        upstream = exchange.rules.config.upstream.payload
        demanded = not LOCK.isdisjoint(fields)
        encoder: Callable[[ChunkSigner | None], SealingEncoder | PlainBody]
        answered: Fields = [] if sealed else confirmed(exchange)
        if sealed:
            wish = await capsules.wish(exchange, place, headers)
            answered = wish.answer
            keys = ObjectKeys.fresh(capsules.entropy)
            capsule = await capsules.seal(exchange, place, wish, Kind.SINGLE, keys)
            header, key = seal_body_header(keys, capsules.entropy)
            metadata = {ENVELOPE_HEADER: envelope_value(capsule, header)}
            check_metadata(Headers.of(fields.items()), metadata)
            fields |= metadata
            wire = plan_wire(sizes.single_size(source.size), upstream, demanded=demanded)
            encoder = lambda signer: SealingEncoder(key, b"", wire, signer)  # noqa: E731 - typed above
        else:
            wire = plan_wire(source.size, upstream, demanded=False)
            encoder = lambda signer: PlainBody(wire, signer)  # noqa: E731 - typed above
        fields |= dict(wire.headers)
        if wire.content_length != wire.stored:
            fields["content-encoding"] = ",".join(filter(None, [fields.get("content-encoding"), "aws-chunked"]))

        async def stored() -> bytes:
            def make_body(signer: ChunkSigner | None) -> AsyncIterator[Buffer]:
                return self._through(exchange, authorized, source, encoder(signer))

            step = Step("PUT", place.bucket, place.key, (), fields, wire.payload_hash, make_body)
            answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
            body = await read_answer(answer, exchange.rules.config.limits.xml_bytes)
            if answer.status != 200:
                raise refusal_of(answer.status, body)
            etag = answer.headers.joined("etag") or ""
            later.add("x-amz-version-id", answer.headers.joined("x-amz-version-id"))
            return copy_result(map_etags(etag, mark_etag) if sealed else etag, exchange.time, quoted=True)

        later = Later(stored(), [*answered, *source.version_fields])
        return await relay_late(exchange, later, _as_it_is)

    async def _stream_parts(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        source: Source,
        place: Place,
        sealed: bool,
        fields: dict[str, str],
    ) -> web.StreamResponse:
        """Read the source's plaintext and store it anew by parts."""
        capsules, answered = self._capsules, [] if sealed else confirmed(exchange)
        keys: ObjectKeys | None = None
        if sealed:
            wish = await capsules.wish(exchange, place, authorized.request.headers)
            answered, keys = wish.answer, ObjectKeys.fresh(capsules.entropy)
            capsule = await capsules.seal(exchange, place, wish, Kind.MULTIPART, keys)
            metadata = {ENVELOPE_HEADER: envelope_value(capsule)}
            check_metadata(Headers.of(fields.items()), metadata)
            fields |= metadata

        async def stored() -> bytes:
            made = await self._streamed.copy(exchange, authorized, source, place, fields, keys)
            later.add("x-amz-version-id", made.version)
            return copy_result(mark_etag(made.etag) if sealed else made.etag, exchange.time)

        later = Later(stored(), [*answered, *source.version_fields])
        return await relay_late(exchange, later, _as_it_is)

    async def _through(
        self, exchange: Exchange, authorized: AuthorizedRequest, source: Source, encoder: SealingEncoder | PlainBody
    ) -> AsyncIterator[Buffer]:
        async for piece in self._sources.read(exchange, authorized, source, 0, source.size - 1):
            for out in encoder.feed([piece]):
                yield out
        for out in encoder.finish({}):
            yield out

    async def _copy_tags(
        self, exchange: Exchange, authorized: AuthorizedRequest, source: Source, fields: dict[str, str]
    ) -> None:
        """Add the source's tags where the store cannot copy them by itself."""
        if authorized.request.headers.get("x-amz-tagging-directive") == "REPLACE":
            return
        fields.pop("x-amz-tagging", None)
        if source.headers.joined("x-amz-tagging-count") in (None, "0"):
            return
        tags = await self._store.tags_of(source.place.bucket, source.place.key, source.version)
        fields["x-amz-tagging"] = render_tagging_header(tags)


class PlainBody:
    """Frames a plaintext that is stored as it is."""

    __slots__ = ("_framing",)

    def __init__(self, wire: Wire, signer: ChunkSigner | None) -> None:
        self._framing = wire.encoder(signer)

    def feed(self, pieces: list[Buffer]) -> list[Buffer]:
        """Return what is to be sent of the next pieces."""
        return self._framing.feed(pieces)

    def finish(self, trailers: Mapping[str, str]) -> list[Buffer]:
        """Return the end of the framing."""
        return self._framing.finish(trailers)


def _check_directives(headers: Headers) -> None:
    """Refuse directives that S3 does not know, before one is taken for another."""
    for name in ("x-amz-metadata-directive", "x-amz-tagging-directive"):
        value = headers.get(name)
        if value not in (None, "COPY", "REPLACE"):
            message = f"Unknown {name.split('-')[2]} directive."
            raise S3Error("InvalidArgument", message, {"ArgumentName": name, "ArgumentValue": value or ""})


def _refuse_idle(headers: Headers, *, same: bool) -> None:
    """Refuse a copy of an object onto itself that changes nothing, as S3 does."""
    changes = (
        "x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-customer-algorithm",
    )  # fmt: skip
    if same and headers.get("x-amz-metadata-directive") != "REPLACE" and not any(name in headers for name in changes):
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )


def _as_it_is(document: bytes) -> bytes:
    return document


def _marked(document: bytes) -> bytes:
    root = parse_xml(document)
    if root.name == "Error":
        return document
    etag = root.value("ETag") or ""
    return render_xml(with_values(root, {"ETag": map_etags(etag, mark_etag)}, ("Checksum",)))

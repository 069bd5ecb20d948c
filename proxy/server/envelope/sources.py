"""The plaintext of stored objects as a stream, for copies that have to go through the proxy."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field

from proxy.envelope.capsule import Kind
from proxy.envelope.frames import Buffer
from proxy.envelope.ranges import plan_parts, span
from proxy.envelope.s3ec import without_client_fields
from proxy.envelope.single import Envelope, open_body_header, parse_envelope, plain_size_of_body
from proxy.envelope.sizes import SEGMENT_HEADER
from proxy.envelope.spans import SpansOpener
from proxy.errors import IntegrityError, S3Error
from proxy.forward import AuthorizedRequest, Step
from proxy.s3.copy_source import CopySource
from proxy.s3.headers import Headers
from proxy.s3.xml import parse_xml
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.envelope.customer_keys import OF_READING, for_the_store, refuse_idle_key
from proxy.server.envelope.fields import source_conditions
from proxy.server.envelope.foreign_sources import ForeignSources, Plaintext
from proxy.server.envelope.keys import Capsules, Place
from proxy.server.envelope.manifests import Manifests
from proxy.server.envelope.passage import opened
from proxy.server.envelope.undeclared import undeclared
from proxy.server.envelope.unmet import UNMET, Unmet
from proxy.server.exchange import Exchange
from proxy.server.store import Store, read_answer
from proxy.server.upstream import UpstreamAnswer

Damaged = Callable[[Exchange, IntegrityError], S3Error]


@dataclass(frozen=True, slots=True)
class Source:
    """The object that a copy reads, as far as its head tells."""

    place: Place
    version: str
    found: Found
    headers: Headers
    """The fields of the answer, concealed."""
    envelope: Envelope | None
    """None for an object stored without encryption."""
    size: int
    """Of the plaintext."""
    query: tuple[tuple[str, str], ...] = field(default=())
    store_key: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The fields of the key that the store wants for it (SSE-C), where the store encrypts it."""
    foreign: Plaintext | None = None
    """What it holds, where other software encrypted it."""

    @property
    def version_fields(self) -> list[tuple[str, str]]:
        """The field with which S3 says which version was copied; none where there are no versions."""
        return [("x-amz-copy-source-version-id", self.version)] if self.version else []


class Sources:
    """Looks at sources, and reads them."""

    def __init__(self, store: Store, capsules: Capsules, manifests: Manifests, damaged: Damaged) -> None:
        self._store = store
        self._capsules = capsules
        self._manifests = manifests
        self._foreign = ForeignSources(capsules, manifests)
        self._unmet = Unmet(store, capsules)
        self._damaged = damaged

    async def look(
        self, exchange: Exchange, authorized: AuthorizedRequest, source: CopySource, held: ExitStack
    ) -> Source:
        """Return what is to be copied; raises `S3Error` as a copy would: NoSuchKey, PreconditionFailed.

        Memory that the source takes counts until `held` is closed.
        """
        place = self._capsules.place(exchange, source.bucket, source.key, is_source=True)
        query = (("versionId", source.version_id),) if source.version_id else ()
        headers, encryption = authorized.request.headers, exchange.rules.config.bucket(source.bucket).encryption
        store_key = for_the_store(headers, source=True) if encryption.mode == "forward" else {}
        fields = {**source_conditions(headers), **store_key}
        step = Step("HEAD", source.bucket, source.key, query, fields)
        answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
        found = conceal(answer)
        answer.close()
        if answer.status in UNMET:
            if encryption.mode == "envelope":
                await self._unmet.prove(exchange, authorized, place, source.version_id or "")
            raise S3Error("PreconditionFailed")
        if answer.status == 404:
            raise await self._missing(exchange, authorized, source, query)
        if answer.status == 405:
            message = "The source of a copy request may not specifically refer to a delete marker by version id."
            raise S3Error("InvalidRequest", message)
        if encryption.mode == "forward" and answer.status in (400, 403) and (store_key or answer.status == 400):
            # To a HEAD a store does not say what it misses; a key of the client's (SSE-C) is all it can be.
            raise S3Error(*(OF_READING.missing if answer.status == 400 else OF_READING.wrong))
        if answer.status != 200:
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {answer.status} to a look at the source")
        version = source.version_id or answer.headers.joined("x-amz-version-id") or ""
        version = "" if version == "null" and source.version_id is None else version
        if found.value is None or encryption.mode != "envelope":
            if encryption.mode == "envelope":
                refuse_idle_key(headers, source=True)
                plaintext = await self._foreign.open(exchange, authorized, place, version, found, held)
                if plaintext is not None:
                    shown = without_client_fields(answer.headers)
                    return Source(place, version, found, shown, None, plaintext.size, query, foreign=plaintext)
            if found.value is not None:
                # Whoever passes ciphertext keeps its mark; read as a source it would lose it.
                raise undeclared(source.bucket)
            return Source(place, version, found, answer.headers, None, found.size, query, store_key)
        envelope = parse_envelope(found.value)
        if envelope.kind is Kind.SINGLE:
            size = plain_size_of_body(found.size)
        else:
            known = await self._manifests.find(exchange, authorized, place, version, envelope, found)
            size = known.manifest.plain_size
        return Source(place, version, found, answer.headers, envelope, size, query)

    async def _missing(
        self, exchange: Exchange, authorized: AuthorizedRequest, source: CopySource, query: tuple[tuple[str, str], ...]
    ) -> S3Error:
        """Return what is missing of a source: to a HEAD a store does not say whether it is the bucket."""
        step = Step("GET", source.bucket, source.key, query, {"range": "bytes=0-0"})
        answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
        if answer.status != 404:
            answer.close()
            return S3Error("NoSuchKey")
        try:
            code = parse_xml(await read_answer(answer, exchange.rules.config.limits.xml_bytes)).value("Code")
        except S3Error:
            code = None
        return S3Error(code if code in ("NoSuchBucket", "NoSuchVersion") else "NoSuchKey")

    async def read(
        self, exchange: Exchange, authorized: AuthorizedRequest, source: Source, first: int, last: int
    ) -> AsyncGenerator[Buffer, None]:
        """Yield bytes `first..last` of the plaintext; raises `S3Error` for whatever is wrong with them."""
        if last < first:
            await self._verify_empty(exchange, authorized, source)
            return
        answers: list[UpstreamAnswer] = []
        try:
            async for piece in self._pieces(exchange, authorized, source, first, last, answers):
                yield piece
        except IntegrityError as error:
            raise self._damaged(exchange, error) from error
        finally:
            for answer in answers:
                answer.close()

    async def _pieces(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        source: Source,
        first: int,
        last: int,
        answers: list[UpstreamAnswer],
    ) -> AsyncIterator[Buffer]:
        async def ask(start: int, size: int) -> tuple[UpstreamAnswer, int]:
            answer, skip = await self._stretch(exchange, authorized, source, start, size)
            answers.append(answer)
            return answer, skip

        if source.foreign is not None:
            async with aclosing(source.foreign.read(first, last)) as plaintext:
                async for piece in plaintext:
                    yield piece
        elif source.envelope is None:
            answer, skip = await ask(first, last - first + 1)
            async for piece in opened(answer, _AsItIs(), skip, last - first + 1):
                yield piece
        elif source.envelope.kind is Kind.SINGLE:
            headers = authorized.request.headers
            keys = await self._capsules.open(exchange, source.place, source.envelope.capsule, headers)
            frames = span(first, last, source.size)
            key = open_body_header(source.envelope.body_header, keys)
            opener = frames.opener(key, allocate=self._capsules.buffers)
            answer, skip = await ask(frames.stored_start, frames.stored_size)
            async for piece in opened(answer, opener, skip, frames.stored_size):
                yield piece
        else:
            known = await self._manifests.find(
                exchange, authorized, source.place, source.version, source.envelope, source.found
            )
            plans = plan_parts(known.manifest, first, last)
            parts = SpansOpener(plans, known.keys, known.part_keys, allocate=self._capsules.buffers)
            if parts.lacks_key:
                start = plans[0].header_start
                extent = f"{start}-{start + SEGMENT_HEADER - 1}"
                parts.learn(
                    await self._manifests.stored(
                        exchange, authorized, source.place, source.version, source.found, extent
                    )
                )
            answer, skip = await ask(parts.start, parts.size)
            async for piece in opened(answer, parts, skip, parts.size):
                yield piece

    async def _stretch(
        self, exchange: Exchange, authorized: AuthorizedRequest, source: Source, start: int, size: int
    ) -> tuple[UpstreamAnswer, int]:
        """Ask for stored bytes of a source as long as it is the same; return the answer and what to skip of it."""
        extent = f"{start}-{start + size - 1}"
        answer = await self._manifests.ranged(
            exchange, authorized, source.place, source.version, source.found.etag, extent, key=source.store_key
        )
        here = conceal(answer)
        if answer.status in (404, 412) or (answer.status < 300 and here.etag != source.found.etag):
            answer.close()
            raise S3Error("PreconditionFailed", detail="the source was replaced while it was copied")
        skip = start - here.start
        if answer.status not in (200, 206) or skip < 0 or skip + size > here.length:
            answer.close()
            raise IntegrityError("range", "the backend answered with another range than it was asked for")
        return answer, skip

    async def _verify_empty(self, exchange: Exchange, authorized: AuthorizedRequest, source: Source) -> None:
        """Open what an empty object has of keys: a copy of it is a use of its key as well."""
        if source.envelope is not None:
            headers = authorized.request.headers
            await self._capsules.open(exchange, source.place, source.envelope.capsule, headers)


class _AsItIs:
    """Opens what was never sealed."""

    def feed(self, stored: Buffer) -> Buffer:
        return stored

    def finish(self) -> None:
        return None

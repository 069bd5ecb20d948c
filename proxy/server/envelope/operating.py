"""Stored objects in the operator's hands: verified, exported, cleared of leftovers.

Works under the proxy's own credential and keys, without a client and without its policies: whoever holds
the configuration holds the keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from proxy import __version__
from proxy.clock import SystemClock
from proxy.config import BucketEncryption
from proxy.envelope.capsule import Kind, ObjectKeys
from proxy.envelope.checksum import open_checksum
from proxy.envelope.context import ARN_NAME, object_arn
from proxy.envelope.customer_key import NAME, CustomerKey, customer_edk
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.frames import Buffer, FrameOpener, FrameSealer
from proxy.envelope.manifest import TAIL_READ, Manifest, open_trailer, parse_locator
from proxy.envelope.message import MAX_HEADER, DataKey
from proxy.envelope.multipart import SegmentsOpener
from proxy.envelope.single import Envelope, open_body_header, parse_envelope, plain_size_of_body
from proxy.envelope.sizes import FRAME, LOCATOR, part_count_of
from proxy.errors import IntegrityError, S3Error
from proxy.forward import Forwarder, Route
from proxy.keys.custody import Custody
from proxy.keys.kek import BucketKeks
from proxy.keys.registry import build_ring
from proxy.keys.ring import KeyRing
from proxy.keys.witness import MasterUse
from proxy.s3.checksums import ALGORITHMS, encode_value
from proxy.s3.etags import quote_etag
from proxy.s3.headers import Headers
from proxy.server.audit_trail import KeyTrail, NoTrail, open_trail
from proxy.server.credentials import UpstreamCredentials
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.envelope.customer_keys import OF_READING, unwrap_with
from proxy.server.envelope.messages import read_start
from proxy.server.envelope.operating_foreign import ForeignContents, ForeignMessage, ForeignObject
from proxy.server.envelope.passage import Opener, opened
from proxy.server.envelope.sweeping import Sweeper
from proxy.server.ledger import Ledger, choose_default, recorded, unwrap_recorded
from proxy.server.metrics import Metrics
from proxy.server.rules import Rules, load_rules
from proxy.server.store import Store, read_answer
from proxy.server.tls import client_context
from proxy.server.upstream import Endpoint, PooledUpstream, UpstreamAnswer


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored object, its head seen and its key opened."""

    bucket: str
    key: str
    version: str
    found: Found
    headers: Headers
    content: Sealed | ForeignMessage | ForeignObject


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the proxy encrypted."""

    envelope: Envelope
    keys: ObjectKeys = field(repr=False)


class Operator:
    """Works on the objects of one store."""

    def __init__(
        self, rules: Rules, store: Store, ring: KeyRing, custody: Custody, trail: KeyTrail, operation: str
    ) -> None:
        """`operation` is what the trail of key use is told."""
        self._rules = rules
        self._store = store
        self._ring = ring
        self._custody = custody
        self._entropy = SystemEntropy()
        self._ledger = Ledger(trail, self._entropy, operation)
        self._foreign = ForeignContents(rules.config, ring, custody)
        self.sweeper = Sweeper(store, rules.config, SystemClock())

    def encryption(self, bucket: str) -> BucketEncryption:
        """Return how a bucket is encrypted."""
        return self._rules.config.bucket(bucket).encryption

    async def look(self, bucket: str, key: str, version: str = "", own: CustomerKey | None = None) -> Stored:
        """Return an object with its keys, `own` is its client's where it is under one (SSE-C).

        Raises `S3Error` NoSuchKey, AccessDenied for another key than the client's, InvalidRequest for a key that is
        not needed; `IntegrityError`.
        """
        answer = await self._store.head(bucket, key, version)
        found = conceal(answer)
        if answer.status != 200:
            raise S3Error("NoSuchKey" if answer.status == 404 else "ServiceUnavailable", detail=str(answer.status))
        if found.value is None:
            if own is not None:
                raise S3Error(*OF_READING.idle)
            start = await self._start(bucket, key, version, found)
            content = await self._foreign.find(bucket, key, found, start, self._ledger.witness(bucket, key))
            return Stored(bucket, key, version, found, answer.headers, content)
        envelope = parse_envelope(found.value)
        home = self.encryption(bucket).bind_as or bucket
        arn = object_arn(home, key)
        keys = envelope.capsule.open(await self._data_key(envelope, bucket, key, home, own), arn)
        return Stored(bucket, key, version, found, answer.headers, Sealed(envelope, keys))

    async def _data_key(self, envelope: Envelope, bucket: str, key: str, home: str, own: CustomerKey | None) -> bytes:
        """Unwrap the data key of a capsule; nothing comes out that is not on record, as with requests."""
        context = envelope.capsule.context(object_arn(home, key))
        witness = self._ledger.witness(bucket, key)
        edk = customer_edk(envelope.capsule.edks)
        if own is not None:
            if edk is None:
                raise S3Error(*OF_READING.idle)
            use = MasterUse("kms:Decrypt", NAME, None, context)
            return await recorded(witness, use, unwrap_with(own, edk, context, self._entropy))
        holders = await self._custody.holders(home, self.encryption(bucket), envelope.capsule.edks, witness)
        return (await unwrap_recorded(self._custody, holders, context, witness, "kms:Decrypt"))[1]

    async def plaintext(self, stored: Stored) -> AsyncIterator[Buffer]:
        """Yield the verified plaintext of a whole object; raises `IntegrityError`."""
        content, size = stored.content, stored.found.size
        if not isinstance(content, Sealed):
            answer = await self._fetch(stored, "")
            try:
                async for piece in content.read(answer, size):
                    yield piece
            finally:
                answer.close()
            return
        opener: Opener
        if content.envelope.kind is Kind.SINGLE:
            key = open_body_header(content.envelope.body_header, content.keys)
            opener = FrameOpener(key, plain_size_of_body(size))
        else:
            manifest = await self.manifest(stored, content.keys)
            size, opener = manifest.segments_size, SegmentsOpener(manifest, content.keys)
        answer = await self._fetch(stored, "")
        try:
            async for piece in opened(answer, opener, 0, size):
                yield piece
        finally:
            answer.close()

    async def verify(self, stored: Stored) -> int:
        """Read a whole object and release nothing of it; return its size; raises `IntegrityError`."""
        content, sealed = stored.content, stored.found.checksum
        checksum = open_checksum(sealed, content.keys) if sealed is not None and isinstance(content, Sealed) else None
        name, _, expected = (checksum or "").partition(";")[0].partition("=")
        hasher = ALGORITHMS[name.upper()].start() if checksum else None
        size = 0
        async for piece in self.plaintext(stored):
            size += len(piece)
            if hasher is not None:
                hasher.update(piece)
        if hasher is not None and encode_value(hasher.digest()) != expected:
            raise IntegrityError("checksum", "the plaintext is not what its checksum says")
        return size

    async def export(self, stored: Stored) -> AsyncIterator[Buffer]:
        """Yield the object as one plain Encryption SDK message under its bucket's key."""
        encryption = self.encryption(stored.bucket)
        context = MappingProxyType({ARN_NAME: object_arn(stored.bucket, stored.key)})
        witness = self._ledger.witness(stored.bucket, stored.key)
        choice = await choose_default(witness, "kms:GenerateDataKey", self._ring, encryption, context)
        data_key = DataKey(self._entropy)
        wrapping = choice.key.wrap(data_key.plaintext, context)
        edk = await recorded(witness, MasterUse("kms:GenerateDataKey", choice.key.arn, None, context), wrapping)
        header, key = data_key.seal_header(context, (edk,), FRAME)
        yield header
        sealer = FrameSealer(key)
        async for piece in self.plaintext(stored):
            if out := sealer.feed(piece):
                yield out
        yield sealer.finish()

    async def manifest(self, stored: Stored, keys: ObjectKeys) -> Manifest:
        """Return the verified manifest of an object of several parts."""
        size, count = stored.found.size, part_count_of(stored.found.etag)
        tail = await self._range(stored, max(0, size - TAIL_READ))
        start = parse_locator(tail, size, count)
        if start < size - len(tail):
            tail = await self._range(stored, start)
        return open_trailer(tail[start - size : -LOCATOR], size, keys, count)

    async def _range(self, stored: Stored, start: int) -> bytes:
        answer = await self._fetch(stored, f"bytes={start}-{stored.found.size - 1}")
        found = conceal(answer)
        data = await read_answer(answer, stored.found.size)
        if answer.status not in (200, 206) or found.size != stored.found.size:
            raise IntegrityError("range", f"the backend answered {answer.status} to a range of the object")
        return data[start - found.start :]

    async def _start(self, bucket: str, key: str, version: str, found: Found) -> bytes:
        """Return the beginning of an object, as much as tells what it is."""
        if not found.size:
            return b""
        query = [("versionId", version)] if version else []
        fields = {"if-match": quote_etag(found.etag), "range": f"bytes=0-{MAX_HEADER - 1}"}
        answer = await self._store.fetch(bucket, key, query, fields)
        try:
            if answer.status not in (200, 206):
                raise S3Error("ServiceUnavailable", detail=f"the upstream answered {answer.status}")
            return await read_start(answer, min(found.size, MAX_HEADER))
        finally:
            answer.close()

    async def _fetch(self, stored: Stored, extent: str) -> UpstreamAnswer:
        query = [("versionId", stored.version)] if stored.version else []
        fields = {"if-match": quote_etag(stored.found.etag), **({"range": extent} if extent else {})}
        answer = await self._store.fetch(stored.bucket, stored.key, query, fields)
        if answer.status >= 300:
            answer.close()
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {answer.status}")
        return answer


@asynccontextmanager
async def operating(path: Path, operation: str) -> AsyncIterator[Operator]:
    """Connect to the store and the keys of a configuration, for a command; raises `ConfigError`."""
    rules = load_rules(path)
    upstream, clock = rules.config.upstream, SystemClock()
    parts = urlsplit(upstream.endpoint)
    secure = parts.scheme == "https"
    endpoint = Endpoint(
        parts.hostname or "",
        parts.port or (443 if secure else 80),
        client_context(upstream.tls) if secure else None,
        upstream.connect_seconds,
        upstream.idle_seconds,
    )
    pool = PooledUpstream(endpoint)
    route = Route(parts.netloc, upstream.region, upstream.addressing == "virtual")
    forwarder = Forwarder(route, UpstreamCredentials(rules.config).current)
    store = Store(pool, forwarder, Metrics(__version__), clock)
    ring = build_ring(rules.config)
    keks = BucketKeks(lambda: ring, store, lambda: upstream.state, SystemEntropy(), clock)
    trail = open_trail(rules.config)
    try:
        yield Operator(rules, store, ring, Custody(lambda: ring, keks), trail or NoTrail(), operation)
    finally:
        pool.retire()
        await ring.close()
        if trail is not None:
            await trail.close()

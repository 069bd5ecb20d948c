"""What names which key: bucket keys by their documents, objects by their capsules, uploads by their contexts.

Everything that has to be opened some day counts, older versions included, since a key that is gone takes all
of it along.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

from proxy.access.upload_context import parse_upload_context
from proxy.config import State
from proxy.envelope.customer_key import customer_edk
from proxy.envelope.keyring import NONCE_SIZE, PROVIDER, Edk, aes_info_prefix
from proxy.envelope.metadata import ENVELOPE_HEADER
from proxy.envelope.single import Envelope, parse_envelope
from proxy.errors import IntegrityError
from proxy.keys.kek import KekDocument, kek_id, kek_location, parse_kek
from proxy.server.envelope.upload_keys import VALUE
from proxy.server.rotation.depot import Depot, Stored
from proxy.server.rotation.listing import Row, rows

PARALLEL = 16
_INFO_END = aes_info_prefix("")


def edk_name(edk: Edk) -> str:
    """Return what an EDK says wrapped it: `hr@2`, a KMS key's ARN, `kek/<id>`."""
    info = edk.key_info
    if edk.provider_id == PROVIDER and info[: -NONCE_SIZE or None].endswith(_INFO_END):
        info = info[: -NONCE_SIZE - len(_INFO_END)]
    return info.decode("utf-8", "replace")


@dataclass(slots=True)
class Usage:
    """How many bucket keys and objects name each key; objects under a bucket key count under its keys."""

    documents: Counter[str] = field(default_factory=Counter)
    old_documents: Counter[str] = field(default_factory=Counter)
    """Older versions of the documents of bucket keys."""
    objects: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    """Older versions of objects."""
    uploads: Counter[str] = field(default_factory=Counter)
    """Multipart uploads under way, by what was written beside them."""
    plain: int = 0
    customers: int = 0
    """Objects whose key only their clients have (SSE-C)."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Objects whose keys cannot be told, and why."""

    @property
    def counters(self) -> Mapping[str, Counter[str]]:
        """All counts, by what they are called in reports."""
        return {
            "objects": self.objects,
            "older versions": self.versions,
            "uploads": self.uploads,
            "bucket keys": self.documents,
            "older bucket keys": self.old_documents,
        }

    def names(self) -> list[str]:
        """Return every key that is named, sorted."""
        return sorted({name for counter in self.counters.values() for name in counter})

    def dependents(self, labels: Iterable[str]) -> dict[str, dict[str, int]]:
        """Return what names one of `labels`: a version (`hr@1`), any version of a key (`hr`), an ARN of KMS."""
        wanted = frozenset(labels)
        names = [name for name in self.names() if name in wanted or name.partition("@")[0] in wanted]
        return {
            name: {what: counter[name] for what, counter in self.counters.items() if counter[name]} for name in names
        }

    def depends_on(self, name: str) -> bool:
        """Tell whether anything names a version (`hr@1`), or any version of a key (`hr`)."""
        return bool(self.dependents([name]))


async def documents(depot: Depot, state: State, bucket: str) -> AsyncIterator[tuple[str, KekDocument]]:
    """Yield (id, document) of the bucket keys of `bucket`.

    Raises `S3Error`, and `IntegrityError` for a document that is none.
    """
    place, prefix = kek_location(state, bucket, "")
    async for page in depot.pages(place, prefix):
        for key in page:
            raw = await depot.get(place, key)
            if raw is not None and (document := parse_kek(raw)).bucket == bucket:
                yield key.removeprefix(prefix), document


async def usage_of(depot: Depot, state: State, bucket: str, bound: str, prefix: str = "") -> Usage:
    """Count what names which key in a bucket, whose objects are bound to `bound`; one HEAD for each version."""
    usage = Usage()
    wrapped_by = await _count_documents(usage, depot, state, bound)
    await _count_uploads(usage, depot, state, bucket, wrapped_by)
    places = asyncio.Semaphore(PARALLEL)
    versions = bool(await depot.versioning(bucket))

    async def one(row: Row) -> None:
        async with places:
            stored = await depot.head(bucket, row.key, row.older)
        if stored is not None:
            _count(usage, stored, wrapped_by)

    async for page in rows(depot, bucket, prefix, versions=versions):
        await asyncio.gather(*(one(row) for row in page if not row.key.startswith(state.prefix)))
    return usage


def envelope_of(stored: Stored) -> Envelope | None:
    """Return the envelope of an object, None for one without; raises `IntegrityError`."""
    values = stored.headers.get_all(ENVELOPE_HEADER)
    return parse_envelope(values[0]) if values else None


async def _count_documents(usage: Usage, depot: Depot, state: State, bound: str) -> dict[str, list[str]]:
    wrapped_by: dict[str, list[str]] = {}
    async for name, document in documents(depot, state, bound):
        names = wrapped_by[name] = [edk_name(edk) for edk in document.edks]
        usage.documents.update(names)
    place, prefix = kek_location(state, bound, "")
    if await depot.versioning(place):
        async for page in rows(depot, place, prefix, versions=True):
            for row in page:
                raw = await depot.get(place, row.key, row.version) if not row.latest else None
                if raw is not None and (document := parse_kek(raw)).bucket == bound:
                    usage.old_documents.update(edk_name(edk) for edk in document.edks)
    return wrapped_by


async def _count_uploads(
    usage: Usage, depot: Depot, state: State, bucket: str, wrapped_by: Mapping[str, list[str]]
) -> None:
    """Count uploads under way. Where all buckets share a state bucket, nothing says whose an upload is."""
    place = state.bucket or bucket
    async for page in depot.pages(place, f"{state.prefix}mpu/"):
        for key in page:
            raw = await depot.get(place, key) if key.endswith("/ctx") else None
            try:
                value = parse_upload_context(raw).envelope.get(VALUE) if raw is not None else None
                envelope = parse_envelope(value) if value is not None else None
            except IntegrityError as error:
                usage.damaged[key] = str(error)
                continue
            if envelope is not None and customer_edk(envelope.capsule.edks) is None:
                usage.uploads.update(_names(envelope, wrapped_by))


def _count(usage: Usage, stored: Stored, wrapped_by: Mapping[str, list[str]]) -> None:
    try:
        envelope = envelope_of(stored)
        if envelope is None:
            usage.plain += 1
            return
        if customer_edk(envelope.capsule.edks) is not None:
            usage.customers += 1
            return
        names = _names(envelope, wrapped_by)
    except IntegrityError as error:
        usage.damaged[stored.key] = str(error)
        return
    (usage.versions if stored.version else usage.objects).update(names)


def _names(envelope: Envelope, wrapped_by: Mapping[str, list[str]]) -> set[str]:
    names: set[str] = set()
    for edk in envelope.capsule.edks:
        kek = kek_id(edk)
        if kek is not None and kek not in wrapped_by:
            raise IntegrityError("kek", "its bucket key is gone")
        names.update([edk_name(edk)] if kek is None else wrapped_by[kek])
    return names

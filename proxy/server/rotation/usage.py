"""What names which key: bucket keys by their documents, objects by their capsules."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from proxy.config import State
from proxy.envelope.keyring import NONCE_SIZE, PROVIDER, Edk, aes_info_prefix
from proxy.envelope.metadata import ENVELOPE_HEADER
from proxy.envelope.single import Envelope, parse_envelope
from proxy.errors import IntegrityError
from proxy.keys.kek import KekDocument, kek_id, kek_location, parse_kek
from proxy.server.rotation.depot import Depot, Stored

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
    objects: Counter[str] = field(default_factory=Counter)
    plain: int = 0
    damaged: list[str] = field(default_factory=list)
    """Objects whose capsule cannot be read."""

    def names(self) -> list[str]:
        """Return every key that is named, sorted."""
        return sorted(self.documents.keys() | self.objects.keys())

    def depends_on(self, name: str) -> bool:
        """Tell whether anything names a version (`hr@1`), or any version of a key (`hr`)."""
        return any(each == name or each.partition("@")[0] == name for each in self.names())


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
    """Count what names which key in a bucket, whose objects are bound to `bound`; one HEAD for each object."""
    usage, wrapped_by = Usage(), {}
    async for name, document in documents(depot, state, bound):
        names = wrapped_by[name] = [edk_name(edk) for edk in document.edks]
        usage.documents.update(names)
    async for page in depot.pages(bucket, prefix):
        for key in page:
            if key.startswith(state.prefix):
                continue
            stored = await depot.head(bucket, key)
            if stored is not None:
                _count(usage, stored, wrapped_by)
    return usage


def envelope_of(stored: Stored) -> Envelope | None:
    """Return the envelope of an object, None for one without; raises `IntegrityError`."""
    values = stored.headers.get_all(ENVELOPE_HEADER)
    return parse_envelope(values[0]) if values else None


def _count(usage: Usage, stored: Stored, wrapped_by: dict[str, list[str]]) -> None:
    try:
        envelope = envelope_of(stored)
    except IntegrityError:
        usage.damaged.append(stored.key)
        return
    if envelope is None:
        usage.plain += 1
        return
    names: set[str] = set()
    for edk in envelope.capsule.edks:
        kek = kek_id(edk)
        names.update([edk_name(edk)] if kek is None else wrapped_by.get(kek, [f"kek/{kek}, which is gone"]))
    usage.objects.update(names)

"""Manifests of multipart objects: read from an object's end, verified, and remembered for a while.

A manifest is remembered by the object's name, version and ETag, and every use of it names that ETag to
the store: an object that was replaced answers with a failed condition, never with the wrong bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.customer_key import customer_edk
from proxy.envelope.manifest import TAIL_READ, Manifest, open_trailer, parse_locator
from proxy.envelope.message import OpeningKey
from proxy.envelope.single import Envelope
from proxy.envelope.sizes import LOCATOR, part_count_of
from proxy.errors import IntegrityError
from proxy.forward import AuthorizedRequest, Step
from proxy.s3.etags import quote_etag
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.envelope.keys import Capsules, Place
from proxy.server.envelope.passage import REPLACED, replaced
from proxy.server.exchange import Exchange
from proxy.server.store import Store, read_answer
from proxy.server.upstream import UpstreamAnswer

MAX_OBJECTS = 1024
MAX_PARTS = 100_000
"""Parts of all remembered manifests; each takes some 300 bytes."""
MAX_PART_KEYS = 8192
"""Keys of parts of all remembered objects; each takes some 3 KB."""

_NO_KEYS = ObjectKeys(b"", b"", b"")
_NO_FIELDS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Known:
    """A multipart object, verified so far that any of its bytes can be read."""

    value: str = field(repr=False)
    """The metadata value that its keys came from."""
    envelope: Envelope
    etag: str
    """The backend's, without quotes."""
    size: int
    """Stored bytes."""
    manifest: Manifest
    keys: ObjectKeys
    part_keys: dict[int, OpeningKey] = field(repr=False)
    """By part number, of parts that were read."""


class Manifests:
    """Reads manifests, and remembers a bounded number of them."""

    def __init__(self, store: Store, capsules: Capsules) -> None:
        self._store = store
        self._capsules = capsules
        self._known: OrderedDict[tuple[str, str, str], Known] = OrderedDict()
        self._parts = 0

    def remembered(self, bucket: str, key: str, version: str) -> Known | None:
        """Return what was last known of an object; the caller must name its ETag to the store."""
        found = self._known.get((bucket, key, version))
        if found is not None:
            self._known.move_to_end((bucket, key, version))
        return found

    def forget(self, bucket: str, key: str, version: str) -> None:
        """Drop what turned out to be no longer true."""
        gone = self._known.pop((bucket, key, version), None)
        if gone is not None:
            self._parts -= len(gone.manifest.parts)

    def learn(self, known: Known, keys: Mapping[int, OpeningKey]) -> None:
        """Remember keys of parts that were read; those of objects that were not read for longest make room."""
        if keys.keys() <= known.part_keys.keys():
            return
        known.part_keys.update(keys)
        held = sum(len(each.part_keys) for each in self._known.values())
        for each in self._known.values():
            if held <= MAX_PART_KEYS:
                return
            held -= len(each.part_keys)
            each.part_keys.clear()

    async def find(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        place: Place,
        version: str,
        envelope: Envelope,
        found: Found,
    ) -> Known:
        """Return the manifest of an object that was just seen; raises `IntegrityError`, `S3Error`."""
        known = self.remembered(place.bucket, place.key, version)
        if known is not None and (known.value, known.etag, known.size) == (found.value, found.etag, found.size):
            return await self.permitted(exchange, authorized, place, known)
        keys = await self._capsules.open(exchange, place, envelope.capsule, authorized.request.headers)
        manifest = await self._read(exchange, authorized, place, version, found, keys)
        known = Known(found.value or "", envelope, found.etag, found.size, manifest, keys, {})
        customers = customer_edk(envelope.capsule.edks) is not None
        # What a client's key opened is kept no longer than the key: the next request brings it again.
        kept = replace(known, keys=_NO_KEYS, part_keys={}) if customers else known
        self._remember((place.bucket, place.key, version), kept)
        return known

    async def permitted(self, exchange: Exchange, authorized: AuthorizedRequest, place: Place, known: Known) -> Known:
        """Return what is remembered of an object, with its keys, if the caller may use them; raises `S3Error`."""
        capsule = known.envelope.capsule
        keys = await self._capsules.prove(exchange, place, capsule, authorized.request.headers)
        if keys is not None:
            return replace(known, keys=keys, part_keys={})
        master = await self._capsules.holder(exchange, place, capsule)
        await self._capsules.permit(exchange, place, capsule, master)
        return known

    async def ranged(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        place: Place,
        version: str,
        etag: str,
        extent: str,
        query: tuple[tuple[str, str], ...] = (),
        key: Mapping[str, str] = _NO_FIELDS,
    ) -> UpstreamAnswer:
        """Ask for a range of stored bytes of an object as long as its ETag is the same.

        `key` has the fields of a client's key where the store itself encrypts the object under it.
        """
        pairs = (("versionId", version), *query) if version else query
        fields = {"if-match": quote_etag(etag), "range": f"bytes={extent}", **key}
        if authorized.request.key is None:
            # A listing: nobody asked for this object, its size is the proxy's own errand.
            return await self._store.fetch(place.bucket, place.key, pairs, fields)
        step = Step("GET", place.bucket, place.key, pairs, fields)
        return await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))

    async def stored(
        self, exchange: Exchange, authorized: AuthorizedRequest, place: Place, version: str, found: Found, extent: str
    ) -> bytes:
        """Return a small range of stored bytes; raises `IntegrityError` when it is not the one asked for.

        Raises `S3Error` when the object is another one by now.
        """
        answer = await self.ranged(exchange, authorized, place, version, found.etag, extent)
        try:
            here = conceal(answer)
            if answer.status in REPLACED or (answer.status < 300 and here.etag != found.etag):
                raise replaced()
            if answer.status not in (200, 206) or here.size != found.size:
                raise IntegrityError("range", f"the backend answered {answer.status} to a range of the object")
            data = await read_answer(answer, here.length)
        finally:
            answer.close()
        first, _, last = extent.partition("-")
        start = int(first) if first else max(0, found.size - int(last))
        stop = int(last) + 1 if first else found.size
        piece = data[start - here.start : stop - here.start]
        if start < here.start or len(piece) != stop - start:
            raise IntegrityError("range", "the backend answered with another range than it was asked for")
        return piece

    async def _read(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        place: Place,
        version: str,
        found: Found,
        keys: ObjectKeys,
    ) -> Manifest:
        count = part_count_of(found.etag)
        # By its first byte: there are stores that refuse a suffix which is longer than the object.
        extent = f"{max(0, found.size - TAIL_READ)}-{found.size - 1}"
        tail = await self.stored(exchange, authorized, place, version, found, extent) if found.size else b""
        start = parse_locator(tail, found.size, count)
        missing = found.size - len(tail) - start
        if missing > 0:
            tail = await self.stored(exchange, authorized, place, version, found, f"{start}-{found.size - 1}")
        trailer = tail[max(0, -missing) : -LOCATOR]
        return open_trailer(trailer, found.size, keys, count)

    def _remember(self, name: tuple[str, str, str], known: Known) -> None:
        self.forget(*name)
        self._known[name] = known
        self._parts += len(known.manifest.parts)
        while len(self._known) > MAX_OBJECTS or (self._parts > MAX_PARTS and len(self._known) > 1):
            self.forget(*next(iter(self._known)))

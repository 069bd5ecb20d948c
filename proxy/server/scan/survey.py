"""Asking the store about every object of a bucket: pages of a listing, then HEADs side by side.

Goes to the store itself, under the proxy's own credential, as a scan is about what is stored and not about
what clients are shown.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and API_ListObjectVersions.html
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from proxy.config import State
from proxy.envelope.keyring import Edk
from proxy.errors import IntegrityError, S3Error
from proxy.keys.kek import kek_location, parse_kek
from proxy.s3.etags import quote_etag, unquote_etag
from proxy.s3.headers import Headers
from proxy.s3.pages import Page as Listing
from proxy.s3.pages import parse_page
from proxy.s3.xml import Element
from proxy.server.pace import Pace
from proxy.server.rotation.depot import Depot, good_answer
from proxy.server.rotation.replacing import NULL_VERSION
from proxy.server.scan.protection import START_BYTES, Protection, read_head, read_start, worth_a_look

PAGE = 1000
ATTEMPTS = 4
_PAUSE_SECONDS = 0.2
_MAY_PASS = frozenset({429, 500, 502, 503, 504})
_MAX_BUCKET_KEYS = 4096


@dataclass(frozen=True, slots=True)
class Marker:
    """How far a listing is: the last key seen, and its version where versions are listed."""

    key: str = ""
    version_id: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of a listing; `version_id` is empty unless versions are listed."""

    key: str
    size: int
    etag: str
    modified: str
    version_id: str = ""
    latest: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and where the listing goes on; `marker` None at its end."""

    rows: tuple[Listed, ...]
    marker: Marker | None


class BucketKeys:
    """Which master keys wrapped the bucket keys that objects name: each document is read once."""

    def __init__(self, depot: Depot, state: State, bound: str) -> None:
        self._depot = depot
        self._state = state
        self._bound = bound
        self._known: OrderedDict[str, tuple[Edk, ...]] = OrderedDict()

    async def edks(self, id: str) -> tuple[Edk, ...]:
        """Return the EDKs of a bucket key; none when its document is gone, damaged or of another bucket."""
        if id not in self._known:
            raw = await self._depot.get(*kek_location(self._state, self._bound, id))
            edks: tuple[Edk, ...] = ()
            try:
                if raw is not None and (document := parse_kek(raw)).bucket == self._bound and document.id == id:
                    edks = document.edks
            except IntegrityError:
                edks = ()
            self._known[id] = edks
            if len(self._known) > _MAX_BUCKET_KEYS:
                self._known.popitem(last=False)
        return self._known[id]


class Survey:
    """Lists one bucket and looks at its objects."""

    def __init__(
        self, depot: Depot, bucket: str, *, versions: bool, look_inside: bool, parallel: int, pace: Pace
    ) -> None:
        self._depot = depot
        self._bucket = bucket
        self._versions = versions
        self._look_inside = look_inside
        self._places = asyncio.Semaphore(max(1, parallel))
        self._pace = pace

    async def pages(self, prefix: str, start: Marker | None = None, size: int = PAGE) -> AsyncIterator[Page]:
        """Yield the objects under a prefix, from after `start`; raises `S3Error`."""
        marker: Marker | None = start or Marker()
        while marker is not None:
            page = await self._page(prefix, marker, size)
            if page.marker == marker:
                raise S3Error("ServiceUnavailable", detail="the store's listing does not get on")
            yield page
            marker = page.marker

    async def look(self, listed: Listed) -> Protection | None:
        """Return how an object is protected, None if it is gone; trouble with the store is `unknown`."""
        async with self._places:
            try:
                return await self._look(listed)
            except S3Error as error:
                return Protection("unknown", detail=f"{error.code}: {error.detail or error.message}")

    async def _look(self, listed: Listed) -> Protection | None:
        query = [("versionId", listed.version_id)] if listed.version_id else []
        status, headers = await self._head(listed.key, query)
        if status == 400 and listed.latest and listed.version_id == NULL_VERSION:
            # Stores list such a version in buckets that have none, and not all of them know it by that name (moto).
            query = []
            status, headers = await self._head(listed.key, query)
        if status in (404, 405):
            return None
        if status == 400:
            return Protection("sse-c", detail="the store wants the client's key to tell more")
        if status != 200:
            return Protection("unknown", detail=f"the store answered {status} to a HEAD")
        size = int(headers.joined("content-length") or 0)
        found = read_head(headers, size)
        if not self._look_inside or not worth_a_look(found, size):
            return found
        await self._pace.turn()
        fields = {
            "range": f"bytes=0-{START_BYTES - 1}",
            "if-match": quote_etag(unquote_etag(headers.joined("etag") or "")),
        }
        status, _, start = await self._depot.ask("GET", self._bucket, listed.key, query, fields)
        if status not in (200, 206):
            return Protection("unknown", detail=f"the store answered {status} to a GET of the first bytes")
        return read_start(found, start)

    async def _head(self, key: str, query: list[tuple[str, str]]) -> tuple[int, Headers]:
        """Ask, and again a few times when the store is in trouble."""
        pause = _PAUSE_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            await self._pace.turn()
            try:
                status, headers, _ = await self._depot.ask("HEAD", self._bucket, key, query)
            except S3Error:
                if attempt == ATTEMPTS:
                    raise
            else:
                if status not in _MAY_PASS or attempt == ATTEMPTS:
                    return status, headers
            await asyncio.sleep(pause)
            pause *= 4
        raise AssertionError("the last attempt returns or raises")

    async def _page(self, prefix: str, marker: Marker, size: int) -> Page:
        if self._versions:
            query = [("encoding-type", "url"), ("max-keys", str(size)), ("prefix", prefix), ("versions", "")]
            query += [("key-marker", marker.key)] if marker.key else []
            query += [("version-id-marker", marker.version_id)] if marker.version_id else []
        else:
            # From after a key rather than with a token: the place can be written down, and gone on from later.
            query = [("encoding-type", "url"), ("list-type", "2"), ("max-keys", str(size)), ("prefix", prefix)]
            query += [("start-after", marker.key)] if marker.key else []
        status, _, body = await self._depot.ask("GET", self._bucket, None, sorted(query))
        listing = parse_page(good_answer(status, body))
        rows = tuple(_row(listing, each) for each in listing.entries if each.name in ("Version", "Contents"))
        return Page(rows, self._next(listing, marker) if listing.is_truncated else None)

    def _next(self, listing: Listing, marker: Marker) -> Marker:
        if self._versions and (key := listing.marker("NextKeyMarker")):
            return Marker(key, listing.root.value("NextVersionIdMarker") or "")
        last = next((each for each in reversed(listing.entries) if each.child("Key") is not None), None)
        if last is None:
            return marker
        return Marker(listing.name(last), (last.value("VersionId") or "") if self._versions else "")


def _row(listing: Listing, row: Element) -> Listed:
    versions = row.name == "Version"
    return Listed(
        listing.name(row),
        int(row.value("Size") or 0),
        unquote_etag(row.value("ETag") or ""),
        row.value("LastModified") or "",
        (row.value("VersionId") or "") if versions else "",
        not versions or row.value("IsLatest") == "true",
    )

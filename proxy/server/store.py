"""The store as the pipeline uses it: clients' requests carried on, and small errands of the proxy's own.

Errands go under the proxy's own credential, are bounded in size, and fail closed: what cannot be learned
for certain is an error, never an empty answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import perf_counter
from types import MappingProxyType

from proxy.access.questions import Target
from proxy.clock import Clock
from proxy.errors import S3Error
from proxy.forward import Forwarder, Prepared
from proxy.s3.listing import bucket_names
from proxy.s3.tagging import Tags, parse_tagging
from proxy.s3.xml import parse_xml
from proxy.server.metrics import Metrics
from proxy.server.upstream import Upstream, UpstreamAnswer, UpstreamError

ERRAND_BYTES = 1 << 17
LISTING_BYTES = 1 << 22
# Where the next page of a listing begins: parameter, and the element that names it.
_NEXT = (
    ("continuation-token", "NextContinuationToken"), ("key-marker", "NextKeyMarker"),
    ("version-id-marker", "NextVersionIdMarker"),
)  # fmt: skip
_NO_FIELDS: Mapping[str, str] = MappingProxyType({})


class Store:
    """One upstream and how to speak to it."""

    def __init__(self, upstream: Upstream, forwarder: Forwarder, metrics: Metrics, clock: Clock) -> None:
        self.forwarder = forwarder
        self._upstream = upstream
        self._metrics = metrics
        self._clock = clock

    def switch(self, upstream: Upstream, forwarder: Forwarder) -> None:
        """Use another store from now on; requests under way end where they began."""
        self._upstream = upstream
        self.forwarder = forwarder

    async def send(self, prepared: Prepared) -> UpstreamAnswer:
        """Send a request and count its answer; raises `UpstreamError`, or what the body raised."""
        started = perf_counter()
        status = None
        try:
            answer = await self._upstream.send(prepared)
            status = answer.status
            return answer
        finally:
            self._metrics.upstream_answered(status, perf_counter() - started)

    async def tags(self, target: Target) -> Tags:
        """Return the tags of an object; none for an object that is not there.

        Raises `S3Error` ServiceUnavailable when the store does not say: nobody can then tell what a policy
        about tags would have said.
        """
        query = [("tagging", "")]
        if target.version_id is not None:
            query.append(("versionId", target.version_id))
        status, body = await self._errand("GET", target.bucket, target.key, query)
        if status == 404:
            return ()
        if status != 200:
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {status} when asked for object tags")
        try:
            return parse_tagging(parse_xml(body))
        except S3Error as error:
            # Stores without tags may answer with the object itself.
            raise S3Error("ServiceUnavailable", detail=f"the upstream's object tags cannot be read: {error}") from error

    async def tags_of(self, bucket: str, key: str, version_id: str) -> Tags:
        """Return the tags of an object that is copied."""
        return await self.tags(Target(bucket, key, version_id or None))

    async def get(self, bucket: str, key: str) -> bytes | None:
        """Return a small object of the proxy's own, None if there is none."""
        status, body = await self._errand("GET", bucket, key)
        if status == 404:
            return None
        if status != 200:
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {status} to a read of `{key}`")
        return body

    async def head(self, bucket: str, key: str, version_id: str = "") -> UpstreamAnswer:
        """Return the answer to a HEAD of any object; its connection is already let go."""
        query = [("versionId", version_id)] if version_id else []
        answer = await self.send(self.forwarder.prepare_own("HEAD", bucket, key, self._clock.now(), query))
        await read_answer(answer, 0)
        return answer

    async def preflight(self, bucket: str, key: str | None, origin: str, method: str) -> UpstreamAnswer:
        """Ask whether pages of an origin may see answers about an object; the answer's connection is already let go."""
        answer = await self.send(self.forwarder.prepare_preflight(bucket, key, origin, method))
        await read_answer(answer, ERRAND_BYTES)
        return answer

    async def put(self, bucket: str, key: str, body: bytes, fields: Mapping[str, str] = _NO_FIELDS) -> str:
        """Write an object of the proxy's own; return its ETag."""
        prepared = self.forwarder.prepare_own("PUT", bucket, key, self._clock.now(), body=body, extra=fields)
        answer = await self.send(prepared)
        await read_answer(answer, ERRAND_BYTES)
        if answer.status != 200:
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {answer.status} to a write of `{key}`")
        return answer.headers.joined("etag") or ""

    async def delete(self, bucket: str, key: str, version_id: str = "") -> bool:
        """Delete an object of the proxy's own; tell whether the store agreed."""
        query = [("versionId", version_id)] if version_id else []
        status, _ = await self._errand("DELETE", bucket, key, query)
        return status in (200, 204, 404)

    async def fetch(
        self, bucket: str, key: str, query: Iterable[tuple[str, str]] = (), fields: Mapping[str, str] = _NO_FIELDS
    ) -> UpstreamAnswer:
        """Return the answer to a GET under the proxy's own credential; its body is still to be read."""
        return await self.send(self.forwarder.prepare_own("GET", bucket, key, self._clock.now(), query, extra=fields))

    async def names(self, bucket: str, prefix: str) -> list[tuple[str, str]]:
        """Return key and version id of everything under a prefix; the id is empty where there are no versions.

        For what the proxy keeps of its own.
        """
        found: list[tuple[str, str]] = []
        kind, marks = ("versions", ""), dict[str, str]()
        while True:
            query = [kind, ("prefix", prefix), *marks.items()]
            status, body = await self._errand("GET", bucket, None, sorted(query), limit=LISTING_BYTES)
            if status == 404:
                return found
            if status != 200 and kind == ("versions", "") and not found:
                kind = ("list-type", "2")
                continue
            if status != 200:
                raise S3Error("ServiceUnavailable", detail=f"the upstream answered {status} to a listing of `{prefix}`")
            page = parse_xml(body)
            rows = [each for each in page.children if each.name in ("Version", "DeleteMarker", "Contents")]
            found += [
                (row.value("Key") or "", "" if (version := row.value("VersionId") or "") == "null" else version)
                for row in rows
            ]
            before = marks
            marks = {name: text for name, element in _NEXT if (text := page.value(element))}
            if (page.value("IsTruncated") or "").lower() != "true" or marks in ({}, before):
                return found

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> bool:
        """Give up an upload that no client will ever hear of; tell whether it is gone."""
        status, _ = await self._errand("DELETE", bucket, key, [("uploadId", upload_id)])
        return status in (200, 204, 404)

    async def objects(self, bucket: str, prefix: str) -> list[tuple[str, str, int, str]]:
        """Return key, ETag, size and time of the objects under a prefix."""
        found: list[tuple[str, str, int, str]] = []
        mark: list[tuple[str, str]] = []
        while True:
            query = sorted([("list-type", "2"), ("prefix", prefix), *mark])
            status, body = await self._errand("GET", bucket, None, query, limit=LISTING_BYTES)
            if status != 200:
                raise S3Error("ServiceUnavailable", detail=f"the upstream answered {status} to a listing of `{prefix}`")
            page = parse_xml(body)
            found += [
                (
                    row.value("Key") or "",
                    row.value("ETag") or "",
                    int(row.value("Size") or 0),
                    row.value("LastModified") or "",
                )
                for row in page.all("Contents")
            ]
            before, mark = mark, [("continuation-token", page.value("NextContinuationToken") or "")]
            if (page.value("IsTruncated") or "").lower() != "true" or mark in ([("continuation-token", "")], before):
                return found

    async def part_times(self, bucket: str, key: str, upload_id: str) -> list[str]:
        """Return when each part of an upload came, as the store writes it; none for an upload that is gone."""
        found: list[str] = []
        mark: list[tuple[str, str]] = []
        while True:
            query = sorted([("uploadId", upload_id), *mark])
            status, body = await self._errand("GET", bucket, key, query, limit=LISTING_BYTES)
            if status == 404:
                return []
            if status != 200:
                raise S3Error("ServiceUnavailable", detail=f"the upstream answered {status} to a listing of parts")
            page = parse_xml(body)
            found += [row.value("LastModified") or "" for row in page.all("Part")]
            before, mark = mark, [("part-number-marker", page.value("NextPartNumberMarker") or "")]
            if (page.value("IsTruncated") or "").lower() != "true" or mark == before:
                return found

    async def uploads(self, bucket: str) -> list[tuple[str, str, str]]:
        """Return key, id and time of creation of every upload under way in a bucket."""
        found: list[tuple[str, str, str]] = []
        marks: list[tuple[str, str]] = []
        while True:
            status, body = await self._errand("GET", bucket, None, [("uploads", ""), *marks], limit=LISTING_BYTES)
            if status != 200:
                raise S3Error("ServiceUnavailable", detail=f"the upstream answered {status} to a listing of uploads")
            page = parse_xml(body)
            found += [
                (row.value("Key") or "", row.value("UploadId") or "", row.value("Initiated") or "")
                for row in page.all("Upload")
            ]
            before, value = marks, page.value
            marks = [
                ("key-marker", value("NextKeyMarker") or ""), ("upload-id-marker", value("NextUploadIdMarker") or ""),
            ]  # fmt: skip
            if (value("IsTruncated") or "").lower() != "true" or marks == before:
                return found

    async def buckets(self) -> tuple[str, ...]:
        """Return the names of all buckets."""
        status, body = await self._errand("GET", None, None, limit=LISTING_BYTES)
        if status != 200:
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {status} to a listing of buckets")
        return bucket_names(body)

    async def _errand(
        self,
        method: str,
        bucket: str | None,
        key: str | None,
        query: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        limit: int = ERRAND_BYTES,
    ) -> tuple[int, bytes]:
        prepared = self.forwarder.prepare_own(method, bucket, key, self._clock.now(), query, body)
        answer = await self.send(prepared)
        return answer.status, await read_answer(answer, limit)


async def read_answer(answer: UpstreamAnswer, limit: int) -> bytes:
    """Read a whole answer and let its connection go; raises `UpstreamError` beyond `limit` bytes."""
    pieces: list[bytes] = []
    size = 0
    try:
        while data := await answer.read():
            size += len(data)
            if size > limit:
                raise UpstreamError(f"an answer of more than {limit} bytes where a document was expected")
            pieces.append(data)
    finally:
        answer.close()
    return b"".join(pieces)

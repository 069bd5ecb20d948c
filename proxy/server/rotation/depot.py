"""The store as rotation uses it: lists, heads, and copies of objects onto themselves.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html and API_UploadPartCopy.html
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from hashlib import md5
from types import MappingProxyType

from proxy.clock import Clock
from proxy.config import State
from proxy.errors import S3Error
from proxy.forward import Forwarder
from proxy.s3.completion import NamedPart, render_completion
from proxy.s3.copy_source import CopySource
from proxy.s3.etags import quote_etag, unquote_etag
from proxy.s3.headers import Headers
from proxy.s3.pages import parse_page
from proxy.s3.state import copy_mark_key
from proxy.s3.tagging import parse_tagging, render_tagging_header
from proxy.s3.xml import Element, parse_xml
from proxy.server.rotation import steps
from proxy.server.rotation.grants import grant_fields
from proxy.server.store import read_answer
from proxy.server.upstream import Upstream, UpstreamError

ANSWER_BYTES = 1 << 22
_NONE: Mapping[str, str] = MappingProxyType({})
# What a copy takes from its request only; without them it would lose what the object has.
_KEPT = (
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires",
    "x-amz-storage-class", "x-amz-website-redirect-location",
    "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as HEAD tells of it."""

    bucket: str
    key: str
    headers: Headers
    version: str = ""
    """Empty for the current one."""

    @property
    def etag(self) -> str:
        """The ETag without quotes."""
        return unquote_etag(self.headers.joined("etag") or "")

    @property
    def size(self) -> int:
        """Stored bytes."""
        return int(self.headers.joined("content-length") or 0)

    def query(self, *pairs: tuple[str, str]) -> list[tuple[str, str]]:
        """Return the query of a request about this version."""
        return sorted([*pairs, *([("versionId", self.version)] if self.version else [])])

    def fields(self, changed: Mapping[str, str]) -> dict[str, str]:
        """Return the fields that a copy onto itself needs to keep everything but `changed`."""
        kept = {name: value for name in _KEPT if (value := self.headers.joined(name)) is not None}
        kept |= {
            name: self.headers.joined(name) or "" for name in self.headers.names() if name.startswith("x-amz-meta-")
        }
        return {**kept, **changed}


ABSENT = "0" * 32
"""An ETag that no object has."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a store checks when it copies an object onto itself; `conditions.find_guard` finds out."""

    source: str | None = "x-amz-copy-source-if-match"
    """The field by which it refuses to copy another object than the one that was looked at; None: it has none."""
    destination: bool = False
    """Whether it refuses, by `If-Match`, to replace another one."""


USUAL = Guard()
"""What S3 has always checked."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy made; both empty where the store does not say."""

    etag: str
    version: str


@dataclass(frozen=True, slots=True)
class Version:
    """A row of the history of an object."""

    id: str
    latest: bool
    modified: str
    deletion: bool


@dataclass(frozen=True, slots=True)
class Tagging:
    """The tags of an object, as a header and as a document; both empty without any."""

    header: str = ""
    document: bytes = b""


class Depot:
    """Makes requests under the proxy's own credential; what fails raises `S3Error`."""

    def __init__(self, upstream: Upstream, forwarder: Forwarder, clock: Clock) -> None:
        self._upstream = upstream
        self._forwarder = forwarder
        self._clock = clock

    def now(self) -> float:
        """Return the time by the clock that requests are signed with."""
        return self._clock.now()

    async def get(self, bucket: str, key: str, version: str = "") -> bytes | None:
        """Return a small object of the proxy's own, None if there is none."""
        status, _, body = await self._send("GET", bucket, key, [("versionId", version)] if version else [])
        if status == 404:
            return None
        return good_answer(status, body)

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        """Write a small object of the proxy's own."""
        status, _, answer = await self._send("PUT", bucket, key, body=body)
        good_answer(status, answer)

    async def delete(self, bucket: str, key: str, version_id: str) -> None:
        """Delete a version of an object of the proxy's own."""
        status, _, body = await self._send("DELETE", bucket, key, [("versionId", version_id)])
        good_answer(200 if status == 204 else status, body)

    async def erase(self, bucket: str, key: str) -> None:
        """Delete an object of the proxy's own, in all versions."""
        if not await self.versioning(bucket):
            await self._send("DELETE", bucket, key)
            return
        for version in await self.versions(bucket, key):
            await self.delete(bucket, key, version.id)

    async def versioning(self, bucket: str) -> str:
        """Return `Enabled`, `Suspended`, or nothing for a bucket, or a store, without versions."""
        status, _, body = await self._send("GET", bucket, None, [("versioning", "")])
        if status in (400, 404, 405, 501):
            return ""
        return parse_xml(good_answer(status, body)).value("Status") or ""

    async def is_locked(self, bucket: str) -> bool:
        """Tell whether Object Lock may keep what is written from being deleted."""
        status, _, _ = await self._send("GET", bucket, None, [("object-lock", "")])
        return status == 200

    async def stretch(self, stored: Stored, first: int, end: int) -> bytes:
        """Return a few stored bytes of an object, if it is still the same."""
        fields = {"if-match": quote_etag(stored.etag), "range": f"bytes={first}-{end - 1}"}
        status, _, body = await self._send("GET", stored.bucket, stored.key, stored.query(), fields)
        if status != 206 or len(body) != end - first:
            good_answer(status, body)
            raise S3Error("ServiceUnavailable", detail="the upstream answered with another range than it was asked for")
        return body

    async def head(self, bucket: str, key: str, version: str = "") -> Stored | None:
        """Return what is said of an object; None if there is none."""
        query = [("versionId", version)] if version else []
        status, headers, _ = await self._send("HEAD", bucket, key, query)
        if status == 404:
            return None
        if status != 200:
            which = f"`{key}`" + (f", version `{version}`" if version else "")
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {status} to a HEAD of {which}")
        return Stored(bucket, key, headers, version)

    async def buckets(self) -> list[str]:
        """Return the names of all buckets."""
        status, _, body = await self._send("GET", None, None)
        found = parse_xml(good_answer(status, body)).child("Buckets")
        return [] if found is None else [each.value("Name") or "" for each in found.all("Bucket")]

    async def pages(self, bucket: str, prefix: str, after: str = "") -> AsyncIterator[list[str]]:
        """Yield the keys under a prefix in their order, a page at a time; ends with the last or raises `S3Error`."""
        token: str | None = None
        while True:
            place = [("start-after", after)] if token is None else [("continuation-token", token)]
            query = [("list-type", "2"), ("prefix", prefix), ("encoding-type", "url"), *(place if place[0][1] else [])]
            status, _, body = await self._send("GET", bucket, None, sorted(query))
            page = parse_page(good_answer(status, body))
            yield [page.name(row) for row in page.entries if row.name == "Contents"]
            if not page.is_truncated:
                return
            before, token = token, page.root.value("NextContinuationToken")
            if not token or token == before:
                raise S3Error("ServiceUnavailable", detail="the store's listing does not get on")

    async def versions(self, bucket: str, key: str) -> list[Version]:
        """Return every version of one object and every deletion, the newest first."""
        found: list[Version] = []
        marker: list[tuple[str, str]] = []
        while True:
            query = sorted([("encoding-type", "url"), ("prefix", key), ("versions", ""), *marker])
            status, _, body = await self._send("GET", bucket, None, query)
            page = parse_page(good_answer(status, body))
            own = [row for row in page.entries if page.name(row) == key]
            found += [_version(row) for row in own]
            # Keys that only start with this one come after it.
            if not page.is_truncated or len(own) < len(page.entries) or not own:
                return found
            marker = [("key-marker", key), ("version-id-marker", found[-1].id)]

    async def grants(self, stored: Stored) -> dict[str, str]:
        """Return the fields that give a new object the ACL of an old one; none for the ACL that is usual."""
        status, _, body = await self._send("GET", stored.bucket, stored.key, stored.query(("acl", "")))
        return grant_fields(parse_xml(good_answer(status, body)))

    async def tagging(self, stored: Stored) -> Tagging:
        """Return an object's tags; not every store copies them by itself."""
        status, _, body = await self._send("GET", stored.bucket, stored.key, stored.query(("tagging", "")))
        if status in (404, 501) or (status == 200 and not body.strip()):
            return Tagging()
        document = good_answer(status, body)
        return Tagging(render_tagging_header(parse_tagging(parse_xml(document))), document)

    async def put_tagging(self, stored: Stored, tagging: Tagging) -> None:
        """Give an object its tags again."""
        fields = {"content-type": "application/xml", "content-md5": _md5(tagging.document)}
        query = stored.query(("tagging", ""))
        status, _, body = await self._send("PUT", stored.bucket, stored.key, query, fields, tagging.document)
        good_answer(200 if status == 204 else status, body)

    async def copy(self, stored: Stored, fields: Mapping[str, str], guard: Guard = USUAL) -> Copied:
        """Copy an object, or a version of it, onto itself, if it is still the same, with new metadata and tags."""
        asked = {"x-amz-metadata-directive": "REPLACE", **_tagging_directive(fields), **_target(stored, guard)}
        if any(name.startswith("x-amz-object-lock") for name in fields):
            asked["content-md5"] = _md5(b"")  # some stores want one with every write under a lock
        status, headers, body = await self._send(
            "PUT", stored.bucket, stored.key, (), {**asked, **fields, **_source(stored, guard)}
        )
        return _copied(headers, good_answer(status, body))

    async def copy_parts(
        self,
        stored: Stored,
        fields: Mapping[str, str],
        ends: Iterable[int],
        guard: Guard = USUAL,
        state: State | None = None,
    ) -> Copied:
        """Copy an object of several parts onto itself along its part boundaries, which are part of its form.

        `state` is where a mark goes meanwhile, by which `sweep` tells an upload that is left behind from those of
        clients. Raises `S3Error` PreconditionFailed when the object was written meanwhile.
        """
        status, _, body = await self._send("POST", stored.bucket, stored.key, [("uploads", "")], fields)
        upload_id = parse_xml(good_answer(status, body)).value("UploadId") or ""
        unmark = None
        try:
            steps.reached("upload-created")
            unmark = await self._mark(stored, upload_id, state)
            copied = await self._copy_into(stored, upload_id, ends, guard)
        except BaseException:
            status, _, _ = await self._send("DELETE", stored.bucket, stored.key, [("uploadId", upload_id)])
            if unmark is not None and status in (204, 404):
                await self._send(*unmark)
            raise
        if unmark is not None:
            await self._send(*unmark)
        return copied

    async def _mark(
        self, stored: Stored, upload_id: str, state: State | None
    ) -> tuple[str, str, str, list[tuple[str, str]]] | None:
        """Mark an upload; return the request that takes the mark away."""
        if state is None:
            return None
        bucket, key = state.bucket or stored.bucket, copy_mark_key(stored.bucket, stored.key, upload_id, state.prefix)
        status, headers, body = await self._send("PUT", bucket, key)
        good_answer(status, body)
        steps.reached("upload-marked")
        version = headers.joined("x-amz-version-id")
        return "DELETE", bucket, key, [("versionId", version)] if version else []

    async def _copy_into(self, stored: Stored, upload_id: str, ends: Iterable[int], guard: Guard) -> Copied:
        parts, start = [], 0
        for number, end in enumerate(ends, 1):
            parts.append(NamedPart(number, await self._copy_part(stored, upload_id, number, start, end, guard)))
            steps.reached("part-copied")
            start = end
        if not stored.version:
            # No condition is needed for this: what is there now was there while its parts were copied, since no two
            # writes of an object have the same ETag. A version never changes.
            now = await self.head(stored.bucket, stored.key)
            if now is None or now.etag != stored.etag:
                raise S3Error("PreconditionFailed")
        steps.reached("parts-checked")
        status, headers, body = await self._send(
            "POST",
            stored.bucket,
            stored.key,
            [("uploadId", upload_id)],
            {"content-type": "application/xml", **_target(stored, guard)},
            render_completion(parts),
        )
        return _copied(headers, good_answer(status, body))

    async def _copy_part(self, stored: Stored, upload_id: str, number: int, start: int, end: int, guard: Guard) -> str:
        fields = _source(stored, guard)
        if (start, end) != (0, stored.size):
            # S3 copies ranges of sources above 5 MiB only: what is smaller is one part, and copied whole.
            fields["x-amz-copy-source-range"] = f"bytes={start}-{end - 1}"
        query = [("partNumber", str(number)), ("uploadId", upload_id)]
        status, _, body = await self._send("PUT", stored.bucket, stored.key, query, fields)
        return parse_xml(good_answer(status, body)).value("ETag") or ""

    async def ask(
        self,
        method: str,
        bucket: str | None,
        key: str | None,
        query: list[tuple[str, str]] | tuple[()] = (),
        fields: Mapping[str, str] = _NONE,
    ) -> tuple[int, Headers, bytes]:
        """Return any answer: status, fields and body, bounded; raises `S3Error` when there is none."""
        return await self._send(method, bucket, key, query, fields)

    async def _send(
        self,
        method: str,
        bucket: str | None,
        key: str | None,
        query: list[tuple[str, str]] | tuple[()] = (),
        fields: Mapping[str, str] = _NONE,
        body: bytes = b"",
    ) -> tuple[int, Headers, bytes]:
        prepared = self._forwarder.prepare_own(method, bucket or "", key, self._clock.now(), query, body, fields)
        try:
            answer = await self._upstream.send(prepared)
            return answer.status, answer.headers, await read_answer(answer, ANSWER_BYTES)
        except UpstreamError as error:
            raise S3Error("ServiceUnavailable", detail=str(error)) from error


def _version(row: Element) -> Version:
    latest, modified = row.value("IsLatest") == "true", row.value("LastModified") or ""
    return Version(row.value("VersionId") or "", latest, modified, row.name == "DeleteMarker")


def _copied(headers: Headers, body: bytes) -> Copied:
    etag = parse_xml(body).value("ETag") if body.strip() else None
    return Copied(unquote_etag(etag or ""), headers.joined("x-amz-version-id") or "")


def _source(stored: Stored, guard: Guard) -> dict[str, str]:
    fields = {"x-amz-copy-source": str(CopySource(stored.bucket, stored.key, stored.version or None))}
    return fields | ({guard.source: quote_etag(stored.etag)} if guard.source is not None else {})


def _target(stored: Stored, guard: Guard) -> dict[str, str]:
    return {"if-match": quote_etag(stored.etag)} if guard.destination else {}


def _md5(raw: bytes) -> str:
    return b64encode(md5(raw, usedforsecurity=False).digest()).decode()


def _tagging_directive(fields: Mapping[str, str]) -> dict[str, str]:
    return {"x-amz-tagging-directive": "REPLACE"} if "x-amz-tagging" in fields else {}


def good_answer(status: int, body: bytes) -> bytes:
    """Return the body of a good answer; raises `S3Error` with the store's own code where that is known."""
    root = None
    if status >= 300 or body.lstrip()[:1] == b"<":
        try:
            root = parse_xml(body.lstrip()) if body.strip() else None
        except S3Error:
            root = None
    if status < 300 and (root is None or root.name != "Error"):
        return body.lstrip() if root is not None else body
    code = (root.value("Code") if root is not None else None) or ("PreconditionFailed" if status == 412 else "")
    try:
        return _raise(S3Error(code))
    except KeyError:
        raise S3Error("ServiceUnavailable", detail=f"the upstream answered {status} {code}") from None


def _raise(error: S3Error) -> bytes:
    raise error

"""Sizes of objects of several parts whose key only their client has, where the store's ETags tell no part count.

A few ends of parts are read, under the proxy's own credential; nothing of them is released.
"""

from __future__ import annotations

from proxy.envelope.manifest import TAIL_READ, parse_locator
from proxy.envelope.outline import FINAL_READ, Outlined, outline_part, outlined_size
from proxy.errors import IntegrityError, S3Error
from proxy.s3.etags import quote_etag
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.store import Store, read_answer

MAX_ENDS = 4
"""How many ends of parts are read before an object is given up: parts of clients have one size, but for the last."""


class Outlines:
    """Tells sizes without keys."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def size(self, bucket: str, key: str, version: str, found: Found) -> int:
        """Return the plaintext size of an object as its stored bytes tell it; raises `IntegrityError`, `S3Error`."""
        start = max(0, found.size - TAIL_READ - FINAL_READ)
        tail = await self._range(bucket, key, version, found, start, found.size)
        end = parse_locator(tail, found.size)
        parts: list[Outlined] = []
        for _ in range(MAX_ENDS):
            if end - FINAL_READ >= start or start == 0:
                data = tail[: max(0, end - start)]
            else:
                first = max(0, end - FINAL_READ)
                data = await self._range(bucket, key, version, found, first, end)
            part = outline_part(data, end)
            if part is None:
                break
            parts.append(part)
            size = outlined_size(parts, found.size)
            if size is not None:
                return size
            end = part.stored_start
        raise IntegrityError("size", "neither its key nor the cut of its parts tells the size of the object")

    async def _range(self, bucket: str, key: str, version: str, found: Found, start: int, end: int) -> bytes:
        """Return stored bytes `start..end-1`."""
        query = [("versionId", version)] if version else []
        fields = {"if-match": quote_etag(found.etag), "range": f"bytes={start}-{end - 1}"}
        answer = await self._store.fetch(bucket, key, query, fields)
        if answer.status not in (200, 206):
            answer.close()
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {answer.status} to a range of `{key}`")
        try:
            here = conceal(answer)
            if here.size != found.size or here.start != start or here.length != end - start:
                raise IntegrityError("range", "the backend answered with another range than it was asked for")
            return await read_answer(answer, end - start)
        finally:
            answer.close()

"""Answers that the proxy works on itself for a while: the client is kept awake as by a slow store."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from proxy.s3.etags import quote_etag
from proxy.s3.headers import Headers
from proxy.s3.xml import NAMESPACE, Element, render_xml


class Later:
    """An answer whose document is still being made; looks like one of the store's."""

    def __init__(self, work: Coroutine[Any, Any, bytes], fields: list[tuple[str, str]]) -> None:
        self.status = 200
        self.headers = Headers.of([*fields, ("Content-Type", "application/xml")])
        self._work: Coroutine[Any, Any, bytes] | None = work

    def add(self, name: str, value: str | None) -> None:
        """Add a field that shows only now, if there is a value; lost on a client that had to be kept awake."""
        if value:
            self.headers = Headers((*self.headers.raw, (name.encode(), value.encode("latin-1"))))

    async def read(self) -> bytes:
        """Return the document, then nothing; raises what the work raises."""
        work, self._work = self._work, None
        return await work if work is not None else b""

    def close(self) -> None:
        """Give the work up if nobody waited for it."""
        if self._work is not None:
            self._work.close()
            self._work = None


def copy_result(etag: str, now: float, root: str = "CopyObjectResult", *, quoted: bool = False) -> bytes:
    """Write the answer to a copy."""
    rows = (("LastModified", last_modified(now)), ("ETag", etag if quoted else quote_etag(etag)))
    children = tuple(Element(name, text) for name, text in rows)
    return render_xml(Element(root, children=children, attributes=(("xmlns", NAMESPACE),)))


def last_modified(now: float) -> str:
    """Write a time the way S3's documents do."""
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

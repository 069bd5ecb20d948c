"""Copies of objects of several parts, made by the store itself over the original part boundaries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from proxy.envelope.manifest import Manifest
from proxy.envelope.sizes import segment_size
from proxy.forward import AuthorizedRequest, Step
from proxy.s3.completion import NamedPart
from proxy.s3.copy_source import CopySource
from proxy.s3.etags import quote_etag
from proxy.server.envelope.copy_uploads import CopyUploads, Made
from proxy.server.envelope.keys import Place
from proxy.server.envelope.manifests import Manifests
from proxy.server.envelope.sources import Source
from proxy.server.exchange import Exchange

PARALLEL = 4


class PartCopies:
    """Copies multipart objects."""

    def __init__(self, copy_uploads: CopyUploads, manifests: Manifests) -> None:
        self._uploads = copy_uploads
        self._manifests = manifests

    async def copy(
        self, exchange: Exchange, authorized: AuthorizedRequest, source: Source, place: Place, fields: dict[str, str]
    ) -> Made:
        """Copy stored bytes to `place` as an object with `fields`; raises `S3Error`."""
        if source.envelope is None:
            raise ValueError("the source is not encrypted")
        known = await self._manifests.find(
            exchange, authorized, source.place, source.version, source.envelope, source.found
        )
        stretches = _stretches(known.manifest, known.size)

        async def send(upload_id: str) -> Sequence[NamedPart]:
            places = asyncio.Semaphore(PARALLEL)
            tasks = [
                asyncio.ensure_future(
                    self._part(exchange, authorized, source, place, upload_id, number, stretch, places)
                )
                for number, stretch in enumerate(stretches, 1)
            ]
            try:
                return await asyncio.gather(*tasks)
            finally:
                # After a failure nothing may be on its way any more when the upload is given up.
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        return await self._uploads.make(exchange, authorized, place, fields, send)

    async def _part(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        source: Source,
        place: Place,
        upload_id: str,
        number: int,
        stretch: tuple[int, int],
        places: asyncio.Semaphore,
    ) -> NamedPart:
        first, end = stretch
        fields = {
            "x-amz-copy-source": str(CopySource(source.place.bucket, source.place.key, source.version or None)),
            "x-amz-copy-source-if-match": quote_etag(source.found.etag),
        }
        if (first, end) != (0, source.found.size):
            # S3 copies ranges of sources above 5 MiB only: a small object is one part, and copied whole.
            fields["x-amz-copy-source-range"] = f"bytes={first}-{end - 1}"
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        async with places:
            step = Step("PUT", place.bucket, place.key, query, fields)
            copied = await self._uploads.ask(exchange, authorized, step)
        return NamedPart(number, copied.value("ETag") or "")


def _stretches(manifest: Manifest, size: int) -> list[tuple[int, int]]:
    """Return where the stored parts of an object of `size` stored bytes begin and end."""
    stretches, at = [], 0
    for part in manifest.parts:
        end = part.stored_start + segment_size(part.plain_size)
        stretches.append((at, end))
        at = end
    if manifest.part_count == len(stretches):
        stretches[-1] = (stretches[-1][0], size)
    else:
        stretches.append((at, size))
    return stretches

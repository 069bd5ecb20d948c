"""Copies of objects of several parts, made by the store itself over the original part boundaries."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from proxy.envelope.sizes import segment_size
from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest, Step
from proxy.s3.completion import NamedPart, render_completion
from proxy.s3.copy_source import CopySource
from proxy.s3.etags import quote_etag, unquote_etag
from proxy.s3.xml import Element, parse_xml
from proxy.server.envelope.keys import Place
from proxy.server.envelope.manifests import Manifests
from proxy.server.envelope.sources import Source
from proxy.server.exchange import Exchange
from proxy.server.store import Store, read_answer

PARALLEL = 4
# Fields of the new object that belong to its completion.
_AT_COMPLETION = frozenset({"if-match", "if-none-match"})


class PartCopies:
    """Copies multipart objects."""

    def __init__(self, store: Store, manifests: Manifests) -> None:
        self._store = store
        self._manifests = manifests

    async def copy(
        self, exchange: Exchange, authorized: AuthorizedRequest, source: Source, place: Place, fields: dict[str, str]
    ) -> str:
        """Copy stored bytes to `place` as an object with `fields`; return the ETag without quotes."""
        if source.envelope is None:
            raise ValueError("the source is not encrypted")
        known = await self._manifests.find(
            exchange, authorized, source.place, source.version, source.envelope, source.found
        )
        stretches, at = [], 0
        for part in known.manifest.parts:
            end = part.stored_start + segment_size(part.plain_size)
            stretches.append((at, end))
            at = end
        if known.manifest.part_count == len(stretches):
            stretches[-1] = (stretches[-1][0], known.size)
        else:
            stretches.append((at, known.size))
        creation = {name: value for name, value in fields.items() if name not in _AT_COMPLETION}
        created = await self._ask(
            exchange, authorized, Step("POST", place.bucket, place.key, (("uploads", ""),), creation)
        )
        upload_id = created.value("UploadId")
        if not upload_id:
            raise S3Error("InternalError", detail="the upstream created an upload without an id")
        try:
            places = asyncio.Semaphore(PARALLEL)
            parts = await asyncio.gather(
                *[
                    self._part(exchange, authorized, source, place, upload_id, number, stretch, places)
                    for number, stretch in enumerate(stretches, 1)
                ]
            )
            conditions = {name: value for name, value in fields.items() if name in _AT_COMPLETION}
            body = render_completion(parts)
            step = Step(
                "POST", place.bucket, place.key, (("uploadId", upload_id),),
                {**conditions, "content-type": "application/xml", "content-length": str(len(body))},
                sha256(body).hexdigest(), lambda signer: body,
            )  # fmt: skip
            done = await self._ask(exchange, authorized, step)
        except BaseException:
            await asyncio.shield(self._store.abort_upload(place.bucket, place.key, upload_id))
            raise
        return unquote_etag(done.value("ETag") or "")

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
            copied = await self._ask(exchange, authorized, Step("PUT", place.bucket, place.key, query, fields))
        return NamedPart(number, copied.value("ETag") or "")

    async def _ask(self, exchange: Exchange, authorized: AuthorizedRequest, step: Step) -> Element:
        answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
        body = await read_answer(answer, exchange.rules.config.limits.xml_bytes)
        root = parse_xml(body.lstrip()) if body else Element("Empty")
        if answer.status == 200 and root.name != "Error":
            return root
        code = root.value("Code") or ""
        if code in ("NoSuchKey", "NoSuchBucket", "PreconditionFailed", "EntityTooSmall", "AccessDenied"):
            raise S3Error(code)
        raise S3Error("ServiceUnavailable", detail=f"the upstream answered {answer.status} {code} to a step of a copy")

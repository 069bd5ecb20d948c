"""The parts of an upload under way: what the store has, and what waits beside it.

ListParts shows plaintext sizes and the store's own ETags, the small part that waits, and not the trailer
of an attempt to complete.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from aiohttp import web

from proxy.envelope.sizes import LOCATOR, MIN_PART, segment_plain_size, trailer_bound
from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest, Step
from proxy.s3.xml import Element, parse_xml, render_xml
from proxy.server.answers import Answers
from proxy.server.envelope.concealed import conceal
from proxy.server.envelope.spilling import Spills
from proxy.server.envelope.upload_keys import VALUE, Upload, UploadKeys
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked
from proxy.server.relay import relay_edited
from proxy.server.sending import prepare_document
from proxy.server.store import Store, read_answer
from proxy.server.uploads import Spilled, Uploads
from proxy.server.upstream import UpstreamAnswer

PAGE = 1000


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part as the store lists it."""

    number: int
    etag: str
    size: int
    """Of the sealed bytes."""
    modified: str


class PartList:
    """Lists parts, for clients and for completions."""

    def __init__(self, store: Store, answers: Answers, uploads: Uploads, upload_keys: UploadKeys) -> None:
        self._store = store
        self._answers = answers
        self._uploads = uploads
        self._keys = upload_keys
        self._spills = Spills(store, uploads, upload_keys)

    async def stored(
        self, exchange: Exchange, authorized: AuthorizedRequest
    ) -> tuple[UpstreamAnswer, Element | None, dict[int, StoredPart]]:
        """Return all parts the store has, with its last answer and the first page's document.

        Without a document the answer is a refusal, still to be read.
        """
        request = authorized.request
        upload_id = request.parameters["uploadId"]
        parts: dict[int, StoredPart] = {}
        first: Element | None = None
        marker = ""
        while True:
            query = [("uploadId", upload_id), ("max-parts", str(PAGE))]
            if marker:
                query.append(("part-number-marker", marker))
            step = Step("GET", request.bucket or "", request.key or "", tuple(query))
            answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
            conceal(answer)
            if answer.status != 200:
                return answer, None, {}
            page = parse_xml(await read_answer(answer, exchange.rules.config.limits.xml_bytes))
            first = first or page
            for row in page.all("Part"):
                part = _part(row)
                parts[part.number] = part
            following = page.value("NextPartNumberMarker") or ""
            if (page.value("IsTruncated") or "").lower() != "true" or following in ("", marker):
                return answer, first, parts
            marker = following

    async def list(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Answer ListParts."""
        request = authorized.request
        context = await self._uploads.find(
            request.bucket or "", request.key or "", request.parameters["uploadId"], fresh=True
        )
        if context is None or VALUE not in context.envelope:
            if exchange.rules.config.bucket(request.bucket or "").encryption.mode != "forward":
                # No part of it is a client's: they are all refused.
                raise S3Error("NoSuchUpload")
            answer = await self._store.send(prepare_document(exchange, self._store, authorized, b""))
            return await self._answers.reply(exchange, authorized, answer)
        exchange.upload = context
        upload = await self._keys.find(exchange, authorized)
        answer, root, parts = await self.stored(exchange, authorized)
        if root is None:
            return await self._answers.reply(exchange, authorized, answer)
        spills = await self._uploads.spills(upload.place.bucket, upload.place.key, upload.id)
        large = {number: part for number, part in parts.items() if not _is_trailer(upload, part, spills.get(number))}
        later = await self._spills.later(upload, {n: part.etag for n, part in large.items() if n in spills})
        small = {
            number: StoredPart(number, spill.etag, spill.size, spill.modified)
            for number, spill in spills.items()
            if number not in large or number in later
        }
        visible = [part for _, part in sorted({**large, **small}.items())]
        document = _page(root, visible, _bound(request.parameters.get("part-number-marker"), "part-number-marker", 0),
                         _bound(request.parameters.get("max-parts"), "max-parts", PAGE))  # fmt: skip
        return await relay_edited(exchange, answer, lambda _: document, b"")


def _is_trailer(upload: Upload, part: StoredPart, spill: Spilled | None) -> bool:
    """Tell whether what the store has under a number is the trailer of an attempt to complete, not a client's part.

    Parts of clients that are as small as a trailer wait elsewhere; together with a small part it may be as large
    as one that does not, and then the number has been noted.
    """
    if part.size < MIN_PART:
        return True
    bound = trailer_bound(part.number) + LOCATOR
    return part.number in upload.trailers and spill is not None and 0 <= part.size - spill.size <= bound


def _page(root: Element, parts: list[StoredPart], marker: int, limit: int) -> bytes:
    following = [part for part in parts if part.number > marker]
    shown = following[: min(limit, PAGE)]
    values = {
        "PartNumberMarker": str(marker),
        "NextPartNumberMarker": str(shown[-1].number if shown else marker),
        "MaxParts": str(limit),
        "IsTruncated": "true" if limit and len(following) > len(shown) else "false",
    }
    kept = [
        replace(child, text=values.pop(child.name)) if child.name in values else child
        for child in root.children
        if child.name != "Part" and not child.name.startswith("Checksum")
    ]
    added = [Element(name, text) for name, text in values.items()]
    return render_xml(replace(root, children=(*kept, *added, *map(_row, shown))))


def _row(part: StoredPart) -> Element:
    plain = segment_plain_size(part.size)
    fields = (
        ("PartNumber", str(part.number)),
        ("LastModified", part.modified),
        ("ETag", part.etag),
        ("Size", str(part.size if plain is None else plain)),
    )
    return Element("Part", children=tuple(Element(name, text) for name, text in fields))


def _part(row: Element) -> StoredPart:
    number, size = row.value("PartNumber") or "0", row.value("Size") or "0"
    return StoredPart(int(number), row.value("ETag") or "", int(size), row.value("LastModified") or "")


def _bound(text: str | None, name: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or int(text[:10]) > 2**31 - 1:
        message = f"Argument {name} must be an integer between 0 and 2147483647"
        raise S3Error("InvalidArgument", message, {"ArgumentName": name, "ArgumentValue": text})
    return int(text)

"""CompleteMultipartUpload of an encrypted object: the parts are checked, the trailer written, the upload ended.

Nothing is written before the client's list has been checked, so a refused completion changes nothing.
After a failure of the store it can be tried again: every attempt writes a fresh trailer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from aiohttp import web

from proxy.envelope import sizes
from proxy.envelope.etags import mark_etag
from proxy.envelope.manifest import Part, seal_trailer
from proxy.envelope.multipart import split_part_etag
from proxy.errors import IntegrityError, S3Error
from proxy.forward import AuthorizedRequest, Step
from proxy.s3.completion import NamedPart, parse_completion, render_completion
from proxy.s3.etags import map_etags, unquote_etag
from proxy.s3.pages import with_values
from proxy.s3.xml import parse_xml, render_xml
from proxy.server.answers import Answers, located
from proxy.server.envelope.concealed import conceal
from proxy.server.envelope.fields import stored_fields
from proxy.server.envelope.keys import Capsules, Place
from proxy.server.envelope.late import Later
from proxy.server.envelope.listing import Lister
from proxy.server.envelope.part_list import PartList, StoredPart
from proxy.server.envelope.spilling import Spills
from proxy.server.envelope.step_refusals import refusal_of_completion
from proxy.server.envelope.steps import reached
from proxy.server.envelope.upload_keys import Upload, UploadKeys
from proxy.server.envelope.uploading import add_fields, check_number
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked
from proxy.server.relay import relay_late
from proxy.server.store import Store, read_answer
from proxy.server.uploads import Uploads
from proxy.server.upstream import UpstreamAnswer


@dataclass(frozen=True, slots=True)
class Checked:
    """A client's list of parts, found to be true."""

    parts: tuple[Part, ...]
    stored: tuple[NamedPart, ...]
    """Those that the store has, as it knows them."""
    spill: bytes | None
    """The last part, where it still waits beside the upload."""


class Completer:
    """Ends uploads."""

    def __init__(
        self,
        store: Store,
        capsules: Capsules,
        answers: Answers,
        uploads: Uploads,
        upload_keys: UploadKeys,
        part_list: PartList,
        lister: Lister,
    ) -> None:
        self._store = store
        self._capsules = capsules
        self._answers = answers
        self._uploads = uploads
        self._keys = upload_keys
        self._spills = Spills(store, uploads, upload_keys)
        self._parts = part_list
        self._lister = lister
        self._etags_checked = False

    async def complete(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Answer CompleteMultipartUpload."""
        named = parse_completion(asked.content)
        upload = await self._keys.find(exchange, authorized, fresh=True)
        answer, root, stored = await self._parts.stored(exchange, authorized)
        if root is None:
            return await self._answers.reply(exchange, authorized, answer)
        checked = await self._check(upload, named, stored)
        _check_size(authorized, checked.parts)
        trailer = seal_trailer(
            checked.parts, spilled=checked.spill is not None, keys=upload.keys, entropy=self._capsules.entropy
        )
        number = named[-1].number + (checked.spill is None)
        await self._note_trailer(upload, number)
        reached("trailer-noted")
        answer = await self._send_part(exchange, authorized, upload, number, (checked.spill or b"") + trailer)
        if answer.status != 200:
            return await self._answers.reply(exchange, authorized, answer)
        reached("trailer-sent")
        etag = answer.headers.joined("etag") or ""
        await read_answer(answer, exchange.rules.config.limits.xml_bytes)
        return await self._finish(exchange, authorized, upload, (*checked.stored, NamedPart(number, etag)))

    async def _check(self, upload: Upload, named: Sequence[NamedPart], stored: dict[int, StoredPart]) -> Checked:
        """Compare a client's list with what is there; raises `S3Error` InvalidPart, EntityTooSmall."""
        parts, large = [], []
        spill: bytes | None = None
        for part in named:
            etag, message_id = split_part_etag(part.etag)
            found = stored.get(part.number)
            if found is not None and unquote_etag(found.etag) == unquote_etag(etag):
                plain = sizes.segment_plain_size(found.size)
                if plain is None:
                    raise IntegrityError("segment", f"part {part.number} has a length that no part has")
                large.append(NamedPart(part.number, found.etag))
                parts.append(Part(part.number, plain, message_id))
                continue
            place = upload.place
            waiting = await self._uploads.spill(place.bucket, place.key, upload.id, part.number)
            if waiting is None or unquote_etag(waiting.etag) != unquote_etag(etag):
                raise S3Error("InvalidPart", extras={"PartNumber": str(part.number), "ETag": part.etag})
            if part is not named[-1]:
                raise S3Error("EntityTooSmall", extras={"PartNumber": str(part.number), "ETag": part.etag})
            parts.append(self._spills.verify(upload, part.number, message_id, waiting))
            spill = waiting.sealed
        if spill is None:
            check_number(named[-1].number, parts[-1].plain_size)
        return Checked(tuple(parts), tuple(large), spill)

    async def _note_trailer(self, upload: Upload, number: int) -> None:
        """Note which number the trailer takes, so that a listing after a failure does not show it."""
        if number in upload.trailers:
            return
        context = self._keys.noting_trailer(upload, number)
        await self._uploads.amend(upload.place.bucket, upload.place.key, upload.id, context)

    async def _send_part(
        self, exchange: Exchange, authorized: AuthorizedRequest, upload: Upload, number: int, body: bytes
    ) -> UpstreamAnswer:
        query = (("partNumber", str(number)), ("uploadId", upload.id))
        fields = {"content-length": str(len(body))}
        step = Step(
            "PUT", upload.place.bucket, upload.place.key, query, fields, sha256(body).hexdigest(), lambda signer: body
        )
        answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
        if answer.status != 200:
            conceal(answer)
        return answer

    async def _finish(
        self, exchange: Exchange, authorized: AuthorizedRequest, upload: Upload, parts: Sequence[NamedPart]
    ) -> web.StreamResponse:
        body = render_completion(parts)
        fields = {
            **stored_fields(authorized.request.headers),
            "content-type": "application/xml",
            "content-length": str(len(body)),
        }
        fields.pop("x-amz-mp-object-size", None)
        place = upload.place
        step = Step(
            "POST", place.bucket, place.key, (("uploadId", upload.id),), fields, sha256(body).hexdigest(),
            lambda signer: body,
        )  # fmt: skip
        answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
        conceal(answer)
        if answer.status == 400:
            raise refusal_of_completion(await read_answer(answer, exchange.rules.config.limits.xml_bytes))
        if answer.status >= 300:
            return await self._answers.reply(exchange, authorized, answer)
        add_fields(answer, await self._capsules.describe(exchange, place, upload.capsule))
        succeeded = False

        def shown(document: bytes) -> bytes:
            nonlocal succeeded
            root = parse_xml(document)
            if root.name == "Error":
                refusal = refusal_of_completion(document)
                if refusal.code == "OperationAborted":
                    raise refusal
                return document
            succeeded = True
            etag = root.value("ETag") or ""
            return render_xml(with_values(root, {"ETag": map_etags(etag, mark_etag)}, ("Checksum",)))

        async def finished() -> bytes:
            document = shown((await read_answer(answer, exchange.rules.config.limits.xml_bytes)).lstrip())
            if succeeded:
                reached("object-made")
                await self._check_etags(place, len(parts))
            return document

        later = Later(finished(), [])
        later.headers = answer.headers
        sent = await relay_late(exchange, later, located(exchange, authorized.request, lambda document: document))
        reached("completed")
        if succeeded:
            await self._uploads.end(place.bucket, place.key, upload.id)
        return sent

    async def _check_etags(self, place: Place, count: int) -> None:
        """Look once whether the store's ETags tell part counts: there are stores whose answers say so and lie."""
        if self._etags_checked:
            return
        self._etags_checked = True
        found = conceal(await self._store.head(place.bucket, place.key))
        if found.value is not None and sizes.part_count_of(found.etag) != count:
            self._lister.formula_fails()


def _check_size(authorized: AuthorizedRequest, parts: Sequence[Part]) -> None:
    text = authorized.request.headers.get("x-amz-mp-object-size")
    if text is None:
        return
    size = sum(part.plain_size for part in parts)
    if text.strip() != str(size):
        message = "The provided 'x-amz-mp-object-size' header does not match what was computed."
        raise S3Error("InvalidRequest", message, detail=f"the parts have {size} bytes")

"""Objects that a copy makes by parts: uploads on the store that no client began.

Such an upload is marked beside it, so that one whose proxy died can be told from those of clients:
`s3warden sweep` ends it. Whatever else goes wrong ends it at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest, Step
from proxy.s3.completion import NamedPart, render_completion
from proxy.s3.etags import unquote_etag
from proxy.s3.headers import Headers
from proxy.s3.xml import Element, parse_xml
from proxy.server.envelope.keys import Place
from proxy.server.envelope.steps import reached
from proxy.server.exchange import Exchange
from proxy.server.store import Store, read_answer
from proxy.server.uploads import Uploads
from proxy.server.upstream import UpstreamError

# Fields of the new object that belong to its completion.
_AT_COMPLETION = frozenset({"if-match", "if-none-match"})
# What a store may answer that is the client's to know; anything else is between the proxy and the store.
_TOLD = frozenset({"AccessDenied", "EntityTooSmall", "NoSuchBucket", "NoSuchKey", "PreconditionFailed"})

_NOTHING = Element("Nothing")

_log = logging.getLogger("s3warden.uploads")


@dataclass(frozen=True, slots=True)
class Made:
    """An object that was made: its ETag without quotes, and its version where there are any."""

    etag: str
    version: str | None


class CopyUploads:
    """Begins and ends uploads on behalf of copies."""

    def __init__(self, store: Store, uploads: Uploads) -> None:
        self._store = store
        self._uploads = uploads

    async def make(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        place: Place,
        fields: dict[str, str],
        send: Callable[[str], Awaitable[Sequence[NamedPart]]],
    ) -> Made:
        """Make an object with `fields` of the parts that `send` puts into an upload.

        Raises `S3Error`, and whatever `send` raises; the upload is given up then.
        """
        creation = {name: value for name, value in fields.items() if name not in _AT_COMPLETION}
        step = Step("POST", place.bucket, place.key, (("uploads", ""),), creation)
        upload_id = (await self.ask(exchange, authorized, step)).value("UploadId")
        if not upload_id:
            raise S3Error("InternalError", detail="the upstream created an upload without an id")
        reached("copy-created")
        try:
            await self._uploads.mark_copy(place.bucket, place.key, upload_id)
            reached("copy-marked")
            parts = await send(upload_id)
            reached("copy-sent")
            conditions = {name: value for name, value in fields.items() if name in _AT_COMPLETION}
            body = render_completion(parts)
            step = Step(
                "POST", place.bucket, place.key, (("uploadId", upload_id),),
                {**conditions, "content-type": "application/xml", "content-length": str(len(body))},
                sha256(body).hexdigest(), lambda signer: body,
            )  # fmt: skip
            done, headers = await self._send(exchange, authorized, step)
        except BaseException:
            await asyncio.shield(self._give_up(place, upload_id))
            raise
        reached("copy-completed")
        await self._uploads.end(place.bucket, place.key, upload_id)
        return Made(unquote_etag(done.value("ETag") or ""), headers.joined("x-amz-version-id"))

    async def ask(self, exchange: Exchange, authorized: AuthorizedRequest, step: Step) -> Element:
        """Send a step of a copy and return the document it is answered with; raises `S3Error`."""
        return (await self._send(exchange, authorized, step))[0]

    async def put(self, exchange: Exchange, authorized: AuthorizedRequest, step: Step) -> str:
        """Send a part and return its ETag as the store writes it; raises `S3Error`."""
        return (await self._send(exchange, authorized, step))[1].joined("etag") or ""

    async def _send(self, exchange: Exchange, authorized: AuthorizedRequest, step: Step) -> tuple[Element, Headers]:
        answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
        body = await read_answer(answer, exchange.rules.config.limits.xml_bytes)
        root = parse_xml(body.lstrip()) if body.lstrip()[:1] == b"<" else _NOTHING
        if answer.status == 200 and root.name != "Error":
            return root, answer.headers
        code = root.value("Code") or ""
        if code in _TOLD:
            raise S3Error(code)
        raise S3Error("ServiceUnavailable", detail=f"the upstream answered {answer.status} {code} to a step of a copy")

    async def _give_up(self, place: Place, upload_id: str) -> None:
        """Abort an upload; the mark stays where that fails, for the operator's sweep."""
        try:
            if await self._store.abort_upload(place.bucket, place.key, upload_id):
                await self._uploads.end(place.bucket, place.key, upload_id)
                return
            problem: object = "the upstream refuses"
        except (S3Error, UpstreamError) as error:
            problem = error
        _log.warning("the upload of a copy to `%s` could not be given up: %s", place.bucket, problem)

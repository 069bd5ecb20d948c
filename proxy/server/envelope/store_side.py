"""What a store does by itself with objects of buckets that are not encrypted: copies, attributes, selections, parts.

Its answers do not say what kind of object it was, and a copy with other metadata is not even marked any more.
(About parts they should say it, and there are stores that leave the metadata out.) So the object is looked at
before. One that is exchanged between the look and the work is not noticed; only whoever holds the store could
do that, and could as well take the mark off.
"""

from __future__ import annotations

from aiohttp import web

from proxy.envelope.metadata import ENVELOPE_HEADER
from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest, Step
from proxy.s3.copy_source import parse_copy_source
from proxy.s3.request import S3Request
from proxy.server.answers import Answers
from proxy.server.envelope.customer_keys import OF_READING, for_the_store
from proxy.server.envelope.undeclared import passes_ciphertext, undeclared
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked
from proxy.server.sending import prepare_document
from proxy.server.store import Store

WORKS = frozenset({"CopyObject", "GetObjectAttributes", "SelectObjectContent", "UploadPartCopy"})
"""Operations that a store does by itself."""

_OF_PARTS = frozenset({"GetObject", "HeadObject"})

# There is nothing to be worked on under this name and version, or not without a key: the store says it in its words.
_NOTHING = frozenset({400, 404, 405})


class StoreSide:
    """Sends such requests on, once it is known that their objects are not encrypted by the proxy."""

    def __init__(self, store: Store, answers: Answers) -> None:
        self._store = store
        self._answers = answers

    def concerns(self, exchange: Exchange, request: S3Request) -> bool:
        """Tell whether a request on a bucket that is not encrypted has to be looked into."""
        name = request.operation.name
        looks = name in WORKS or ("partNumber" in request.parameters and name in _OF_PARTS)
        return looks and not passes_ciphertext(exchange, _object(request)[0])

    async def send(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Answer with what the store makes of it; raises `IntegrityError` undeclared."""
        await self._look(exchange, authorized)
        answer = await self._store.send(prepare_document(exchange, self._store, authorized, asked.content))
        return await self._answers.reply(exchange, authorized, answer)

    async def _look(self, exchange: Exchange, authorized: AuthorizedRequest) -> None:
        request = authorized.request
        bucket, key, version = _object(request)
        store_key = for_the_store(request.headers, source=request.operation.copies)
        payer = request.headers.get("x-amz-request-payer")
        fields = {**store_key, **({"x-amz-request-payer": payer} if payer else {})}
        step = Step("HEAD", bucket, key, (("versionId", version),) if version else (), fields)
        answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
        answer.close()
        status = answer.status
        if store_key and status in (400, 403):
            raise S3Error(*(OF_READING.idle if status == 400 else OF_READING.wrong))
        if status in _NOTHING:
            return
        if status == 403:
            detail = "the upstream refuses a look at the object with 403: check credentials and permissions"
            raise S3Error("AccessDenied", detail=detail)
        if status != 200:
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {status} to a look at the object")
        if ENVELOPE_HEADER in answer.headers:
            raise undeclared(bucket)


def _object(request: S3Request) -> tuple[str, str, str | None]:
    """Return bucket, key and version of what is worked on."""
    if not request.operation.copies:
        return request.bucket or "", request.key or "", request.version_id
    source = parse_copy_source(request.headers.get("x-amz-copy-source") or "")
    return source.bucket, source.key, source.version_id

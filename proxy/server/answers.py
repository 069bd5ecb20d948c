"""Which answer gets which treatment: passed on, changed, or made here.

A table of exceptions: what is not named here is passed on as it comes.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest
from proxy.s3.checksum_elements import strip_checksum_elements
from proxy.s3.completion import with_location
from proxy.s3.deletes import Refusal, merge_refusals
from proxy.s3.form_answer import form_answer
from proxy.s3.forwarding import upstream_path
from proxy.s3.listing import bucket_names, filter_buckets
from proxy.s3.operation import Operation
from proxy.s3.operations import OPERATIONS
from proxy.s3.request import S3Request
from proxy.s3.xml import ROOT, Element, parse_xml
from proxy.sealing import SSE
from proxy.server.exchange import Exchange
from proxy.server.intake import FormUpload
from proxy.server.judge import Judge
from proxy.server.relay import Edit, answer_fields, relay, relay_edited, relay_late, reply_document
from proxy.server.store import read_answer
from proxy.server.uploads import ENDS, Uploads
from proxy.server.upstream import UpstreamAnswer

# S3 admits that a key is missing only to those who could find out by listing.
_HIDES_ABSENCE = frozenset({"GetObject", "HeadObject", "GetObjectAttributes"})


class Answers:
    """Replies to clients with what the store said."""

    def __init__(self, uploads: Uploads, judge: Judge) -> None:
        self._uploads = uploads
        self._judge = judge

    async def reply(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        answer: UpstreamAnswer,
        refusals: Sequence[Refusal] = (),
        form: FormUpload | None = None,
    ) -> web.StreamResponse:
        """Answer the client; `refusals` are the entries of a batch delete that the store was not asked about."""
        if form is None and answer.status < 300 and authorized.request.operation.name in _PASSED_ON:
            return await relay(exchange, answer)
        try:
            return await self._reply(exchange, authorized, answer, refusals, form)
        finally:
            answer.close()

    async def _reply(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        answer: UpstreamAnswer,
        refusals: Sequence[Refusal],
        form: FormUpload | None,
    ) -> web.StreamResponse:
        request = authorized.request
        name = request.operation.name
        if answer.status == 404 and name in _HIDES_ABSENCE:
            self._hide_absence(exchange, request.bucket or "")
        if answer.status >= 300:
            return await relay(exchange, answer)
        if form is not None:
            return await self._reply_form(exchange, authorized, answer, form)
        if name == "ListBuckets":
            return await relay_edited(exchange, answer, _reading(lambda found: self._show_buckets(exchange, found)))
        if refusals:
            return await relay_edited(exchange, answer, _reading(lambda found: merge_refusals(found, refusals)))
        if name in _ROOTS or _is_setting(request.operation):
            return await relay_edited(exchange, answer, lambda document: _known(name, document))
        strips = exchange.rules.config.upstream.payload == "unsigned" and request.operation.answer == "xml"
        edit = _reading(strip_checksum_elements) if strips else _as_it_is
        if name == "CompleteMultipartUpload":
            edit = located(exchange, request, edit)
        if request.bucket is not None and name in _OF_UPLOADS and exchange.rules.reads_encryption(request.bucket):
            return await self._reply_upload(exchange, authorized, answer, edit)
        if edit is _as_it_is:
            return await relay(exchange, answer)
        return await (relay_late if request.operation.late_errors else relay_edited)(exchange, answer, edit)

    async def reply_refused(self, exchange: Exchange, refusals: Sequence[Refusal]) -> web.StreamResponse:
        """Answer a batch delete of which nothing was left to ask the store."""
        return await reply_document(exchange, 200, merge_refusals(None, refusals))

    def _hide_absence(self, exchange: Exchange, bucket: str) -> None:
        if not self._judge.may(exchange, "s3:ListBucket", [bucket])[bucket]:
            raise S3Error("AccessDenied", detail="the key does not exist, and the caller may not list the bucket")

    def _show_buckets(self, exchange: Exchange, document: bytes) -> bytes:
        visible = self._judge.may(exchange, "s3:ListBucket", bucket_names(document))
        return filter_buckets(document, visible.__getitem__)

    async def _reply_upload(
        self, exchange: Exchange, authorized: AuthorizedRequest, answer: UpstreamAnswer, edit: Edit
    ) -> web.StreamResponse:
        """Begin or end what is kept beside an upload."""
        request = authorized.request
        bucket, key = request.bucket or "", request.key or ""
        if request.operation.name == "CreateMultipartUpload":
            document = await read_answer(answer, exchange.rules.config.limits.xml_bytes)
            upload_id = _root(document).value("UploadId")
            if not upload_id:
                raise S3Error("InternalError", detail="the upstream created an upload without an id")
            await self._uploads.begin(bucket, key, upload_id, authorized.verdict.answers[0].question)
            return await relay_edited(exchange, answer, edit, document)
        succeeded = True

        def notice(document: bytes) -> bytes:
            nonlocal succeeded
            succeeded = not document or _root(document).name != "Error"
            return edit(document)

        sent = await relay_late(exchange, answer, notice)
        if succeeded and request.operation.name in ENDS:
            await self._uploads.end(bucket, key, request.parameters["uploadId"])
        return sent

    async def _reply_form(
        self, exchange: Exchange, authorized: AuthorizedRequest, answer: UpstreamAnswer, form: FormUpload
    ) -> web.StreamResponse:
        """Answer a browser the way its form asks for."""
        exchange.answered(answer.status, answer.headers)
        await read_answer(answer, exchange.rules.config.limits.xml_bytes)
        request = authorized.request
        etag = answer.headers.get("etag") or ""
        made = form_answer(form.fields, request.bucket or "", request.key or "", etag, _address(exchange, request))
        encrypted = [pair for pair in answer_fields(exchange, answer) if pair[0].lower().startswith(SSE)]
        fields = [*made.headers, ("ETag", etag), *encrypted]
        return await reply_document(exchange, made.status, made.document, fields)


# Stores that do not know these sub-resources ignore them, and answer with the object, which was not asked about.
_ROOTS = {
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectLegalHold": "LegalHold",
    "GetObjectRetention": "Retention",
    "GetObjectTagging": "Tagging",
}


def _is_setting(operation: Operation) -> bool:
    """Tell whether a bucket is asked for one of its settings, for which such stores answer with a listing."""
    return (operation.scope, operation.method, operation.answer) == ("bucket", "GET", "xml") and (
        operation.subresource not in ("", "uploads", "versions")
    )


def _known(name: str, document: bytes) -> bytes:
    found = ROOT.match(document)
    root = "" if found is None else found[1].decode()
    if root != _ROOTS.get(name, root) or root == "ListBucketResult":
        raise S3Error("NotImplemented", detail=f"the upstream does not know {name}: it answered with something else")
    return document


_OF_UPLOADS = ENDS | {"CreateMultipartUpload"}
_PASSED_ON = frozenset(row.name for row in OPERATIONS.values() if row.answer != "xml") - _OF_UPLOADS
"""Operations whose good answers are no documents: there is nothing to look at."""


def located(exchange: Exchange, request: S3Request, edit: Edit) -> Edit:
    """Name the object by the address that the client used; the store's own would lead around the proxy."""
    return lambda document: with_location(edit(document), _address(exchange, request))


def _address(exchange: Exchange, request: S3Request) -> str:
    """Return the URL of the object, as the client would write it."""
    host = exchange.connection.forwarded_host or request.head.headers.joined("host") or ""
    scheme = "https" if exchange.connection.secure else "http"
    return f"{scheme}://{host}" + upstream_path(
        request.bucket, request.key, virtual_host=request.address.style == "virtual"
    )


def _reading(edit: Edit) -> Edit:
    """Blame the store, not the client, when what it answered cannot be read."""

    def read(document: bytes) -> bytes:
        try:
            return edit(document)
        except S3Error as error:
            raise S3Error("InternalError", detail=f"the upstream's answer cannot be read: {error.detail}") from error

    return read


def _root(document: bytes) -> Element:
    try:
        return parse_xml(document)
    except S3Error as error:
        raise S3Error("InternalError", detail=f"the upstream's answer cannot be read: {error.detail}") from error


def _as_it_is(document: bytes) -> bytes:
    return document

"""Which operation on an encrypted bucket goes where: one table, and nothing falls through it.

An operation that is not named here is refused: it could return stored bytes, or store what it was given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from aiohttp import web

from proxy.access.kms import KEY_ID_HEADER
from proxy.envelope.customer_key import NAME, OWN_FIELDS
from proxy.envelope.state import StateSeal
from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest, Step
from proxy.rewrite import MAKES_OBJECT, UnknownAliasError
from proxy.s3.copy_source import parse_copy_source
from proxy.s3.request import S3Request
from proxy.s3.xml import parse_xml
from proxy.server.answers import Answers
from proxy.server.envelope.attributes import Attributes
from proxy.server.envelope.bucket_encryption import BucketEncryptions
from proxy.server.envelope.completing import Completer
from proxy.server.envelope.copy_uploads import CopyUploads
from proxy.server.envelope.copying import Copier
from proxy.server.envelope.customer_keys import admit_customer_keys
from proxy.server.envelope.fields import stored_fields
from proxy.server.envelope.keys import Capsules
from proxy.server.envelope.listing import Lister
from proxy.server.envelope.manifests import Manifests
from proxy.server.envelope.part_copies import PartCopies
from proxy.server.envelope.part_copying import PartCopier
from proxy.server.envelope.part_list import PartList
from proxy.server.envelope.reading import Reader
from proxy.server.envelope.sources import Damaged, Sources
from proxy.server.envelope.store_side import StoreSide
from proxy.server.envelope.streamed_parts import StreamedParts
from proxy.server.envelope.undeclared import refuse_marks
from proxy.server.envelope.updating import Updater
from proxy.server.envelope.upload_keys import VALUE, UploadKeys
from proxy.server.envelope.uploading import Uploader
from proxy.server.envelope.writing import Writer
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked
from proxy.server.rules import Rules
from proxy.server.sending import prepare_document
from proxy.server.store import Store
from proxy.server.uploads import CONTINUES, Uploads

Handler: TypeAlias = Callable[[Exchange, Asked, AuthorizedRequest], Awaitable[web.StreamResponse]]

# Neither their request nor their answer holds bytes, sizes or ETags of objects.
_UNTOUCHED = frozenset(
    {
        "CorsPreflight",
        "CreateBucket",
        "DeleteBucket",
        "HeadBucket",
        "DeleteObjectTagging",
        "GetObjectAcl",
        "GetObjectLegalHold",
        "GetObjectRetention",
        "GetObjectTagging",
        "DeleteObjects",  # its conditions are translated where its body is written
        "PutObjectAcl",
        "PutObjectLegalHold",
        "PutObjectRetention",
        "PutObjectTagging",
    }
)

_LISTINGS = frozenset({"uploads", "versions"})
_UPLOADS_ONLY_OURS = frozenset({"AbortMultipartUpload", "ListParts"})
_MAY_BE_OURS = (
    frozenset(
        {
            "ListObjects",
            "ListObjectsV2",
            "ListObjectVersions",
            "UploadPart",
            "CompleteMultipartUpload",
            "UploadPartCopy",
        }
    )
    | _UPLOADS_ONLY_OURS
)
_SELECTS = frozenset({"OutputLocation", "SelectParameters", "Type"})
_NO_KEYS: Mapping[str, str] = MappingProxyType({})
_PLAIN: Mapping[str, str] = MappingProxyType({"s3w:envelope": "false"})
_SEALED: Mapping[str, str] = MappingProxyType({"s3w:envelope": "true"})


class SealedBuckets:
    """Takes over the operations on buckets in envelope mode."""

    def __init__(
        self,
        store: Store,
        capsules: Capsules,
        answers: Answers,
        uploads: Uploads,
        seal: Callable[[], StateSeal],
        damaged: Damaged,
    ) -> None:
        manifests = Manifests(store, capsules)
        reader, writer = Reader(store, capsules, answers, manifests), Writer(store, capsules, answers)
        self._store = store
        self._capsules = capsules
        self._answers = answers
        self._store_side = StoreSide(store, answers)
        lister = Lister(store, reader, answers)
        upload_keys = UploadKeys(uploads, capsules, seal)
        uploader = Uploader(store, capsules, answers, uploads, upload_keys)
        part_list = PartList(store, answers, uploads, upload_keys)
        completer = Completer(store, capsules, answers, uploads, upload_keys, part_list, lister)
        sources = Sources(store, capsules, manifests, damaged)
        copy_uploads = CopyUploads(store, uploads)
        streamed = StreamedParts(copy_uploads, sources, capsules.entropy)
        copier = Copier(store, capsules, answers, sources, PartCopies(copy_uploads, manifests), streamed)
        part_copier = PartCopier(store, capsules, sources, uploads, upload_keys)
        settings = BucketEncryptions(store, capsules, answers)
        self._handlers: Mapping[str, Handler] = {
            "AbortMultipartUpload": uploader.abort,
            "CompleteMultipartUpload": completer.complete,
            "CopyObject": copier.copy,
            "CreateMultipartUpload": uploader.create,
            "DeleteBucketEncryption": settings.delete,
            "DeleteObject": self._delete,
            "GetBucketEncryption": settings.get,
            "GetObject": reader.get,
            "GetObjectAttributes": Attributes(reader, manifests, capsules).get,
            "HeadObject": reader.head,
            "ListMultipartUploads": lister.list,
            "ListObjects": lister.list,
            "ListObjectsV2": lister.list,
            "ListObjectVersions": lister.list,
            "ListParts": part_list.list,
            "PostObject": writer.put,
            "PutBucketEncryption": settings.put,
            "PutObject": writer.put,
            "RestoreObject": self._restore,
            "UploadPart": uploader.part,
            "UpdateObjectEncryption": Updater(store, capsules).update,
            "UploadPartCopy": part_copier.copy,
        }

    async def refused(self, exchange: Exchange, request: S3Request, error: UnknownAliasError) -> None:
        """Keep on record that a write asked for a key by an alias that none here has."""
        if request.operation.name in MAKES_OBJECT and request.bucket and request.key:
            place = self._capsules.place(exchange, request.bucket, request.key)
            await self._capsules.refused(exchange, place, "kms:GenerateDataKey", error.alias, error)

    def handler(self, exchange: Exchange, request: S3Request) -> Handler | None:
        """Return who answers a request; None when its bucket is none of ours and it goes on as it is.

        Raises `S3Error` NotImplemented for what cannot be done to encrypted objects.
        """
        upload = exchange.upload
        admit_customer_keys(exchange, request, sealed_upload=upload is not None and VALUE in upload.envelope)
        if not self.concerns(exchange, request):
            refuse_marks(exchange, request)
            own = self._keeps_own(exchange, request)
            return self._store_side.send if own is None and self._store_side.concerns(exchange, request) else own
        operation = request.operation
        continues = operation.name in CONTINUES and is_sealed(exchange.rules, request.bucket or "")
        if continues and (exchange.upload is None or VALUE not in exchange.upload.envelope):
            raise S3Error("NoSuchUpload", close=True)
        handler = self._handlers.get(operation.name)
        if handler is None and not _is_untouched(request):
            raise S3Error("NotImplemented", f"{operation.name} is not supported on encrypted buckets.", close=True)
        return handler

    async def _restore(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Restore an archived object; a restore that selects from its content would read stored bytes."""
        if asked.content and any(child.name in _SELECTS for child in parse_xml(asked.content).children):
            raise S3Error("NotImplemented", "Selecting from encrypted objects is not supported.")
        answer = await self._store.send(prepare_document(exchange, self._store, authorized, asked.content))
        return await self._answers.reply(exchange, authorized, answer)

    async def _delete(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Delete an object; only conditions on its ETag need translation."""
        request = authorized.request
        if "x-amz-if-match-size" in request.headers:
            raise S3Error("NotImplemented", "Sizes cannot be conditions where objects are encrypted.")
        query = tuple(request.parameters.items())
        step = Step("DELETE", request.bucket or "", request.key or "", query, stored_fields(request.headers))
        prepared = self._store.forwarder.prepare_step(authorized, step, exchange.time)
        return await self._answers.reply(exchange, authorized, await self._store.send(prepared))

    def concerns(self, exchange: Exchange, request: S3Request) -> bool:
        """Tell whether a request reads or writes a bucket in envelope mode."""
        rules = exchange.rules
        if request.bucket is None:
            return False
        if is_sealed(rules, request.bucket):
            return True
        if not request.operation.copies:
            return False
        return is_sealed(rules, parse_copy_source(request.headers.get("x-amz-copy-source") or "").bucket)

    def _keeps_own(self, exchange: Exchange, request: S3Request) -> Handler | None:
        """Return who answers for a bucket that is not encrypted but may hold what the proxy keeps for uploads.

        An upload that began while the bucket was in envelope mode ends as it began.
        """
        rules, name = exchange.rules, request.operation.name
        if request.bucket is None or name not in _MAY_BE_OURS or not rules.keeps_uploads(request.bucket):
            return None
        if name in CONTINUES and (exchange.upload is None or VALUE not in exchange.upload.envelope):
            return None
        if name in _UPLOADS_ONLY_OURS and not rules.config.keys:
            return None
        return self._handlers[name]


def proxy_keys(rules: Rules, request: S3Request) -> Mapping[str, str]:
    """Return the condition keys that tell whether, and under which key, the proxy encrypts what a request writes."""
    operation, bucket = request.operation, request.bucket
    if bucket is None or (operation.name not in MAKES_OBJECT and operation.name not in CONTINUES):
        return _NO_KEYS
    if not is_sealed(rules, bucket):
        return _PLAIN
    if operation.name in CONTINUES:
        return _SEALED
    if not request.headers.names().isdisjoint(OWN_FIELDS):
        return {**_SEALED, "s3w:envelopekeyid": NAME}
    named = request.headers.get(KEY_ID_HEADER)
    key = rules.config.keys.get(rules.config.bucket(bucket).encryption.key or "")
    arn = rules.access.kms.key_arn(named) if named is not None else key.arn if key is not None else ""
    return {**_SEALED, "s3w:envelopekeyid": arn}


def is_sealed(rules: Rules, bucket: str) -> bool:
    """Tell whether the proxy encrypts what is in a bucket."""
    return rules.config.bucket(bucket).encryption.mode == "envelope"


def _is_untouched(request: S3Request) -> bool:
    operation = request.operation
    if operation.name in _UNTOUCHED:
        return True
    # Settings of a bucket: lifecycle, tags, logging. They act on stored bytes and never return them.
    return operation.scope == "bucket" and bool(operation.subresource) and operation.subresource not in _LISTINGS

"""What a multipart upload carries from its creation to its parts, kept beside it on the store.

S3 takes encryption headers at CreateMultipartUpload only, so a policy that demands them could never be
met by a part. Where a policy in force reads those keys, their values are written at creation under the
state prefix, read by whichever proxy takes a part, and deleted when the upload ends.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

from proxy.access.questions import Question
from proxy.access.upload_context import INHERITED, UploadContext, parse_upload_context
from proxy.config import State
from proxy.errors import IntegrityError, S3Error
from proxy.s3.state import context_key
from proxy.server.store import Store
from proxy.server.upstream import UpstreamError

MAX_REMEMBERED = 4096

CONTINUES = frozenset({"UploadPart", "UploadPartCopy", "CompleteMultipartUpload"})
"""Operations that are judged with the values of their upload's creation."""
ENDS = frozenset({"CompleteMultipartUpload", "AbortMultipartUpload"})

_log = logging.getLogger("s3warden.uploads")


class Uploads:
    """Reads and writes upload contexts, and remembers the ones it has seen."""

    def __init__(self, store: Store, state: Callable[[], State]) -> None:
        self._store = store
        self._state = state
        self._known: OrderedDict[str, UploadContext] = OrderedDict()

    async def begin(self, bucket: str, key: str, upload_id: str, question: Question) -> None:
        """Keep what the creation said; the upload is given up when that cannot be kept.

        Raises `S3Error` ServiceUnavailable: parts without a context would be judged as unencrypted.
        """
        conditions = {name: value for name in INHERITED if isinstance(value := question.context.get(name), str)}
        context = UploadContext(conditions)
        place, name = self._place(bucket, key, upload_id)
        try:
            await self._store.put(place, name, context.serialise())
        except (S3Error, UpstreamError) as error:
            _log.error("cannot keep the context of an upload to `%s`: %s", bucket, error)
            await self._store.abort_upload(bucket, key, upload_id)
            raise S3Error("ServiceUnavailable", detail=f"cannot keep the upload context: {error}") from error
        self._remember(name, context)

    async def find(self, bucket: str, key: str, upload_id: str) -> UploadContext | None:
        """Return the context of an upload, None if it has none: its keys are then absent.

        Raises `S3Error` ServiceUnavailable for one that cannot be read or is not ours.
        """
        place, name = self._place(bucket, key, upload_id)
        known = self._known.get(name)
        if known is not None:
            self._known.move_to_end(name)
            return known
        raw = await self._store.get(place, name)
        if raw is None:
            return None
        try:
            context = parse_upload_context(raw)
        except IntegrityError as error:
            raise S3Error("ServiceUnavailable", detail=str(error)) from error
        self._remember(name, context)
        return context

    async def end(self, bucket: str, key: str, upload_id: str) -> None:
        """Delete what was kept. A failure is logged only: the upload itself has ended well."""
        place, name = self._place(bucket, key, upload_id)
        self._known.pop(name, None)
        try:
            if not await self._store.delete(place, name):
                _log.warning("the context `%s` in `%s` could not be deleted", name, place)
        except UpstreamError as error:
            _log.warning("the context `%s` in `%s` could not be deleted: %s", name, place, error)

    def _place(self, bucket: str, key: str, upload_id: str) -> tuple[str, str]:
        state = self._state()
        return state.bucket or bucket, context_key(bucket, key, upload_id, state.prefix)

    def _remember(self, name: str, context: UploadContext) -> None:
        self._known[name] = context
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

"""What a multipart upload carries from its creation to its parts, kept beside it on the store.

S3 takes encryption headers at CreateMultipartUpload only, so a policy that demands them could never be
met by a part. Where a policy in force reads those keys, their values are written at creation under the
state prefix, read by whichever proxy takes a part, and deleted when the upload ends.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.access.questions import Question
from proxy.access.upload_context import INHERITED, UploadContext, parse_upload_context
from proxy.config import State
from proxy.envelope.sizes import MIN_PART
from proxy.errors import S3Error
from proxy.s3.headers import Headers
from proxy.s3.state import context_key, copy_mark_key, spill_key
from proxy.server.envelope.steps import reached
from proxy.server.store import Store, read_answer
from proxy.server.upstream import UpstreamError

MAX_REMEMBERED = 4096

CONTINUES = frozenset({"UploadPart", "UploadPartCopy", "CompleteMultipartUpload"})
"""Operations that are judged with the values of their upload's creation."""
ENDS = frozenset({"CompleteMultipartUpload", "AbortMultipartUpload"})

# What a small part says of itself, in the metadata of the object that holds it.
_FOLLOWS, _DIGEST = "x-amz-meta-s3w-follows", "x-amz-meta-s3w-digest"
_NOTHING_BEFORE = "none"

_log = logging.getLogger("s3warden.uploads")


@dataclass(frozen=True, slots=True)
class Spilled:
    """A small part that waits for the end of its upload; `size` is that of its sealed bytes."""

    etag: str
    size: int
    modified: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A small part with its sealed bytes."""

    etag: str
    """As the store writes it."""
    sealed: bytes = field(repr=False)
    follows: str
    """ETag, without quotes, of the large part that the store had under the same number; empty for none."""
    digest: str | None = field(repr=False)
    """What vouches for the sealed bytes where an upload is completed without the key that opens them."""


class Uploads:
    """Reads and writes upload contexts, and remembers the ones it has seen."""

    def __init__(self, store: Store, state: Callable[[], State]) -> None:
        self._store = store
        self._state = state
        self._known: OrderedDict[str, UploadContext | None] = OrderedDict()
        self._ending: set[asyncio.Task[None]] = set()

    async def begin(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        question: Question,
        envelope: Callable[[UploadContext], UploadContext] = lambda context: context,
    ) -> None:
        """Keep what the creation said; the upload is given up when that cannot be kept.

        `envelope` adds what the upload's encryption needs later.

        Raises `S3Error` ServiceUnavailable: parts without a context would be judged as unencrypted.
        """
        conditions = {name: value for name in INHERITED if isinstance(value := question.context.get(name), str)}
        context = envelope(UploadContext(conditions))
        place, name = self._place(bucket, key, upload_id)
        try:
            await self._store.put(place, name, context.serialise())
        except (S3Error, UpstreamError) as error:
            _log.error("cannot keep the context of an upload to `%s`: %s", bucket, error)
            await self._store.abort_upload(bucket, key, upload_id)
            raise S3Error("ServiceUnavailable", detail=f"cannot keep the upload context: {error}") from error
        self._remember(name, context)

    async def mark_copy(self, bucket: str, key: str, upload_id: str) -> None:
        """Note that an upload is a copy's: no client knows of it, and nobody ends it when its proxy dies."""
        state = self._state()
        await self._store.put(state.bucket or bucket, copy_mark_key(bucket, key, upload_id, state.prefix), b"")

    async def find(self, bucket: str, key: str, upload_id: str, *, fresh: bool = False) -> UploadContext | None:
        """Return the context of an upload, None if it has none: its keys are then absent.

        `fresh` asks the store for what another proxy may have noted in it.

        Raises `S3Error` ServiceUnavailable where the store does not give it, `IntegrityError` for one that is not ours.
        """
        place, name = self._place(bucket, key, upload_id)
        if name in self._known and not fresh:
            self._known.move_to_end(name)
            return self._known[name]
        raw = await self._store.get(place, name)
        if raw is None:
            # Contexts are written before a client knows its upload: what is not there now never will be.
            self._remember(name, None)
            return None
        context = parse_upload_context(raw)
        self._remember(name, context)
        return context

    async def amend(self, bucket: str, key: str, upload_id: str, context: UploadContext) -> None:
        """Keep another version of a context; raises `S3Error` ServiceUnavailable."""
        place, name = self._place(bucket, key, upload_id)
        await self._store.put(place, name, context.serialise())
        self._remember(name, context)

    async def end(self, bucket: str, key: str, upload_id: str) -> None:
        """Delete everything that was kept, in all versions.

        A failure is logged only: the upload itself has ended well. By then clients have their answer, and
        many leave at once; what was begun is finished without them.
        """
        task = asyncio.ensure_future(self._sweep(bucket, key, upload_id))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        await asyncio.shield(task)

    async def _sweep(self, bucket: str, key: str, upload_id: str) -> None:
        place, name = self._place(bucket, key, upload_id)
        self._known.pop(name, None)
        folder = name.removesuffix("ctx")
        try:
            for each, version in await self._store.names(place, folder):
                if not await self._store.delete(place, each, version):
                    _log.warning("`%s` in `%s` could not be deleted", each, place)
                reached("kept-deleted")
        except (UpstreamError, S3Error) as error:
            _log.warning("what is under `%s` in `%s` could not be deleted: %s", folder, place, error)

    async def keep_spill(self, bucket: str, key: str, upload_id: str, number: int, waiting: Waiting) -> str:
        """Keep a part that is too small for the store to take before another; returns its ETag."""
        state = self._state()
        name = spill_key(bucket, key, upload_id, number, state.prefix)
        fields = {_FOLLOWS: waiting.follows or _NOTHING_BEFORE}
        if waiting.digest is not None:
            fields[_DIGEST] = waiting.digest
        return await self._store.put(state.bucket or bucket, name, waiting.sealed, fields)

    async def spills(self, bucket: str, key: str, upload_id: str) -> dict[int, Spilled]:
        """Return the small parts that are kept, by number."""
        place, name = self._place(bucket, key, upload_id)
        return {
            int(number): Spilled(etag, size, modified)
            for found, etag, size, modified in await self._store.objects(place, name.removesuffix("ctx"))
            if (number := found.rpartition("/")[2]).isdigit()
        }

    async def spill_follows(self, bucket: str, key: str, upload_id: str, number: int) -> str | None:
        """Return which large part a small one follows; None when there is no small one."""
        state = self._state()
        name = spill_key(bucket, key, upload_id, number, state.prefix)
        answer = await self._store.head(state.bucket or bucket, name)
        if answer.status not in (200, 404):
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {answer.status} to a HEAD of `{name}`")
        return _follows(answer.headers) if answer.status == 200 else None

    async def spill(self, bucket: str, key: str, upload_id: str, number: int) -> Waiting | None:
        """Return a small part; None when there is none."""
        state = self._state()
        name = spill_key(bucket, key, upload_id, number, state.prefix)
        answer = await self._store.fetch(state.bucket or bucket, name)
        body = await read_answer(answer, MIN_PART)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {answer.status} to a read of `{name}`")
        headers = answer.headers
        return Waiting(headers.joined("etag") or "", body, _follows(headers), headers.get(_DIGEST))

    def _place(self, bucket: str, key: str, upload_id: str) -> tuple[str, str]:
        state = self._state()
        return state.bucket or bucket, context_key(bucket, key, upload_id, state.prefix)

    def name(self, bucket: str, key: str, upload_id: str) -> str:
        """Return the name of an upload's context."""
        return self._place(bucket, key, upload_id)[1]

    def forget(self, bucket: str, key: str, upload_id: str) -> None:
        """Ask the store again for a context that turned out to be wrong."""
        self._known.pop(self.name(bucket, key, upload_id), None)

    def _remember(self, name: str, context: UploadContext | None) -> None:
        self._known[name] = context
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)


def _follows(headers: Headers) -> str:
    """Return the ETag of the large part that a small one follows, empty for none."""
    text = headers.get(_FOLLOWS) or _NOTHING_BEFORE
    return "" if text == _NOTHING_BEFORE else text

"""What is kept beside a multipart upload goes when the upload ends."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from proxy.config import State
from proxy.errors import IntegrityError
from proxy.server.store import Store
from proxy.server.uploads import Uploads


class SlowStore:
    """Lists one object, and takes its time."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.deleted: list[str] = []

    async def names(self, bucket: str, prefix: str) -> list[tuple[str, str]]:
        self.asked.set()
        await self.answers.wait()
        return [(f"{prefix}ctx", "")]

    async def delete(self, bucket: str, key: str, version_id: str = "") -> bool:
        self.deleted.append(key)
        return True


async def test_what_was_kept_is_deleted_even_when_the_client_leaves_right_after_its_answer() -> None:
    store = SlowStore()
    uploads = Uploads(cast("Store", store), State)
    handler = asyncio.ensure_future(uploads.end("bkt", "key", "upload"))
    await store.asked.wait()
    handler.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handler
    store.answers.set()
    await asyncio.sleep(0.01)
    assert store.deleted == [uploads.name("bkt", "key", "upload")]


class DamagedStore:
    """Has something else where a context should be."""

    async def get(self, bucket: str, key: str) -> bytes:
        return b'{"v":1}'


async def test_a_context_that_is_not_ours_is_a_failure_of_integrity_and_is_not_remembered() -> None:
    uploads = Uploads(cast("Store", DamagedStore()), State)
    for _ in range(2):
        with pytest.raises(IntegrityError, match="other members"):
            await uploads.find("bkt", "key", "upload")

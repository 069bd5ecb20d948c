"""What uploads leave on the store when nobody ends them: found, and cleared away.

Two things stay behind. What the proxy keeps beside an upload outlives one that the store ended by itself;
and an upload outlives a proxy that died before anybody else knew of it: in the middle of a copy, or before
it answered the client that created it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from proxy.clock import Clock
from proxy.config import Config
from proxy.s3.state import context_key, copy_mark_key, upload_directory
from proxy.server.store import Store

IDLE_SECONDS = 3600.0
"""How long nothing was added to an upload that is taken for forsaken: a part of a copy takes minutes."""


@dataclass(frozen=True, slots=True)
class Forsaken:
    """An upload that nobody will end."""

    bucket: str
    key: str
    upload_id: str


class Sweeper:
    """Looks for leftovers of one store."""

    def __init__(self, store: Store, config: Config, clock: Clock) -> None:
        self._store = store
        self._config = config
        self._clock = clock

    async def forsaken(self, bucket: str) -> list[Forsaken]:
        """Return the uploads to objects of a bucket that no client knows of and no proxy works on."""
        state = self._config.upstream.state
        sealed = self._config.bucket(bucket).encryption.mode == "envelope"
        # In this order: an upload that begins meanwhile is not looked at.
        uploads = await self._store.uploads(bucket)
        kept = {key for key, _ in await self._store.names(state.bucket or bucket, f"{state.prefix}mpu/")}
        found = []
        for key, upload_id, initiated in uploads:
            name = (bucket, key, upload_id)
            is_copy = copy_mark_key(*name, state.prefix) in kept
            # What a client can use of an encrypted bucket has a context; without one there are no parts either.
            nameless = sealed and context_key(*name, state.prefix) not in kept
            if not is_copy and not nameless:
                continue
            parts = await self._store.part_times(bucket, key, upload_id)
            if (is_copy or not parts) and self._is_idle([initiated, *parts]):
                found.append(Forsaken(*name))
        return found

    async def give_up(self, upload: Forsaken) -> bool:
        """Abort an upload; tell whether the store agreed."""
        return await self._store.abort_upload(upload.bucket, upload.key, upload.upload_id)

    async def leftovers(self, bucket: str) -> Sequence[tuple[str, str]]:
        """Return what is kept for uploads that the store no longer knows: key and version of each object.

        Where all buckets keep their state in one, those of all buckets are returned.
        """
        state = self._config.upstream.state
        # In this order: what is written for an upload that begins meanwhile is not seen.
        kept = await self._store.names(state.bucket or bucket, f"{state.prefix}mpu/")
        alive = {directory async for directory in self._directories(bucket)}
        return [(key, version) for key, version in kept if key.rpartition("/")[0] + "/" not in alive]

    async def delete(self, bucket: str, leftovers: Sequence[tuple[str, str]]) -> int:
        """Delete leftovers; return how many."""
        place = self._config.upstream.state.bucket or bucket
        gone = [await self._store.delete(place, key, version) for key, version in leftovers]
        return sum(gone)

    async def _directories(self, bucket: str) -> AsyncIterator[str]:
        state = self._config.upstream.state
        for each in [bucket] if state.bucket is None else await self._store.buckets():
            for key, upload_id, _ in await self._store.uploads(each):
                yield upload_directory(each, key, upload_id, state.prefix)

    def _is_idle(self, times: Sequence[str]) -> bool:
        """Tell whether all of these times are long past; one that cannot be read may be now."""
        try:
            latest = max(datetime.fromisoformat(each).timestamp() for each in times)
        except ValueError:
            return False
        return self._clock.now() - latest > IDLE_SECONDS

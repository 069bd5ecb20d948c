"""A whole rewrap: bucket keys, then objects and their older versions, side by side, within a rate, resumable."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from proxy.server.pace import Pace
from proxy.server.rotation.listing import Row, rows
from proxy.server.rotation.progress import Progress
from proxy.server.rotation.rewrap import Result, Rewrapper
from proxy.server.rotation.session import Session
from proxy.server.rotation.usage import documents

SLICE = 100
"""Objects between two notes of the progress."""
_AGAIN = frozenset({"failed", "changed"})


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a bucket is rewrapped, and how fast."""

    bucket: str
    prefix: str = ""
    versions: bool = False
    """Whether there are older versions to report on."""
    parallel: int = 8
    rate: float | None = None
    """Objects a second, at most."""


async def rewrap_documents(session: Session, rewrapper: Rewrapper, bucket: str, note: Callable[[Result], None]) -> None:
    """Write the bucket keys of a bucket anew; raises `S3Error`, `IntegrityError`."""
    bound = session.config.bucket(bucket).encryption.bind_as or bucket
    async for name, document in documents(session.depot, session.config.upstream.state, bound):
        note(await rewrapper.document(bucket, name, document))


async def rewrap_objects(
    session: Session, rewrapper: Rewrapper, scope: Scope, progress: Progress, note: Callable[[Result], None]
) -> None:
    """Rewrap what is left of a bucket; raises `S3Error` when it cannot be listed, `ConfigError`."""
    places, pace = asyncio.Semaphore(max(1, scope.parallel)), Pace(scope.rate)
    own = session.config.upstream.state.prefix

    async def one(row: Row) -> Result:
        async with places:
            await pace.turn()
            if row.older:
                return await rewrapper.older(scope.bucket, row.key, row.older)
            return await rewrapper.object(scope.bucket, row.key)

    async def some(chosen: list[Row]) -> tuple[Counter[str], list[str]]:
        results = await asyncio.gather(*(one(row) for row in chosen))
        for result in results:
            note(result)
        again = [result.key for result in results if result.outcome in _AGAIN and not result.version]
        return Counter(result.outcome for result in results), again

    if progress.again:
        keys, progress.again = progress.again, []
        progress.tally -= Counter({"changed": progress.tally["changed"], "failed": progress.tally["failed"]})
        tally, again = await some([Row(key) for key in keys])
        progress.advance(progress.after, tally, again)
    key, version = progress.after
    async for page in rows(
        session.depot, scope.bucket, scope.prefix, versions=scope.versions, after=key, version=version
    ):
        for start in range(0, len(page), SLICE):
            chosen = page[start : start + SLICE]
            tally, again = await some([row for row in chosen if not row.key.startswith(own)])
            progress.advance((chosen[-1].key, chosen[-1].version), tally, again)
    progress.end()

"""Putting another capsule round a stored object: the store copies it onto itself, and it keeps everything else.

What is certain, whoever writes at the same time, depends on the store:

- a bucket with versions: the copy is made of the version that was looked at, so capsule and content belong
  together; whatever was written in between is in the object's history, and becomes current again;
- a store that checks `If-Match`: nothing that was written meanwhile is replaced;
- one that checks the copy's source: capsule and content belong together; a write that is taken up while the
  store itself is copying may be replaced;
- one that checks nothing: neither; that it happened shows afterwards.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime

from proxy.config import State
from proxy.envelope.capsule import Kind, ObjectKeys
from proxy.envelope.manifest import open_trailer, parse_locator
from proxy.envelope.metadata import ENVELOPE_HEADER
from proxy.envelope.single import Envelope
from proxy.envelope.sizes import LOCATOR, part_count_of, segment_size
from proxy.errors import IntegrityError, S3Error
from proxy.server.rotation import steps
from proxy.server.rotation.depot import USUAL, Depot, Guard, Stored, Version

NULL_VERSION = "null"


async def replace_capsule(
    depot: Depot,
    stored: Stored,
    envelope: Envelope,
    keys: ObjectKeys,
    value: str,
    *,
    recount: bool = False,
    guard: Guard = USUAL,
    state: State | None = None,
) -> bool:
    """Give an object the metadata `value`; tell whether it has it now, or somebody wrote meanwhile.

    `recount` accepts an object that was copied in another number of parts, and gives it its own again. Of an old
    version this makes a new one. `guard` is what the store checks, `state` where uploads are marked. Raises
    `S3Error`; `IntegrityError` for a trailer that does not open, and, at a store that checks nothing, for an object
    that was written meanwhile and lost its keys.
    """
    current = not stored.version
    if current and (version := stored.headers.joined("x-amz-version-id")) not in (None, "", NULL_VERSION):
        stored = replace(stored, version=version or "")
    steps.reached("looked")
    grants, tagging = await asyncio.gather(depot.grants(stored), depot.tagging(stored))
    fields = _still_locked(stored.fields({ENVELOPE_HEADER: value}), depot.now()) | grants
    if tagging.header:
        fields["x-amz-tagging"] = tagging.header
    steps.reached("told")
    if envelope.kind is Kind.MULTIPART:
        ends = await _boundaries(depot, stored, keys, recount=recount)
        copied = await depot.copy_parts(stored, fields, ends, guard, state)
    else:
        copied = await depot.copy(stored, fields, guard)
    steps.reached("copied")
    # moto names versions in buckets without them when an upload is completed.
    made = copied.version if stored.version else ""
    if stored.version and not made:
        made = await _version_with(depot, stored, value)
    after = None
    if made or not stored.version:
        # Where versioning is suspended the copy is called null, which not every store can be asked for.
        after = await depot.head(stored.bucket, stored.key, "" if made == NULL_VERSION else made)
    written = after is not None and after.headers.get_all(ENVELOPE_HEADER) == (value,)
    if current and stored.version and written:
        written = await _settle(depot, stored, made)
    steps.reached("settled")
    if after is None or not written:
        return False
    if envelope.kind is Kind.SINGLE and guard.source is None and not stored.version and after.etag != stored.etag:
        raise IntegrityError(
            "capsule", "it was written meanwhile, and its new content has lost its keys: upload it again"
        )
    if tagging.header and (await depot.tagging(after)).header != tagging.header:
        # Ceph 16 drops the tags of an object that is copied onto itself, whatever the request says.
        await depot.put_tagging(after, tagging)
    return True


async def _version_with(depot: Depot, stored: Stored, value: str) -> str:
    """Find the version that a copy made at a store that does not say (Ceph 16); empty if it is gone.

    Never the current one without a look: that may be somebody else's.
    """
    for version in await depot.versions(stored.bucket, stored.key):
        if version.id == stored.version:
            break
        found = None if version.deletion else await depot.head(stored.bucket, stored.key, version.id)
        if found is not None and found.headers.get_all(ENVELOPE_HEADER) == (value,):
            return version.id
    return ""


async def _settle(depot: Depot, stored: Stored, made: str) -> bool:
    """Tell whether the copy directly follows the version it was made of; else it goes, and what it hid is current."""
    history = await depot.versions(stored.bucket, stored.key)
    ids = [version.id for version in history]
    if made not in ids or stored.version not in ids:
        return False  # deleted meanwhile, for good
    place = ids.index(made)
    hidden = ids[place + 1 : ids.index(stored.version)]
    # moto lists deletions behind all versions, so their place says nothing there.
    hidden += [each.id for each in history if each.deletion and not each.latest and _is_since(each, stored)]
    if not hidden:
        return history[place].latest
    try:
        await depot.delete(stored.bucket, stored.key, made)
    except S3Error as error:
        problem = f"the version `{hidden[0]}` was written meanwhile and is hidden by `{made}`, which stays"
        raise IntegrityError("version", f"{problem}: {error.code}") from error
    return False


def _is_since(version: Version, stored: Stored) -> bool:
    """Tell whether a version was written since the object was looked at, by the store's clock."""
    looked = stored.headers.joined("date")
    if looked is None or not version.modified:
        return False
    return datetime.fromisoformat(version.modified) >= parsedate_to_datetime(looked)


def _still_locked(fields: dict[str, str], now: float) -> dict[str, str]:
    """Leave out a retention that has ended: S3 takes no dates in the past."""
    until = fields.get("x-amz-object-lock-retain-until-date")
    if until is None or datetime.fromisoformat(until).timestamp() > now:
        return fields
    ended = ("x-amz-object-lock-retain-until-date", "x-amz-object-lock-mode")
    return {name: value for name, value in fields.items() if name not in ended}


async def _boundaries(depot: Depot, stored: Stored, keys: ObjectKeys, *, recount: bool) -> list[int]:
    """Return where the stored parts end, by the trailer: the only bytes that are read of an object."""
    size, count = stored.size, None if recount else part_count_of(stored.etag)
    start = parse_locator(await depot.stretch(stored, size - LOCATOR, size), size, count)
    trailer = await depot.stretch(stored, start, size - LOCATOR)
    manifest = open_trailer(trailer, size, keys, count)
    ends = [part.stored_start + segment_size(part.plain_size) for part in manifest.parts]
    return [*ends[:-1], size] if manifest.part_count == len(ends) else [*ends, size]

"""Putting another capsule round a stored object: the store copies it onto itself, and it keeps everything else."""

from __future__ import annotations

from proxy.envelope.capsule import Kind, ObjectKeys
from proxy.envelope.manifest import open_trailer, parse_locator
from proxy.envelope.metadata import ENVELOPE_HEADER
from proxy.envelope.single import Envelope
from proxy.envelope.sizes import LOCATOR, part_count_of, segment_size
from proxy.server.rotation.depot import Depot, Stored


async def replace_capsule(
    depot: Depot, stored: Stored, envelope: Envelope, keys: ObjectKeys, value: str, *, recount: bool = False
) -> bool:
    """Give an object the metadata `value`; tell whether it has it now, or somebody wrote meanwhile.

    `recount` accepts an object that was copied in another number of parts, and gives it its own again. Of an old
    version this makes a new one. Raises `S3Error`, `IntegrityError` for a trailer that does not open.
    """
    fields = stored.fields({ENVELOPE_HEADER: value}) | await depot.grants(stored)
    tagging = await depot.tagging(stored)
    if tagging.header:
        fields["x-amz-tagging"] = tagging.header
    if envelope.kind is Kind.MULTIPART:
        await depot.copy_parts(stored, fields, await _boundaries(depot, stored, keys, recount=recount))
    else:
        await depot.copy(stored, fields)
    after = await depot.head(stored.bucket, stored.key)
    if after is None or after.headers.get_all(ENVELOPE_HEADER) != (value,):
        return False
    if tagging.header and (await depot.tagging(after)).header != tagging.header:
        # Ceph 16 drops the tags of an object that is copied onto itself, whatever the request says.
        await depot.put_tagging(after, tagging)
    return True


async def _boundaries(depot: Depot, stored: Stored, keys: ObjectKeys, *, recount: bool) -> list[int]:
    """Return where the stored parts end, by the trailer: the only bytes that are read of an object."""
    size, count = stored.size, None if recount else part_count_of(stored.etag)
    start = parse_locator(await depot.stretch(stored, size - LOCATOR, size), size, count)
    trailer = await depot.stretch(stored, start, size - LOCATOR)
    manifest = open_trailer(trailer, size, keys, count)
    ends = [part.stored_start + segment_size(part.plain_size) for part in manifest.parts]
    return [*ends[:-1], size] if manifest.part_count == len(ends) else [*ends, size]

"""What a store checks when it is told to copy an object onto itself, found out by trying.

S3 checks `x-amz-copy-source-if-match`, and newer stores `If-Match` about what the copy replaces. Ceph before
version 18 knows the first by another name (`rgw_rest_s3.cc`, `RGWCopyObj_ObjStore_S3::get_params`), and
others check nothing: a copy then takes whatever is there by the time it is made.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
"""

from __future__ import annotations

from collections.abc import Awaitable

from proxy.errors import S3Error
from proxy.s3.headers import Headers
from proxy.server.rotation.depot import ABSENT, Depot, Guard, Stored

SOURCE_FIELDS = ("x-amz-copy-source-if-match", "x-amz-copy-if-match")
NO_GUARD = Guard(None)


async def find_guard(depot: Depot, bucket: str, key: str) -> Guard:
    """Try what the store checks, with an object of our own, `key`, which does not stay; raises `S3Error`."""
    await depot.put(bucket, key, b"probe")
    try:
        stored = await depot.head(bucket, key)
        if stored is None:
            raise S3Error("ServiceUnavailable", detail="the upstream does not keep what is written")
        other = Stored(bucket, key, Headers.of([("etag", f'"{ABSENT}"')]))
        source = None
        for field in SOURCE_FIELDS:
            if await _is_refused(depot.copy(other, {}, Guard(field))):
                source = field
                break
        destination = await _is_refused(depot.copy(stored, {"if-match": f'"{ABSENT}"'}, NO_GUARD))
        return Guard(source, destination)
    finally:
        await depot.erase(bucket, key)


async def _is_refused(copying: Awaitable[object]) -> bool:
    try:
        await copying
    except S3Error as error:
        if error.code == "PreconditionFailed":
            return True
        if error.code not in ("NotImplemented", "InvalidArgument", "InvalidRequest"):
            raise
    return False

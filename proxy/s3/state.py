"""The names of what the proxy keeps on the backend while an upload is under way.

Everything lies under a state prefix (`.s3w/` unless configured otherwise). The directory of an upload
is a hash over bucket, key and upload id, each with its length before it, so no two uploads share one
and nothing in a key can reach out of it.
"""

from __future__ import annotations

import hashlib
import struct

DEFAULT_PREFIX = ".s3w/"


def upload_directory(bucket: str, key: str, upload_id: str, prefix: str = DEFAULT_PREFIX) -> str:
    """Return the key prefix, ending in `/`, of all state of one multipart upload."""
    digest = hashlib.sha256()
    for text in (bucket, key, upload_id):
        raw = text.encode("utf-8", "surrogateescape")
        digest.update(struct.pack(">I", len(raw)))
        digest.update(raw)
    return f"{prefix}mpu/{digest.hexdigest()}/"


def context_key(bucket: str, key: str, upload_id: str, prefix: str = DEFAULT_PREFIX) -> str:
    """Return the key of the upload's context: what its creation leaves for its parts."""
    return upload_directory(bucket, key, upload_id, prefix) + "ctx"


def spill_key(bucket: str, key: str, upload_id: str, part: int, prefix: str = DEFAULT_PREFIX) -> str:
    """Return the key under which a last part waits that is too small to be a part of its own."""
    return f"{upload_directory(bucket, key, upload_id, prefix)}{part}"


def copy_mark_key(bucket: str, key: str, upload_id: str, prefix: str = DEFAULT_PREFIX) -> str:
    """Return the key of the mark of an upload that a copy made and no client knows of."""
    return upload_directory(bucket, key, upload_id, prefix) + "copy"


def is_reserved(key: str, prefix: str = DEFAULT_PREFIX) -> bool:
    """Tell whether `key` is the proxy's own; clients must neither see nor touch it."""
    return key.startswith(prefix)


def shortened(prefix: str, delimiter: str, reserved: str = DEFAULT_PREFIX) -> str | None:
    """Return the common prefix under which a listing by `prefix` and `delimiter` shows every reserved key.

    None when it shows none of them, or under a name that is itself reserved: then the name says whose it is.
    A shorter one may hold keys of clients too.
    """
    if not delimiter or not reserved.startswith(prefix):
        return None
    at = reserved.find(delimiter, len(prefix))
    common = reserved[: at + len(delimiter)]
    return None if at < 0 or common == reserved else common

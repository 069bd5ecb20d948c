"""Request fields on their way to the store, where an object is encrypted: what clients say about the
plaintext is kept back or translated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proxy.envelope.etags import unmark_etag
from proxy.errors import S3Error
from proxy.s3.checksum_elements import is_checksum_field
from proxy.s3.deletes import DeleteBatch
from proxy.s3.etags import map_etags, quote_etag
from proxy.s3.forwarding import upstream_headers
from proxy.s3.headers import Headers
from proxy.sealing import SSE

_ETAGS = ("if-match", "if-none-match", "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match")
_KEPT_BACK = frozenset({"range", "if-range", "content-md5", "x-amz-copy-source-range"})


def stored_fields(headers: Headers) -> dict[str, str]:
    """Return the fields of a request on an encrypted object, without ranges, checksums and encryption."""
    kept = {
        name: value
        for name, value in upstream_headers(headers).items()
        if name not in _KEPT_BACK and not name.startswith((SSE, f"x-amz-copy-source-{SSE[6:]}"))
        and not is_checksum_field(name)
    }  # fmt: skip
    return {**kept, **conditions(headers)}


def stored_conditions(batch: DeleteBatch) -> DeleteBatch:
    """Return a batch delete whose conditions are about stored objects; raises `S3Error` NotImplemented for sizes."""
    deletions = []
    for each in batch.deletions:
        if any(name == "Size" for name, _ in each.conditions):
            raise S3Error("NotImplemented", "Sizes cannot be conditions where objects are encrypted.")
        translated = (
            (name, map_etags(text, unmark_etag) if name == "ETag" else text) for name, text in each.conditions
        )
        deletions.append(replace(each, conditions=tuple(translated)))
    return replace(batch, deletions=tuple(deletions))


def conditions(headers: Headers) -> Mapping[str, str]:
    """Return the conditions on ETags as the store knows them."""
    found = ((name, headers.joined(name)) for name in _ETAGS)
    return {name: map_etags(value, unmark_etag) for name, value in found if value is not None}


def pinned(fields: Mapping[str, str], etag: str) -> dict[str, str]:
    """Return the fields of a further request for an object, which must still be the one with this ETag of the store.

    The client's own conditions held when it was found; asked again, they could only say something else.
    """
    kept = {name: value for name, value in fields.items() if name not in _CONDITIONS}
    return {**kept, "if-match": quote_etag(etag)}


_CONDITIONS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})
_SOURCE = "x-amz-copy-source-"
_SOURCE_CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


def source_conditions(headers: Headers) -> dict[str, str]:
    """Return the conditions on a copy's source as those of a request for it."""
    found = {**{name: headers.joined(_SOURCE + name) for name in _SOURCE_CONDITIONS}}
    translated = conditions(headers)
    return {name: translated.get(_SOURCE + name, value) for name, value in found.items() if value is not None}

"""A store's answer about an encrypted object, with everything taken out that clients must not see.

Done to every answer at once, whatever becomes of it: what was concealed cannot leak through an error, a
304 or a HEAD. The few values that the format needs are handed back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.envelope.etags import mark_etag
from proxy.envelope.metadata import CHECKSUM_HEADER, ENVELOPE_HEADER, PREFIX
from proxy.errors import IntegrityError
from proxy.s3.checksum_elements import is_checksum_field
from proxy.s3.etags import map_etags, unquote_etag
from proxy.s3.headers import Headers
from proxy.sealing import SSE
from proxy.server.upstream import UpstreamAnswer

# Sizes and counts of what is stored, and what only makes sense for stored bytes.
_REPLACED = frozenset({"content-range", "x-amz-mp-parts-count", "content-md5"})


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer says about a stored object."""

    value: str | None = field(repr=False)
    """The envelope's metadata value; None for an object without one."""
    checksum: str | None = field(repr=False)
    """The sealed checksum's metadata value."""
    etag: str
    """The backend's, without quotes."""
    size: int
    """Stored bytes of the whole object."""
    start: int
    """Where in the object the answer's body begins."""
    length: int
    """Bytes of the answer's body."""
    metadata: dict[str, str]
    """The user metadata that clients see; names without `x-amz-meta-`."""


def conceal(answer: UpstreamAnswer) -> Found:
    """Take the format's own fields out of an answer, mark its ETag, and say what was there.

    Raises `IntegrityError` metadata when a field of the format is there twice.
    """
    headers = answer.headers
    value, checksum = _only(headers, ENVELOPE_HEADER), _only(headers, CHECKSUM_HEADER)
    start, length, size = _extent(headers, answer.status)
    kept = []
    metadata = {}
    for raw_name, raw_value in headers.raw:
        name = raw_name.decode("latin-1").lower()
        if name.startswith((PREFIX, SSE)) or name in _REPLACED or is_checksum_field(name):
            continue
        if name == "etag":
            marked = map_etags(raw_value.decode("latin-1"), mark_etag)
            kept.append((raw_name, marked.encode("latin-1")))
            continue
        if name.startswith("x-amz-meta-"):
            metadata[name.removeprefix("x-amz-meta-")] = raw_value.decode("latin-1")
        kept.append((raw_name, raw_value))
    etag = unquote_etag(headers.joined("etag") or "")
    answer.headers = Headers(kept)
    return Found(value, checksum, etag, size, start, length, metadata)


def _only(headers: Headers, name: str) -> str | None:
    values = headers.get_all(name)
    if len(values) > 1:
        raise IntegrityError("metadata", f"the stored object has {len(values)} fields {name}")
    return values[0] if values else None


def _extent(headers: Headers, status: int) -> tuple[int, int, int]:
    """Return where the body begins, how long it and how large the object is."""
    extent = headers.joined("content-range")
    # There are stores that answer a range with 200, and say all the same which one it is.
    if extent is None or status not in (200, 206):
        if status == 206:
            raise IntegrityError("range", "the backend answered a range without saying which")
        length = headers.joined("content-length") or ""
        size = int(length) if _is_number(length) else 0
        return 0, size, size
    unit, _, rest = extent.partition(" ")
    span, _, total = rest.partition("/")
    first, dash, last = span.partition("-")
    if unit.lower() != "bytes" or not dash or not all(map(_is_number, (first, last, total))):
        raise IntegrityError("range", "the backend answered a range without saying which")
    return int(first), int(last) - int(first) + 1, int(total)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18

"""The Range header as S3 reads it.

One range of bytes is honoured; several ranges, other units and malformed ones are ignored and the whole
object is returned. A range that starts behind the end is an error, any range of an empty object too.

Sources: RFC 9110 section 14, https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy.errors import S3Error
from proxy.s3.headers import Headers

_ONE_RANGE = re.compile(r"[Bb][Yy][Tt][Ee][Ss]=[ \t]*([0-9]{0,19})[ \t]*-[ \t]*([0-9]{0,19})[ \t]*")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`first` to `last` inclusive, `last` None for the end; or the last `suffix` bytes, then `first` is None."""

    first: int | None
    last: int | None = None
    suffix: int = 0

    def touches(self, size: int) -> bool:
        """Tell whether an object of `size` bytes has any of the bytes."""
        return bool(self.suffix and size) if self.first is None else self.first < size

    def resolve(self, size: int) -> tuple[int, int]:
        """Return the first and last byte within an object of `size` bytes; raises InvalidRange."""
        if not self.touches(size):
            raise self._unsatisfiable(size)
        if self.first is None:
            return max(0, size - self.suffix), size - 1
        return self.first, size - 1 if self.last is None else min(self.last, size - 1)

    def __str__(self) -> str:
        """Return the header's value."""
        if self.first is None:
            return f"bytes=-{self.suffix}"
        return f"bytes={self.first}-{'' if self.last is None else self.last}"

    def _unsatisfiable(self, size: int) -> S3Error:
        return S3Error(
            "InvalidRange",
            extras={"RangeRequested": str(self), "ActualObjectSize": str(size)},
            headers={"Content-Range": f"bytes */{size}"},
        )


def current_range(asked: Headers, shown: Headers) -> ByteRange | None:
    """Return the range that a request wants of an object whose answer has the fields `shown`, with its ETag in quotes.

    None where there is none, and where If-Range names another state of the object: the client, which holds the
    beginning of that one, gets all of this. Weak tags and dates that are not written as Last-Modified never match.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5
    """
    wanted, state = parse_range(asked.joined("range")), asked.joined("if-range")
    if wanted is None or state is None:
        return wanted
    is_tag = state.startswith('"')
    return wanted if state == shown.joined("etag" if is_tag else "last-modified") else None


def parse_range(value: str | None) -> ByteRange | None:
    """Read a Range header; None if there is none or if S3 would ignore it."""
    found = _ONE_RANGE.fullmatch(value.strip(" \t")) if value else None
    if found is None:
        return None
    first, last = found.groups()
    if not first:
        return ByteRange(None, suffix=int(last)) if last else None
    if last and int(last) < int(first):
        return None
    return ByteRange(int(first), int(last) if last else None)

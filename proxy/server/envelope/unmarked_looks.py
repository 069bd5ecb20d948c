"""What an object without this format's mark is, and how much it holds: told from its first and last bytes.

For HEAD, attributes and listings, which show a size and open nothing. A plain object takes one small read,
a signed message two; what was learned is remembered under the object's ETag.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from proxy.envelope.context import ARN_NAME
from proxy.envelope.foreign import looks_foreign, parse_foreign_header
from proxy.envelope.foreign_sizes import START, TAIL, needs_tail, plain_size_of_message
from proxy.envelope.s3ec import is_client_encrypted, shown_size
from proxy.errors import S3Error
from proxy.s3.ranges import ByteRange
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.envelope.keys import Place
from proxy.server.envelope.passage import REPLACED, replaced
from proxy.server.upstream import UpstreamAnswer

MAX_KNOWN = 10_000
"""Objects that are remembered; each takes some 300 bytes."""

Ask = Callable[[ByteRange], Awaitable[UpstreamAnswer]]
"""Asks the store for some bytes of one object."""


@dataclass(frozen=True, slots=True)
class Look:
    """What an object without our mark shows."""

    size: int
    """Of its plaintext, as far as its length tells; nothing of it is authenticated."""
    is_message: bool = False
    names_itself: bool = False
    """It is a message whose context has the object's own name."""


class UnmarkedLooks:
    """Looks at objects, and remembers a bounded number of them."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str, str, str, int], Look] = OrderedDict()

    async def look(self, place: Place, version: str, found: Found, ask: Ask) -> Look:
        """Return what an object is that was `found` without our mark.

        Raises `IntegrityError` header or size for a message that is none, `S3Error` when the object is another
        one by now.
        """
        if is_client_encrypted(found.metadata) or not found.size:
            return Look(shown_size(found.metadata, found.size))
        name = (place.bucket, place.arn, version, found.etag, found.size)
        known = self._known.get(name)
        if known is not None:
            self._known.move_to_end(name)
            return known
        start = await _read(ask, ByteRange(0, START - 1), found)
        if start is None:
            return Look(found.size)
        look = Look(found.size)
        if looks_foreign(start[:4]):
            header, tail = parse_foreign_header(start), b""
            if needs_tail(header):
                tail = await _read(ask, ByteRange(max(0, found.size - TAIL), found.size - 1), found) or b""
            size = plain_size_of_message(header, start, found.size, tail)
            look = Look(size, is_message=True, names_itself=header.context.get(ARN_NAME) == place.arn)
        self._known[name] = look
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return look


async def _read(ask: Ask, extent: ByteRange, found: Found) -> bytes | None:
    """Return some bytes of an object; None where the store has them archived and does not hand them out."""
    answer = await ask(extent)
    try:
        here = conceal(answer)
        if answer.status == 403:
            return None
        if answer.status in REPLACED or (answer.status < 300 and (here.etag, here.value) != (found.etag, None)):
            raise replaced()
        if answer.status >= 300:
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {answer.status} to a look at the object")
        first, last = extent.resolve(found.size)
        skip, size = first - here.start, last - first + 1
        if here.size != found.size or not 0 <= skip <= min(here.length - size, START):
            raise S3Error("ServiceUnavailable", detail="the upstream answered with another range than it was asked for")
        data = b""
        # A store that knows no ranges sends more, which nobody waits for.
        while len(data) <= skip + size and (piece := await answer.read()):
            data += piece
        return data[skip : skip + size]
    finally:
        answer.close()

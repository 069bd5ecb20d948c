"""Small parts that wait beside their upload: kept, put in order with large ones, and verified before they are used.

A number that was sent both small and large has two attempts in two places, and times in whole seconds do not
tell which is the later one. So a small part notes which large one it follows: while that one is still what the
store has under the number, the small part is the later.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256

from proxy.envelope.customer_key import customer_edk
from proxy.envelope.frames import FrameOpener
from proxy.envelope.inner import message_id_of
from proxy.envelope.manifest import UNKNOWN_ID, Part, PlacedPart
from proxy.envelope.metadata import decode_value, encode_value
from proxy.envelope.multipart import open_segment_header
from proxy.envelope.sizes import SEGMENT_HEADER, WIRE_FRAME, segment_plain_size
from proxy.errors import IntegrityError
from proxy.forward import AuthorizedRequest, Step
from proxy.s3.etags import unquote_etag
from proxy.s3.xml import parse_xml
from proxy.server.envelope.step_refusals import refusal_of
from proxy.server.envelope.steps import reached
from proxy.server.envelope.upload_keys import Upload, UploadKeys
from proxy.server.exchange import Exchange
from proxy.server.store import Store, read_answer
from proxy.server.uploads import Uploads, Waiting

PARALLEL = 16


class Spills:
    """Keeps small parts, and vouches for them."""

    def __init__(self, store: Store, uploads: Uploads, upload_keys: UploadKeys) -> None:
        self._store = store
        self._uploads = uploads
        self._keys = upload_keys

    async def keep(
        self, exchange: Exchange, authorized: AuthorizedRequest, upload: Upload, number: int, sealed: bytes
    ) -> str:
        """Keep a part that is too small for the store to take before another; return its ETag.

        Raises `S3Error` NoSuchUpload for an upload that has ended meanwhile.
        """
        follows = await self._stored_etag(exchange, authorized, upload, number)
        reached("part-placed")
        digest = None
        if customer_edk(upload.capsule.edks) is not None:
            # The completion comes without the client's key, and could not open the part.
            digest = encode_value(self._keys.seal_state(sha256(sealed).digest(), _name(upload, number)))
        place = upload.place
        etag = await self._uploads.keep_spill(
            place.bucket, place.key, upload.id, number, Waiting("", sealed, follows, digest)
        )
        reached("part-spilled")
        return etag

    async def later(self, upload: Upload, etags: dict[int, str]) -> set[int]:
        """Return the numbers under which a small part came after the large one that the store has.

        `etags` are the large ones' by number. Attempts that overlap in time have no order.
        """
        place, places = upload.place, asyncio.Semaphore(PARALLEL)

        async def follows(number: int) -> str | None:
            async with places:
                return await self._uploads.spill_follows(place.bucket, place.key, upload.id, number)

        found = await asyncio.gather(*map(follows, etags))
        return {number for number, each in zip(etags, found, strict=True) if each == unquote_etag(etags[number])}

    def verify(self, upload: Upload, number: int, message_id: bytes, waiting: Waiting) -> Part:
        """Return a small part as the manifest names it, after all of it was verified.

        `message_id` is the one that the client named, `UNKNOWN_ID` if it named none. Raises `IntegrityError`.
        """
        sealed = waiting.sealed
        plain = segment_plain_size(len(sealed))
        found = message_id_of(sealed)
        if plain is None or message_id not in (UNKNOWN_ID, found):
            raise IntegrityError("segment", f"part {number} is not what was kept of it")
        if upload.keys.wrap:
            key = open_segment_header(sealed[:SEGMENT_HEADER], PlacedPart(number, plain, found, 0, 0), upload.keys)
            opener, frames = FrameOpener(key, plain), memoryview(sealed)[SEGMENT_HEADER:]
            for start in range(0, len(frames), WIRE_FRAME):
                opener.feed(frames[start : start + WIRE_FRAME])
            opener.finish()
        elif (
            self._keys.open_state(decode_value(waiting.digest or ""), _name(upload, number)) != sha256(sealed).digest()
        ):
            raise IntegrityError("segment", f"part {number} is not what was kept of it")
        return Part(number, plain, found)

    async def _stored_etag(self, exchange: Exchange, authorized: AuthorizedRequest, upload: Upload, number: int) -> str:
        """Return the ETag, without quotes, of what the store has under a number; empty for nothing."""
        marker = ""
        while True:
            # Not from the number on: rclone ends the connection where a marker is behind the last part it has.
            query = [
                ("max-parts", "1000"),
                *([("part-number-marker", marker)] if marker else []),
                ("uploadId", upload.id),
            ]
            step = Step("GET", upload.place.bucket, upload.place.key, tuple(query))
            answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
            body = await read_answer(answer, exchange.rules.config.limits.xml_bytes)
            if answer.status != 200:
                raise refusal_of(answer.status, body)
            page = parse_xml(body)
            rows = {
                int(row.value("PartNumber") or 0): unquote_etag(row.value("ETag") or "") for row in page.all("Part")
            }
            following = page.value("NextPartNumberMarker") or ""
            if number in rows or max(rows, default=0) > number:
                return rows.get(number, "")
            if (page.value("IsTruncated") or "").lower() != "true" or following in ("", marker):
                return ""
            marker = following


def _name(upload: Upload, number: int) -> str:
    """Name a small part of one upload, for seals that hold nowhere else."""
    return f"{upload.place.arn}\n{upload.id}\n{number}"

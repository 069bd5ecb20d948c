"""Copies through the proxy of what is too large for one upload: the plaintext, cut into parts.

The source is read in one stream; each part of it is sealed as a client's part would be, or goes on as it is.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html (bounds on parts)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from hashlib import sha256
from typing import TypeAlias

from proxy.auth.chunks import ChunkSigner
from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.entropy import Entropy
from proxy.envelope.frames import Buffer
from proxy.envelope.manifest import Part, seal_trailer
from proxy.envelope.message import SealingKey
from proxy.envelope.multipart import seal_segment_header
from proxy.envelope.sizes import FRAME, MAX_PARTS, segment_size
from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest, Body, Step
from proxy.s3.chunked import Encoder
from proxy.s3.completion import NamedPart
from proxy.sealing import SSE, SealingEncoder, Wire, plan_wire
from proxy.server.envelope.copy_uploads import CopyUploads, Made
from proxy.server.envelope.keys import Place
from proxy.server.envelope.sources import Source, Sources
from proxy.server.envelope.steps import reached
from proxy.server.exchange import Exchange

MakeBody: TypeAlias = Callable[[ChunkSigner | None], Body]

PART = 64 * 2**20
"""Plaintext of a part, unless there would be too many."""


class StreamedParts:
    """Copies plaintext by parts."""

    def __init__(self, copy_uploads: CopyUploads, sources: Sources, entropy: Entropy) -> None:
        self._uploads = copy_uploads
        self._sources = sources
        self._entropy = entropy

    async def copy(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        source: Source,
        place: Place,
        fields: dict[str, str],
        keys: ObjectKeys | None,
    ) -> Made:
        """Copy a source to `place` as an object with `fields`, sealed under `keys` if any; raises `S3Error`."""
        # A store that encrypts with a key of the client's wants it with every part.
        repeated = {name: value for name, value in fields.items() if name.startswith(f"{SSE}-customer-")}
        upstream = exchange.rules.config.upstream.payload

        async def put(
            upload_id: str, number: int, more: dict[str, str], payload_hash: str, body: MakeBody
        ) -> NamedPart:
            query = (("partNumber", str(number)), ("uploadId", upload_id))
            step = Step("PUT", place.bucket, place.key, query, {**repeated, **more}, payload_hash, body)
            named = NamedPart(number, await self._uploads.put(exchange, authorized, step))
            reached("copy-part-sent")
            return named

        async def send(upload_id: str) -> Sequence[NamedPart]:
            named: list[NamedPart] = []
            parts: list[Part] = []
            async with aclosing(self._sources.read(exchange, authorized, source, 0, source.size - 1)) as plaintext:
                cut = _Cut(plaintext)
                for number, size in enumerate(part_sizes(source.size), 1):
                    if keys is None:
                        wire = plan_wire(size, upstream)
                        body = cut.plain(size, wire)
                    else:
                        head, key = seal_segment_header(number, keys, self._entropy)
                        wire = plan_wire(segment_size(size), upstream)
                        body = cut.sealed(size, wire, head, key)
                        parts.append(Part(number, size, key.message_id))
                    named.append(await put(upload_id, number, _framing(wire), wire.payload_hash, body))
            if keys is not None:
                trailer = seal_trailer(parts, spilled=False, keys=keys, entropy=self._entropy)
                length, digest = {"content-length": str(len(trailer))}, sha256(trailer).hexdigest()
                named.append(await put(upload_id, len(named) + 1, length, digest, lambda signer: trailer))
            return named

        return await self._uploads.make(exchange, authorized, place, fields, send)


def part_sizes(size: int) -> list[int]:
    """Cut `size` bytes into parts; the last takes what is left, and so is never too small to be followed by another."""
    # One number is left for the trailer.
    part = max(PART, -(-size // (MAX_PARTS - 1)))
    part = -(-part // FRAME) * FRAME
    count = max(1, size // part)
    return [part] * (count - 1) + [size - part * (count - 1)]


class _Cut:
    """A stream of plaintext, taken part by part."""

    def __init__(self, plaintext: AsyncIterator[Buffer]) -> None:
        self._plaintext = plaintext
        self._rest = memoryview(b"")

    def plain(self, size: int, wire: Wire) -> MakeBody:
        """Return what makes the body of a part that is stored as it is."""
        return lambda signer: self._through(size, wire.encoder(signer))

    def sealed(self, size: int, wire: Wire, head: bytes, key: SealingKey) -> MakeBody:
        """Return what makes the body of a sealed part, once."""
        return lambda signer: self._through(size, SealingEncoder(key, head, wire, signer))

    async def _through(self, size: int, encoder: Encoder) -> AsyncIterator[Buffer]:
        while size:
            if not self._rest:
                self._rest = memoryview(await anext(self._plaintext, b""))
                if not self._rest:
                    raise S3Error("ServiceUnavailable", detail="the source of a copy ended too early")
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            for out in encoder.feed([piece]):
                yield out
        for out in encoder.finish({}):
            yield out


def _framing(wire: Wire) -> dict[str, str]:
    fields = dict(wire.headers)
    return {**fields, "content-encoding": "aws-chunked"} if "x-amz-decoded-content-length" in fields else fields

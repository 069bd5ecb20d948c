"""A body on its way through: unframed, verified, framed anew, and its end held back until it is proven.

Whether a body is what its sender says is known at its end only, when most of it has been sent on. So the
last bytes wait until every declared check has passed. A store that was promised an exact length then
never gets a whole object that failed a check.

Sans-I/O: bytes in, bytes out. Views are passed on without copying.
"""

from __future__ import annotations

from proxy.errors import S3Error
from proxy.s3.checksums import Algorithm, Buffer, Verifier, encode_value
from proxy.s3.chunked import ChunkedDecoder, Encoder

HOLD_BACK = 64 * 1024
"""Bytes held back; a smaller body is verified as a whole before any of it is sent."""


class VerifiedBody:
    """One upload. `feed` what arrives, send what comes back; `finish` at the end, and send that too.

    `length` is the number of bytes of content. `decoder` undoes aws-chunked, if the client used it;
    `encoder` is any machine that makes what the store gets out of the content, framing or sealing it;
    it is given the held bytes only when they are proven. `trailers` are the checksums it sends at the end.
    """

    __slots__ = ("_decoder", "_encoder", "_free", "_held", "_missing", "_trailers", "_verifier")

    def __init__(
        self,
        length: int,
        decoder: ChunkedDecoder | None,
        verifier: Verifier,
        encoder: Encoder,
        trailers: tuple[Algorithm, ...] = (),
    ) -> None:
        self._decoder = decoder
        self._verifier = verifier
        self._encoder = encoder
        self._trailers = trailers
        self._missing = length
        self._free = max(0, length - HOLD_BACK)
        self._held: list[Buffer] = []

    def feed(self, data: Buffer) -> list[Buffer]:
        """Take bytes as received, return those that may be sent now.

        Raises `S3Error` when the framing is broken, a chunk's signature is wrong, or there is more content
        than announced.
        """
        pieces = [memoryview(data)] if self._decoder is None else self._decoder.feed(data)
        released: list[Buffer] = []
        for piece in pieces:
            size = len(piece)
            self._missing -= size
            self._verifier.update(piece)
            if size <= self._free:
                self._free -= size
                released.append(piece)
            elif self._free:
                released.append(piece[: self._free])
                self._held.append(piece[self._free :])
                self._free = 0
            else:
                self._held.append(piece)
        if self._missing < 0:
            raise S3Error("IncompleteBody", close=True, detail="body is longer than announced")
        return self._encoder.feed(released) if released else released

    def finish(self) -> list[Buffer]:
        """Check everything that was declared, then return the bytes held back and the end of the framing.

        Raises `S3Error`: IncompleteBody, BadDigest, XAmzContentSHA256Mismatch, MalformedTrailerError.
        """
        arrived = {} if self._decoder is None else self._decoder.finish()
        if self._missing:
            raise S3Error("IncompleteBody", close=True, detail=f"{self._missing} bytes of the body are missing")
        self._verifier.verify(arrived)
        out = self._encoder.feed(self._held) if self._held else []
        self._held = []
        sent = {algorithm.header: encode_value(self.digest(algorithm)) for algorithm in self._trailers}
        return out + self._encoder.finish(sent)

    def digest(self, algorithm: Algorithm) -> bytes:
        """Return the digest of the content; the algorithm must be one that was declared or is sent."""
        return self._verifier.digest(algorithm)

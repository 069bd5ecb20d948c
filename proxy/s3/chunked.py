r"""aws-chunked: the framing of uploads whose signatures or checksums come along with the data.

    signed:    <hex>;chunk-signature=<64 hex>\r\n<data>\r\n ... 0;chunk-signature=<64 hex>\r\n[trailers]\r\n
    unsigned:  <hex>\r\n<data>\r\n ... 0\r\n<name>:<value>\r\n\r\n

The decoder is fed whatever arrives and hands data on at once: a chunk may be 5 GiB, so none is ever
held. Signatures are judged by a `ChunkVerifier`, made by a `ChunkSigner`; this module knows no keys.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol

from proxy.errors import S3Error
from proxy.s3.checksums import EMPTY_SHA256, Buffer

LINE_LIMIT = 1024
"""Longest chunk header or trailer line in bytes; real ones stay under 200."""
TRAILER_LIMIT = 4096
"""Bytes of the whole trailer section."""
MIN_CHUNK = 8192
"""S3 takes smaller chunks only as the last one."""
SIGNED_CHUNK = 65536
"""Data per chunk that we sign."""

_SIGNATURE = b";chunk-signature="
_SIGNATURE_SIZE = 64
_TRAILER_SIGNATURE = "x-amz-trailer-signature"
_HEX = b"0123456789abcdefABCDEF"
_LOWER_HEX = b"0123456789abcdef"


class ChunkVerifier(Protocol):
    """Judges the signatures of one upload, in order; each depends on the one before."""

    def verify_chunk(self, sha256_hex: str, signature: str) -> None:
        """Raise `S3Error` unless `signature` is that of the next chunk, whose data has this hash."""

    def verify_trailer(self, sha256_hex: str, signature: str) -> None:
        """Raise `S3Error` unless `signature` is that of the trailers, whose text has this hash."""


class ChunkSigner(Protocol):
    """Makes the signatures of one upload, in order."""

    def sign_chunk(self, sha256_hex: str) -> str:
        """Return the signature of the next chunk as 64 hex digits."""

    def sign_trailer(self, sha256_hex: str) -> str:
        """Return the signature of the trailers as 64 hex digits."""


class _State(Enum):
    HEADER = "chunk header"
    DATA_END = "end of chunk data"
    TRAILER = "trailer"
    DONE = "end"


class ChunkedDecoder:
    """Takes an aws-chunked body piece by piece, at any borders, and returns the data in it.

    `length` is `x-amz-decoded-content-length`. `verifier` is given for the signed forms; with
    `trailer_signed` the trailers are signed too. `trailers` says that there may be any at all.
    """

    __slots__ = (
        "_after_end",
        "_chunk",
        "_chunk_number",
        "_chunk_size",
        "_hash",
        "_left",
        "_line",
        "_signature",
        "_state",
        "_trailer_room",
        "_trailer_signature",
        "_trailer_signed",
        "_trailers",
        "_verifier",
        "_with_trailers",
    )

    def __init__(
        self,
        length: int,
        verifier: ChunkVerifier | None = None,
        *,
        trailers: bool = False,
        trailer_signed: bool = False,
    ) -> None:
        self._left = length
        self._verifier = verifier
        self._with_trailers = trailers or trailer_signed
        self._trailer_signed = trailer_signed
        self._state = _State.HEADER
        self._line = b""
        self._chunk = 0
        self._chunk_size = MIN_CHUNK
        self._chunk_number = 0
        self._hash = hashlib.sha256()
        self._signature = ""
        self._trailers: dict[str, str] = {}
        self._trailer_room = TRAILER_LIMIT
        self._trailer_signature = ""
        self._after_end = 0

    def feed(self, data: Buffer) -> list[memoryview]:
        """Take the next bytes; return views of the data in them, in order.

        Raises `S3Error`: IncompleteBody for broken framing or lengths that disagree, InvalidChunkSizeError,
        MalformedTrailerError, or what the verifier raises.
        """
        view = memoryview(data)
        end = len(view)
        pieces = []
        at = 0
        while at < end:
            if not self._chunk:
                at = self._take_line(view, at)
                continue
            piece = view[at : at + self._chunk]
            at += len(piece)
            self._chunk -= len(piece)
            pieces.append(piece)
            if self._verifier is not None:
                self._hash.update(piece)
                if not self._chunk:
                    self._verifier.verify_chunk(self._hash.hexdigest(), self._signature)
        return pieces

    def finish(self) -> Mapping[str, str]:
        """Tell that the body has ended; return its trailers by lower-case name.

        Raises `S3Error` IncompleteBody when the framing has not come to its end.
        """
        if self._state is not _State.DONE:
            raise S3Error("IncompleteBody", detail=f"aws-chunked body ended before its {self._state.value}")
        return self._trailers

    def _take_line(self, view: memoryview, at: int) -> int:
        if self._state is _State.DONE:
            return self._take_after_end(view, at)
        room = LINE_LIMIT - len(self._line)
        window = bytes(view[at : at + room])
        newline = window.find(b"\n")
        if newline < 0:
            if len(window) == room:
                raise _broken(f"{self._state.value} line of more than {LINE_LIMIT} bytes")
            self._line += window
            return at + len(window)
        line = self._line + window[:newline]
        self._line = b""
        if self._state is _State.TRAILER:
            # S3's own documentation shows trailer lines that end in \n and \n\r\n; clients copy it.
            self._on_trailer_line(line.removesuffix(b"\r"))
        elif not line.endswith(b"\r"):
            raise _broken(f"bare line feed in a {self._state.value}")
        elif self._state is _State.HEADER:
            self._on_header_line(line[:-1])
        elif line != b"\r":
            raise _broken("chunk data does not end where its size says")
        else:
            self._state = _State.HEADER
        return at + newline + 1

    def _take_after_end(self, view: memoryview, at: int) -> int:
        rest = bytes(view[at : at + 5])
        self._after_end += len(rest)
        if self._after_end > 4 or rest.strip(b"\r\n"):
            raise _broken("bytes after the end of the aws-chunked body")
        return at + len(rest)

    def _on_header_line(self, line: bytes) -> None:
        digits, separator, extension = line.partition(b";")
        # int() would take signs, spaces and underscores.
        if not digits or len(digits) > 16 or digits.translate(None, _HEX):
            raise _broken("malformed chunk size")
        if self._verifier is not None:
            self._signature = _parse_signature(separator + extension)
            self._hash = hashlib.sha256()
        elif separator:
            raise _broken("extension in the header of an unsigned chunk")
        size = int(digits, 16)
        if size > self._left:
            raise S3Error("IncompleteBody", detail="chunks hold more than x-amz-decoded-content-length")
        self._chunk_number += 1
        if size:
            if self._chunk_size < MIN_CHUNK:
                raise S3Error(
                    "InvalidChunkSizeError",
                    extras={"Chunk": str(self._chunk_number), "BadChunkSize": str(self._chunk_size)},
                )
            self._chunk = self._chunk_size = size
            self._left -= size
            self._state = _State.DATA_END
            return
        if self._left:
            raise S3Error("IncompleteBody", detail="chunks hold less than x-amz-decoded-content-length")
        if self._verifier is not None:
            self._verifier.verify_chunk(EMPTY_SHA256, self._signature)
        self._state = _State.TRAILER

    def _on_trailer_line(self, line: bytes) -> None:
        self._trailer_room -= len(line) + 1
        if self._trailer_room < 0:
            raise S3Error("MalformedTrailerError", detail=f"trailers of more than {TRAILER_LIMIT} bytes")
        if not line:
            # A blank line before the signature is one of the sloppy ends, one after it is the end.
            if not self._trailer_signed or self._trailer_signature:
                self._verify_trailers()
                self._state = _State.DONE
            return
        name_bytes, separator, value_bytes = line.partition(b":")
        name = name_bytes.decode("latin-1").lower()
        if not separator or not self._with_trailers or name in self._trailers or self._trailer_signature:
            raise S3Error("MalformedTrailerError")
        value = value_bytes.decode("latin-1").strip(" \t")
        if name == _TRAILER_SIGNATURE and self._trailer_signed:
            self._trailer_signature = value
        else:
            self._trailers[name] = value

    def _verify_trailers(self) -> None:
        if self._verifier is not None and self._trailer_signed:
            self._verifier.verify_trailer(_hash_trailers(self._trailers), self._trailer_signature)


def _parse_signature(extension: bytes) -> str:
    signature = extension.removeprefix(_SIGNATURE)
    valid = extension.startswith(_SIGNATURE) and len(signature) == _SIGNATURE_SIZE
    if not valid or signature.translate(None, _LOWER_HEX):
        raise _broken("malformed or missing chunk-signature")
    return signature.decode("ascii")


def _hash_trailers(trailers: Mapping[str, str]) -> str:
    text = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items()))
    return hashlib.sha256(text.encode("latin-1")).hexdigest()


def _broken(detail: str) -> S3Error:
    return S3Error("IncompleteBody", "The aws-chunked encoding of the request body is malformed.", detail=detail)


class Encoder(Protocol):
    """Frames a body whose length is known. What it returns is `content_length` bytes in the end."""

    @property
    def content_length(self) -> int:
        """Exact length of the framed body."""

    def feed(self, pieces: Sequence[Buffer]) -> list[Buffer]:
        """Take the next pieces of the body, return those to send."""

    def finish(self, trailers: Mapping[str, str]) -> list[Buffer]:
        """Return the end of the framed body. `trailers` must be those announced when the encoder was made."""


class PlainEncoder:
    """No framing at all."""

    __slots__ = ("content_length",)

    def __init__(self, length: int) -> None:
        self.content_length = length

    def feed(self, pieces: Sequence[Buffer]) -> list[Buffer]:
        """Return the pieces."""
        return list(pieces)

    def finish(self, trailers: Mapping[str, str]) -> list[Buffer]:
        """Return nothing; a plain body cannot carry trailers."""
        if trailers:
            raise ValueError("a plain body has no place for trailers")
        return []


class UnsignedEncoder:
    """`STREAMING-UNSIGNED-PAYLOAD-TRAILER`: one chunk with the whole body, as the AWS SDK for Go sends it."""

    __slots__ = ("_head", "_tail", "content_length")

    def __init__(self, length: int, trailers: Mapping[str, int]) -> None:
        """`trailers` maps each lower-case name to the length of its value."""
        self._head = b"%x\r\n" % length if length else b""
        self._tail = b"\r\n0\r\n" if length else b"0\r\n"
        self.content_length = len(self._head) + length + len(self._tail) + _trailers_length(trailers) + 2

    def feed(self, pieces: Sequence[Buffer]) -> list[Buffer]:
        """Return the pieces, after the chunk header if they are the first."""
        if self._head and pieces:
            head, self._head = self._head, b""
            return [head, *pieces]
        return list(pieces)

    def finish(self, trailers: Mapping[str, str]) -> list[Buffer]:
        """Return the closing chunk and the trailers."""
        return [self._tail + _write_trailers(trailers) + b"\r\n"]


class SignedEncoder:
    """`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, and `-TRAILER` if trailers are announced.

    Chunks of one size; a chunk's header carries the hash of its data, so the pieces of one chunk are kept
    (not copied) until it is full.
    """

    __slots__ = ("_hash", "_pieces", "_signer", "_size", "_trailing", "_until", "content_length")

    def __init__(
        self, length: int, signer: ChunkSigner, trailers: Mapping[str, int], chunk_size: int = SIGNED_CHUNK
    ) -> None:
        """`trailers` maps each lower-case name to the length of its value."""
        self._signer = signer
        self._size = chunk_size
        self._until = chunk_size
        self._hash = hashlib.sha256()
        self._pieces: list[Buffer] = []
        self._trailing = bool(trailers)
        self.content_length = signed_length(length, trailers, chunk_size)

    def feed(self, pieces: Sequence[Buffer]) -> list[Buffer]:
        """Return the chunks that have become full."""
        out: list[Buffer] = []
        for whole in pieces:
            view = memoryview(whole)
            while view:
                piece = view[: self._until]
                self._hash.update(piece)
                self._pieces.append(piece)
                self._until -= len(piece)
                view = view[len(piece) :]
                if not self._until:
                    out += self._close_chunk()
        return out

    def finish(self, trailers: Mapping[str, str]) -> list[Buffer]:
        """Return the last data, the closing chunk, and the trailers with their signature."""
        out = self._close_chunk() if self._pieces else []
        out.append(b"0" + self._sign(EMPTY_SHA256))
        if self._trailing:
            signature = self._signer.sign_trailer(_hash_trailers(trailers))
            out.append(_write_trailers(trailers) + _write_trailers({_TRAILER_SIGNATURE: signature}))
        out.append(b"\r\n")
        return out

    def _close_chunk(self) -> list[Buffer]:
        head = b"%x" % (self._size - self._until) + self._sign(self._hash.hexdigest())
        out: list[Buffer] = [head, *self._pieces, b"\r\n"]
        self._hash = hashlib.sha256()
        self._pieces = []
        self._until = self._size
        return out

    def _sign(self, sha256_hex: str) -> bytes:
        return _SIGNATURE + self._signer.sign_chunk(sha256_hex).encode("ascii") + b"\r\n"


def signed_length(length: int, trailers: Mapping[str, int], chunk_size: int = SIGNED_CHUNK) -> int:
    """Return what `SignedEncoder` will produce, in bytes; needed before its signer can exist."""
    whole, rest = divmod(length, chunk_size)
    per_chunk = len(_SIGNATURE) + _SIGNATURE_SIZE + 4
    total = whole * (len(b"%x" % chunk_size) + per_chunk + chunk_size)
    if rest:
        total += len(b"%x" % rest) + per_chunk + rest
    if trailers:
        total += _trailers_length({**trailers, _TRAILER_SIGNATURE: _SIGNATURE_SIZE})
    return total + len(b"0") + per_chunk


def _trailers_length(trailers: Mapping[str, int]) -> int:
    return sum(len(name) + size + 3 for name, size in trailers.items())


def _write_trailers(trailers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}:{value}\r\n" for name, value in sorted(trailers.items())).encode("latin-1")

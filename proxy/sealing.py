"""What becomes of an upload that the proxy encrypts: its length, its headers, and the machine that seals it.

The counterpart of `payload` for buckets in envelope mode. What the client declared about its plaintext is
verified here and goes no further; what the store is told describes the sealed bytes. The length upstream
is known before the first byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from proxy.auth.claim import PayloadHash
from proxy.auth.sign import SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_PAYLOAD, UNSIGNED_TRAILER
from proxy.envelope.frames import Allocate, FrameSealer
from proxy.envelope.message import SealingKey
from proxy.envelope.metadata import PREFIX
from proxy.envelope.sizes import check_fits, segment_size, single_size
from proxy.errors import S3Error
from proxy.payload import (
    ADDED,
    ALL_CHECKSUMS,
    FRAMING,
    LOCK,
    Framing,
    UpstreamPayload,
    declared_by,
    make_decoder,
    trailer_sizes,
)
from proxy.s3.checksums import Algorithm, Buffer, Declared, Hasher, Kind, Verifier, encode_value
from proxy.s3.chunked import (
    ChunkSigner,
    ChunkVerifier,
    Encoder,
    PlainEncoder,
    SignedEncoder,
    UnsignedEncoder,
    signed_length,
)
from proxy.s3.headers import Headers
from proxy.s3.holdback import VerifiedBody
from proxy.s3.request import S3Request

METADATA_LIMIT = 2048
"""Bytes of user metadata, names and values.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html"""
USER_METADATA = "x-amz-meta-"
SSE = "x-amz-server-side-encryption"

_SIGNED = frozenset({SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER})


@dataclass(frozen=True, slots=True)
class Wire:
    """How bytes that are not the client's own go to the store: framing headers, and what is signed."""

    stored: int
    """Length of the content."""
    content_length: int
    payload_hash: str
    headers: tuple[tuple[str, str], ...]
    trailers: tuple[Algorithm, ...]

    def encoder(self, signer: ChunkSigner | None) -> Encoder:
        """Return the machine that frames the content."""
        sizes = trailer_sizes(self.trailers)
        if self.payload_hash in _SIGNED:
            if signer is None:
                raise ValueError("chunks cannot be signed without a signer")
            return SignedEncoder(self.stored, signer, sizes)
        return UnsignedEncoder(self.stored, sizes) if self.trailers else PlainEncoder(self.stored)


def plan_wire(stored: int, upstream: UpstreamPayload, *, demanded: bool = False) -> Wire:
    """Plan how `stored` bytes are sent; `demanded` says that S3 wants a checksum with them."""
    trailers = (ADDED,) if demanded else ()
    sizes = trailer_sizes(trailers)
    if upstream == "signed-chunks":
        length = signed_length(stored, sizes)
        payload_hash = SIGNED_CHUNKS_TRAILER if trailers else SIGNED_CHUNKS
    elif trailers:
        length, payload_hash = UnsignedEncoder(stored, sizes).content_length, UNSIGNED_TRAILER
    else:
        length, payload_hash = stored, UNSIGNED_PAYLOAD
    headers = [("content-length", str(length))]
    if length != stored or payload_hash in _SIGNED:
        headers.append(("x-amz-decoded-content-length", str(stored)))
    if trailers:
        headers.append(("x-amz-trailer", ",".join(algorithm.header for algorithm in trailers)))
    return Wire(stored, length, payload_hash, tuple(headers), trailers)


class SealingEncoder:
    """Seals a plaintext and frames what comes out of it."""

    __slots__ = ("_framing", "_hashers", "_head", "_sealer", "content_length")

    def __init__(
        self, key: SealingKey, head: bytes, wire: Wire, signer: ChunkSigner | None, allocate: Allocate | None = None
    ) -> None:
        """`head` goes before the frames: the header of a message that carries it in its body.

        `allocate` gives memory for frames, that of all streams of a worker.
        """
        self._sealer = FrameSealer(key, plain_size=wire.stored, allocate=allocate)
        self._head = head
        self._framing = wire.encoder(signer)
        self._hashers: list[tuple[Algorithm, Hasher]] = [(each, each.start()) for each in wire.trailers]
        self.content_length = wire.content_length

    def feed(self, pieces: Sequence[Buffer]) -> list[Buffer]:
        """Seal the next pieces of plaintext, return what is to be sent."""
        sealed: list[Buffer] = [out for out in map(self._sealer.feed, pieces) if out]
        return self._frame(sealed)

    def finish(self, trailers: Mapping[str, str]) -> list[Buffer]:
        """Return the final frame and the end of the framing; the client's own trailers stay behind."""
        out = self._frame([self._sealer.finish()])
        sums = {algorithm.header: encode_value(hasher.digest()) for algorithm, hasher in self._hashers}
        return out + self._framing.finish(sums)

    def _frame(self, sealed: list[Buffer]) -> list[Buffer]:
        if self._head and sealed:
            head, self._head = self._head, b""
            sealed.insert(0, head)
        for _, hasher in self._hashers:
            for piece in sealed:
                hasher.update(piece)
        return self._framing.feed(sealed)


@dataclass(frozen=True, slots=True)
class SealedPlan:
    """What to do with one upload that is encrypted on its way. `start` makes the machine, once."""

    length: int
    """Of the plaintext."""
    wire: Wire
    framing: Framing
    declared: Declared
    payload: PayloadHash
    chunk_verifier: ChunkVerifier | None
    key: SealingKey = field(repr=False)
    head: bytes = field(repr=False)
    allocate: Allocate | None = field(default=None, repr=False)

    def start(self, signer: ChunkSigner | None = None) -> VerifiedBody:
        """Return the machine that takes the body as received."""
        return self._start(SealingEncoder(self.key, self.head, self.wire, signer, self.allocate))

    def start_unframed(self) -> VerifiedBody:
        """Return the machine whose output is the sealed bytes and nothing else."""
        return self._start(SealingEncoder(self.key, self.head, plan_wire(self.wire.stored, "unsigned"), None))

    def _start(self, encoder: Encoder) -> VerifiedBody:
        decoder = None
        if self.payload.mode.aws_chunked:
            decoder = make_decoder(self.payload, self.length, self.declared, self.chunk_verifier)
        return VerifiedBody(self.length, decoder, Verifier(self.declared), encoder)


def plan_sealed(
    request: S3Request,
    payload: PayloadHash,
    chunk_verifier: ChunkVerifier | None,
    upstream: UpstreamPayload,
    length: int,
    key: SealingKey,
    *,
    head: bytes = b"",
    added: Mapping[str, str],
    allocate: Allocate | None = None,
) -> SealedPlan:
    """Plan an upload of `length` bytes under `key`; `added` are the header fields that the format wants.

    `head` is the header of a message that stands in its body (a part); its length counts. Raises `S3Error`
    MetadataTooLarge, InvalidArgument, or what `parse_declared` raises.
    """
    headers = request.headers
    stored = segment_size(length) if head else single_size(length)
    wire = plan_wire(stored, upstream, demanded=not head and not headers.names().isdisjoint(LOCK))
    declared = declared_by(request, payload)
    pairs = [*wire.headers, *content_fields(headers, framed=wire.content_length != stored), *added.items()]
    framing = Framing(wire.payload_hash, dropped_fields(headers), tuple(pairs))
    return SealedPlan(length, wire, framing, declared, payload, chunk_verifier, key, head, allocate)


def check_length(length: int, largest: int) -> None:
    """Raise `S3Error` EntityTooLarge before anything is read of a body that would not fit once it is sealed."""
    try:
        check_fits(length, largest)
    except S3Error as error:
        raise S3Error(error.code, extras=error.extras, close=True) from None


def dropped_fields(headers: Headers) -> frozenset[str]:
    """Return the client's fields that the store of an encrypted object never sees.

    Checksums are of the plaintext, encryption is the proxy's own.
    """
    own = {name for name in headers.names() if name.startswith(SSE)}
    return FRAMING | ALL_CHECKSUMS | own | {"content-md5"}


def content_fields(headers: Headers, *, framed: bool) -> list[tuple[str, str]]:
    """Return Content-Encoding as it is stored, with the framing's name where the store gets a framed body."""
    value = headers.joined("content-encoding") or ""
    codings = [coding for each in value.split(",") if (coding := each.strip()) and coding.lower() != "aws-chunked"]
    if framed:
        codings.append("aws-chunked")
    return [("content-encoding", ",".join(codings))] if codings else []


def check_metadata(headers: Headers, added: Mapping[str, str]) -> None:
    """Check the user metadata of a new object together with what the format adds to it.

    Raises `S3Error` InvalidArgument for names that belong to the format, MetadataTooLarge.
    """
    size = sum(len(name) - len(USER_METADATA) + len(value) for name, value in added.items())
    for name in headers.names():
        if not name.startswith(USER_METADATA):
            continue
        if name.startswith(PREFIX):
            raise S3Error("InvalidArgument", f"Metadata names that begin with {PREFIX} are reserved.")
        size += len(name) - len(USER_METADATA) + len(headers.joined(name) or "")
    if size > METADATA_LIMIT:
        left = METADATA_LIMIT - sum(len(name) - len(USER_METADATA) + len(text) for name, text in added.items())
        raise S3Error("MetadataTooLarge", extras={"Size": str(size), "MaxSizeAllowed": str(METADATA_LIMIT)}, detail=(
            f"{left} bytes are left for the client's own metadata"
        ))  # fmt: skip


def header_checksum(declared: Declared) -> str | None:
    """Return the checksum that came as a header, as it is sealed beside the object; None if there is none."""
    for check in declared.checks:
        if check.kind is Kind.CHECKSUM:
            return f"{check.algorithm.name.lower()}={encode_value(check.expected)};FULL_OBJECT"
    return None


def answered_checksum(declared: Declared, digest: Callable[[Algorithm], bytes]) -> list[tuple[str, str]]:
    """Return the fields that tell a client which of its checksums was verified, as S3 answers uploads."""
    found = [check.algorithm for check in declared.checks if check.kind is Kind.CHECKSUM]
    return [(algorithm.header, encode_value(digest(algorithm))) for algorithm in (*found, *declared.trailers)]

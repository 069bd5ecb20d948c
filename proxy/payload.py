"""What happens to the body of a request on its way to the store: how it is read, checked and framed anew.

A plan is made after the decision, from the request as it will be sent and what its signature covers. There
are two kinds: a body that streams (objects and parts), and one that is held whole (XML, or none).

What the store is told depends on `upstream.payload`:

* `checksums`: the client's own checksum goes on in its own place: a header stays a header, a trailer becomes
  the trailer of an unsigned aws-chunked body.
* `unsigned`: for stores that know no checksums. They are verified here and left out everywhere: in
  creations, parts, completions, and by `strip_checksum_elements` and `is_checksum_field` in answers. Content-MD5 stays.
* `signed-chunks`: aws-chunked with a signature on each chunk, and on the trailer if there is one.

What is signed towards the store: with `signed-chunks` every byte. Otherwise the body when the client signed
its SHA-256, which holds for the store too, and bodies held whole; other bodies are UNSIGNED-PAYLOAD or
STREAMING-UNSIGNED-PAYLOAD-TRAILER, over TLS as well as over plain HTTP, where only `signed-chunks` protects
them. S3 demands a checksum with some requests; those always carry one, even with `unsigned`.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from proxy.auth.claim import Claim, PayloadHash, PayloadMode
from proxy.errors import S3Error
from proxy.per_request import per_request
from proxy.s3.checksum_elements import strip_checksum_elements
from proxy.s3.checksums import (
    ALGORITHMS,
    BY_FIELD,
    EMPTY_SHA256,
    NOT_CHECKSUMS,
    Algorithm,
    Declared,
    Verifier,
    encode_value,
    parse_declared,
    verify_body,
)
from proxy.s3.chunked import (
    ChunkedDecoder,
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

UpstreamPayload = Literal["checksums", "unsigned", "signed-chunks"]

MAX_UPLOAD = 5 << 30
"""S3's limit for one PUT, part or form.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

FRAMING = frozenset(
    {
        "content-encoding",
        "content-length",
        "transfer-encoding",
        "x-amz-content-sha256",
        "x-amz-decoded-content-length",
        "x-amz-trailer",
    }
)
_SDK = "x-amz-sdk-checksum-algorithm"
_VALUES = frozenset(BY_FIELD) | {_SDK}
ALL_CHECKSUMS = _VALUES | NOT_CHECKSUMS
LOCK = frozenset({"x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold"})
_TRAILING = frozenset({PayloadMode.SIGNED_CHUNKS_TRAILER, PayloadMode.UNSIGNED_TRAILER})
_SIGNED = PayloadMode.SIGNED_CHUNKS.value
_SIGNED_TRAILER = PayloadMode.SIGNED_CHUNKS_TRAILER.value
_UNSIGNED = PayloadMode.UNSIGNED.value
_UNSIGNED_TRAILER = PayloadMode.UNSIGNED_TRAILER.value
# Its checksum fields describe the object that it makes, not its own body.
_OF_OBJECT = "CompleteMultipartUpload"
# Added where S3 demands a checksum and the client sent none that can go on; every store knows it.
ADDED = ALGORITHMS["CRC32"]


@per_request(frozen=True, slots=True)
class Framing:
    """How a body goes to the store, in headers.

    Of the request's headers those in `drop` (lower-case) are left out, then those in `headers` are added.
    `payload_hash` is what the upstream signature covers, and the value of x-amz-content-sha256.
    """

    payload_hash: str
    drop: frozenset[str]
    headers: tuple[tuple[str, str], ...]


@per_request(frozen=True, slots=True)
class StreamPlan:
    """What to do with one body that streams. `start` makes the machine that does it.

    `length` is that of the content, `content_length` that of the body as it goes to the store.
    """

    length: int
    content_length: int
    framing: Framing
    declared: Declared
    trailers: tuple[Algorithm, ...]
    """Checksums sent behind the body."""
    payload: PayloadHash
    chunk_verifier: ChunkVerifier | None

    @property
    def signs_chunks(self) -> bool:
        """Tell whether `start` needs a signer, made from the signature of the upstream request."""
        return self.framing.payload_hash in (_SIGNED, _SIGNED_TRAILER)

    def start(self, signer: ChunkSigner | None = None) -> VerifiedBody:
        """Return the machine that takes the body as received; a plan with signatures serves once."""
        decoder = None
        if self.payload.mode.aws_chunked:
            decoder = make_decoder(self.payload, self.length, self.declared, self.chunk_verifier)
        verifier = Verifier(self.declared, self.trailers)
        return VerifiedBody(self.length, decoder, verifier, self._encoder(signer), self.trailers)

    def _encoder(self, signer: ChunkSigner | None) -> Encoder:
        sizes = trailer_sizes(self.trailers)
        if self.signs_chunks:
            if signer is None:
                raise ValueError("chunks cannot be signed without a signer")
            return SignedEncoder(self.length, signer, sizes)
        return UnsignedEncoder(self.length, sizes) if self.trailers else PlainEncoder(self.length)


@per_request(frozen=True, slots=True)
class BufferedPlan:
    """A body held whole, as it goes to the store."""

    body: bytes
    framing: Framing


def plan_stream(
    request: S3Request,
    claim: Claim,
    upstream: UpstreamPayload,
    *,
    length: int | None = None,
    max_length: int = MAX_UPLOAD,
) -> StreamPlan:
    """Plan the body of PutObject, UploadPart or a form.

    `length` is given for a form, whose file is shorter than its request. Raises `S3Error`
    MissingContentLength, EntityTooLarge, or what `parse_declared` raises; nothing of the body is read.
    """
    headers, payload = request.headers, claim.payload
    if length is None:
        length = body_length(headers, payload)
    if length > max_length:
        raise S3Error(
            "EntityTooLarge", extras={"ProposedSize": str(length), "MaxSizeAllowed": str(max_length)}, close=True
        )
    declared = declared_by(request, payload)
    demanded = request.operation.checksum_required or not headers.names().isdisjoint(LOCK)
    keep = upstream != "unsigned" or (demanded and "content-md5" not in headers)
    trailers = declared.trailers if keep else ()
    if demanded and not declared.guards_body:
        trailers = (ADDED,)
    content_length, payload_hash = _outgoing(length, payload, upstream, trailers)
    drop = FRAMING if keep else FRAMING | ALL_CHECKSUMS
    added = [("content-length", str(content_length))]
    chunked = payload_hash.startswith("STREAMING-")
    if chunked:
        added.append(("x-amz-decoded-content-length", str(length)))
    if trailers:
        added.append(("x-amz-trailer", ",".join(algorithm.header for algorithm in trailers)))
    added += content_encoding(headers, chunked=chunked)
    framing = Framing(payload_hash, drop, tuple(added))
    return StreamPlan(length, content_length, framing, declared, trailers, payload, claim.chunk_signer)


def body_length(headers: Headers, payload: PayloadHash) -> int:
    """Return the length of the content that the headers announce.

    Raises `S3Error` MissingContentLength when they do not, InvalidArgument when they cannot be believed.
    """
    decoded = _parse_length(headers, "x-amz-decoded-content-length")
    if payload.mode.aws_chunked:
        if decoded is None:
            raise S3Error("MissingContentLength", close=True)
        return decoded
    length = _parse_length(headers, "content-length")
    if length is None:
        raise S3Error("MissingContentLength", close=True)
    if decoded is not None and decoded != length:
        # The client thinks that it frames its body, its signature says that it does not.
        raise S3Error("InvalidRequest", "x-amz-decoded-content-length needs an aws-chunked body.", close=True)
    return length


def verify_buffered(request: S3Request, claim: Claim, received: bytes) -> bytes:
    """Verify a body that is held whole; return its content, without aws-chunked framing.

    Raises `S3Error` as `plan_stream` and the machine it leads to; InvalidRequest for a body where none
    belongs.
    """
    payload = claim.payload
    if request.operation.body == "none":
        if received:
            raise S3Error("InvalidRequest", f"{request.operation.name} takes no request body.", close=True)
        if payload.sha256 not in (None, EMPTY_SHA256):
            verify_body(parse_declared(Headers(), payload.sha256), b"")
        return b""
    declared = declared_by(request, payload)
    if not payload.mode.aws_chunked:
        verify_body(declared, received)
        return received
    decoder = make_decoder(payload, body_length(request.headers, payload), declared, claim.chunk_signer)
    content = b"".join(decoder.feed(received))
    verify_body(declared, content, decoder.finish())
    return content


def plan_buffered(
    request: S3Request, claim: Claim, upstream: UpstreamPayload, body: bytes, *, rewritten: bool = False
) -> BufferedPlan:
    """Plan a verified body that is held whole. `rewritten` says that it is not the client's any more.

    A trailer becomes a header, since its value is known. What the client declared about a body that was
    rewritten is replaced by a Content-MD5 where S3 demands one.
    """
    headers, operation = request.headers, request.operation
    keep = upstream != "unsigned"
    added = content_encoding(headers, chunked=False)
    if operation.body == "none" and not added and request.head.method not in ("PUT", "POST"):
        return _NO_BODY if keep else _NO_BODY_NO_CHECKSUMS
    drop = FRAMING if keep else FRAMING | ALL_CHECKSUMS
    if operation.body == "none":
        if request.head.method in ("PUT", "POST"):
            added.append(("content-length", "0"))
        return BufferedPlan(b"", Framing(EMPTY_SHA256, drop, tuple(added)))
    declared = declared_by(request, claim.payload)
    if operation.name == _OF_OBJECT and not keep:
        stripped = strip_checksum_elements(body)
        rewritten, body = rewritten or stripped != body, stripped
    guarded = declared.guards_body if keep else "content-md5" in headers
    if rewritten:
        guarded = False
        drop |= {"content-md5"} if operation.name == _OF_OBJECT else _VALUES | {"content-md5"}
    elif keep:
        added += [(algorithm.header, _digest(algorithm, body)) for algorithm in declared.trailers]
    if operation.checksum_required and not guarded:
        added.append(("content-md5", _digest(ALGORITHMS["MD5"], body)))
    added.append(("content-length", str(len(body))))
    return BufferedPlan(body, Framing(hashlib.sha256(body).hexdigest(), drop, tuple(added)))


_NO_BODY = BufferedPlan(b"", Framing(EMPTY_SHA256, FRAMING, ()))
_NO_BODY_NO_CHECKSUMS = BufferedPlan(b"", Framing(EMPTY_SHA256, FRAMING | ALL_CHECKSUMS, ()))


def declared_by(request: S3Request, payload: PayloadHash) -> Declared:
    """Return what a request declares about its body, by header and by signature."""
    return parse_declared(
        request.headers,
        payload.sha256,
        of_object=request.operation.name == _OF_OBJECT,
        trailing=payload.mode in _TRAILING,
    )


def make_decoder(
    payload: PayloadHash, length: int, declared: Declared, verifier: ChunkVerifier | None
) -> ChunkedDecoder:
    """Return what undoes aws-chunked; `length` is that of the content."""
    if payload.mode.signed_chunks and verifier is None:
        raise ValueError("signed chunks need the verifier of the claim")
    return ChunkedDecoder(
        length,
        verifier if payload.mode.signed_chunks else None,
        trailers=bool(declared.trailers),
        trailer_signed=payload.mode is PayloadMode.SIGNED_CHUNKS_TRAILER,
    )


def _outgoing(
    length: int, payload: PayloadHash, upstream: UpstreamPayload, trailers: tuple[Algorithm, ...]
) -> tuple[int, str]:
    """Return the exact length upstream, and what is signed there."""
    if upstream == "signed-chunks":
        return signed_length(length, trailer_sizes(trailers)), _SIGNED_TRAILER if trailers else _SIGNED
    if trailers:
        return UnsignedEncoder(length, trailer_sizes(trailers)).content_length, _UNSIGNED_TRAILER
    return length, payload.sha256 or _UNSIGNED


def trailer_sizes(trailers: tuple[Algorithm, ...]) -> dict[str, int]:
    """Return the length of each trailer's value."""
    return {algorithm.header: algorithm.text_size for algorithm in trailers}


def content_encoding(headers: Headers, *, chunked: bool) -> list[tuple[str, str]]:
    """Return Content-Encoding without the client's framing and with ours, or nothing if nothing is left."""
    value = headers.joined("content-encoding")
    if value is None and not chunked:
        return []
    codings = [coding.strip() for coding in (value or "").split(",")]
    kept = [coding for coding in codings if coding and coding.lower() != "aws-chunked"]
    if chunked:
        kept.append("aws-chunked")
    return [("content-encoding", ",".join(kept))] if kept else []


def _digest(algorithm: Algorithm, body: bytes) -> str:
    hasher = algorithm.start()
    hasher.update(body)
    return encode_value(hasher.digest())


def _parse_length(headers: Headers, name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise S3Error("InvalidArgument", extras={"ArgumentName": name, "ArgumentValue": text}, close=True)
    return int(text)

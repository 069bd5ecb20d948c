"""Bodies reach the store verified and framed as the configuration says, with lengths known ahead."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import zlib
from collections.abc import Sequence

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, CrtCrc32Checksum, CrtCrc64NvmeChecksum
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.chunks import ChunkSigner, ChunkVerifier
from proxy.auth.claim import NO_PAYLOAD_HASH, Claim, PayloadHash, PayloadMode
from proxy.errors import S3Error
from proxy.payload import (
    MAX_UPLOAD,
    BufferedPlan,
    StreamPlan,
    UpstreamPayload,
    body_length,
    plan_buffered,
    plan_stream,
    verify_buffered,
)
from proxy.s3.address import Address
from proxy.s3.checksums import ALGORITHMS, EMPTY_SHA256
from proxy.s3.chunked import ChunkedDecoder
from proxy.s3.head import parse_head
from proxy.s3.headers import Headers
from proxy.s3.holdback import HOLD_BACK, VerifiedBody
from proxy.s3.operations import OPERATIONS
from proxy.s3.request import S3Request

KEY, DATE, SCOPE, SEED = b"key", "20261123T120000Z", "20261123/eu-central-1/s3/aws4_request", "ab" * 32
CRC = "x-amz-checksum-crc32"
DATA = hashlib.sha512(b"seed").digest() * 3000
MODES: tuple[UpstreamPayload, ...] = ("checksums", "unsigned", "signed-chunks")
LOCK = ("x-amz-object-lock-mode", "GOVERNANCE")


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def crc(data: bytes) -> str:
    return b64(zlib.crc32(data).to_bytes(4, "big"))


def md5(data: bytes) -> str:
    return b64(hashlib.md5(data).digest())


def ask(*pairs: tuple[str, str], operation: str = "PutObject") -> S3Request:
    row, headers = OPERATIONS[operation], Headers.of(pairs)
    return S3Request(parse_head(row.method, "/b/k", headers), Address("path", "b", "k"), row, headers, {})


def claim(mode: PayloadMode = PayloadMode.UNSIGNED, text: str = "") -> Claim:
    verifier = ChunkVerifier(KEY, DATE, SCOPE, SEED) if mode.signed_chunks else None
    return Claim(payload=PayloadHash(mode, text or mode.value), chunk_signer=verifier)


def hash_claim(data: bytes) -> Claim:
    return claim(PayloadMode.SHA256, hashlib.sha256(data).hexdigest())


def length_of(data: bytes) -> tuple[str, str]:
    return ("Content-Length", str(len(data)))


def chunked(data: bytes, *more: tuple[str, str], operation: str = "PutObject") -> S3Request:
    length = ("X-Amz-Decoded-Content-Length", str(len(data)))
    return ask(length, ("Content-Encoding", "aws-chunked"), *more, operation=operation)


def trailing(data: bytes, *more: tuple[str, str], operation: str = "PutObject") -> S3Request:
    return chunked(data, ("X-Amz-Trailer", CRC), *more, operation=operation)


def frame(data: bytes, value: str | None = None) -> bytes:
    """Frame a body as botocore does; `value` replaces the true checksum."""
    wire = b"".join(AwsChunkedWrapper(io.BytesIO(data), checksum_cls=CrtCrc32Checksum, checksum_name=CRC))
    return wire if value is None else wire.replace(crc(data).encode(), value.encode())


def sign_chunks(data: bytes, size: int = 64 * 1024, trailer: str | None = None) -> bytes:
    """Frame and sign a body as minio-py and the Java SDK do, from Amazon's description."""
    previous, out = SEED, b""

    def sign(*lines: str) -> str:
        return hmac.new(KEY, "\n".join(lines).encode(), hashlib.sha256).hexdigest()

    for chunk in [*(data[at : at + size] for at in range(0, len(data), size)), b""]:
        digest = hashlib.sha256(chunk).hexdigest()
        previous = sign("AWS4-HMAC-SHA256-PAYLOAD", DATE, SCOPE, previous, EMPTY_SHA256, digest)
        out += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + (chunk + b"\r\n" if chunk else b"")
    if trailer is not None:
        digest = hashlib.sha256(f"{CRC}:{trailer}\n".encode()).hexdigest()
        previous = sign("AWS4-HMAC-SHA256-TRAILER", DATE, SCOPE, previous, digest)
        out += f"{CRC}:{trailer}\r\nx-amz-trailer-signature:{previous}\r\n".encode()
    return out + b"\r\n"


def run(plan: StreamPlan, wire: bytes, step: int = 65_536) -> bytes:
    signer = ChunkSigner(KEY, DATE, SCOPE, SEED) if plan.signs_chunks else None
    body = plan.start(signer)
    out = b"".join(bytes(piece) for at in range(0, len(wire), step) for piece in body.feed(wire[at : at + step]))
    assert len(out) < plan.content_length or not plan.content_length
    out += b"".join(bytes(piece) for piece in body.finish())
    assert len(out) == plan.content_length
    return out


def sent(plan: StreamPlan | BufferedPlan, request: S3Request) -> dict[str, str]:
    """Return the headers that reach the store."""
    kept = [(name, value) for name, value in request.headers if name not in plan.framing.drop]
    names = [name for name, _ in [*kept, *plan.framing.headers]]
    assert len(names) == len(set(names))
    return dict([*kept, *plan.framing.headers])


def refusal(request: S3Request, who: Claim, wire: bytes = b"", mode: UpstreamPayload = "checksums") -> S3Error:
    with pytest.raises(S3Error) as caught:
        run(plan_stream(request, who, mode), wire)
    return caught.value


# What each kind of upload becomes, in each mode


def test_a_plain_body_stays_plain_and_a_signed_hash_is_signed_again() -> None:
    request = ask(length_of(DATA), ("content-type", "text/plain"))
    for mode in ("checksums", "unsigned"):
        plan = plan_stream(request, claim(), mode)
        assert (plan.framing.payload_hash, run(plan, DATA)) == ("UNSIGNED-PAYLOAD", DATA)
        assert sent(plan, request) == {"content-type": "text/plain", "content-length": str(len(DATA))}
        plan = plan_stream(request, hash_claim(DATA), mode)
        assert (plan.framing.payload_hash, run(plan, DATA)) == (hashlib.sha256(DATA).hexdigest(), DATA)


def test_a_header_checksum_stays_a_header() -> None:
    request = ask(length_of(DATA), (CRC, crc(DATA)), ("x-amz-sdk-checksum-algorithm", "CRC32"))
    plan = plan_stream(request, claim(), "checksums")
    assert run(plan, DATA) == DATA
    assert sent(plan, request) == {
        CRC: crc(DATA),
        "x-amz-sdk-checksum-algorithm": "CRC32",
        "content-length": str(len(DATA)),
    }


def test_a_trailer_checksum_becomes_the_trailer_of_one_unsigned_chunk() -> None:
    request = trailing(DATA, ("x-amz-sdk-checksum-algorithm", "CRC32"))
    plan = plan_stream(request, claim(PayloadMode.UNSIGNED_TRAILER), "checksums")
    wire = run(plan, frame(DATA))
    assert wire == b"%x\r\n%s\r\n0\r\n%s:%s\r\n\r\n" % (len(DATA), DATA, CRC.encode(), crc(DATA).encode())
    assert plan.framing.payload_hash == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert sent(plan, request) == {
        "content-encoding": "aws-chunked",
        "content-length": str(len(wire)),
        "x-amz-decoded-content-length": str(len(DATA)),
        "x-amz-trailer": CRC,
        "x-amz-sdk-checksum-algorithm": "CRC32",
    }


def test_unsigned_leaves_no_trace_of_checksums_but_verifies_them() -> None:
    in_header = ask(length_of(DATA), (CRC, crc(DATA)), ("x-amz-sdk-checksum-algorithm", "CRC32"))
    in_trailer = trailing(DATA, ("x-amz-sdk-checksum-algorithm", "CRC32"))
    for request, who, wire in (
        (in_header, claim(), DATA),
        (in_trailer, claim(PayloadMode.UNSIGNED_TRAILER), frame(DATA)),
    ):
        plan = plan_stream(request, who, "unsigned")
        assert run(plan, wire) == DATA
        assert sent(plan, request) == {"content-length": str(len(DATA))}
        assert plan.framing.payload_hash == "UNSIGNED-PAYLOAD"
    assert refusal(ask(length_of(DATA), (CRC, crc(b""))), claim(), DATA, "unsigned").code == "BadDigest"
    wrong = frame(DATA, crc(b""))
    assert refusal(trailing(DATA), claim(PayloadMode.UNSIGNED_TRAILER), wrong, "unsigned").code == "BadDigest"


def test_unsigned_keeps_content_md5_which_every_store_knows() -> None:
    request = ask(length_of(DATA), ("content-md5", md5(DATA)))
    assert sent(plan_stream(request, claim(), "unsigned"), request)["content-md5"] == md5(DATA)


def test_signed_chunks_are_signed_for_the_store_with_the_trailer_if_there_is_one() -> None:
    request = ask(length_of(DATA), (CRC, crc(DATA)))
    plan = plan_stream(request, claim(), "signed-chunks")
    assert run(plan, DATA) == sign_chunks(DATA)
    assert plan.framing.payload_hash == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    assert sent(plan, request)[CRC] == crc(DATA)
    request = trailing(DATA)
    plan = plan_stream(request, claim(PayloadMode.UNSIGNED_TRAILER), "signed-chunks")
    assert run(plan, frame(DATA)) == sign_chunks(DATA, trailer=crc(DATA))
    assert plan.framing.payload_hash == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    with pytest.raises(ValueError, match="signer"):
        plan.start()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["empty", "small", "large"])
def test_every_way_in_leads_to_the_same_content(mode: UpstreamPayload, data: bytes) -> None:
    ways = (
        (ask(length_of(data)), claim(), data),
        (ask(length_of(data)), Claim(payload=NO_PAYLOAD_HASH), data),
        (ask(length_of(data)), hash_claim(data), data),
        (ask(length_of(data), (CRC, crc(data)), ("content-md5", md5(data))), hash_claim(data), data),
        (trailing(data), claim(PayloadMode.UNSIGNED_TRAILER), frame(data)),
        (chunked(data), claim(PayloadMode.UNSIGNED_TRAILER), b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))
        if data
        else (chunked(data), claim(PayloadMode.UNSIGNED_TRAILER), b"0\r\n\r\n"),
        (chunked(data), claim(PayloadMode.SIGNED_CHUNKS), sign_chunks(data)),
        (
            trailing(data),
            claim(PayloadMode.SIGNED_CHUNKS_TRAILER),
            sign_chunks(data, 8192, trailer=crc(data)),
        ),
        (chunked(data, (CRC, crc(data))), claim(PayloadMode.SIGNED_CHUNKS), sign_chunks(data, 8192)),
    )
    for request, who, wire in ways:
        plan = plan_stream(request, who, mode)
        out = run(plan, wire)
        headers = sent(plan, request)
        assert headers["content-length"] == str(len(out))
        if not plan.framing.payload_hash.startswith("STREAMING"):
            assert out == data
            assert "content-encoding" not in headers
            continue
        decoder = ChunkedDecoder(
            int(headers["x-amz-decoded-content-length"]),
            ChunkVerifier(KEY, DATE, SCOPE, SEED) if plan.signs_chunks else None,
            trailers="x-amz-trailer" in headers,
            trailer_signed=plan.framing.payload_hash.startswith("STREAMING-AWS4") and "x-amz-trailer" in headers,
        )
        assert b"".join(bytes(piece) for piece in decoder.feed(out)) == data
        assert decoder.finish() == ({CRC: crc(data)} if "x-amz-trailer" in headers else {})


@given(data=st.binary(max_size=300), size=st.integers(1, 80), mode=st.sampled_from(MODES))
def test_the_size_of_received_pieces_does_not_matter(data: bytes, size: int, mode: UpstreamPayload) -> None:
    plan = plan_stream(trailing(data), claim(PayloadMode.UNSIGNED_TRAILER), mode)
    assert run(plan, frame(data), size) == run(plan, frame(data), 10**6)


def test_other_trailers_than_crc32_go_on_under_their_own_name() -> None:
    name = "x-amz-checksum-crc64nvme"
    request = chunked(DATA, ("x-amz-trailer", name))
    wire = b"".join(AwsChunkedWrapper(io.BytesIO(DATA), checksum_cls=CrtCrc64NvmeChecksum, checksum_name=name))
    plan = plan_stream(request, claim(PayloadMode.UNSIGNED_TRAILER), "checksums")
    assert run(plan, wire).split(b"\r\n")[-3].startswith(name.encode() + b":")
    assert sent(plan, request)["x-amz-trailer"] == name


@pytest.mark.parametrize(
    ("value", "plain", "framed"),
    [
        ("aws-chunked", None, "aws-chunked"),
        ("gzip,aws-chunked", "gzip", "gzip,aws-chunked"),
        ("AWS-Chunked, gzip", "gzip", "gzip,aws-chunked"),
        ("gzip, aws-chunked, br", "gzip,br", "gzip,br,aws-chunked"),
        ("gzip", "gzip", "gzip,aws-chunked"),
        ("", None, "aws-chunked"),
    ],
)
def test_aws_chunked_is_taken_out_of_content_encoding_wherever_it_stands(
    value: str, plain: str | None, framed: str
) -> None:
    request = ask(length_of(DATA), ("Content-Encoding", value))
    assert sent(plan_stream(request, claim(), "checksums"), request).get("content-encoding") == plain
    assert sent(plan_stream(request, claim(), "signed-chunks"), request)["content-encoding"] == framed


def test_a_form_brings_the_length_of_its_file() -> None:
    request = ask(("content-length", "999999"), (CRC, crc(DATA)), operation="PostObject")
    plan = plan_stream(request, Claim(), "checksums", length=len(DATA))
    assert run(plan, DATA) == DATA
    assert sent(plan, request)["content-length"] == str(len(DATA))


# What S3 demands a checksum for


def test_a_locked_upload_without_a_checksum_gets_one_behind_the_body() -> None:
    request = ask(length_of(DATA), LOCK)
    for mode in MODES:
        plan = plan_stream(request, hash_claim(DATA), mode)
        assert f"{CRC}:{crc(DATA)}".encode() in run(plan, DATA)
        assert sent(plan, request)["x-amz-trailer"] == CRC


def test_a_locked_upload_keeps_its_checksum_even_with_unsigned() -> None:
    request = ask(length_of(DATA), LOCK, (CRC, crc(DATA)))
    assert sent(plan_stream(request, claim(), "unsigned"), request)[CRC] == crc(DATA)
    request = trailing(DATA, LOCK)
    plan = plan_stream(request, claim(PayloadMode.UNSIGNED_TRAILER), "unsigned")
    assert sent(plan, request)["x-amz-trailer"] == CRC
    request = ask(length_of(DATA), LOCK, ("content-md5", md5(DATA)))
    plan = plan_stream(request, claim(), "unsigned")
    assert "x-amz-trailer" not in sent(plan, request)
    assert sent(plan, request)["content-md5"] == md5(DATA)


# Lengths


def test_without_a_length_there_is_no_upload() -> None:
    error = refusal(ask(("transfer-encoding", "chunked")), claim())
    assert (error.code, error.status) == ("MissingContentLength", 411)
    request = ask(("content-length", "70"), ("x-amz-trailer", CRC))
    assert refusal(request, claim(PayloadMode.UNSIGNED_TRAILER)).code == "MissingContentLength"


@pytest.mark.parametrize("value", ["", "-1", "+1", "1_0", "0x10", "1.0", "9" * 19, "\u00b2"])
def test_a_length_is_digits(value: str) -> None:
    request = ask(("x-amz-decoded-content-length", value))
    with pytest.raises(S3Error, match="InvalidArgument"):
        body_length(request.headers, claim(PayloadMode.UNSIGNED_TRAILER).payload)


def test_framing_that_the_signature_does_not_speak_of_is_refused() -> None:
    request = ask(("content-length", "70"), ("x-amz-decoded-content-length", "5"))
    assert refusal(request, claim()).code == "InvalidRequest"
    assert refusal(ask(length_of(DATA), ("x-amz-trailer", CRC)), claim()).code == "InvalidRequest"


def test_a_short_or_long_body_is_incomplete() -> None:
    assert refusal(ask(length_of(DATA)), claim(), DATA[:-1]).code == "IncompleteBody"
    assert refusal(ask(length_of(DATA)), claim(), DATA + b"x").code == "IncompleteBody"


def test_more_than_s3_takes_in_one_request_is_refused_with_both_sizes() -> None:
    error = refusal(ask(("content-length", str(MAX_UPLOAD + 1))), claim())
    assert error.code == "EntityTooLarge"
    assert error.extras == {"ProposedSize": "5368709121", "MaxSizeAllowed": "5368709120"}
    with pytest.raises(S3Error, match="EntityTooLarge"):
        plan_stream(ask(("content-length", "11")), claim(), "checksums", max_length=10)


# Nothing unproven is let go


def leak(body: VerifiedBody, wire: bytes) -> tuple[int, str]:
    """Return how many bytes were let go, and what the body was refused with."""
    gone = 0
    try:
        for at in range(0, len(wire), 4096):
            gone += sum(len(piece) for piece in body.feed(wire[at : at + 4096]))
        gone += sum(len(piece) for piece in body.finish())
    except S3Error as error:
        return gone, error.code
    return gone, ""


@pytest.mark.parametrize("mode", MODES)
def test_the_end_of_a_body_that_fails_any_check_never_leaves(mode: UpstreamPayload) -> None:
    bad_chunk = bytearray(sign_chunks(DATA))
    bad_chunk[-300] ^= 1
    bad: Sequence[tuple[S3Request, Claim, bytes, str]] = (
        (ask(length_of(DATA), (CRC, crc(b""))), claim(), DATA, "BadDigest"),
        (ask(length_of(DATA), ("content-md5", md5(b""))), claim(), DATA, "BadDigest"),
        (ask(length_of(DATA)), hash_claim(b""), DATA, "XAmzContentSHA256Mismatch"),
        (trailing(DATA), claim(PayloadMode.UNSIGNED_TRAILER), frame(DATA, crc(b"")), "BadDigest"),
        (trailing(DATA), claim(PayloadMode.UNSIGNED_TRAILER), frame(DATA, "zzz"), "InvalidRequest"),
        (trailing(DATA), claim(PayloadMode.UNSIGNED_TRAILER), frame(DATA)[:-30], "IncompleteBody"),
        (chunked(DATA), claim(PayloadMode.SIGNED_CHUNKS), bytes(bad_chunk), "SignatureDoesNotMatch"),
        (
            trailing(DATA),
            claim(PayloadMode.SIGNED_CHUNKS_TRAILER),
            sign_chunks(DATA, trailer=crc(b"")),
            "BadDigest",
        ),
    )
    for request, who, wire, code in bad:
        plan = plan_stream(request, who, mode)
        body = plan.start(ChunkSigner(KEY, DATE, SCOPE, SEED) if plan.signs_chunks else None)
        gone, refused_with = leak(body, wire)
        assert refused_with == code
        assert gone <= plan.content_length - HOLD_BACK


# Bodies held whole


XML = b"<Delete><Object><Key>a</Key></Object></Delete>"


def buffered(
    request: S3Request, who: Claim, received: bytes, mode: UpstreamPayload = "checksums", *, rewritten: bool = False
) -> tuple[dict[str, str], BufferedPlan]:
    body = verify_buffered(request, who, received)
    plan = plan_buffered(request, who, mode, body, rewritten=rewritten)
    return sent(plan, request), plan


def test_a_document_is_verified_and_signed_for_the_store() -> None:
    request = ask(length_of(XML), (CRC, crc(XML)), operation="DeleteObjects")
    headers, plan = buffered(request, claim(), XML)
    assert headers == {CRC: crc(XML), "content-length": str(len(XML))}
    assert (plan.framing.payload_hash, plan.body) == (hashlib.sha256(XML).hexdigest(), XML)
    for wrong in (
        ask((CRC, crc(b"")), operation="DeleteObjects"),
        ask(("content-md5", "x"), operation="PutBucketCors"),
    ):
        with pytest.raises(S3Error):
            verify_buffered(wrong, claim(), XML)
    with pytest.raises(S3Error, match="XAmzContentSHA256Mismatch"):
        verify_buffered(ask(operation="DeleteObjects"), hash_claim(b""), XML)


@pytest.mark.parametrize("operation", ["DeleteObjects", "PutBucketCors", "PutObjectRetention", "PutObjectTagging"])
def test_what_s3_demands_a_checksum_for_always_carries_one(operation: str) -> None:
    with_md5 = {"content-md5": md5(XML), "content-length": str(len(XML))}
    with_crc = {CRC: crc(XML), "content-length": str(len(XML))}
    nothing, crc_given = ask(operation=operation), ask((CRC, crc(XML)), operation=operation)
    md5_given = ask(("content-md5", md5(XML)), operation=operation)
    for mode in MODES:
        assert buffered(nothing, hash_claim(XML), XML, mode)[0] == with_md5
        assert buffered(md5_given, claim(), XML, mode)[0] == with_md5
        assert buffered(crc_given, claim(), XML, mode)[0] == (with_md5 if mode == "unsigned" else with_crc)


def test_a_rewritten_document_carries_a_checksum_of_its_own() -> None:
    request = ask((CRC, crc(XML)), ("x-amz-sdk-checksum-algorithm", "CRC32"), length_of(XML), operation="DeleteObjects")
    body = verify_buffered(request, claim(), XML)
    for mode in MODES:
        plan = plan_buffered(request, claim(), mode, b"<Delete/>", rewritten=True)
        assert sent(plan, request) == {"content-md5": md5(b"<Delete/>"), "content-length": "9"}
        assert plan.framing.payload_hash == hashlib.sha256(b"<Delete/>").hexdigest()
    assert body == XML


def test_the_trailer_of_a_document_becomes_a_header() -> None:
    request = trailing(XML, operation="PutBucketTagging")
    headers, plan = buffered(request, claim(PayloadMode.UNSIGNED_TRAILER), frame(XML))
    assert headers == {CRC: crc(XML), "content-length": str(len(XML))}
    assert plan.body == XML
    signed = sign_chunks(XML, trailer=crc(XML))
    assert verify_buffered(request, claim(PayloadMode.SIGNED_CHUNKS_TRAILER), signed) == XML
    with pytest.raises(S3Error, match="BadDigest"):
        verify_buffered(request, claim(PayloadMode.UNSIGNED_TRAILER), frame(XML, crc(b"")))
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        verify_buffered(request, claim(PayloadMode.SIGNED_CHUNKS_TRAILER), signed.replace(b"<Key>a", b"<Key>b"))


def test_the_checksums_of_a_completion_are_the_objects() -> None:
    body = b"<CompleteMultipartUpload><Part><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>"
    pairs = [(CRC, "AAAAAA=="), ("x-amz-checksum-type", "FULL_OBJECT"), ("x-amz-mp-object-size", "5")]
    request = ask(*pairs, operation="CompleteMultipartUpload")
    headers, plan = buffered(request, claim(), body)
    assert headers == {**dict(pairs), "content-length": str(len(body))}
    assert plan.body == body
    assert buffered(request, claim(), body, rewritten=True)[0] == headers
    headers, plan = buffered(request, claim(), body, "unsigned")
    assert plan.body == b"<CompleteMultipartUpload><Part></Part></CompleteMultipartUpload>"
    assert headers == {"x-amz-mp-object-size": "5", "content-length": str(len(plan.body))}
    assert plan.framing.payload_hash == hashlib.sha256(plan.body).hexdigest()


def test_unsigned_asks_for_no_checksums_in_creations_copies_and_reads() -> None:
    about = [("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "COMPOSITE"), ("x-amz-meta-a", "b")]
    request = ask(*about, operation="CreateMultipartUpload")
    assert buffered(request, claim(), b"")[0] == {**dict(about), "content-length": "0"}
    assert buffered(request, claim(), b"", "unsigned")[0] == {"x-amz-meta-a": "b", "content-length": "0"}
    request = ask(("x-amz-checksum-mode", "ENABLED"), operation="GetObject")
    assert buffered(request, claim(), b"")[0] == {"x-amz-checksum-mode": "ENABLED"}
    headers, plan = buffered(request, claim(), b"", "unsigned")
    assert (headers, plan.framing.payload_hash) == ({}, EMPTY_SHA256)


def test_a_body_where_none_belongs_is_refused_and_a_signed_hash_must_be_that_of_nothing() -> None:
    for operation in ("GetObject", "CopyObject", "DeleteObject"):
        with pytest.raises(S3Error, match="InvalidRequest"):
            verify_buffered(ask(operation=operation), claim(), b"x")
        with pytest.raises(S3Error, match="XAmzContentSHA256Mismatch"):
            verify_buffered(ask(operation=operation), hash_claim(b"x"), b"")
        assert verify_buffered(ask(operation=operation), hash_claim(b""), b"") == b""


def test_signed_chunks_without_a_verifier_are_a_mistake_of_ours() -> None:
    plan = plan_stream(chunked(DATA), Claim(payload=claim(PayloadMode.SIGNED_CHUNKS).payload), "checksums")
    with pytest.raises(ValueError, match="verifier"):
        plan.start()


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_passes_through_as_header_and_as_trailer(name: str) -> None:
    algorithm = ALGORITHMS[name]
    hasher = algorithm.start()
    hasher.update(DATA)
    value = b64(hasher.digest())
    assert run(plan_stream(ask(length_of(DATA), (algorithm.header, value)), claim(), "checksums"), DATA) == DATA
    wire = b"%x\r\n%s\r\n0\r\n%s:%s\r\n\r\n" % (len(DATA), DATA, algorithm.header.encode(), value.encode())
    request = chunked(DATA, ("x-amz-trailer", algorithm.header))
    assert run(plan_stream(request, claim(PayloadMode.UNSIGNED_TRAILER), "checksums"), wire) == wire

"""Uploads that are encrypted on their way: exact lengths, headers about sealed bytes only, plaintext proven first."""

from __future__ import annotations

import os
import zlib
from base64 import b64encode

import pytest

from proxy.auth.claim import PayloadHash, PayloadMode
from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.frames import FrameOpener
from proxy.envelope.single import open_body_header, seal_body_header
from proxy.envelope.sizes import FRAME, single_size
from proxy.errors import S3Error
from proxy.s3.address import Domains
from proxy.s3.head import parse_head
from proxy.s3.headers import Headers
from proxy.s3.request import S3Request, recognise
from proxy.sealing import (
    METADATA_LIMIT,
    SealedPlan,
    check_length,
    check_metadata,
    header_checksum,
    plan_sealed,
    plan_wire,
)

UNSIGNED = PayloadHash(PayloadMode.UNSIGNED, "UNSIGNED-PAYLOAD")
ENTROPY = SystemEntropy()


def put(**headers: str) -> S3Request:
    pairs = [("Host", "localhost"), *((name.replace("_", "-"), value) for name, value in headers.items())]
    return recognise(parse_head("PUT", "/bucket/key", Headers.of(pairs)), Domains.of(()))


def plan(body: bytes, request: S3Request, upstream: str = "checksums") -> tuple[SealedPlan, bytes, ObjectKeys]:
    keys = ObjectKeys.fresh(ENTROPY)
    header, key = seal_body_header(keys, ENTROPY)
    made = plan_sealed(request, UNSIGNED, None, upstream, len(body), key, added={"x-amz-meta-s3w": "v"})
    return made, header, keys


def run(made: SealedPlan, body: bytes) -> bytes:
    machine = made.start()
    pieces = [piece for at in range(0, len(body), 7000) for piece in machine.feed(body[at : at + 7000])]
    return b"".join([*pieces, *machine.finish()])


@pytest.mark.parametrize("size", [0, 1, FRAME, FRAME + 1, 3 * FRAME])
def test_what_is_sent_has_the_length_that_was_announced_and_opens(size: int) -> None:
    body = os.urandom(size)
    made, header, keys = plan(body, put())
    sent = run(made, body)
    assert len(sent) == made.wire.content_length == single_size(size)
    assert ("content-length", str(len(sent))) in made.framing.headers
    opener = FrameOpener(open_body_header(header, keys), size)
    assert bytes(opener.feed(sent)) == body
    opener.finish()


def test_nothing_that_the_client_says_about_its_plaintext_goes_on() -> None:
    crc = b64encode(zlib.crc32(b"text").to_bytes(4, "big")).decode()
    request = put(x_amz_checksum_crc32=crc, x_amz_server_side_encryption="AES256", content_encoding="gzip,aws-chunked")
    made, _, _ = plan(b"text", request)
    assert {"x-amz-checksum-crc32", "x-amz-server-side-encryption", "content-md5"} <= made.framing.drop
    assert dict(made.framing.headers)["content-encoding"] == "gzip"
    assert made.framing.payload_hash == "UNSIGNED-PAYLOAD"
    assert header_checksum(made.declared) == f"crc32={crc};FULL_OBJECT"


def test_the_final_frame_waits_for_the_checksum() -> None:
    made, _, _ = plan(b"text", put(x_amz_checksum_crc32=b64encode(bytes(4)).decode()))
    machine = made.start()
    assert machine.feed(b"text") == []
    with pytest.raises(S3Error) as raised:
        machine.finish()
    assert raised.value.code == "BadDigest"


def test_a_checksum_that_s3_demands_is_of_the_sealed_bytes() -> None:
    body = os.urandom(FRAME + 5)
    made, _, _ = plan(body, put(x_amz_object_lock_legal_hold="ON"))
    sent = run(made, body)
    assert len(sent) == made.wire.content_length
    head, _, rest = sent.partition(b"\r\n")
    sealed = rest[: int(head, 16)]
    trailer = b64encode(zlib.crc32(sealed).to_bytes(4, "big"))
    assert rest[len(sealed) :] == b"\r\n0\r\nx-amz-checksum-crc32:" + trailer + b"\r\n\r\n"


def test_signed_chunks_are_announced_with_the_sealed_length() -> None:
    wire = plan_wire(1000, "signed-chunks")
    assert dict(wire.headers)["x-amz-decoded-content-length"] == "1000"
    assert wire.content_length > 1000
    with pytest.raises(ValueError, match="signer"):
        wire.encoder(None)


def test_metadata_counts_with_ours_and_our_names_are_reserved() -> None:
    ours = {"x-amz-meta-s3w": "x" * 700}
    room = METADATA_LIMIT - 703 - len("a")
    check_metadata(put(x_amz_meta_a="y" * room).headers, ours)
    for request, code in (
        (put(x_amz_meta_a="y" * (room + 1)), "MetadataTooLarge"),
        (put(x_amz_meta_s3w="y"), "InvalidArgument"),
        (put(x_amz_meta_s3w_ck="y"), "InvalidArgument"),
    ):
        with pytest.raises(S3Error) as raised:
            check_metadata(request.headers, ours)
        assert raised.value.code == code


def test_what_cannot_fit_is_refused_before_it_is_read() -> None:
    check_length(10, 10)
    with pytest.raises(S3Error) as raised:
        check_length(11, 10)
    assert (raised.value.code, raised.value.close) == ("EntityTooLarge", True)
    assert raised.value.extras["MaxSizeAllowed"] == "10"

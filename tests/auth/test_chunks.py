"""Chunk signatures, held against the examples in AWS's documentation."""

from __future__ import annotations

import hashlib
from types import MappingProxyType

import pytest

from proxy.auth.chunks import ChunkSigner, ChunkVerifier
from proxy.auth.claim import PayloadMode
from proxy.auth.credential import Credential, signing_key
from proxy.errors import S3Error

SPEC_TIME = 1369353600
STAMP, SCOPE = "20130524T000000Z", "20130524/us-east-1/s3/aws4_request"
FIRST = hashlib.sha256(b"a" * 65536).hexdigest()
SECOND = hashlib.sha256(b"a" * 1024).hexdigest()
LAST = hashlib.sha256().hexdigest()
PLAIN = (
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)
TRAILED = (
    "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
)
TRAILER = hashlib.sha256(b"x-amz-checksum-crc32c:sOO8/Q==\n").hexdigest()
TRAILER_SIGNATURE = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
HEADERS = MappingProxyType(
    {
        "host": "s3.amazonaws.com",
        "x-amz-date": STAMP,
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
    }
)


@pytest.fixture
def key(keys) -> bytes:
    return signing_key(keys["AKIAIOSFODNN7EXAMPLE"], "20130524", "us-east-1")


def example(new_wire, extra, seed):
    headers = {**HEADERS, **extra}
    names = ";".join(sorted(headers))
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/{SCOPE},SignedHeaders={names},Signature={seed}"
    )
    pairs = tuple((name, value.encode()) for name, value in headers.items())
    return new_wire("PUT", "/examplebucket/chunkObject.txt", pairs)


def test_the_signed_streaming_example_of_aws_verifies(proxy, new_wire):
    extra = {"content-length": "66824", "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
    claim = proxy.accept(example(new_wire, extra, PLAIN[0]), now=SPEC_TIME)
    assert claim.payload.mode is PayloadMode.SIGNED_CHUNKS
    assert claim.payload.mode.aws_chunked
    for digest, signature in zip((FIRST, SECOND, LAST), PLAIN[1:], strict=True):
        claim.chunk_signer.verify_chunk(digest, signature)


def test_the_signed_trailer_example_of_aws_verifies(proxy, new_wire):
    extra = {
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "x-amz-trailer": "x-amz-checksum-crc32c",
    }
    claim = proxy.accept(example(new_wire, extra, TRAILED[0]), now=SPEC_TIME)
    assert claim.payload.mode is PayloadMode.SIGNED_CHUNKS_TRAILER
    for digest, signature in zip((FIRST, SECOND, LAST), TRAILED[1:], strict=True):
        claim.chunk_signer.verify_chunk(digest, signature)
    claim.chunk_signer.verify_trailer(TRAILER, TRAILER_SIGNATURE)


def test_chunks_are_signed_as_in_the_examples(key):
    signer = ChunkSigner(key, STAMP, SCOPE, PLAIN[0])
    assert tuple(signer.sign_chunk(digest) for digest in (FIRST, SECOND, LAST)) == PLAIN[1:]
    signer = ChunkSigner(key, STAMP, SCOPE, TRAILED[0])
    assert tuple(signer.sign_chunk(digest) for digest in (FIRST, SECOND, LAST)) == TRAILED[1:]
    assert signer.sign_trailer(TRAILER) == TRAILER_SIGNATURE


@pytest.mark.parametrize(
    "chunks",
    [
        [(SECOND, PLAIN[1])],
        [(FIRST, PLAIN[1][:-1] + "0")],
        [(FIRST, "")],
        [(FIRST, "é")],
        [(SECOND, PLAIN[2])],
        [(FIRST, PLAIN[1]), (FIRST, PLAIN[1])],
        [(FIRST, PLAIN[1]), (LAST, PLAIN[3])],
    ],
)
def test_a_chunk_that_is_changed_left_out_or_repeated_is_refused(key, chunks):
    verifier = ChunkVerifier(key, STAMP, SCOPE, PLAIN[0])
    for digest, signature in chunks[:-1]:
        verifier.verify_chunk(digest, signature)
    with pytest.raises(S3Error) as caught:
        verifier.verify_chunk(*chunks[-1])
    assert (caught.value.code, caught.value.status) == ("SignatureDoesNotMatch", 403)
    assert caught.value.close


def test_a_changed_trailer_is_refused(key):
    verifier = ChunkVerifier(key, STAMP, SCOPE, TRAILED[3])
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        verifier.verify_trailer(LAST, TRAILER_SIGNATURE)


def test_neither_shows_its_key(key):
    for chain in (ChunkSigner(key, STAMP, SCOPE, "seed"), ChunkVerifier(key, STAMP, SCOPE, "seed")):
        assert repr(chain) == f"{type(chain).__name__}()"
    assert repr(Credential("AK", "hidden", "token")) == "Credential(AK, temporary)"

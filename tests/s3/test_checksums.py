"""What a request declares about its body is read strictly, and every algorithm of S3 can be computed."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
import xxhash
from botocore import session as botocore_session
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import S3Error
from proxy.s3.checksums import (
    ALGORITHMS,
    BY_FIELD,
    EMPTY_SHA256,
    Declared,
    Verifier,
    combine_composite,
    combine_full_object,
    encode_value,
    parse_declared,
    verify_body,
)
from proxy.s3.headers import Headers

BODY = b"123456789"

# Check values of the CRC catalogue (reveng), and of FIPS 180 / RFC 1321 / the xxHash authors' library.
KNOWN = {
    "CRC32": bytes.fromhex("cbf43926"),
    "CRC32C": bytes.fromhex("e3069283"),
    "CRC64NVME": bytes.fromhex("ae8b14860a799888"),
    "MD5": bytes.fromhex("25f9e794323b453885f5181f1b624d0b"),
    "SHA1": hashlib.sha1(BODY).digest(),
    "SHA256": hashlib.sha256(BODY).digest(),
    "SHA512": hashlib.sha512(BODY).digest(),
    "XXHASH3": xxhash.xxh3_64(BODY).digest(),
    "XXHASH64": xxhash.xxh64(BODY).digest(),
    "XXHASH128": xxhash.xxh3_128(BODY).digest(),
}


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def declare(*pairs: tuple[str, str], sha256: str | None = None, **options: bool) -> Declared:
    return parse_declared(Headers.of(pairs), sha256, **options)


def refusal(*pairs: tuple[str, str], **options: bool) -> S3Error:
    with pytest.raises(S3Error) as caught:
        declare(*pairs, **options)
    return caught.value


def mismatch(declared: Declared, body: bytes = BODY, **trailers: str) -> S3Error:
    with pytest.raises(S3Error) as caught:
        verify_body(declared, body, {name.replace("_", "-"): value for name, value in trailers.items()})
    return caught.value


def test_the_algorithms_are_those_of_the_aws_model() -> None:
    model = botocore_session.get_session().get_service_model("s3")
    assert set(ALGORITHMS) == set(model.shape_for("ChecksumAlgorithm").enum)
    members = model.shape_for("CompletedPart").members
    assert {a.element for a in ALGORITHMS.values()} == {name for name in members if name.startswith("Checksum")}
    fields = {m.serialization["name"] for m in model.operation_model("PutObject").input_shape.members.values()
              if m.serialization.get("name", "").startswith("x-amz-checksum-")}  # fmt: skip
    assert set(BY_FIELD) == fields


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_each_algorithm_gives_the_known_value_in_pieces_of_any_buffer_type(name: str) -> None:
    algorithm = ALGORITHMS[name]
    hasher = algorithm.start()
    hasher.update(memoryview(BODY)[:4])
    hasher.update(bytearray(BODY[4:6]))
    hasher.update(BODY[6:])
    assert hasher.digest() == hasher.digest() == KNOWN[name]
    assert len(KNOWN[name]) == algorithm.size
    assert len(b64(KNOWN[name])) == algorithm.text_size


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_checksum_header_or_trailer_is_accepted_only_if_it_is_true(name: str) -> None:
    field = ALGORITHMS[name].header
    right, wrong = b64(KNOWN[name]), b64(bytes(len(KNOWN[name])))
    verify_body(declare((field, right)), BODY)
    error = mismatch(declare((field, wrong)))
    assert (error.code, error.message) == (
        "BadDigest",
        f"The {name} you specified did not match the calculated checksum.",
    )
    trailing = declare(("x-amz-trailer", field), trailing=True)
    verify_body(trailing, BODY, {field: right})
    assert mismatch(trailing, **{field: wrong}).code == "BadDigest"


@pytest.mark.parametrize("value", ["", "AAAA", "AAAAAAAAAAA=", "!!!!", "y/Q5Jg", "y/Q5Jg==\n\n=", "cbf43926"])
def test_a_malformed_checksum_header_is_an_invalid_request(value: str) -> None:
    error = refusal(("x-amz-checksum-crc32", value))
    assert (error.code, error.message) == ("InvalidRequest", "Value for x-amz-checksum-crc32 header is invalid.")


def test_a_malformed_trailer_value_is_an_invalid_request() -> None:
    declared = declare(("x-amz-trailer", "x-amz-checksum-crc32"), trailing=True)
    assert mismatch(declared, x_amz_checksum_crc32="AAAA").code == "InvalidRequest"


def test_a_promised_trailer_must_come_and_no_other() -> None:
    declared = declare(("x-amz-trailer", "X-Amz-Checksum-CRC32"), trailing=True)
    assert mismatch(declared).code == "MalformedTrailerError"
    error = mismatch(declared, x_amz_checksum_crc32=b64(KNOWN["CRC32"]), x_amz_checksum_sha1=b64(KNOWN["SHA1"]))
    assert error.code == "MalformedTrailerError"
    assert mismatch(Declared(), x_amz_checksum_crc32="").code == "MalformedTrailerError"


def test_a_checksum_nobody_knows_yet_is_refused_wherever_it_stands() -> None:
    assert refusal(("x-amz-checksum-blake9", "AAAA")).code == "InvalidRequest"
    assert refusal(("x-amz-checksum-", "AAAA")).code == "InvalidRequest"
    assert refusal(("x-amz-trailer", "x-amz-checksum-blake9"), trailing=True).code == "InvalidRequest"
    assert refusal(("x-amz-trailer", "x-amz-meta-note"), trailing=True).code == "InvalidRequest"
    assert refusal(("x-amz-checksum-blake9", "AAAA"), of_object=True).code == "InvalidRequest"


def test_fields_that_only_talk_about_checksums_are_not_checksums() -> None:
    declared = declare(
        ("x-amz-checksum-type", "FULL_OBJECT"),
        ("x-amz-checksum-algorithm", "CRC32"),
        ("x-amz-checksum-mode", "ENABLED"),
    )
    assert declared == Declared()


def test_two_checksums_at_once_are_refused_as_s3_does() -> None:
    crc, sha = ("x-amz-checksum-crc32", b64(KNOWN["CRC32"])), ("x-amz-checksum-sha1", b64(KNOWN["SHA1"]))
    assert "single" in refusal(crc, sha).message
    assert "single" in refusal(crc, ("x-amz-trailer", "x-amz-checksum-sha1"), trailing=True).message
    assert "single" in refusal(crc, ("x-amz-trailer", "x-amz-checksum-crc32"), trailing=True).message
    assert refusal(crc, crc).code == "InvalidArgument"


def test_trailers_are_refused_on_a_body_that_cannot_carry_them() -> None:
    assert refusal(("x-amz-trailer", "x-amz-checksum-crc32")).code == "InvalidRequest"


def test_the_sdk_algorithm_must_agree_with_a_checksum_that_is_sent() -> None:
    crc = ("x-amz-checksum-crc32", b64(KNOWN["CRC32"]))
    declare(crc, ("x-amz-sdk-checksum-algorithm", "CRC32"))
    declare(("x-amz-trailer", "x-amz-checksum-crc32"), ("x-amz-sdk-checksum-algorithm", "crc32"), trailing=True)
    assert "no corresponding" in refusal(("x-amz-sdk-checksum-algorithm", "CRC32")).message
    assert refusal(crc, ("x-amz-sdk-checksum-algorithm", "SHA1")).code == "InvalidRequest"
    assert refusal(crc, ("x-amz-sdk-checksum-algorithm", "BLAKE9")).code == "InvalidRequest"


def test_content_md5_is_verified_and_reports_both_digests() -> None:
    verify_body(declare(("content-md5", b64(KNOWN["MD5"]))), BODY)
    error = mismatch(declare(("content-md5", b64(bytes(16)))))
    assert error.code == "BadDigest"
    assert error.extras == {"CalculatedDigest": b64(KNOWN["MD5"]), "ExpectedDigest": b64(bytes(16))}
    for malformed in ("", "AAAA", KNOWN["MD5"].hex(), "*" * 24):
        assert refusal(("content-md5", malformed)).code == "InvalidDigest"


def test_the_signed_body_hash_is_verified_and_reports_both_hashes() -> None:
    verify_body(declare(sha256=KNOWN["SHA256"].hex()), BODY)
    error = mismatch(declare(sha256=EMPTY_SHA256))
    assert error.code == "XAmzContentSHA256Mismatch"
    assert error.extras == {
        "ClientComputedContentSHA256": EMPTY_SHA256,
        "S3ComputedContentSHA256": KNOWN["SHA256"].hex(),
    }
    with pytest.raises(S3Error, match="InvalidArgument"):
        declare(sha256="zz" * 32)


def test_a_checksum_of_the_finished_object_is_not_held_against_the_request_body() -> None:
    declared = declare(("x-amz-checksum-crc32c", "AAAAAA==-3"), ("content-md5", b64(KNOWN["MD5"])), of_object=True)
    verify_body(declared, BODY)
    assert [check.algorithm.name for check in declared.checks] == ["MD5"]


def test_only_checksums_count_as_guarding_the_body() -> None:
    assert not declare(sha256=EMPTY_SHA256).guards_body
    assert declare(("content-md5", b64(KNOWN["MD5"]))).guards_body
    assert declare(("x-amz-trailer", "x-amz-checksum-sha1"), trailing=True).guards_body


def test_one_pass_serves_a_hash_declared_twice_and_extra_ones() -> None:
    declared = declare(("x-amz-checksum-sha256", b64(KNOWN["SHA256"])), sha256=KNOWN["SHA256"].hex())
    verifier = Verifier(declared, [ALGORITHMS["CRC32"], ALGORITHMS["SHA256"]])
    for byte in BODY:
        verifier.update(bytes([byte]))
    verifier.verify({})
    assert verifier.digest(ALGORITHMS["CRC32"]) == KNOWN["CRC32"]


@given(parts=st.lists(st.binary(max_size=50), min_size=1, max_size=6))
def test_crcs_of_parts_combine_into_that_of_the_object(parts: list[bytes]) -> None:
    for name in ("CRC32", "CRC32C", "CRC64NVME"):
        algorithm = ALGORITHMS[name]
        whole = algorithm.start()
        whole.update(b"".join(parts))
        digests = []
        for part in parts:
            hasher = algorithm.start()
            hasher.update(part)
            digests.append((hasher.digest(), len(part)))
        assert combine_full_object(algorithm, digests) == whole.digest()


def test_hashes_have_no_full_object_form_but_a_composite_one() -> None:
    with pytest.raises(ValueError, match="SHA1"):
        combine_full_object(ALGORITHMS["SHA1"], [(bytes(20), 1)])
    parts = [hashlib.sha1(b"a").digest(), hashlib.sha1(b"b").digest()]
    assert combine_composite(ALGORITHMS["SHA1"], parts) == b64(hashlib.sha1(b"".join(parts)).digest()) + "-2"


def test_values_are_written_most_significant_byte_first() -> None:
    assert encode_value(zlib.crc32(BODY).to_bytes(4, "big")) == "y/Q5Jg=="

"""What a store can exchange between objects, versions, parts and frames: none of it comes out, whole or in ranges."""

from __future__ import annotations

import base64
import os
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from proxy.envelope.sizes import FRAME, LOCATOR, MIN_PART, SEGMENT_HEADER, WIRE_FRAME, segment_size
from tests.server.envelope.conftest import Sealed
from tests.server.envelope.test_attacks import Parts, failures, flip, read
from tests.server.envelope.test_multipart import upload
from tests.server.envelope.test_single import refused

SIZES = (MIN_PART, MIN_PART)


def taken_apart(sealed: Sealed, bucket: str, key: str = "key") -> Parts:
    """Upload an object of two parts twice and return the pieces of both."""
    found: list[Any] = []
    for _ in range(2):
        upload(sealed.client, bucket, {number: os.urandom(size) for number, size in enumerate(SIZES, 1)}, key)
        got = sealed.direct.get_object(Bucket=bucket, Key=key)
        raw, cut = got["Body"].read(), segment_size(MIN_PART)
        found.append((got["Metadata"], [raw[:cut], raw[cut : 2 * cut]], raw[2 * cut :]))
    (metadata, segments, trailer), (_, other, other_trailer) = found
    return Parts(sealed, bucket, metadata, segments, trailer, other, other_trailer)


@pytest.fixture(scope="module")
def pieces(sealed: Sealed) -> Parts:
    return taken_apart(sealed, sealed.bucket())


def frame(segment: bytes, number: int) -> slice:
    """Return where a frame of a segment is, the first being number 0."""
    start = SEGMENT_HEADER + number * WIRE_FRAME
    return slice(start, start + WIRE_FRAME)


def swapped_frames(segment: bytes) -> bytes:
    two, three = frame(segment, 2), frame(segment, 3)
    return segment[: two.start] + segment[three] + segment[two] + segment[three.stop :]


def repeated_frame(segment: bytes) -> bytes:
    two, three = frame(segment, 2), frame(segment, 3)
    return segment[: three.start] + segment[two] + segment[three.stop :]


def moved_frame(segment: bytes, other: bytes) -> bytes:
    two = frame(segment, 2)
    return segment[: two.start] + other[two] + segment[two.stop :]


def located(trailer: bytes, length: int) -> bytes:
    """Return a trailer whose locator claims another length."""
    return trailer[:-LOCATOR] + struct.pack(">8sQ", b"S3WTRLR1", length)


FRAME_ATTACKS: dict[str, Callable[[Parts], list[bytes]]] = {
    "frames swapped in a part": lambda p: [swapped_frames(p.segments[0]), p.segments[1], p.trailer],
    "a frame repeated": lambda p: [repeated_frame(p.segments[0]), p.segments[1], p.trailer],
    "a frame of another part": lambda p: [moved_frame(p.segments[0], p.segments[1]), p.segments[1], p.trailer],
    "a frame of another attempt": lambda p: [moved_frame(p.segments[0], p.other[0]), p.segments[1], p.trailer],
    "a header of another part": lambda p: [
        p.segments[1][:SEGMENT_HEADER] + p.segments[0][SEGMENT_HEADER:], p.segments[1], p.trailer,
    ],
    "a header of another attempt": lambda p: [
        p.other[0][:SEGMENT_HEADER] + p.segments[0][SEGMENT_HEADER:], p.segments[1], p.trailer,
    ],
    "parts and trailer of another upload": lambda p: [*p.other, p.other_trailer],
}  # fmt: skip


@pytest.mark.parametrize("attack", FRAME_ATTACKS.values(), ids=FRAME_ATTACKS)
def test_frames_and_headers_fit_one_place_only(pieces: Parts, attack: Callable[[Parts], list[bytes]]) -> None:
    pieces.store(attack(pieces))
    for options in ({}, {"Range": f"bytes={2 * FRAME + 5}-{3 * FRAME + 9}"}, {"PartNumber": 1}):
        before = failures(pieces.sealed)
        assert read(pieces.sealed, pieces.bucket, **options) is None, options
        assert failures(pieces.sealed) > before, options


@pytest.mark.parametrize("length", [0, 228, 240, 522 + 80 * 3 + 1, 2**31, 2**63, 2**64 - 1])
def test_a_locator_that_lies_is_not_believed(pieces: Parts, length: int) -> None:
    pieces.store([*pieces.segments, located(pieces.trailer, length)])
    before = failures(pieces.sealed)
    assert refused(pieces.sealed.client.get_object, Bucket=pieces.bucket, Key="key") == (500, "InternalError")
    assert failures(pieces.sealed) == before + 1


def test_an_object_of_parts_is_bound_to_its_name(sealed: Sealed) -> None:
    bucket, other = sealed.bucket(), sealed.bucket()
    upload(sealed.client, bucket, {1: os.urandom(MIN_PART), 2: b"end"})
    got = sealed.direct.get_object(Bucket=bucket, Key="key")
    cut = segment_size(MIN_PART)
    raw = got["Body"].read()
    for there, key in ((bucket, "other"), (other, "key")):
        arguments = {"Bucket": there, "Key": key}
        upload_id = sealed.direct.create_multipart_upload(**arguments, Metadata=got["Metadata"])["UploadId"]
        rows = [
            {"PartNumber": number, "ETag": sealed.direct.upload_part(
                **arguments, UploadId=upload_id, PartNumber=number, Body=piece)["ETag"]}
            for number, piece in enumerate((raw[:cut], raw[cut:]), 1)
        ]  # fmt: skip
        sealed.direct.complete_multipart_upload(**arguments, UploadId=upload_id, MultipartUpload={"Parts": rows})
        for options in ({}, {"Range": "bytes=0-9"}, {"PartNumber": 2}):
            assert refused(sealed.client.get_object, **arguments, **options) == (500, "InternalError")


@pytest.mark.parametrize("kind", ["single", "parts"])
def test_metadata_of_another_version_does_not_fit(sealed: Sealed, bucket: str, kind: str) -> None:
    sealed.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    found = []
    for _ in range(2):
        if kind == "single":
            sealed.client.put_object(Bucket=bucket, Key="key", Body=os.urandom(100))
        else:
            upload(sealed.client, bucket, {1: os.urandom(100)})
        found.append(sealed.direct.get_object(Bucket=bucket, Key="key"))
    bodies = [each["Body"].read() for each in found]
    swapped = found[0]["Metadata"]
    if kind == "single":
        sealed.direct.put_object(Bucket=bucket, Key="key", Body=bodies[1], Metadata=swapped)
    else:
        arguments = {"Bucket": bucket, "Key": "key"}
        upload_id = sealed.direct.create_multipart_upload(**arguments, Metadata=swapped)["UploadId"]
        sent = sealed.direct.upload_part(**arguments, UploadId=upload_id, PartNumber=1, Body=bodies[1])
        rows = [{"PartNumber": 1, "ETag": sent["ETag"]}]
        sealed.direct.complete_multipart_upload(**arguments, UploadId=upload_id, MultipartUpload={"Parts": rows})
    before = failures(sealed)
    assert refused(sealed.client.get_object, Bucket=bucket, Key="key") == (500, "InternalError")
    assert failures(sealed) == before + 1
    for each in found:
        got = sealed.client.get_object(Bucket=bucket, Key="key", VersionId=each["VersionId"])
        assert len(got["Body"].read()) == 100, "versions that nobody touched are read"


def test_a_sealed_checksum_of_another_object_is_not_shown(sealed: Sealed, bucket: str) -> None:
    for key in ("key", "other"):
        sealed.client.put_object(Bucket=bucket, Key=key, Body=key.encode(), ChecksumCRC32C=crc32c(key.encode()))
    metadata = [sealed.direct.head_object(Bucket=bucket, Key=key)["Metadata"] for key in ("key", "other")]
    assert "s3w-ck" in metadata[0]
    sealed.rewrite(bucket, "key", metadata={**metadata[0], "s3w-ck": metadata[1]["s3w-ck"]})
    before = failures(sealed)
    for call in (sealed.client.get_object, sealed.client.head_object):
        assert refused(call, Bucket=bucket, Key="key", ChecksumMode="ENABLED")[0] == 500
    assert failures(sealed) == before + 2


def crc32c(body: bytes) -> str:
    from awscrt import checksums

    return base64.b64encode(checksums.crc32c(body).to_bytes(4, "big")).decode()


def test_base64_whose_last_bits_are_not_zero_is_another_spelling(sealed: Sealed, bucket: str) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for key in ("k", "ke", "key"):
        sealed.client.put_object(Bucket=bucket, Key=key, Body=b"text")
        text = sealed.direct.head_object(Bucket=bucket, Key=key)["Metadata"]["s3w"]
        bare = text.rstrip("=")
        if bare == text:
            continue
        stray = bare[:-1] + alphabet[alphabet.index(bare[-1]) + 1] + text[len(bare) :]
        assert base64.b64decode(stray) == base64.b64decode(text)
        sealed.rewrite(bucket, key, metadata={"s3w": stray})
        assert refused(sealed.client.get_object, Bucket=bucket, Key=key) == (500, "InternalError")
        break
    else:
        pytest.fail("the length of a capsule does not depend on the key's name: choose other names")


def test_the_operator_is_told_which_object_and_what_of_it(sealed: Sealed, bucket: str) -> None:
    key = "red \x1b[31m alert"
    sealed.client.put_object(Bucket=bucket, Key=key, Body=os.urandom(3 * FRAME))
    body = sealed.direct.get_object(Bucket=bucket, Key=key)["Body"].read()
    at = len(sealed.log())
    sealed.rewrite(bucket, key, body=flip(body, WIRE_FRAME))
    assert read(sealed, bucket, key) is None
    lines = [line for line in sealed.log()[at:].splitlines() if "failed verification" in line]
    assert len(lines) == 1
    assert lines[0].endswith(f"`{bucket}/red \\x1b[31m alert` failed verification (frame): frame 2 does not verify")
    request = lines[0].partition("request ")[2].partition(":")[0]
    deadline = time.monotonic() + 10
    while not (found := [each for each in sealed.decisions() if each["request_id"] == request]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (found[0]["status"], found[0]["detail"]) == (500, "integrity: frame: frame 2 does not verify")


def test_the_operator_is_told_which_version(sealed: Sealed, bucket: str) -> None:
    sealed.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    body = sealed.direct.get_object(Bucket=bucket, Key="key")["Body"].read()
    sealed.rewrite(bucket, "key", body=flip(body, 30))
    damaged = sealed.direct.head_object(Bucket=bucket, Key="key")["VersionId"]
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"newer")
    assert read(sealed, bucket, VersionId=damaged) is None
    assert read(sealed, bucket) == b"newer"
    assert f"`{bucket}/key` (version `{damaged}`) failed verification (frame)" in sealed.log()

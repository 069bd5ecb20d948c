"""What a hostile store can do to stored objects, done behind the proxy's back: none of it comes out as plaintext."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

from proxy.envelope.capsule import parse_capsule
from proxy.envelope.metadata import decode_value
from proxy.envelope.sizes import FRAME, LOCATOR, MIN_PART, WIRE_FRAME, segment_size
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, fetch, sealed_proxy
from tests.server.envelope.test_multipart import upload
from tests.server.envelope.test_single import refused


def failures(sealed: Sealed) -> float:
    with fetch(f"http://127.0.0.1:{sealed.admin}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("s3warden_integrity_failures_total{"))


def read(sealed: Sealed, bucket: str, key: str = "key", **options: Any) -> bytes | None:
    """Return what a client gets, or None when it gets an error or a connection that breaks off."""
    try:
        return sealed.client.get_object(Bucket=bucket, Key=key, **options)["Body"].read()
    except (ClientError, IncompleteReadError, ResponseStreamingError):
        return None


def flip(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 0x40]) + raw[at + 1 :]


PLAIN = os.urandom(3 * FRAME + 100)
FRAMES = 3 * WIRE_FRAME
BODY_ATTACKS: dict[str, Callable[[bytes], bytes]] = {
    "bit flip in the first frame": lambda raw: flip(raw, 100),
    "bit flip in a frame's head": lambda raw: flip(raw, 3),
    "bit flip in the last tag": lambda raw: flip(raw, len(raw) - 1),
    "bit flip in the middle": lambda raw: flip(raw, WIRE_FRAME + 50),
    "swapped frames": lambda raw: raw[WIRE_FRAME : 2 * WIRE_FRAME] + raw[:WIRE_FRAME] + raw[2 * WIRE_FRAME :],
    "dropped frame": lambda raw: raw[WIRE_FRAME:],
    "cut at a frame boundary": lambda raw: raw[:FRAMES],
    "cut within a frame": lambda raw: raw[:-30],
    "trailing byte": lambda raw: raw + b"\0",
    "trailing 32 bytes": lambda raw: raw + bytes(32),
    "nothing": lambda raw: b"",
    "plaintext": lambda raw: PLAIN,
}


@pytest.mark.parametrize("attack", BODY_ATTACKS.values(), ids=BODY_ATTACKS)
def test_a_changed_body_is_never_released_whole(sealed: Sealed, bucket: str, attack: Callable[[bytes], bytes]) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=PLAIN)
    raw = sealed.direct.get_object(Bucket=bucket, Key="key")["Body"].read()
    sealed.rewrite(bucket, "key", body=attack(raw))
    before = failures(sealed)
    assert read(sealed, bucket) is None
    assert failures(sealed) > before
    assert "failed verification" in sealed.log()


@pytest.mark.parametrize("at", [0, 40, 95, 120, 250, 400, -1, -40, -120])
def test_a_bit_flip_in_the_metadata_is_a_clean_error(sealed: Sealed, bucket: str, at: int) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    metadata = sealed.direct.head_object(Bucket=bucket, Key="key")["Metadata"]
    raw = decode_value(metadata["s3w"])
    metadata["s3w"] = base64.b64encode(flip(raw, at % len(raw))).decode()
    sealed.rewrite(bucket, "key", metadata=metadata)
    status, code = refused(sealed.client.get_object, Bucket=bucket, Key="key")
    assert (status, code) in ((500, "InternalError"), (400, "KMS.NotFoundException"))


@pytest.mark.parametrize(
    "change", [lambda text: text + "=", lambda text: text.rstrip("=") + "\t", lambda text: "!" + text]
)
def test_metadata_has_one_spelling(sealed: Sealed, bucket: str, change: Callable[[str], str]) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    metadata = sealed.direct.head_object(Bucket=bucket, Key="key")["Metadata"]
    sealed.rewrite(bucket, "key", metadata={"s3w": change(metadata["s3w"])})
    assert read(sealed, bucket) is None


def test_an_object_is_bound_to_its_name(sealed: Sealed, bucket: str) -> None:
    other = sealed.bucket()
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    for there, key in ((bucket, "other"), (other, "key")):
        sealed.direct.copy_object(Bucket=there, Key=key, CopySource=f"{bucket}/key")
        assert refused(sealed.client.get_object, Bucket=there, Key=key) == (500, "InternalError")


def test_capsule_and_body_header_of_another_object_do_not_fit(sealed: Sealed, bucket: str) -> None:
    for key in ("a", "b"):
        sealed.client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    values = [decode_value(sealed.direct.head_object(Bucket=bucket, Key=key)["Metadata"]["s3w"]) for key in "ab"]
    (capsule, header), (other_capsule, other_header) = map(parse_capsule, values)
    for raw in (capsule.raw + other_header, other_capsule.raw + header, other_capsule.raw + other_header):
        sealed.rewrite(bucket, "a", metadata={"s3w": base64.b64encode(raw).decode()})
        assert read(sealed, bucket, "a") is None


def test_another_key_opens_nothing(sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    with sealed_proxy(tmp_path, moto_store, swap_keys=True) as wrong:
        assert refused(wrong.client.get_object, Bucket=bucket, Key="key") == (500, "InternalError")


@dataclass
class Parts:
    """A multipart object taken apart, and another attempt and another upload of the same sizes."""

    sealed: Sealed
    bucket: str
    metadata: dict[str, str]
    segments: list[bytes]
    trailer: bytes
    other: list[bytes]
    other_trailer: bytes

    def store(self, pieces: list[bytes], metadata: dict[str, str] | None = None) -> None:
        """Store pieces as backend parts, so that the ETag has their number."""
        client = self.sealed.direct
        arguments = {"Bucket": self.bucket, "Key": "key"}
        upload_id = client.create_multipart_upload(**arguments, Metadata=metadata or self.metadata)["UploadId"]
        rows = []
        for number, piece in enumerate(pieces, 1):
            sent = client.upload_part(**arguments, UploadId=upload_id, PartNumber=number, Body=piece)
            rows.append({"PartNumber": number, "ETag": sent["ETag"]})
        client.complete_multipart_upload(**arguments, UploadId=upload_id, MultipartUpload={"Parts": rows})


SIZES = (MIN_PART, MIN_PART, MIN_PART)


@pytest.fixture(scope="module")
def parts(sealed: Sealed) -> Parts:
    bucket = sealed.bucket()
    found = []
    for _ in range(2):
        upload(sealed.client, bucket, {number: os.urandom(size) for number, size in enumerate(SIZES, 1)})
        got = sealed.direct.get_object(Bucket=bucket, Key="key")
        raw, cuts = got["Body"].read(), [sum(map(segment_size, SIZES[:count])) for count in range(len(SIZES) + 1)]
        segments = [raw[start:stop] for start, stop in pairwise(cuts)]
        found.append((got["Metadata"], segments, raw[cuts[-1] :]))
    (metadata, segments, trailer), (_, other, other_trailer) = found
    return Parts(sealed, bucket, metadata, segments, trailer, other, other_trailer)


PART_ATTACKS: dict[str, Callable[[Parts], list[bytes]]] = {
    "swapped parts": lambda p: [p.segments[1], p.segments[0], p.segments[2], p.trailer],
    "dropped part": lambda p: [p.segments[0], p.segments[2], p.trailer],
    "duplicated part": lambda p: [p.segments[0], p.segments[0], p.segments[2], p.trailer],
    "part of another upload": lambda p: [p.segments[0], p.other[1], p.segments[2], p.trailer],
    "trailer of another upload": lambda p: [*p.segments, p.other_trailer],
    "bytes before the locator": lambda p: [*p.segments, p.trailer[:-LOCATOR] + bytes(8) + p.trailer[-LOCATOR:]],
    "bytes behind the locator": lambda p: [*p.segments, p.trailer + b"\0"],
    "truncated after a part": lambda p: [*p.segments],
    "truncated, trailer kept": lambda p: [p.segments[0], p.segments[1], p.trailer],
    "bit flip in the trailer": lambda p: [*p.segments, flip(p.trailer, len(p.trailer) // 2)],
    "bit flip in the locator": lambda p: [*p.segments, flip(p.trailer, len(p.trailer) - 1)],
    "bit flip in a part's header": lambda p: [p.segments[0], flip(p.segments[1], 50), p.segments[2], p.trailer],
    "bit flip in a part": lambda p: [p.segments[0], flip(p.segments[1], 5 * FRAME), p.segments[2], p.trailer],
    "another number of parts": lambda p: [p.segments[0], p.segments[1], p.segments[2] + p.trailer],
}


@pytest.mark.parametrize("attack", PART_ATTACKS.values(), ids=PART_ATTACKS)
def test_changed_parts_are_never_released(parts: Parts, attack: Callable[[Parts], list[bytes]]) -> None:
    parts.store(attack(parts))
    assert read(parts.sealed, parts.bucket) is None
    assert read(parts.sealed, parts.bucket, Range=f"bytes={MIN_PART + 4 * FRAME}-{2 * MIN_PART}") is None


def test_the_parts_as_they_were_are_read(parts: Parts) -> None:
    parts.store([*parts.segments, parts.trailer])
    assert len(read(parts.sealed, parts.bucket) or b"") == sum(SIZES)


def test_the_kind_of_an_object_cannot_be_flipped(parts: Parts) -> None:
    raw = decode_value(parts.metadata["s3w"])
    assert raw.count(b"1m") == 1
    flipped = base64.b64encode(raw.replace(b"1m", b"1s") + bytes(188)).decode()
    parts.store([*parts.segments, parts.trailer], {"s3w": flipped})
    assert read(parts.sealed, parts.bucket) is None
    parts.store([*parts.segments, parts.trailer], {"s3w": base64.b64encode(raw.replace(b"1m", b"1s")).decode()})
    assert read(parts.sealed, parts.bucket) is None


def test_an_earlier_attempt_of_a_part_is_refused(sealed: Sealed, bucket: str) -> None:
    client = sealed.client
    arguments = {"Bucket": bucket, "Key": "key"}
    upload_id = client.create_multipart_upload(**arguments)["UploadId"]
    named = {**arguments, "UploadId": upload_id}
    attempts = [client.upload_part(**named, PartNumber=1, Body=os.urandom(MIN_PART))["ETag"] for _ in range(2)]
    # What a store does that keeps the second attempt and is told to complete with the first.
    stale = attempts[1][:-66] + attempts[0][-66:]
    second = client.upload_part(**named, PartNumber=2, Body=os.urandom(MIN_PART))["ETag"]
    rows = [{"PartNumber": 1, "ETag": stale}, {"PartNumber": 2, "ETag": second}]
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": rows})
    assert read(sealed, bucket) is None


def test_damage_behind_the_first_frame_breaks_the_connection_off(sealed: Sealed, bucket: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=os.urandom(40 * FRAME))
    raw = sealed.direct.get_object(Bucket=bucket, Key="key")["Body"].read()
    sealed.rewrite(bucket, "key", body=flip(raw, 30 * WIRE_FRAME + 100))
    got = sealed.client.get_object(Bucket=bucket, Key="key")
    assert got["ContentLength"] == 40 * FRAME
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        got["Body"].read()
    first = sealed.client.get_object(Bucket=bucket, Key="key", Range=f"bytes=0-{20 * FRAME}")["Body"].read()
    assert len(first) == 20 * FRAME + 1


def test_a_header_over_the_limits_is_refused(sealed: Sealed, bucket: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    raw = decode_value(sealed.direct.head_object(Bucket=bucket, Key="key")["Metadata"]["s3w"])
    huge = raw[:35] + b"\xff\xff" + raw[37:]
    sealed.rewrite(bucket, "key", metadata={"s3w": base64.b64encode(huge).decode()})
    assert read(sealed, bucket) is None

"""Multipart uploads through a running proxy, and reading what they made."""

from __future__ import annotations

import os
import random
import time
import zlib
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from proxy.envelope.sizes import FRAME, MIN_PART
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.test_single import refused, upstream_requests

LARGE = MIN_PART + 12_345


def upload(client: Any, bucket: str, parts: dict[int, bytes], key: str = "key", **options: Any) -> str:
    """Upload parts in a mixed order and complete; return the ETag."""
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=key, **options)["UploadId"]
    etags = {}
    for number in sorted(parts, key=lambda number: -number):
        etags[number] = send(client, bucket, upload_id, number, parts[number], key)
    return complete(client, bucket, upload_id, etags, key)["ETag"]


def send(client: Any, bucket: str, upload_id: str, number: int, body: bytes, key: str = "key") -> str:
    return client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body)["ETag"]


def complete(client: Any, bucket: str, upload_id: str, etags: dict[int, str], key: str = "key") -> Any:
    rows = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(etags.items())]
    arguments = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
    return client.complete_multipart_upload(**arguments, MultipartUpload={"Parts": rows})


def leftovers(sealed: Sealed, bucket: str, expected: int = 0) -> list[str]:
    """Return what is left of uploads; it is cleared away after the client has its answer."""
    deadline = time.monotonic() + 5
    while True:
        rows = sealed.direct.list_objects_v2(Bucket=bucket, Prefix=".s3w/").get("Contents", [])
        if len(rows) == expected or time.monotonic() > deadline:
            return [row["Key"] for row in rows]
        time.sleep(0.02)


LAYOUTS = {
    "two parts, small last": {1: LARGE, 2: 1000},
    "gaps, odd sizes, large last": {3: LARGE, 7: MIN_PART, 4000: LARGE + 1},
    "one small part": {1: 10},
    "one large part": {1: LARGE},
    "one empty part": {1: 0},
    "empty last part": {1: MIN_PART, 2: 0},
    "spilled exactly below the limit": {1: MIN_PART, 2: MIN_PART - 10_000},
    "last number": {9999: MIN_PART, 10000: 5},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_parts_become_one_object(sealed: Sealed, bucket: str, layout: dict[int, int]) -> None:
    parts = {number: os.urandom(size) for number, size in layout.items()}
    body = b"".join(parts[number] for number in sorted(parts))
    etag = upload(sealed.client, bucket, parts, Metadata={"own": "value"})
    got = sealed.client.get_object(Bucket=bucket, Key="key")
    head = sealed.client.head_object(Bucket=bucket, Key="key")
    [row] = sealed.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert got["Body"].read() == body
    assert got["ContentLength"] == head["ContentLength"] == row["Size"] == len(body)
    assert got["ETag"] == head["ETag"] == row["ETag"] == etag
    assert got["Metadata"] == {"own": "value"}
    assert leftovers(sealed, bucket) == []
    stored = sealed.direct.get_object(Bucket=bucket, Key="key")["Body"].read()
    assert not body or body[:64] not in stored


@pytest.fixture(scope="module")
def large(sealed: Sealed) -> tuple[str, bytes, dict[int, bytes]]:
    bucket = sealed.bucket()
    parts = {2: os.urandom(LARGE), 3: os.urandom(MIN_PART + FRAME), 9: os.urandom(3 * FRAME + 7)}
    upload(sealed.client, bucket, parts)
    return bucket, b"".join(parts.values()), parts


def test_ranges_of_parts_are_the_bytes_asked_for(sealed: Sealed, large: tuple[str, bytes, dict[int, bytes]]) -> None:
    bucket, body, _ = large
    edges = [0, 1, FRAME, LARGE - 1, LARGE, LARGE + 1, len(body) - 1, len(body) - FRAME, LARGE + MIN_PART + FRAME]
    chooser = random.Random(7)
    spans = [(first, last) for first in edges for last in edges if first <= last]
    spans += [tuple(sorted(chooser.sample(range(len(body)), 2))) for _ in range(20)]
    for first, last in chooser.sample(spans, 30):
        got = sealed.client.get_object(Bucket=bucket, Key="key", Range=f"bytes={first}-{last}")
        assert got["ContentRange"] == f"bytes {first}-{last}/{len(body)}"
        assert got["Body"].read() == body[first : last + 1]
    got = sealed.client.get_object(Bucket=bucket, Key="key", Range="bytes=-100000")
    assert got["Body"].read() == body[-100000:]
    assert refused(sealed.client.get_object, Bucket=bucket, Key="key", Range=f"bytes={len(body)}-")[0] == 416
    assert refused(sealed.client.get_object, Bucket=bucket, Key="key", Range="bytes=999999999-")[0] == 416


def test_ranges_need_few_requests(sealed: Sealed, bucket: str) -> None:
    body = os.urandom(2 * LARGE)
    upload(sealed.client, bucket, {1: body[:LARGE], 2: body[LARGE:]})
    assert leftovers(sealed, bucket) == []

    def requests(first: int, last: int) -> int:
        before = upstream_requests(sealed)
        got = sealed.client.get_object(Bucket=bucket, Key="key", Range=f"bytes={first}-{last}")
        assert got["Body"].read() == body[first : last + 1]
        return upstream_requests(sealed) - before

    assert requests(FRAME + 1, FRAME + 100) <= 3 + 2
    assert requests(2 * FRAME + 1, 2 * FRAME + 100) == 1
    assert requests(LARGE - 10, LARGE + 10) <= 2


def test_single_parts_are_served_by_number(sealed: Sealed, large: tuple[str, bytes, dict[int, bytes]]) -> None:
    bucket, _, parts = large
    for number, part in parts.items():
        got = sealed.client.get_object(Bucket=bucket, Key="key", PartNumber=number)
        assert got["Body"].read() == part
        assert got["PartsCount"] == 3
        assert sealed.client.head_object(Bucket=bucket, Key="key", PartNumber=number)["ContentLength"] == len(part)
    assert refused(sealed.client.get_object, Bucket=bucket, Key="key", PartNumber=1) == (416, "InvalidPartNumber")
    sealed.client.put_object(Bucket=bucket, Key="one", Body=b"text")
    assert sealed.client.get_object(Bucket=bucket, Key="one", PartNumber=1)["Body"].read() == b"text"
    assert refused(sealed.client.get_object, Bucket=bucket, Key="one", PartNumber=2)[0] == 416


def test_the_attempt_that_the_client_names_counts(sealed: Sealed, bucket: str) -> None:
    client = sealed.client
    upload_id = client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    first, small, again = os.urandom(LARGE), os.urandom(100), os.urandom(LARGE + 5)
    stale = send(client, bucket, upload_id, 1, first)
    waiting = send(client, bucket, upload_id, 1, small)
    etag = send(client, bucket, upload_id, 1, again)
    assert refused(complete, client=client, bucket=bucket, upload_id=upload_id, etags={1: stale})[1] == "InvalidPart"
    both = {1: waiting, 2: send(client, bucket, upload_id, 2, b"x")}
    assert refused(complete, client=client, bucket=bucket, upload_id=upload_id, etags=both)[1] == "EntityTooSmall"
    complete(client, bucket, upload_id, {1: etag})
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == again
    assert leftovers(sealed, bucket) == []


def test_a_small_attempt_may_count_over_a_large_one(sealed: Sealed, bucket: str) -> None:
    client = sealed.client
    upload_id = client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    send(client, bucket, upload_id, 1, os.urandom(LARGE))
    etag = send(client, bucket, upload_id, 1, b"small")
    assert [row["Size"] for row in list_parts(sealed, bucket, upload_id)] == [5]
    complete(client, bucket, upload_id, {1: etag})
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"small"


def list_parts(sealed: Sealed, bucket: str, upload_id: str, **options: Any) -> Any:
    return sealed.client.list_parts(Bucket=bucket, Key="key", UploadId=upload_id, **options).get("Parts", [])


def test_listed_parts_have_plaintext_sizes_and_can_complete(sealed: Sealed, bucket: str) -> None:
    client = sealed.client
    upload_id = client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    parts = {1: os.urandom(LARGE), 2: os.urandom(MIN_PART), 5: b"last"}
    for number, body in parts.items():
        send(client, bucket, upload_id, number, body)
    listed = list_parts(sealed, bucket, upload_id)
    assert {row["PartNumber"]: row["Size"] for row in listed} == {n: len(body) for n, body in parts.items()}
    paged = client.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="key", UploadId=upload_id, PaginationConfig={"PageSize": 1}
    )
    assert [[row["PartNumber"] for row in page["Parts"]] for page in paged] == [[1], [2], [5]]
    [row] = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert (row["Key"], row["UploadId"]) == ("key", upload_id)
    complete(client, bucket, upload_id, {row["PartNumber"]: row["ETag"] for row in listed})
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"".join(parts.values())


def test_a_refused_completion_changes_nothing(sealed: Sealed, bucket: str) -> None:
    client = sealed.client
    upload_id = client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    etag = send(client, bucket, upload_id, 1, b"only")
    for wrong in ({1: '"0"'}, {2: etag}, {1: etag, 3: etag}):
        assert refused(complete, client=client, bucket=bucket, upload_id=upload_id, etags=wrong)[1] in (
            "InvalidPart",
            "EntityTooSmall",
        )
    swapped = [{"PartNumber": 2, "ETag": etag}, {"PartNumber": 1, "ETag": etag}]
    arguments = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "MultipartUpload": {"Parts": swapped}}
    assert refused(client.complete_multipart_upload, **arguments)[1] == "InvalidPartOrder"
    complete(client, bucket, upload_id, {1: etag})
    arguments["MultipartUpload"]["Parts"] = [{"PartNumber": 1, "ETag": etag}]
    assert refused(client.complete_multipart_upload, **arguments)[1] == "NoSuchUpload"
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"only"


def test_aborting_leaves_nothing(sealed: Sealed, bucket: str) -> None:
    client = sealed.client
    upload_id = client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    send(client, bucket, upload_id, 1, b"small")
    assert len(leftovers(sealed, bucket, 2)) == 2
    client.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=upload_id)
    assert leftovers(sealed, bucket) == []
    part = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "PartNumber": 1, "Body": b"x"}
    assert refused(client.upload_part, **part)[1] == "NoSuchUpload"


def test_an_upload_that_the_proxy_does_not_know_gets_no_plaintext(sealed: Sealed, bucket: str) -> None:
    upload_id = sealed.direct.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    part = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "PartNumber": 1, "Body": b"x" * LARGE}
    assert refused(sealed.client.upload_part, **part)[1] == "NoSuchUpload"
    named = {"Bucket": bucket, "Key": "key", "UploadId": upload_id}
    assert "Parts" not in sealed.direct.list_parts(**named)
    assert refused(sealed.client.list_parts, **named) == (404, "NoSuchUpload")


def test_the_last_number_is_for_small_parts(sealed: Sealed, bucket: str) -> None:
    upload_id = sealed.client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    part = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "PartNumber": 10000, "Body": b"x" * LARGE}
    assert refused(sealed.client.upload_part, **part)[1] == "InvalidArgument"


def test_parts_come_in_parallel_and_through_another_proxy(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str
) -> None:
    with sealed_proxy(tmp_path, moto_store) as other:
        upload_id = sealed.client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
        parts = {number: os.urandom(MIN_PART) for number in range(1, 7)}

        def one(number: int) -> str:
            client = sealed.client if number % 2 else other.client
            return send(client, bucket, upload_id, number, parts[number])

        with ThreadPoolExecutor(6) as pool:
            etags = dict(zip(parts, pool.map(one, parts), strict=True))
        complete(other.client, bucket, upload_id, etags)
        assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"".join(parts.values())


def test_an_upload_ends_as_it_began_whatever_the_configuration_says_now(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str
) -> None:
    upload_id = sealed.client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    extra = f'  "{bucket}": {{encryption: {{mode: forward}}}}'
    with sealed_proxy(tmp_path, moto_store, extra=extra) as forwarding:
        etag = send(forwarding.client, bucket, upload_id, 1, b"still secret")
        assert list_parts(forwarding, bucket, upload_id)[0]["Size"] == 12
        complete(forwarding.client, bucket, upload_id, {1: etag})
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"still secret"


def test_versioned_buckets_keep_no_trace_of_an_upload(sealed: Sealed, bucket: str) -> None:
    sealed.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"one", b"two"):
        upload(sealed.client, bucket, {1: body})
    assert leftovers(sealed, bucket) == []
    time.sleep(0.2)
    listing = sealed.direct.list_object_versions(Bucket=bucket)
    assert {row["Key"] for row in listing["Versions"]} == {"key"}
    assert not listing.get("DeleteMarkers")
    bodies = [
        sealed.client.get_object(Bucket=bucket, Key="key", VersionId=row["VersionId"])["Body"].read()
        for row in sealed.client.list_object_versions(Bucket=bucket)["Versions"]
    ]
    assert sorted(bodies) == [b"one", b"two"]


def test_attributes_are_those_of_the_plaintext(sealed: Sealed, large: tuple[str, bytes, dict[int, bytes]]) -> None:
    bucket, body, parts = large
    names = ["ETag", "ObjectParts", "ObjectSize", "StorageClass", "Checksum"]
    found = sealed.client.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=names)
    etag = sealed.client.head_object(Bucket=bucket, Key="key")["ETag"].strip('"')
    assert (found["ETag"], found["ObjectSize"], found["StorageClass"]) == (etag, len(body), "STANDARD")
    assert found["ObjectParts"]["TotalPartsCount"] == len(parts)
    sealed.client.put_object(Bucket=bucket, Key="one", Body=b"text", ChecksumCRC32=CRC)
    found = sealed.client.get_object_attributes(Bucket=bucket, Key="one", ObjectAttributes=names)
    assert (found["ObjectSize"], found["Checksum"]["ChecksumCRC32"]) == (4, CRC)
    assert found["ETag"].endswith("-0")
    missing = {"Bucket": bucket, "Key": "none", "ObjectAttributes": names}
    assert refused(sealed.client.get_object_attributes, **missing)[0] == 404


CRC = b64encode(zlib.crc32(b"text").to_bytes(4, "big")).decode()


def test_a_range_behind_the_end_of_what_was_there_is_asked_of_the_store(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str
) -> None:
    upload(sealed.client, bucket, {1: os.urandom(MIN_PART), 2: b"short"})
    named = {"Bucket": bucket, "Key": "key"}
    assert sealed.client.get_object(**named, Range="bytes=0-9")["ContentLength"] == 10
    longer = os.urandom(2000)
    with sealed_proxy(tmp_path, moto_store) as other:
        upload(other.client, bucket, {1: os.urandom(MIN_PART), 2: longer})
    behind = f"bytes={MIN_PART + 1000}-"
    assert sealed.client.get_object(**named, Range=behind)["Body"].read() == longer[1000:]
    sealed.direct.delete_object(**named)
    assert refused(sealed.client.get_object, **named, Range=f"bytes={2 * MIN_PART}-") == (404, "NoSuchKey")


def test_a_part_under_the_number_that_a_trailer_had_is_listed(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str
) -> None:
    bodies = {1: os.urandom(MIN_PART)}
    upload_id = sealed.client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    etags = {1: send(sealed.client, bucket, upload_id, 1, bodies[1])}
    command, environment = ("-m", "tests.server.envelope.faulty"), {"S3WARDEN_TEST_STEP": "trailer-sent"}
    dying = sealed_proxy(tmp_path, moto_store, command=command, environment=environment)
    with dying as faulty, pytest.raises(ConnectionClosedError):
        complete(faulty.client, bucket, upload_id, etags)
    assert [row["PartNumber"] for row in list_parts(sealed, bucket, upload_id)] == [1]
    bodies[2] = os.urandom(LARGE)
    send(sealed.client, bucket, upload_id, 2, bodies[2])
    listed = list_parts(sealed, bucket, upload_id)
    assert {row["PartNumber"]: row["Size"] for row in listed} == {n: len(body) for n, body in bodies.items()}
    complete(sealed.client, bucket, upload_id, {row["PartNumber"]: row["ETag"] for row in listed})
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == bodies[1] + bodies[2]


@pytest.mark.parametrize("size", [MIN_PART, 20])
def test_an_upload_that_is_completed_several_times_at_once_is_completed_once(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str, size: int
) -> None:
    bodies = {1: os.urandom(MIN_PART), 2: os.urandom(size)}
    with sealed_proxy(tmp_path, moto_store) as other:
        for _ in range(4):
            upload_id = sealed.client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
            etags = {number: send(sealed.client, bucket, upload_id, number, body) for number, body in bodies.items()}

            def one(client: Any, upload_id: str = upload_id, etags: dict[int, str] = etags) -> tuple[int, str]:
                try:
                    complete(client, bucket, upload_id, etags)
                except ClientError as error:
                    return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
                return 200, ""

            with ThreadPoolExecutor(4) as pool:
                ended = list(pool.map(one, [sealed.client, other.client] * 2))
            assert (200, "") in ended
            # moto answers 500 where two completions meet in it.
            lost = {(409, "OperationAborted"), (404, "NoSuchUpload"), (503, "ServiceUnavailable")}
            assert set(ended) <= {(200, ""), *lost}
            assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == bodies[1] + bodies[2]
    assert leftovers(sealed, bucket) == []


def test_a_page_of_no_parts_is_the_last_one(sealed: Sealed, bucket: str) -> None:
    upload_id = sealed.client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    send(sealed.client, bucket, upload_id, 1, b"x")
    found = sealed.client.list_parts(Bucket=bucket, Key="key", UploadId=upload_id, MaxParts=0)
    assert (found.get("Parts"), found["IsTruncated"]) == (None, False)

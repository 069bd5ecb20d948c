"""Listings of encrypted buckets: sizes of plaintext, marked ETags, reserved names hidden."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from proxy.envelope.sizes import FRAME
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.test_single import refused

SIZES = {"a": 0, "b/1": 10, "b/2": FRAME, "c d+é&<": 3 * FRAME + 1, "z": 1}


@pytest.fixture
def filled(sealed: Sealed, bucket: str) -> str:
    for key, size in SIZES.items():
        sealed.client.put_object(Bucket=bucket, Key=key, Body=os.urandom(size))
    return bucket


def test_sizes_and_etags_are_those_of_head(sealed: Sealed, filled: str) -> None:
    for listing, rows in (
        (sealed.client.list_objects_v2(Bucket=filled), "Contents"),
        (sealed.client.list_objects(Bucket=filled), "Contents"),
        (sealed.client.list_object_versions(Bucket=filled), "Versions"),
    ):
        assert {row["Key"]: row["Size"] for row in listing[rows]} == SIZES
        for row in listing[rows]:
            assert row["ETag"] == sealed.client.head_object(Bucket=filled, Key=row["Key"])["ETag"]
            assert "ChecksumAlgorithm" not in row


def hide(sealed: Sealed, bucket: str, count: int) -> None:
    for number in range(count):
        sealed.direct.put_object(Bucket=bucket, Key=f".s3w/mpu/{number:04}/ctx", Body=b"{}")


def pages(client: Any, operation: str, rows: str, **arguments: Any) -> list[list[str]]:
    found = client.get_paginator(operation).paginate(**arguments)
    return [[row["Key"] for row in page.get(rows, [])] for page in found]


@pytest.mark.parametrize(
    ("operation", "rows"),
    [("list_objects_v2", "Contents"), ("list_objects", "Contents"), ("list_object_versions", "Versions")],
)
def test_reserved_names_are_hidden_and_pages_stay_full(sealed: Sealed, filled: str, operation: str, rows: str) -> None:
    hide(sealed, filled, 7)
    sealed.client.put_object(Bucket=filled, Key="!before", Body=b"")
    names = ["!before", *SIZES]
    for size in (1, 2, 3, 5, 1000):
        expected = [names[at : at + size] for at in range(0, len(names), size)]
        found = pages(sealed.client, operation, rows, Bucket=filled, PaginationConfig={"PageSize": size})
        assert [page for page in found if page] == expected, size


def test_common_prefixes_of_ours_are_hidden_too(sealed: Sealed, filled: str) -> None:
    hide(sealed, filled, 2)
    listing = sealed.client.list_objects_v2(Bucket=filled, Delimiter="/")
    assert [row["Prefix"] for row in listing["CommonPrefixes"]] == ["b/"]
    assert listing["KeyCount"] == 4
    assert "Contents" not in sealed.client.list_objects_v2(Bucket=filled, Prefix=".s3w/")
    assert refused(sealed.client.get_object, Bucket=filled, Key=".s3w/mpu/0000/ctx") == (403, "AccessDenied")
    assert refused(sealed.client.put_object, Bucket=filled, Key=".s3w/x", Body=b"") == (403, "AccessDenied")


def test_a_mixed_bucket_shows_each_object_as_it_is_read(sealed: Sealed) -> None:
    bucket = sealed.bucket("mixed")
    sealed.client.put_object(Bucket=bucket, Key="sealed", Body=b"x" * 100)
    sealed.direct.put_object(Bucket=bucket, Key="plain", Body=b"x" * 100)
    assert [row["Size"] for row in sealed.client.list_objects_v2(Bucket=bucket)["Contents"]] == [100, 100]


def test_forward_buckets_hide_contexts_as_well(sealed: Sealed, moto_store: Store, tmp_path: Path) -> None:
    bucket = sealed.bucket("plain")
    sealed.direct.put_object(Bucket=bucket, Key="a", Body=b"text")
    hide(sealed, bucket, 3)
    with sealed_proxy(tmp_path, moto_store) as proxy:
        listing = proxy.client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        assert [(row["Key"], row["Size"]) for row in listing["Contents"]] == [("a", 4)]
        assert not listing["IsTruncated"]
        assert not listing["Contents"][0]["ETag"].endswith('-0"')


def test_batch_deletes_translate_etags(sealed: Sealed, filled: str) -> None:
    etag = sealed.client.head_object(Bucket=filled, Key="a")["ETag"]
    entries = [{"Key": "a", "ETag": etag}, {"Key": "z"}]
    deleted = sealed.client.delete_objects(Bucket=filled, Delete={"Objects": entries})
    assert {row["Key"] for row in deleted["Deleted"]} == {"a", "z"}
    sealed.client.delete_object(Bucket=filled, Key="b/1")
    assert [row["Key"] for row in sealed.client.list_objects_v2(Bucket=filled)["Contents"]] == ["b/2", "c d+é&<"]

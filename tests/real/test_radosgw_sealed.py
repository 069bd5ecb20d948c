"""Encrypted buckets on a Ceph object gateway."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from proxy.envelope.sizes import MIN_PART
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.test_listing import LISTINGS, shows_nothing_of_ours
from tests.server.envelope.test_multipart import upload
from tests.server.envelope.test_stores import round_trip


@pytest.fixture(scope="module")
def sealed(radosgw_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("sealed"), radosgw_store, payload="unsigned") as proxy:
        yield proxy


def test_objects_go_in_and_come_back(sealed: Sealed) -> None:
    round_trip(sealed, sealed.bucket())


def test_versions_are_read_and_listed_each_with_its_size(sealed: Sealed) -> None:
    bucket = sealed.bucket()
    sealed.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"one", b"three"):
        sealed.client.put_object(Bucket=bucket, Key="key", Body=body)
    rows = sealed.client.list_object_versions(Bucket=bucket)["Versions"]
    assert [row["Size"] for row in rows] == [5, 3]
    bodies = [
        sealed.client.get_object(Bucket=bucket, Key="key", VersionId=row["VersionId"])["Body"].read() for row in rows
    ]
    assert bodies == [b"three", b"one"]


def test_copies_of_one_and_of_several_parts(sealed: Sealed) -> None:
    here, there = sealed.bucket(), sealed.bucket("ops")
    sealed.client.put_object(Bucket=here, Key="one", Body=b"text", Metadata={"own": "x"})
    parts = {1: os.urandom(MIN_PART), 2: os.urandom(100)}
    upload(sealed.client, here, parts, "parts")
    for key, body in (("one", b"text"), ("parts", b"".join(parts.values()))):
        sealed.client.copy_object(Bucket=there, Key=key, CopySource=f"{here}/{key}")
        assert sealed.client.get_object(Bucket=there, Key=key)["Body"].read() == body


def test_a_delimiter_within_the_reserved_prefix_tells_nothing_of_what_is_there(sealed: Sealed) -> None:
    for kind, more in (("sealed", []), ("plain", [".a", ".t"])):
        bucket, keys = sealed.bucket(kind), ["!", "a.b", *more]
        for key in (".s3w/mpu/1/ctx", ".s3w/mpu/2/ctx", ".s3w/kek/1"):
            sealed.direct.put_object(Bucket=bucket, Key=key, Body=b"{}")
        for key in keys:
            sealed.client.put_object(Bucket=bucket, Key=key, Body=b"")
        for delimiter in (".", "3w"):
            shows_nothing_of_ours(sealed, bucket, keys, delimiter, LISTINGS, paged=LISTINGS)

"""Listings of objects whose key only their client has, on a store whose ETags tell no part count."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from proxy.envelope.sizes import FRAME, MIN_PART
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.customer_cases import RULES, key, own_upload
from tests.server.envelope.test_attacks import flip
from tests.server.envelope.test_single import upstream_requests


@pytest.fixture(scope="module")
def own(rclone_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    """A proxy in front of rclone, with buckets that take keys of clients."""
    with sealed_proxy(tmp_path_factory.mktemp("own"), rclone_store, payload="unsigned", extra=RULES) as running:
        yield running


LAYOUTS = {
    "small": [10],
    "empty": [0],
    "large": [MIN_PART + 7],
    "equal, small last": [MIN_PART, MIN_PART, MIN_PART, MIN_PART, 77],
    "equal, large last": [MIN_PART, MIN_PART, MIN_PART, MIN_PART + 1],
    "odd": [MIN_PART + 1, MIN_PART + FRAME + 3, MIN_PART, 1],
}


def listed(own: Sealed, bucket: str) -> dict[str, int]:
    return {row["Key"]: row["Size"] for row in own.client.list_objects_v2(Bucket=bucket)["Contents"]}


def test_sizes_are_those_of_the_plaintext_and_cost_little(own: Sealed) -> None:
    bucket = own.bucket("own")
    for name, sizes in LAYOUTS.items():
        own_upload(own.client, bucket, {number: os.urandom(size) for number, size in enumerate(sizes, 1)}, name)
    before = upstream_requests(own)
    assert listed(own, bucket) == {name: sum(sizes) for name, sizes in LAYOUTS.items()}
    # One to list, and for each object its head and two ends of parts; more only for odd ones.
    assert upstream_requests(own) - before <= 1 + 3 * len(LAYOUTS) + 2
    before = upstream_requests(own)
    assert listed(own, bucket) == {name: sum(sizes) for name, sizes in LAYOUTS.items()}
    assert upstream_requests(own) - before == 1
    for name, sizes in LAYOUTS.items():
        head = own.client.head_object(Bucket=bucket, Key=name, **key())
        assert head["ContentLength"] == sum(sizes)
        assert len(own.client.get_object(Bucket=bucket, Key=name, **key())["Body"].read()) == sum(sizes)


def test_what_cannot_be_told_hides_no_other_object(own: Sealed) -> None:
    bucket = own.bucket("own")
    for name in ("odd", "damaged", "good"):
        sizes = [MIN_PART + number for number in range(6)] if name == "odd" else [MIN_PART, 5]
        own_upload(own.client, bucket, {number: os.urandom(size) for number, size in enumerate(sizes, 1)}, name)
    raw = own.direct.get_object(Bucket=bucket, Key="damaged")["Body"].read()
    own.rewrite(bucket, "damaged", flip(raw, len(raw) - 1))
    stored = {row["Key"]: row["Size"] for row in own.direct.list_objects_v2(Bucket=bucket)["Contents"]}
    assert listed(own, bucket) == {**{name: stored[name] for name in ("odd", "damaged")}, "good": MIN_PART + 5}
    assert f"the size of `{bucket}/odd` cannot be told" in own.log()

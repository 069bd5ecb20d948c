"""Stores behind a recording relay, for proxies that the tests run before them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ACCOUNT, Store
from tests.journeys.front import Front
from tests.journeys.walking import Walk, bucket_policy, make_bucket, store_client, walking

STORES = ("moto", "rclone")


@pytest.fixture(scope="session")
def moto_front(moto_store: Store) -> Iterator[Front]:
    with Front("moto", moto_store.endpoint).running() as front:
        yield front


@pytest.fixture(scope="session")
def rclone_front(rclone_store: Store) -> Iterator[Front]:
    with Front("rclone", rclone_store.endpoint).running() as front:
        yield front


@pytest.fixture(scope="session", params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    """Each store in turn."""
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture(scope="session")
def front(store: Store, request: pytest.FixtureRequest) -> Front:
    """The relay before `store`."""
    name = "moto" if store.access_key_id == "AKIAMOTO" else "rclone"
    return request.getfixturevalue(f"{name}_front")


PUBLIC = bucket_policy(
    {
        "Sid": "Everybody",
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": "arn:aws:s3:::public/*",
    }
)
# One statement for each way to sign.
SIGNED = bucket_policy(
    *(
        {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/carol"},
            "Action": "s3:*",
            "Resource": "arn:aws:s3:::private/*",
            "Condition": {"StringEquals": {"s3:authType": kind, "s3:signatureversion": version}},
        }
        for sid, kind, version in (
            ("HeaderV4", "REST-HEADER", "AWS4-HMAC-SHA256"),
            ("QueryV4", "REST-QUERY-STRING", "AWS4-HMAC-SHA256"),
            ("FormV4", "POST", "AWS4-HMAC-SHA256"),
            ("HeaderV2", "REST-HEADER", "AWS"),
            ("QueryV2", "REST-QUERY-STRING", "AWS"),
            ("FormV2", "POST", "AWS"),
        )
    )
)


@pytest.fixture(scope="session")
def walk(store: Store, front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The proxy before `store`, with the usual callers, a private bucket and a public one."""
    direct = store_client(store)
    for bucket in ("private", "public"):
        make_bucket(direct, bucket, "an object")
    folder = tmp_path_factory.mktemp(f"walk-{front.name}")
    with walking(folder, store, endpoint=front.endpoint, buckets={"public": PUBLIC, "private": SIGNED}) as running:
        yield running


@pytest.fixture(scope="session")
def direct(store: Store) -> Any:
    """boto3 on `store` itself, past the proxy."""
    return store_client(store)

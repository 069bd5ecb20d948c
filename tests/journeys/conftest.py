"""Stores behind a recording relay, for proxies that the tests run before them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Store
from tests.journeys.front import Front

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

"""A store with the proxies in front of it, once per test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Store
from tests.journeys.clients.site import Site, documented_protection, site


@pytest.fixture(scope="session")
def moto_site(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """moto with both proxies."""
    with site(tmp_path_factory.mktemp("moto-site"), "moto", moto_store, encrypted=True) as made:
        yield made


@pytest.fixture(scope="session")
def rclone_site(rclone_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`rclone serve s3`, which checks signatures, with both proxies."""
    with site(
        tmp_path_factory.mktemp("rclone-site"), "rclone", rclone_store, protection=documented_protection()
    ) as made:
        yield made

"""Stores that come from the system's packages; `make test-real` says which are needed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Store
from tests.real.radosgw import Radosgw


@pytest.fixture(scope="session")
def radosgw_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A Ceph object gateway that checks signatures."""
    with Radosgw(tmp_path_factory.mktemp("radosgw")) as store:
        yield store

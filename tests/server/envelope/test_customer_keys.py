"""Keys of clients (SSE-C) through a running proxy in front of moto."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.customer_cases import RULES, CustomerKeyCases
from tests.server.envelope.customer_links import CustomerLinkCases


@pytest.fixture(scope="module")
def own(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    """A proxy with buckets that take keys of clients."""
    with sealed_proxy(tmp_path_factory.mktemp("own"), moto_store, extra=RULES) as running:
        yield running


class TestOnMoto(CustomerKeyCases, CustomerLinkCases):
    """moto holds objects in memory and reads those under keys of clients without them."""

"""SSE-S3 and SSE-KMS through a running proxy in front of moto."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.sse_cases import RULES, RefusalCases, SseCases
from tests.server.envelope.test_sse import KEYS


@pytest.fixture(scope="module")
def sse(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("sse"), moto_store, keys=KEYS, extra=RULES) as running:
        yield running


class TestOnMoto(SseCases):
    """moto holds objects in memory and encrypts nothing itself."""


class TestRefusalsOnMoto(RefusalCases):
    """The same for what is refused."""

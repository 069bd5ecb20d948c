"""Stores that come from the system's packages; `make test-real` says which are needed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Store
from tests.real.radosgw import Radosgw
from tests.serving import Served, serving

# This gateway has no SSE-S3: it refuses uploads that ask for it. So a storage class stands for the demand.
PLAIN_IS_FREE = """\
Version: "2012-10-17"
Statement:
  Sid: UploadsNameTheirClass
  Effect: Deny
  Principal: "*"
  Action: s3:PutObject
  NotResource: arn:aws:s3:::*/plain/*
  Condition: {StringNotEquals: {"s3:x-amz-storage-class": STANDARD}}
"""


@pytest.fixture(scope="session")
def radosgw_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A Ceph object gateway that checks signatures."""
    with Radosgw(tmp_path_factory.mktemp("radosgw")) as store:
        yield store


@pytest.fixture(scope="session")
def radosgw_proxy(radosgw_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The proxy in front of radosgw; uploads have to name their storage class, except under plain/."""
    with serving(tmp_path_factory.mktemp("proxy"), radosgw_store, PLAIN_IS_FREE, payload="unsigned") as served:
        yield served

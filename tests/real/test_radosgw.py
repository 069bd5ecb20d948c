"""The gateway that the other tests rely on is a real store."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conftest import Store


def test_radosgw_checks_signatures(radosgw_store: Store) -> None:
    s3 = boto3.client(
        "s3",
        endpoint_url=radosgw_store.endpoint,
        aws_access_key_id=radosgw_store.access_key_id,
        aws_secret_access_key="wrong-secret",
        region_name=radosgw_store.region,
        config=Config(retries={"max_attempts": 1}),
    )
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3.list_buckets()

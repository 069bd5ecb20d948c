"""The shared fixtures are what their names say."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from proxy.clock import FixedClock
from proxy.identity import Identities
from tests.conftest import NOW, Store


def client(store: Store, secret: str | None = None):  # type: ignore[no-untyped-def]  # boto3 makes its classes at run time
    return boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        aws_access_key_id=store.access_key_id,
        aws_secret_access_key=secret or store.secret_access_key,
        region_name=store.region,
        config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def test_the_clock_stands_still(clock: FixedClock) -> None:
    assert clock.now() == clock.now() == NOW


def test_the_identities_are_known_by_their_keys(identities: Identities) -> None:
    found = identities.lookup("AKIAALICE")
    assert found is not None
    assert found[0].secret_access_key == "akiaalice-secret"
    assert found[1].user_name == "alice"


@pytest.mark.parametrize("name", ["moto_store", "rclone_store"])
def test_a_store_keeps_what_is_put(name: str, request: pytest.FixtureRequest) -> None:
    s3 = client(request.getfixturevalue(name))
    s3.create_bucket(Bucket="fixture")
    s3.put_object(Bucket="fixture", Key="a", Body=b"hello")
    assert s3.get_object(Bucket="fixture", Key="a")["Body"].read() == b"hello"


def test_rclone_checks_signatures(rclone_store: Store) -> None:
    with pytest.raises(ClientError) as caught:
        client(rclone_store, "wrong-secret").list_buckets()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_moto_accepts_any_key(moto_store: Store) -> None:
    assert "Buckets" in client(moto_store, "wrong-secret").list_buckets()

"""boto3 works through the proxy on a store that checks every signature of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conftest import Store
from tests.serving import Served

PART = 5 * 1024 * 1024


def client(of: Store | Served, secret: str | None = None) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=of.endpoint,
        aws_access_key_id=of.access_key_id,
        aws_secret_access_key=secret or of.secret_access_key,
        region_name=of.region,
        config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
    )


@pytest.fixture(scope="module")
def s3(radosgw_proxy: Served) -> Iterator[Any]:
    made = client(radosgw_proxy)
    made.create_bucket(Bucket="journey")
    yield made
    made.close()


@pytest.mark.parametrize("name", ["radosgw_store", "radosgw_proxy"])
def test_a_wrong_secret_is_refused(name: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(request.getfixturevalue(name), "wrong-secret").list_buckets()


@pytest.mark.parametrize("key", ["plain/a b+c/ü (1).txt", "plain/a/..//x", "plain/%41"])
def test_an_object_comes_back_as_it_was_put(s3: Any, key: str) -> None:
    s3.put_object(Bucket="journey", Key=key, Body=b"hello", ContentType="text/x", Metadata={"a": "b"})
    got = s3.get_object(Bucket="journey", Key=key)
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"hello", "text/x", {"a": "b"})
    assert s3.head_object(Bucket="journey", Key=key)["ContentLength"] == 5
    assert s3.get_object(Bucket="journey", Key=key, Range="bytes=1-2")["Body"].read() == b"el"
    assert key in [entry["Key"] for entry in s3.list_objects_v2(Bucket="journey")["Contents"]]


def test_an_empty_object_is_an_object(s3: Any) -> None:
    s3.put_object(Bucket="journey", Key="plain/empty", Body=b"")
    assert s3.get_object(Bucket="journey", Key="plain/empty")["Body"].read() == b""


def test_an_upload_that_the_policy_denies_leaves_nothing_behind(s3: Any, radosgw_proxy: Served) -> None:
    with pytest.raises(ClientError, match="UploadsNameTheirClass"):
        s3.put_object(Bucket="journey", Key="strict", Body=b"x")
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket="journey", Key="strict")
    denied = [json.loads(line) for line in radosgw_proxy.decisions.read_text().splitlines() if "UploadsName" in line]
    assert denied[0]["decision"] == "explicit_deny"
    s3.put_object(Bucket="journey", Key="strict", Body=b"x", StorageClass="STANDARD")


def test_a_multipart_upload_is_put_together(s3: Any) -> None:
    key = {"Bucket": "journey", "Key": "plain/parts"}
    upload = {**key, "UploadId": s3.create_multipart_upload(**key)["UploadId"]}
    bodies = {1: b"a" * PART, 2: b"b" * 10}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in bodies.items()
    ]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(**key)["Body"].read() == bodies[1] + bodies[2]


def test_copies_and_batch_deletes_work(s3: Any) -> None:
    s3.put_object(Bucket="journey", Key="plain/from", Body=b"copy me")
    s3.copy_object(Bucket="journey", Key="plain/to", CopySource={"Bucket": "journey", "Key": "plain/from"})
    assert s3.get_object(Bucket="journey", Key="plain/to")["Body"].read() == b"copy me"
    objects = [{"Key": "plain/from"}, {"Key": "plain/to"}]
    assert len(s3.delete_objects(Bucket="journey", Delete={"Objects": objects})["Deleted"]) == 2


def test_tags_can_be_set_and_read(s3: Any) -> None:
    key = {"Bucket": "journey", "Key": "plain/tagged"}
    s3.put_object(**key, Body=b"x", Tagging="a=1&b=2")
    s3.put_object_tagging(**key, Tagging={"TagSet": [{"Key": "c", "Value": "3"}]})
    assert s3.get_object_tagging(**key)["TagSet"] == [{"Key": "c", "Value": "3"}]

"""The most that one PUT, form or part may hold, with limits that tests can reach; and what fits exactly."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.lowered import LIMIT
from tests.server.envelope.test_single import refused


@pytest.fixture(scope="module")
def proxy(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    command = ("-m", "tests.server.envelope.lowered")
    with sealed_proxy(tmp_path_factory.mktemp("limits"), moto_store, command=command) as running:
        yield running


def put_presigned(proxy: Sealed, bucket: str, key: str, body: bytes) -> tuple[int, bytes]:
    url = urlsplit(proxy.client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": key}))
    return converse(url.netloc, "PUT", f"{url.path}?{url.query}", body, {})


def post(proxy: Sealed, bucket: str, key: str, body: bytes) -> tuple[int, bytes]:
    form = proxy.client.generate_presigned_post(bucket, key)
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form["fields"].items()
    ]
    head = "".join(parts) + '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    url = urlsplit(form["url"])
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    return converse(url.netloc, "POST", url.path, head.encode() + body + b"\r\n--b--\r\n", kind)


def put_signed(proxy: Sealed, bucket: str, key: str, body: bytes) -> tuple[int, bytes]:
    """Put with boto3, which sends aws-chunked bodies with a trailer."""
    try:
        proxy.client.put_object(Bucket=bucket, Key=key, Body=body)
    except ClientError as error:
        answer: Any = error.response
        return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"].encode()
    return 200, b""


def converse(host: str, method: str, target: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("way", [put_signed, put_presigned, post], ids=["PUT", "presigned PUT", "form"])
def test_what_fits_exactly_is_stored(proxy: Sealed, way: Any) -> None:
    bucket, body = proxy.bucket(), os.urandom(LIMIT)
    assert way(proxy, bucket, "key", body)[0] in (200, 204)
    assert proxy.client.get_object(Bucket=bucket, Key="key")["Body"].read() == body


@pytest.mark.parametrize("way", [put_signed, put_presigned, post], ids=["PUT", "presigned PUT", "form"])
def test_a_byte_more_is_refused_with_the_limit_and_leaves_nothing(proxy: Sealed, way: Any) -> None:
    bucket = proxy.bucket()
    status, said = way(proxy, bucket, "key", bytes(LIMIT + 1))
    assert (status, b"EntityTooLarge" in said) == (400, True)
    assert "Contents" not in proxy.direct.list_objects_v2(Bucket=bucket)
    assert refused(proxy.client.get_object, Bucket=bucket, Key="key") == (404, "NoSuchKey")


def test_a_part_holds_as_much_and_no_byte_more(proxy: Sealed) -> None:
    bucket, body = proxy.bucket(), os.urandom(LIMIT)
    proxy.client.put_object(Bucket=bucket, Key="source", Body=body)
    named = {"Bucket": bucket, "Key": "key"}
    named["UploadId"] = proxy.client.create_multipart_upload(**named)["UploadId"]
    more = {**named, "PartNumber": 1, "Body": bytes(LIMIT + 1)}
    assert refused(proxy.client.upload_part, **more) == (400, "EntityTooLarge")
    assert "Parts" not in proxy.client.list_parts(**named)
    sent = proxy.client.upload_part(**named, PartNumber=1, Body=body)["ETag"]
    copied = proxy.client.upload_part_copy(**named, PartNumber=2, CopySource=f"{bucket}/source")
    rows = [{"PartNumber": 1, "ETag": sent}, {"PartNumber": 2, "ETag": copied["CopyPartResult"]["ETag"]}]
    proxy.client.complete_multipart_upload(**named, MultipartUpload={"Parts": rows})
    assert proxy.client.head_object(Bucket=bucket, Key="key")["ContentLength"] == 2 * LIMIT
    named = {"Bucket": bucket, "Key": "other"}
    named["UploadId"] = proxy.client.create_multipart_upload(**named)["UploadId"]
    copy = {**named, "PartNumber": 1, "CopySource": f"{bucket}/key", "CopySourceRange": f"bytes=0-{LIMIT}"}
    assert refused(proxy.client.upload_part_copy, **copy)[0] == 400
    copy["CopySourceRange"] = f"bytes=5-{LIMIT + 4}"
    proxy.client.upload_part_copy(**copy)
    assert proxy.client.list_parts(**named)["Parts"][0]["Size"] == LIMIT

"""What clients are told about a bucket's encryption, and what they may say about it, in both modes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import ACCOUNT, Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.test_sse import refused, shown

ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/"
STORES_KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
EXTRA = f"""\
  "match-*": {{encryption: {{mode: envelope, key: hr, bucket_api: match, sse_c: true, kek: {{use: always}}}}}}
  "twice-*": {{encryption: {{mode: envelope, key: hr, bucket_api: forward}}}}
  "forward-*":
    encryption: {{mode: forward}}
    add_headers:
      x-amz-server-side-encryption: aws:kms
      x-amz-server-side-encryption-aws-kms-key-id: "{STORES_KEY}"
"""
POLICY = f"""\
Version: "2012-10-17"
Statement:
  - Sid: OnlyUnderTheStoresKey
    Effect: Deny
    Principal: "*"
    Action: s3:PutObject
    Resource: arn:aws:s3:::forward-*/*
    Condition: {{StringNotEquals: {{"s3:x-amz-server-side-encryption-aws-kms-key-id": "{STORES_KEY}"}}}}
  - Sid: SecretSettings
    Effect: Deny
    Principal: "*"
    Action: [s3:GetEncryptionConfiguration, s3:PutEncryptionConfiguration]
    Resource: arn:aws:s3:::sealed-secret-*
"""


@pytest.fixture(scope="module")
def proxy(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("settings"), moto_store, extra=EXTRA, policy=POLICY) as running:
        yield running


def rule(algorithm: str | None = None, key: str | None = None, **more: Any) -> dict[str, Any]:
    default = {"SSEAlgorithm": algorithm, "KMSMasterKeyID": key}
    given = {name: value for name, value in default.items() if value is not None}
    return {"Rules": [{**({"ApplyServerSideEncryptionByDefault": given} if given else {}), **more}]}


def told(proxy: Sealed, bucket: str) -> Any:
    return proxy.client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]


def stores_own(proxy: Sealed, bucket: str) -> Any:
    """Return what the store itself says; moto knows none by default."""
    try:
        return proxy.direct.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        return None


def blocked(*types: str) -> dict[str, Any]:
    return {"BlockedEncryptionTypes": {"EncryptionType": list(types)}}


def test_clients_are_told_what_the_configuration_says(proxy: Sealed) -> None:
    assert told(proxy, proxy.bucket()) == rule("aws:kms", ARN + "hr", BucketKeyEnabled=False, **blocked("SSE-C"))
    assert told(proxy, proxy.bucket("match")) == rule("aws:kms", ARN + "hr", BucketKeyEnabled=True, **blocked("NONE"))
    assert told(proxy, proxy.bucket("ops"))["Rules"][0]["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == (
        ARN + "ops"
    )


def test_the_policy_decides_who_is_told(proxy: Sealed) -> None:
    bucket = proxy.bucket("sealed-secret")
    assert refused(proxy.client.get_bucket_encryption, Bucket=bucket)[:2] == (403, "AccessDenied")
    put = {"Bucket": bucket, "ServerSideEncryptionConfiguration": rule("AES256")}
    assert refused(proxy.client.put_bucket_encryption, **put)[:2] == (403, "AccessDenied")
    assert refused(proxy.client.delete_bucket_encryption, Bucket=bucket)[:2] == (403, "AccessDenied")


def test_a_bucket_that_does_not_exist_has_no_settings(proxy: Sealed) -> None:
    assert refused(proxy.client.get_bucket_encryption, Bucket="sealed-nowhere")[:2] == (404, "NoSuchBucket")


def test_by_default_clients_change_nothing(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    for configuration in (rule("AES256"), told(proxy, bucket)):
        answer = refused(
            proxy.client.put_bucket_encryption, Bucket=bucket, ServerSideEncryptionConfiguration=configuration
        )
        assert answer[:2] == (403, "AccessDenied")
        assert "configuration of this proxy" in answer[2]
    assert refused(proxy.client.delete_bucket_encryption, Bucket=bucket)[:2] == (403, "AccessDenied")
    assert told(proxy, bucket)["Rules"]


@pytest.mark.parametrize(
    ("configuration", "accepted"),
    [
        (rule("aws:kms", ARN + "hr", BucketKeyEnabled=True, **blocked("NONE")), True),
        (rule("aws:kms", "hr", BucketKeyEnabled=True), True),
        (rule("aws:kms"), True),
        (rule(BucketKeyEnabled=True), True),
        (rule("aws:kms", ARN + "ops", BucketKeyEnabled=True), False),
        (rule("aws:kms", "nobody"), False),
        (rule("aws:kms", ARN + "hr", BucketKeyEnabled=False), False),
        (rule("aws:kms", ARN + "hr", **blocked("SSE-C")), False),
        (rule("AES256"), False),
        (rule("aws:kms:dsse"), False),
    ],
)
def test_what_says_the_same_is_accepted_where_the_configuration_lets_it(
    proxy: Sealed, configuration: dict[str, Any], accepted: bool
) -> None:
    bucket = proxy.bucket("match")
    put = {"Bucket": bucket, "ServerSideEncryptionConfiguration": configuration}
    if accepted:
        proxy.client.put_bucket_encryption(**put)
    else:
        assert refused(proxy.client.put_bucket_encryption, **put)[:2] == (403, "AccessDenied")
    assert told(proxy, bucket) == rule("aws:kms", ARN + "hr", BucketKeyEnabled=True, **blocked("NONE"))
    assert stores_own(proxy, bucket) is None, "the store was told nothing"


def test_the_stores_own_encryption_can_be_set_where_the_configuration_lets_it(proxy: Sealed) -> None:
    bucket = proxy.bucket("twice")
    wanted = rule("aws:kms", STORES_KEY)
    proxy.client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=wanted)
    assert told(proxy, bucket) == stores_own(proxy, bucket)
    assert STORES_KEY in str(stores_own(proxy, bucket))
    proxy.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    head = proxy.client.head_object(Bucket=bucket, Key="key")
    assert shown(head) == {"ServerSideEncryption": "AES256"}
    assert b"text" not in proxy.direct.get_object(Bucket=bucket, Key="key")["Body"].read()
    proxy.client.delete_bucket_encryption(Bucket=bucket)
    assert stores_own(proxy, bucket) is None


def test_a_store_that_knows_no_encryption_is_not_asked(moto_store: Store, tmp_path: Path) -> None:
    with sealed_proxy(tmp_path, moto_store, extra=EXTRA, payload="checksums\n  lacks: [encryption]") as lacking:
        assert told(lacking, lacking.bucket())["Rules"]
        assert refused(lacking.client.get_bucket_encryption, Bucket=lacking.bucket("plain"))[:2] == (
            501,
            "NotImplemented",
        )
        assert refused(lacking.client.get_bucket_encryption, Bucket=lacking.bucket("twice"))[0] == 501


def test_an_object_is_not_overwritten_by_what_its_store_does_not_know(moto_store: Store, tmp_path: Path) -> None:
    with sealed_proxy(tmp_path, moto_store, extra=EXTRA, payload="checksums\n  lacks: [encryption]") as lacking:
        bucket = lacking.bucket("plain")
        lacking.client.put_object(Bucket=bucket, Key="key", Body=b"x")
        wanted = {"SSEKMS": {"KMSKeyArn": STORES_KEY}}
        update = {"Bucket": bucket, "Key": "key", "ObjectEncryption": wanted}
        assert refused(lacking.client.update_object_encryption, **update)[:2] == (501, "NotImplemented")
        assert lacking.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"


# Mode `forward`


def test_in_forward_mode_the_store_encrypts_and_the_proxy_adds_what_was_not_asked_for(proxy: Sealed) -> None:
    bucket, client = proxy.bucket("forward"), proxy.client
    wanted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": STORES_KEY}
    assert shown(client.put_object(Bucket=bucket, Key="key", Body=b"text")) == wanted
    assert shown(proxy.direct.head_object(Bucket=bucket, Key="key")) == wanted
    assert shown(client.head_object(Bucket=bucket, Key="key")) == wanted
    stored = proxy.direct.get_object(Bucket=bucket, Key="key")
    assert (stored["Body"].read(), stored["Metadata"]) == (b"text", {}), "the proxy itself encrypts nothing"
    upload = client.create_multipart_upload(Bucket=bucket, Key="m")
    part = client.upload_part(Bucket=bucket, Key="m", UploadId=upload["UploadId"], PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload["UploadId"], MultipartUpload=parts)
    assert proxy.direct.get_object(Bucket=bucket, Key="m")["Body"].read() == b"x"


def test_in_forward_mode_policies_refuse_what_asks_for_something_else(proxy: Sealed) -> None:
    bucket, put = proxy.bucket("forward"), proxy.client.put_object
    for asked in (
        {"ServerSideEncryption": "AES256"},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN + "hr"},
    ):
        assert refused(put, Bucket=bucket, Key="key", Body=b"x", **asked)[:2] == (403, "AccessDenied")
    assert proxy.direct.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_in_forward_mode_the_buckets_settings_are_the_stores(proxy: Sealed) -> None:
    bucket = proxy.bucket("forward")
    wanted = rule("aws:kms", STORES_KEY)
    proxy.client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=wanted)
    assert STORES_KEY in str(stores_own(proxy, bucket))
    assert told(proxy, bucket) == stores_own(proxy, bucket)

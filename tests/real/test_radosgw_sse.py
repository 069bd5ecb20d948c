"""SSE-S3 and SSE-KMS on a Ceph object gateway, which has neither: the proxy brings both."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.sse_cases import RULES, RefusalCases, SseCases
from tests.server.envelope.test_multipart import LARGE, upload
from tests.server.envelope.test_sse import ARN, KEYS, shown
from tests.server.envelope.test_updating import update


@pytest.fixture(scope="module")
def sse(radosgw_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    folder = tmp_path_factory.mktemp("sse")
    with sealed_proxy(folder, radosgw_store, payload="unsigned", keys=KEYS, extra=RULES) as proxy:
        yield proxy


class TestOnRadosgw(SseCases):
    """The same as on moto, with a store that keeps what it is told."""


class TestRefusalsOnRadosgw(RefusalCases):
    """The same for what is refused."""


def test_objects_are_put_under_another_key_where_they_lie(sse: Sealed) -> None:
    bucket, body = sse.bucket(), os.urandom(100_000)
    parts = {1: os.urandom(LARGE), 4: os.urandom(1000)}
    sse.client.put_object(Bucket=bucket, Key="one", Body=body, Metadata={"own": "x"}, Tagging="t=1", ACL="public-read")
    upload(sse.client, bucket, parts, "parts")
    for key, content in (("one", body), ("parts", b"".join(parts.values()))):
        update(sse, bucket, key)
        got = sse.client.get_object(Bucket=bucket, Key=key)
        assert got["Body"].read() == content
        assert shown(got) == {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN + "ops"}
    assert sse.client.get_object(Bucket=bucket, Key="one")["Metadata"] == {"own": "x"}
    assert sse.direct.get_object_tagging(Bucket=bucket, Key="one")["TagSet"] == [{"Key": "t", "Value": "1"}]
    grants = sse.direct.get_object_acl(Bucket=bucket, Key="one")["Grants"]
    assert {"FULL_CONTROL", "READ"} == {grant["Permission"] for grant in grants}


def test_versions_stay_under_their_keys(sse: Sealed) -> None:
    bucket = sse.bucket()
    sse.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = sse.client.put_object(Bucket=bucket, Key="key", Body=b"first")["VersionId"]
    second = sse.client.put_object(Bucket=bucket, Key="key", Body=b"second")["VersionId"]
    answer = update(sse, bucket, "key", VersionId=second)
    made = answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-version-id"]
    assert sse.client.head_object(Bucket=bucket, Key="key")["VersionId"] == made
    for version, body, under in (
        (first, b"first", "AES256"),
        (second, b"second", "AES256"),
        (made, b"second", "aws:kms"),
    ):
        got = sse.client.get_object(Bucket=bucket, Key="key", VersionId=version)
        assert (got["Body"].read(), got["ServerSideEncryption"]) == (body, under)

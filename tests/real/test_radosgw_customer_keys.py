"""Keys of clients (SSE-C) on a Ceph object gateway, which knows them itself."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.customer_cases import OTHER, RULES, CustomerKeyCases, digest, key, own_upload, source_key
from tests.server.envelope.customer_links import CustomerLinkCases
from tests.server.envelope.test_multipart import LARGE
from tests.server.envelope.test_single import refused


@pytest.fixture(scope="module")
def own(radosgw_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("own"), radosgw_store, payload="unsigned", extra=RULES) as proxy:
        yield proxy


class TestOnRadosgw(CustomerKeyCases, CustomerLinkCases):
    """The same as on moto, with a store that looks at what it gets."""


def test_in_a_bucket_of_mode_forward_the_store_encrypts_and_says_so(own: Sealed) -> None:
    bucket = own.bucket("plain")
    for call in (own.client.put_object, own.client.get_object, own.client.head_object, own.direct.head_object):
        answer = call(Bucket=bucket, Key="key", **key())
        assert answer["SSECustomerKeyMD5"] == digest()
    for call in (own.direct.get_object, own.client.get_object):
        assert refused(call, Bucket=bucket, Key="key")[0] == 400
    parts = {1: os.urandom(LARGE), 2: b"end"}
    own_upload(own.client, bucket, parts, "parts")
    assert own.direct.get_object(Bucket=bucket, Key="parts", **key())["Body"].read() == parts[1] + parts[2]


def test_copies_from_a_store_that_encrypts_need_its_key(own: Sealed) -> None:
    plain, bucket = own.bucket("plain"), own.bucket("own")
    own.client.put_object(Bucket=plain, Key="key", Body=b"text", **key())
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{plain}/key"}
    assert refused(own.client.copy_object, **copy) == (400, "InvalidRequest")
    assert refused(own.client.copy_object, **copy, **source_key(OTHER))[0] in (400, 403)
    own.client.copy_object(**copy, **source_key())
    assert own.client.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"text"


def test_versions_have_keys_of_their_own(own: Sealed) -> None:
    bucket = own.bucket("own")
    own.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = own.client.put_object(Bucket=bucket, Key="key", Body=b"first", **key())["VersionId"]
    second = own.client.put_object(Bucket=bucket, Key="key", Body=b"second", **key(OTHER))["VersionId"]
    for version, brought, body in ((first, key(), b"first"), (second, key(OTHER), b"second")):
        named = {"Bucket": bucket, "Key": "key", "VersionId": version}
        assert own.client.get_object(**named, **brought)["Body"].read() == body
    assert refused(own.client.get_object, Bucket=bucket, Key="key", VersionId=first, **key(OTHER))[0] == 403
    source = {"Bucket": bucket, "Key": "key", "VersionId": first}
    own.client.copy_object(Bucket=bucket, Key="copy", CopySource=source, **source_key(), **key(OTHER))
    assert own.client.get_object(Bucket=bucket, Key="copy", **key(OTHER))["Body"].read() == b"first"

"""Presigned links that carry what is said about encryption in their query, as SDKs make them that hoist headers."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterator

import pytest

from tests.conftest import Store
from tests.journeys.signing import Key, presign_v4
from tests.journeys.wire import Answer, Wire, send
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.customer_cases import KEY, OTHER, RULES, digest, key
from tests.server.envelope.test_sse import ARN, context

ALICE = Key("AKIAALICE", "alice-secret")
SSE = "x-amz-server-side-encryption"


@pytest.fixture(scope="module")
def own(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    """A proxy whose buckets take keys of clients."""
    with sealed_proxy(tmp_path_factory.mktemp("links"), moto_store, extra=RULES) as running:
        yield running


def follow(proxy: Sealed, method: str, path: str, query: dict[str, str], body: bytes = b"") -> Answer:
    host = proxy.endpoint.removeprefix("http://")
    return send(proxy.endpoint, presign_v4(Wire(method, path, tuple(query.items())), ALICE, host).with_(body=body))


def trio(secret: bytes = KEY) -> dict[str, str]:
    return {
        f"{SSE}-customer-algorithm": "AES256",
        f"{SSE}-customer-key": base64.b64encode(secret).decode(),
        f"{SSE}-customer-key-MD5": digest(secret),
    }


def test_the_key_that_a_link_names_is_the_one_that_encrypts(own: Sealed) -> None:
    bucket = own.bucket("own")
    asked = {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": "ops", f"{SSE}-context": context({"a": "b"})}
    put = follow(own, "PUT", f"/{bucket}/key", asked, b"text")
    assert (put.status, put.headers[SSE], put.headers[f"{SSE}-aws-kms-key-id"]) == (200, "aws:kms", ARN + "ops")
    assert own.client.head_object(Bucket=bucket, Key="key")["SSEKMSKeyId"] == ARN + "ops"
    unknown = follow(own, "PUT", f"/{bucket}/other", {**asked, f"{SSE}-aws-kms-key-id": "nobody"}, b"text")
    assert (unknown.status, unknown.code) == (400, "KMS.NotFoundException")


def test_a_link_that_reads_says_nothing_about_encryption(own: Sealed) -> None:
    bucket = own.bucket("own")
    own.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    for asked in ({SSE: "AES256"}, {SSE: "aws:kms"}, {f"{SSE}-aws-kms-key-id": "ops"}):
        for method in ("GET", "HEAD"):
            assert follow(own, method, f"/{bucket}/key", asked).status == 400


def test_a_link_brings_a_key_of_its_client_and_nobody_writes_it_down(own: Sealed) -> None:
    bucket = own.bucket("own")
    put = follow(own, "PUT", f"/{bucket}/key", trio(), b"text")
    assert (put.status, put.headers[f"{SSE}-customer-key-MD5"]) == (200, digest())
    assert own.client.get_object(Bucket=bucket, Key="key", **key())["Body"].read() == b"text"
    got = follow(own, "GET", f"/{bucket}/key", trio())
    assert (got.status, got.body) == (200, b"text")
    refused = [
        (follow(own, "GET", f"/{bucket}/key", {}), 400),
        (follow(own, "GET", f"/{bucket}/key", trio(OTHER)), 403),
        (follow(own, "PUT", f"/{bucket}/key", {**trio(), f"{SSE}-customer-key-MD5": "AAAA"}, b"x"), 400),
        (follow(own, "PUT", f"/{bucket}/key", {**trio(), SSE: "aws:kms"}, b"x"), 400),
        (follow(own, "DELETE", f"/{bucket}/key", trio()), 400),
        *((follow(own, "DELETE", f"/{bucket}/key", {name: value}), 400) for name, value in trio().items()),
    ]
    kept = own.log() + (own.folder / "decisions.jsonl").read_text()
    for answer, status in refused:
        assert answer.status == status
        kept += answer.body.decode()
    for secret in (KEY, OTHER):
        for trace in (base64.b64encode(secret).decode(), digest(secret)):
            assert trace not in urllib.parse.unquote(kept)

"""HEAD says which key an object's capsule names, without using it; a name that was changed is found out by reading."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from proxy.audit.chain import records
from proxy.audit.journal import journal_places
from tests.conftest import ACCOUNT, Store
from tests.server.envelope.conftest import KEY, Sealed, sealed_proxy

ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key"
# `it@2` has the very material of `hr@2`, so that a data key of the one opens with the other: nothing but the
# capsule's own tag tells them apart. `no` has another one, and is disabled.
KEYS = (
    f'  it: {{type: aes, versions: [{{id: "2", material: {base64.b64encode(KEY).decode()}}}]}}\n'
    f'  no: {{type: aes, enabled: false, versions: [{{id: "2", material: {base64.b64encode(b"5" * 32).decode()}}}]}}'
)
EXTRA = """\
  "kek-*": {encryption: {mode: envelope, key: hr, kek: {use: always}}}
audit: {path: keys.jsonl}
"""


@pytest.fixture(scope="module")
def proxy(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("names"), moto_store, keys=KEYS, extra=EXTRA) as running:
        yield running


def renamed(proxy: Sealed, bucket: str, key: str, old: bytes, new: bytes) -> None:
    """Change what the stored capsule says about its key."""
    stored = base64.b64decode(proxy.direct.head_object(Bucket=bucket, Key=key)["Metadata"]["s3w"])
    assert stored.count(old) == 1
    assert len(old) == len(new)
    proxy.rewrite(bucket, key, metadata={"s3w": base64.b64encode(stored.replace(old, new)).decode()})


def shown(proxy: Sealed, bucket: str, key: str) -> tuple[str, str | None]:
    answer = proxy.client.head_object(Bucket=bucket, Key=key)
    return answer["ServerSideEncryption"], answer.get("SSEKMSKeyId")


def reads(proxy: Sealed, bucket: str, key: str) -> list[tuple[str, int]]:
    """Return how everything that takes the object's keys is answered."""
    found = []
    for use in (
        lambda: proxy.client.get_object(Bucket=bucket, Key=key),
        lambda: proxy.client.get_object(Bucket=bucket, Key=key, Range="bytes=0-1"),
        lambda: proxy.client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/{key}"),
    ):
        with pytest.raises(ClientError) as caught:
            use()
        answer = caught.value.response
        found.append((answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]))
    return found


def test_head_names_the_key_and_uses_none(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="a", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="it")
    before = sum(1 for _ in records(journal_places(proxy.folder / "keys.jsonl")))
    assert shown(proxy, bucket, "a") == ("aws:kms", f"{ARN}/it")
    assert sum(1 for _ in records(journal_places(proxy.folder / "keys.jsonl"))) == before


@pytest.mark.parametrize(
    ("name", "told", "code"),
    [
        # The data key opens, and the capsule does not verify.
        (b"it@2", ("aws:kms", f"{ARN}/it"), "InternalError"),
        # The data key does not open.
        (b"hr@1", ("AES256", None), "InternalError"),
        (b"no@2", ("aws:kms", f"{ARN}/no"), "KMS.DisabledException"),
    ],
)
def test_another_keys_name_in_the_capsule_is_noticed_by_whatever_reads(
    proxy: Sealed, name: bytes, told: tuple[str, str | None], code: str
) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="a", Body=b"payroll")
    renamed(proxy, bucket, "a", b"hr@2", name)
    assert shown(proxy, bucket, "a") == told, "which is why HEAD proves nothing"
    status = 500 if code == "InternalError" else 400
    assert reads(proxy, bucket, "a") == [(code, status)] * 3
    asked = [use for use in records(journal_places(proxy.folder / "keys.jsonl")) if use.get("bucket") == bucket][1:]
    assert {use["key"] for use in asked if use["action"] == "kms:Decrypt"} == {f"{ARN}/{name[:2].decode()}"}
    renamed(proxy, bucket, "a", name, b"hr@2")
    assert proxy.client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"payroll"


def test_a_key_that_is_not_configured_is_not_named_and_reads_nothing(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="a", Body=b"payroll")
    renamed(proxy, bucket, "a", b"hr@2", b"zz@2")
    assert "ServerSideEncryption" not in proxy.client.head_object(Bucket=bucket, Key="a")
    assert {code for code, _ in reads(proxy, bucket, "a")} == {"KMS.NotFoundException"}


def test_another_bucket_key_in_the_capsule_is_noticed_by_whatever_reads(proxy: Sealed) -> None:
    bucket, other = proxy.bucket("kek"), proxy.bucket("kek")
    for each in (bucket, other):
        proxy.client.put_object(Bucket=each, Key="a", Body=b"payroll")
    mine, others = (
        proxy.direct.list_objects_v2(Bucket=each, Prefix=".s3w/kek/")["Contents"][0]["Key"].encode()[5:]
        for each in (bucket, other)
    )
    renamed(proxy, bucket, "a", mine, others)
    proxy.direct.copy_object(Bucket=bucket, Key=f".s3w/{others.decode()}", CopySource=f"{other}/.s3w/{others.decode()}")
    assert {status for _, status in reads(proxy, bucket, "a")} == {500}

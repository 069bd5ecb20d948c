"""Keys that are disabled or do not exist: who asked for them, and for what, is on record."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from proxy.audit.chain import records
from proxy.audit.journal import journal_places
from tests.conftest import ACCOUNT, Store
from tests.server.envelope.conftest import Sealed, sealed_proxy

ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key"
OFF = (
    f"  stopped: {{type: aes, material: {base64.b64encode(b'4' * 32).decode()}, enabled: false, aliases: [alias/off]}}"
)
EXTRA = """\
  "stopped-*": {encryption: {mode: envelope, key: stopped}}
audit: {path: keys.jsonl}
"""


@pytest.fixture(scope="module")
def proxy(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("refusals"), moto_store, keys=OFF, extra=EXTRA) as running:
        yield running


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["RequestId"]


def record_of(proxy: Sealed, request_id: str) -> dict[str, Any]:
    (found,) = [
        row for row in records(journal_places(proxy.folder / "keys.jsonl")) if row.get("request_id") == request_id
    ]
    return found


@pytest.mark.parametrize(
    ("named", "code", "key"),
    [
        ("stopped", "KMS.DisabledException", f"{ARN}/stopped"),
        ("alias/off", "KMS.DisabledException", f"{ARN}/stopped"),
        ("gone", "KMS.NotFoundException", f"{ARN}/gone"),
        # Nothing that a client writes may look like the record of a client's own key.
        ("sse-c", "KMS.NotFoundException", f"{ARN}/sse-c"),
        ("arn:aws:kms:us-east-1:" + ACCOUNT + ":key/" + "x" * 2000, "KMS.NotFoundException", "unknown"),
    ],
)
@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload", "CopyObject"])
def test_a_write_under_a_key_that_is_disabled_or_unknown_is_on_record(
    proxy: Sealed, operation: str, named: str, code: str, key: str
) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="source", Body=b"x")
    calls: dict[str, tuple[Any, dict[str, Any]]] = {
        "PutObject": (proxy.client.put_object, {"Body": b"x"}),
        "CreateMultipartUpload": (proxy.client.create_multipart_upload, {}),
        "CopyObject": (proxy.client.copy_object, {"CopySource": f"{bucket}/source"}),
    }
    call, more = calls[operation]
    under = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": named}
    found, request_id = refused(call, Bucket=bucket, Key="made", **under, **more)
    assert found == code
    (use,) = [
        row
        for row in records(journal_places(proxy.folder / "keys.jsonl"))
        if row.get("request_id") == request_id and row["action"] != "kms:Decrypt"
    ]
    assert (use["action"], use["key"], use["outcome"], use["error"]) == ("kms:GenerateDataKey", key, "failed", code)
    assert (use["operation"], use["bucket"], use["object"]) == (operation, bucket, "made")
    assert use["principal"] == f"arn:aws:iam::{ACCOUNT}:user/alice"
    assert [each["Key"] for each in proxy.direct.list_objects_v2(Bucket=bucket)["Contents"]] == ["source"]


def test_a_write_under_a_buckets_own_key_that_is_disabled_is_on_record(proxy: Sealed) -> None:
    bucket = proxy.bucket("stopped")
    code, request_id = refused(proxy.client.put_object, Bucket=bucket, Key="a", Body=b"x")
    use = record_of(proxy, request_id)
    assert (code, use["key"], use["outcome"]) == ("KMS.DisabledException", f"{ARN}/stopped", "failed")


@pytest.mark.parametrize(
    ("name", "code"), [("stopped", "KMS.DisabledException"), ("gone", "KMS.NotFoundException")]
)  # fmt: skip
def test_putting_an_object_under_such_a_key_is_on_record(proxy: Sealed, name: str, code: str) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="a", Body=b"x")
    wanted = {"SSEKMS": {"KMSKeyArn": f"{ARN}/{name}"}}
    found, request_id = refused(
        proxy.client.update_object_encryption, Bucket=bucket, Key="a", ObjectEncryption=wanted
    )  # fmt: skip
    use = record_of(proxy, request_id)
    assert (found, use["action"], use["key"]) == (code, "kms:ReEncryptTo", f"{ARN}/{name}")
    assert (use["outcome"], use["object"]) == ("failed", "a")


def test_what_is_no_key_is_no_use_of_one(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    code, request_id = refused(
        proxy.client.put_object, Bucket=bucket, Key="a", Body=b"x", SSEKMSKeyId="hr", ServerSideEncryption="AES256"
    )
    assert code == "InvalidArgument"
    assert request_id not in (proxy.folder / "keys.jsonl").read_text()

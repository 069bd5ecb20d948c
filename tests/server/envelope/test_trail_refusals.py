"""Keys that are disabled or do not exist: who asked for them, and for what, is on record."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from proxy.audit.chain import records
from proxy.audit.journal import journal_places
from tests.conftest import ACCOUNT, OTHER_ACCOUNT, Store
from tests.server.envelope.conftest import Sealed, sealed_proxy

ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key"
ALIASES = f"arn:aws:kms:us-east-1:{ACCOUNT}:alias"
STRANGE = f"arn:aws:kms:us-east-1:{OTHER_ACCOUNT}:alias/off"
OFF = (
    f"  stopped: {{type: aes, material: {base64.b64encode(b'4' * 32).decode()}, enabled: false, aliases: [alias/off]}}"
)
EXTRA = """\
  "ruled-*":
    encryption: {mode: envelope, key: hr}
    add_headers:
      x-amz-server-side-encryption: aws:kms
      x-amz-server-side-encryption-aws-kms-key-id: alias/nobodys
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
        ("alias/gone", "KMS.NotFoundException", f"{ALIASES}/gone"),
        # The name of a key here, in another account, is no name of it.
        (f"arn:aws:kms:us-east-1:{OTHER_ACCOUNT}:alias/off", "KMS.NotFoundException", STRANGE),
        ("alias/" + "x" * 2000, "KMS.NotFoundException", "unknown"),
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


def test_a_form_that_names_an_unknown_alias_is_on_record(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    key_id = "x-amz-server-side-encryption-aws-kms-key-id"
    fields = {"x-amz-server-side-encryption": "aws:kms", key_id: "alias/gone"}
    form = proxy.client.generate_presigned_post(
        bucket, "made", Fields=fields, Conditions=[{name: value} for name, value in fields.items()]
    )
    parts = [(name, (None, value)) for name, value in form["fields"].items()]
    answer = requests.post(form["url"], files=[*parts, ("file", ("made", b"x"))], timeout=10)
    assert (answer.status_code, "KMS.NotFoundException" in answer.text) == (400, True)
    use = record_of(proxy, answer.headers["x-amz-request-id"])
    assert (use["operation"], use["object"], use["key"]) == ("PostObject", "made", f"{ALIASES}/gone")
    assert use["principal"] == f"arn:aws:iam::{ACCOUNT}:user/alice"


def test_an_unknown_alias_that_a_rule_of_the_bucket_adds_is_on_record(proxy: Sealed) -> None:
    bucket = proxy.bucket("ruled")
    code, request_id = refused(proxy.client.put_object, Bucket=bucket, Key="a", Body=b"x")
    use = record_of(proxy, request_id)
    assert (code, use["key"], use["outcome"]) == ("KMS.NotFoundException", f"{ALIASES}/nobodys", "failed")


def test_a_read_that_names_an_alias_uses_no_key(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="a", Body=b"x")

    def name_it(params: dict[str, Any], **_: object) -> None:
        params["headers"]["x-amz-server-side-encryption-aws-kms-key-id"] = "alias/gone"

    proxy.client.meta.events.register("before-call.s3.GetObject", name_it)
    try:
        _, request_id = refused(proxy.client.get_object, Bucket=bucket, Key="a")
    finally:
        proxy.client.meta.events.unregister("before-call.s3.GetObject", name_it)
    assert request_id not in (proxy.folder / "keys.jsonl").read_text()


def test_what_is_no_key_is_no_use_of_one(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    code, request_id = refused(
        proxy.client.put_object, Bucket=bucket, Key="a", Body=b"x", SSEKMSKeyId="hr", ServerSideEncryption="AES256"
    )
    assert code == "InvalidArgument"
    assert request_id not in (proxy.folder / "keys.jsonl").read_text()

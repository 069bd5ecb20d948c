"""SSE-S3 and SSE-KMS as clients ask for them, and as they are told of them: the same at every operation."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from proxy.envelope.capsule import parse_capsule
from proxy.envelope.metadata import decode_value
from proxy.envelope.sizes import MIN_PART
from tests.conftest import ACCOUNT, Store
from tests.server.envelope.conftest import Sealed, fetch, sealed_proxy
from tests.server.envelope.test_multipart import complete

ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/"
KEYS = f"""\
  off: {{type: aes, enabled: false, material: {base64.b64encode(bytes(32)).decode()}}}
  named: {{type: aes, aliases: [alias/payroll], material: {base64.b64encode(b"n" * 32).decode()}}}
"""
EXTRA = """\
  "kek-*": {encryption: {mode: envelope, key: hr, kek: {use: always}}}
  "direct-*": {encryption: {mode: envelope, key: hr, kek: {use: never}}}
  "ruled-*":
    encryption: {mode: envelope, key: hr}
    add_headers:
      x-amz-server-side-encryption: aws:kms
      x-amz-server-side-encryption-aws-kms-key-id: alias/payroll
"""
KMS = {"ServerSideEncryption": "aws:kms"}
SHOWN = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")


@pytest.fixture(scope="module")
def proxy(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("sse"), moto_store, keys=KEYS, extra=EXTRA) as running:
        yield running


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what an answer says of encryption; what botocore fills in by itself counts as nothing."""
    return {name: answer[name] for name in SHOWN if answer.get(name)}


def capsule_of(proxy: Sealed, bucket: str, key: str) -> Any:
    return parse_capsule(decode_value(proxy.direct.head_object(Bucket=bucket, Key=key)["Metadata"]["s3w"]))[0]


def context(pairs: object) -> str:
    return base64.b64encode(json.dumps(pairs).encode()).decode()


def refused(call: Any, **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Code"],
        response["Error"].get("Message", ""),
    )


def with_header(proxy: Sealed, operation: str, headers: dict[str, str], **arguments: Any) -> Any:
    """Call with headers that boto3 has no parameter for."""
    client = proxy.client

    def add(model: Any, params: Any, **more: Any) -> None:
        params["headers"].update(headers)

    name = f"before-call.s3.{operation}"
    client.meta.events.register(name, add)
    try:
        method = {"PutObject": client.put_object, "GetObject": client.get_object, "HeadObject": client.head_object}
        method |= {"UploadPart": client.upload_part, "CreateMultipartUpload": client.create_multipart_upload}
        return method[operation](**arguments)
    finally:
        client.meta.events.unregister(name, add)


WISHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {"ServerSideEncryption": "AES256"}),
    "AES256": ({"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "AES256"}),
    "aws:kms": (KMS, {**KMS, "SSEKMSKeyId": ARN + "hr"}),
    "the bucket's key by name": ({**KMS, "SSEKMSKeyId": "hr"}, {**KMS, "SSEKMSKeyId": ARN + "hr"}),
    "another by ARN": ({**KMS, "SSEKMSKeyId": ARN + "ops"}, {**KMS, "SSEKMSKeyId": ARN + "ops"}),
    "by alias": ({**KMS, "SSEKMSKeyId": "alias/payroll"}, {**KMS, "SSEKMSKeyId": ARN + "named"}),
    "by the alias's ARN": (
        {**KMS, "SSEKMSKeyId": f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/payroll"},
        {**KMS, "SSEKMSKeyId": ARN + "named"},
    ),
    "with a context": (
        {**KMS, "SSEKMSEncryptionContext": context({"department": "hr"})},
        {**KMS, "SSEKMSKeyId": ARN + "hr"},
    ),
    "with a bucket key": (
        {**KMS, "SSEKMSKeyId": "ops", "BucketKeyEnabled": True},
        {**KMS, "SSEKMSKeyId": ARN + "ops", "BucketKeyEnabled": True},
    ),
}


@pytest.mark.parametrize("wish", WISHES)
def test_every_answer_about_an_object_of_one_part_says_the_same(proxy: Sealed, wish: str) -> None:
    asked, wanted = WISHES[wish]
    client, bucket = proxy.client, proxy.bucket()
    put = client.put_object(Bucket=bucket, Key="key", Body=b"text", **asked)
    assert shown(put) == wanted
    assert put.get("SSEKMSEncryptionContext") == asked.get("SSEKMSEncryptionContext")
    named = {"Bucket": bucket, "Key": "key"}
    assert shown(client.head_object(**named)) == wanted
    assert shown(client.get_object(**named)) == wanted
    assert shown(client.get_object(**named, Range="bytes=1-2")) == wanted
    assert shown(client.get_object(**named, PartNumber=1)) == wanted
    assert "SSEKMSEncryptionContext" not in client.get_object(**named)
    copied = client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/key", **asked)
    assert shown(copied) == wanted
    assert shown(client.head_object(Bucket=bucket, Key="copy")) == wanted


@pytest.mark.parametrize("wish", WISHES)
def test_every_answer_about_an_upload_in_parts_says_the_same(proxy: Sealed, wish: str) -> None:
    asked, wanted = WISHES[wish]
    client, bucket = proxy.client, proxy.bucket()
    client.put_object(Bucket=bucket, Key="source", Body=b"s" * MIN_PART)
    created = client.create_multipart_upload(Bucket=bucket, Key="key", **asked)
    assert shown(created) == wanted
    assert created.get("SSEKMSEncryptionContext") == asked.get("SSEKMSEncryptionContext")
    part = {"Bucket": bucket, "Key": "key", "UploadId": created["UploadId"]}
    first = client.upload_part_copy(**part, PartNumber=1, CopySource=f"{bucket}/source")
    second = client.upload_part(**part, PartNumber=2, Body=b"end")
    assert shown(first) == shown(second) == wanted
    etags = {1: first["CopyPartResult"]["ETag"], 2: second["ETag"]}
    assert shown(complete(client, bucket, created["UploadId"], etags)) == wanted
    named = {"Bucket": bucket, "Key": "key"}
    assert shown(client.head_object(**named)) == wanted
    assert shown(client.get_object(**named)) == wanted
    assert shown(client.get_object(**named, Range="bytes=5-9")) == wanted
    assert shown(client.get_object(**named, PartNumber=2)) == wanted


def test_the_bucket_key_flag_chooses_what_wraps_and_the_configuration_overrides_it(proxy: Sealed) -> None:
    client, flag = proxy.client, {**KMS, "BucketKeyEnabled": True}
    for kind, asked, through in [
        ("sealed", KMS, False),
        ("sealed", flag, True),
        ("kek", {**KMS, "BucketKeyEnabled": False}, True),
        ("direct", flag, False),
    ]:
        bucket = proxy.bucket(kind)
        put = client.put_object(Bucket=bucket, Key="key", Body=b"x", **asked)
        assert bool(put.get("BucketKeyEnabled")) is through
        [edk] = capsule_of(proxy, bucket, "key").edks
        assert edk.key_info.startswith(b"kek/") is through
        assert bool(client.head_object(Bucket=bucket, Key="key").get("BucketKeyEnabled")) is through


def test_a_copy_is_encrypted_as_its_own_request_and_bucket_say(proxy: Sealed) -> None:
    client, here, there = proxy.client, proxy.bucket(), proxy.bucket("ops")
    source = {**KMS, "SSEKMSKeyId": "named", "SSEKMSEncryptionContext": context({"a": "b"})}
    client.put_object(Bucket=here, Key="key", Body=b"x", **source)
    copied = client.copy_object(Bucket=there, Key="copy", CopySource=f"{here}/key")
    assert shown(copied) == {"ServerSideEncryption": "AES256"}
    assert capsule_of(proxy, there, "copy").client_context == {}
    plain = proxy.bucket("plain")
    client.put_object(Bucket=plain, Key="key", Body=b"x")
    wanted = {**KMS, "SSEKMSKeyId": ARN + "hr"}
    assert shown(client.copy_object(Bucket=there, Key="in", CopySource=f"{plain}/key", **wanted)) == wanted
    assert shown(client.head_object(Bucket=there, Key="in")) == wanted


def test_header_rules_ask_for_a_key_where_clients_do_not_and_policies_see_which(
    moto_store: Store, tmp_path: Path
) -> None:
    policy = f"""\
Version: "2012-10-17"
Statement:
  Effect: Deny
  Principal: "*"
  Action: s3:PutObject
  Resource: arn:aws:s3:::ruled-*/*
  Condition: {{StringNotEquals: {{"s3w:EnvelopeKeyId": "{ARN}named"}}}}
"""
    with sealed_proxy(tmp_path, moto_store, keys=KEYS, extra=EXTRA, policy=policy) as ruled:
        bucket, client = ruled.bucket("ruled"), ruled.client
        wanted = {**KMS, "SSEKMSKeyId": ARN + "named"}
        assert shown(client.put_object(Bucket=bucket, Key="key", Body=b"x")) == wanted
        assert shown(client.create_multipart_upload(Bucket=bucket, Key="m")) == wanted
        copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/key"}
        assert shown(client.copy_object(**copy)) == wanted
        for asked in ({"ServerSideEncryption": "AES256"}, {**KMS, "SSEKMSKeyId": "ops"}):
            assert refused(client.put_object, Bucket=bucket, Key="other", Body=b"x", **asked)[:2] == (
                403, "AccessDenied",
            )  # fmt: skip
        url = client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "link", **wanted})
        sse = "x-amz-server-side-encryption"
        sent = {sse: "aws:kms", f"{sse}-aws-kms-key-id": ARN + "named", "Content-Type": "x/y"}
        fetch(url, b"x", sent, "PUT").close()
        assert shown(client.head_object(Bucket=bucket, Key="link")) == wanted


def test_the_context_stands_in_the_capsule_and_nowhere_else(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    pairs = {"department": "hr", "Case": "42", "ü": "ö"}
    asked = {**KMS, "SSEKMSEncryptionContext": context(pairs)}
    proxy.client.put_object(Bucket=bucket, Key="key", Body=b"x", **asked)
    assert capsule_of(proxy, bucket, "key").client_context == pairs
    assert set(proxy.direct.head_object(Bucket=bucket, Key="key")["Metadata"]) <= {"s3w", "s3w-ck"}
    assert proxy.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"


WRITES = ("put_object", "create_multipart_upload", "copy_object")


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ({**KMS, "SSEKMSKeyId": "nobody"}, (400, "KMS.NotFoundException")),
        ({**KMS, "SSEKMSKeyId": ARN + "nobody"}, (400, "KMS.NotFoundException")),
        ({**KMS, "SSEKMSKeyId": f"arn:aws:kms:us-east-1:{ACCOUNT[::-1]}:key/hr"}, (400, "KMS.NotFoundException")),
        ({**KMS, "SSEKMSKeyId": "alias/nobody"}, (400, "KMS.NotFoundException")),
        ({**KMS, "SSEKMSKeyId": "off"}, (400, "KMS.DisabledException")),
        ({"ServerSideEncryption": "aws:kms:dsse"}, (501, "NotImplemented")),
        ({"ServerSideEncryption": "aws:kms:dsse", "SSEKMSKeyId": "hr"}, (501, "NotImplemented")),
        ({"ServerSideEncryption": "aes256"}, (400, "InvalidArgument")),
        ({"ServerSideEncryption": "AES256", "SSEKMSKeyId": "hr"}, (400, "InvalidArgument")),
        ({"SSEKMSKeyId": "hr"}, (400, "InvalidArgument")),
        ({"SSEKMSEncryptionContext": context({"a": "b"})}, (400, "InvalidArgument")),
        ({**KMS, "SSEKMSEncryptionContext": "{}"}, (400, "InvalidArgument")),
        ({**KMS, "SSEKMSEncryptionContext": context(["a"])}, (400, "InvalidArgument")),
        ({**KMS, "SSEKMSEncryptionContext": context({"a": {"b": "c"}})}, (400, "InvalidArgument")),
        ({**KMS, "SSEKMSEncryptionContext": context({"aws:s3:arn": "x"})}, (400, "InvalidArgument")),
        ({**KMS, "SSEKMSEncryptionContext": context({"s3w-sse": "x"})}, (400, "InvalidArgument")),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_awss_code_and_leaves_nothing(
    proxy: Sealed, bucket: str, operation: str, asked: dict[str, Any], answered: tuple[int, str]
) -> None:
    more: dict[str, Any] = {}
    if operation == "copy_object":
        proxy.client.put_object(Bucket=bucket, Key="source", Body=b"x")
        more = {"CopySource": f"{bucket}/source"}
    assert refused(getattr(proxy.client, operation), Bucket=bucket, Key="key", **more, **asked)[:2] == answered
    assert [row["Key"] for row in proxy.direct.list_objects_v2(Bucket=bucket).get("Contents", [])] == ["source"][
        : len(more)
    ]
    assert "Uploads" not in proxy.direct.list_multipart_uploads(Bucket=bucket)


def test_refusals_are_worded_as_aws_words_them(proxy: Sealed, bucket: str) -> None:
    put = {"Bucket": bucket, "Key": "key", "Body": b"x"}
    assert refused(proxy.client.put_object, **put, **KMS, SSEKMSKeyId="off")[2] == f"{ARN}off is disabled."
    assert "does not exist" in refused(proxy.client.put_object, **put, **KMS, SSEKMSKeyId="nobody")[2]
    assert (
        "shall be Base64-encoded UTF-8 string holding JSON"
        in (refused(proxy.client.put_object, **put, **KMS, SSEKMSEncryptionContext="?")[2])
    )
    assert (
        "requires HTTP header x-amz-server-side-encryption : aws:kms"
        in (refused(proxy.client.put_object, **put, ServerSideEncryption="AES256", SSEKMSKeyId="hr")[2])
    )


def test_a_flag_that_is_none_is_refused(proxy: Sealed, bucket: str) -> None:
    flag = {"x-amz-server-side-encryption-bucket-key-enabled": "yes"}
    assert refused(with_header, proxy=proxy, operation="PutObject", headers=flag, Bucket=bucket, Key="k", Body=b"")[
        :2
    ] == (400, "InvalidArgument")


@pytest.mark.parametrize(
    "header",
    [
        {"x-amz-server-side-encryption": "aws:kms"},
        {"x-amz-server-side-encryption": "AES256"},
        {"x-amz-server-side-encryption-aws-kms-key-id": "hr"},
        {"x-amz-server-side-encryption-context": context({})},
        {"x-amz-server-side-encryption-bucket-key-enabled": "true"},
    ],
)
def test_reads_and_parts_take_no_sse_headers(proxy: Sealed, bucket: str, header: dict[str, str]) -> None:
    client, named = proxy.client, {"Bucket": bucket, "Key": "key"}
    client.put_object(**named, Body=b"x", **KMS)
    upload = client.create_multipart_upload(Bucket=bucket, Key="m", **KMS)["UploadId"]
    assert refused(with_header, proxy=proxy, operation="GetObject", headers=header, **named)[:2] == (
        400,
        "InvalidArgument",
    )
    assert refused(with_header, proxy=proxy, operation="HeadObject", headers=header, **named)[0] == 400
    part = {"Bucket": bucket, "Key": "m", "UploadId": upload, "PartNumber": 1, "Body": b"x"}
    assert refused(with_header, proxy=proxy, operation="UploadPart", headers=header, **part)[:2] == (
        400,
        "InvalidArgument",
    )


def form_data(form: dict[str, Any], content: bytes) -> bytes:
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form["fields"].items()
    ]
    head = "".join(parts) + '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    return head.encode() + content + b"\r\n--b--\r\n"


def post(proxy: Sealed, bucket: str, fields: dict[str, str]) -> Any:
    form = proxy.client.generate_presigned_post(
        bucket, "form", Fields=fields, Conditions=[{name: value} for name, value in fields.items()]
    )
    return fetch(form["url"], form_data(form, b"file"), {"Content-Type": "multipart/form-data; boundary=b"})


def test_forms_say_in_fields_how_they_want_to_be_encrypted(proxy: Sealed, bucket: str) -> None:
    sse = "x-amz-server-side-encryption"
    asked = {sse: "aws:kms", f"{sse}-aws-kms-key-id": "ops", f"{sse}-context": context({"a": "b"})}
    with post(proxy, bucket, asked) as answer:
        assert answer.headers[sse] == "aws:kms"
        assert answer.headers[f"{sse}-aws-kms-key-id"] == ARN + "ops"
    assert capsule_of(proxy, bucket, "form").client_context == {"a": "b"}
    assert proxy.client.head_object(Bucket=bucket, Key="form")["SSEKMSKeyId"] == ARN + "ops"
    with post(proxy, bucket, {}) as answer:
        assert answer.headers[sse] == "AES256"
    from urllib.error import HTTPError

    with pytest.raises(HTTPError) as caught:
        post(proxy, bucket, {sse: "aws:kms", f"{sse}-aws-kms-key-id": "nobody"})
    with caught.value as problem:
        assert (problem.code, b"KMS.NotFoundException" in problem.read()) == (400, True)


def test_what_the_store_says_of_its_own_encryption_is_never_shown(proxy: Sealed, bucket: str) -> None:
    client, named = proxy.client, {"Bucket": bucket, "Key": "key"}
    client.put_object(**named, Body=b"text")
    found = proxy.direct.get_object(**named)
    proxy.direct.put_object(
        **named, Body=found["Body"].read(), Metadata=found["Metadata"], ServerSideEncryption="aws:kms",
        SSEKMSKeyId="arn:aws:kms:us-east-1:000000000000:key/store",
    )  # fmt: skip
    assert shown(client.head_object(**named)) == {"ServerSideEncryption": "AES256"}
    assert shown(client.get_object(**named)) == {"ServerSideEncryption": "AES256"}


def test_a_mark_that_was_changed_is_noticed(proxy: Sealed, bucket: str) -> None:
    client, named = proxy.client, {"Bucket": bucket, "Key": "key"}
    client.put_object(**named, Body=b"text", **KMS)
    raw = decode_value(proxy.direct.head_object(**named)["Metadata"]["s3w"])
    assert b"s3w-sse\x00\x07aws:kms" in raw
    for forged in (raw.replace(b"aws:kms", b"aws:kmt"), raw.replace(b"s3w-sse", b"s3w-ssf")):
        proxy.rewrite(bucket, "key", metadata={"s3w": base64.b64encode(forged).decode()})
        assert refused(client.get_object, **named)[0] == 500

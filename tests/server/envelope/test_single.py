"""Single objects through a running proxy: what clients see, and what the store got."""

from __future__ import annotations

import hashlib
import http.client
import os
import zlib
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from proxy.envelope.sizes import FRAME, MAX_SINGLE_PLAIN, single_size
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, fetch, sealed_proxy

SIZES = (0, 1, 1000, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 3 * FRAME + 5)


def refused(call: Any, **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    response = raised.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_put_comes_back_and_is_stored_encrypted(sealed: Sealed, bucket: str, size: int) -> None:
    body = os.urandom(size)
    put = sealed.client.put_object(Bucket=bucket, Key="dir/key ü", Body=body, Metadata={"own": "value"})
    got = sealed.client.get_object(Bucket=bucket, Key="dir/key ü")
    head = sealed.client.head_object(Bucket=bucket, Key="dir/key ü")
    assert got["Body"].read() == body
    assert got["ContentLength"] == head["ContentLength"] == size
    assert got["Metadata"] == head["Metadata"] == {"own": "value"}
    assert put["ETag"] == got["ETag"] == head["ETag"]
    assert put["ETag"].endswith('-0"')
    assert put["ServerSideEncryption"] == got["ServerSideEncryption"] == "AES256"
    stored = sealed.direct.get_object(Bucket=bucket, Key="dir/key ü")
    raw = stored["Body"].read()
    assert len(raw) == stored["ContentLength"] == single_size(size)
    assert size < 16 or body[:16] not in raw
    assert set(stored["Metadata"]) == {"own", "s3w", *(["s3w-ck"] if "s3w-ck" in stored["Metadata"] else [])}
    assert "ChecksumCRC32" not in stored


RANGES = ("0-0", "0-", "5-10", "-1", "-7", f"{FRAME - 1}-{FRAME}", f"{FRAME}-", f"{FRAME}-{FRAME}", "0-999999999",
          f"-{FRAME}", f"-{FRAME + 1}", "-99999999", f"{2 * FRAME}-{3 * FRAME}", f"{3 * FRAME + 4}-")  # fmt: skip


def test_ranges_are_the_bytes_asked_for(sealed: Sealed, bucket: str) -> None:
    body = os.urandom(3 * FRAME + 5)
    sealed.client.put_object(Bucket=bucket, Key="key", Body=body)
    for text in RANGES:
        first, _, last = text.partition("-")
        start = int(first) if first else max(0, len(body) - int(last))
        stop = len(body) if not last or not first else min(len(body), int(last) + 1)
        got = sealed.client.get_object(Bucket=bucket, Key="key", Range=f"bytes={text}")
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["ContentRange"] == f"bytes {start}-{stop - 1}/{len(body)}"
        assert got["Body"].read() == body[start:stop], text


def test_ranges_that_s3_ignores_bring_the_whole_object(sealed: Sealed, bucket: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"0123456789")
    for text in ("bytes=0-1,3-4", "lines=1-2", "bytes=5-2", "bytes=-"):
        got = sealed.client.get_object(Bucket=bucket, Key="key", Range=text)
        assert (got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()) == (200, b"0123456789")


def test_ranges_beyond_the_end_and_of_nothing_are_refused(sealed: Sealed, bucket: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"0123456789")
    sealed.client.put_object(Bucket=bucket, Key="empty", Body=b"")
    for key, text in (("key", "10-"), ("key", "999999999-"), ("key", "-0"), ("empty", "0-"), ("empty", "-5")):
        assert refused(sealed.client.get_object, Bucket=bucket, Key=key, Range=f"bytes={text}") == (416, "InvalidRange")


def test_a_cold_range_asks_the_store_once(sealed: Sealed, bucket: str) -> None:
    body = os.urandom(20 * FRAME)
    sealed.client.put_object(Bucket=bucket, Key="key", Body=body)
    before = upstream_requests(sealed)
    got = sealed.client.get_object(Bucket=bucket, Key="key", Range=f"bytes={5 * FRAME + 1}-{6 * FRAME}")
    assert got["Body"].read() == body[5 * FRAME + 1 : 6 * FRAME + 1]
    assert upstream_requests(sealed) - before == 1


def upstream_requests(sealed: Sealed) -> int:
    with fetch(f"http://127.0.0.1:{sealed.admin}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith("s3warden_upstream_requests_total{"))


def test_conditions_are_translated(sealed: Sealed, bucket: str) -> None:
    etag = sealed.client.put_object(Bucket=bucket, Key="key", Body=b"one")["ETag"]
    assert sealed.client.get_object(Bucket=bucket, Key="key", IfMatch=etag)["Body"].read() == b"one"
    assert refused(sealed.client.get_object, Bucket=bucket, Key="key", IfMatch='"0123"')[0] == 412
    assert refused(sealed.client.get_object, Bucket=bucket, Key="key", IfNoneMatch=etag)[0] == 304
    assert refused(sealed.client.head_object, Bucket=bucket, Key="key", IfNoneMatch=etag)[0] == 304
    assert refused(sealed.client.put_object, Bucket=bucket, Key="key", Body=b"two", IfNoneMatch="*")[0] == 412
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"two", IfMatch=etag)
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"two"


def test_response_overrides_and_presigned_urls_work(sealed: Sealed, bucket: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text", ContentType="text/plain", CacheControl="no-store")
    got = sealed.client.get_object(Bucket=bucket, Key="key", ResponseContentType="text/html")
    assert (got["ContentType"], got["CacheControl"]) == ("text/html", "no-store")
    url = sealed.client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key"})
    with fetch(url) as answer:
        assert answer.read() == b"text"
    url = sealed.client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "key"})
    fetch(url, b"other", {"Content-Type": "x/y"}, "PUT").close()
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"other"


def test_forms_are_sealed(sealed: Sealed, bucket: str) -> None:
    form = sealed.client.generate_presigned_post(
        bucket, "form", Fields={"success_action_status": "201"}, Conditions=[{"success_action_status": "201"}]
    )
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form["fields"].items()
    ]
    body = "".join(parts) + '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    data = body.encode() + b"from a browser" + b"\r\n--b--\r\n"
    with fetch(form["url"], data, {"Content-Type": "multipart/form-data; boundary=b"}) as answer:
        assert answer.status == 201
        assert b"-0" in answer.read()
    assert sealed.client.get_object(Bucket=bucket, Key="form")["Body"].read() == b"from a browser"
    assert b"browser" not in sealed.direct.get_object(Bucket=bucket, Key="form")["Body"].read()


def test_checksums_are_of_the_plaintext_and_come_back(sealed: Sealed, bucket: str) -> None:
    body = os.urandom(100_000)
    crc = b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    put = sealed.client.put_object(Bucket=bucket, Key="key", Body=body, ChecksumCRC32=crc)
    assert put["ChecksumCRC32"] == crc
    got = sealed.client.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert got["ChecksumCRC32"] == crc
    assert got["Body"].read() == body
    assert sealed.client.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")["ChecksumCRC32"] == crc
    assert "ChecksumCRC32" not in sealed.client.head_object(Bucket=bucket, Key="key")
    stored = sealed.direct.head_object(Bucket=bucket, Key="key")["Metadata"]
    assert crc not in str(stored)


@pytest.mark.parametrize("size", [10, 300_000])
def test_a_wrong_checksum_leaves_no_object(sealed: Sealed, bucket: str, size: int) -> None:
    body = os.urandom(size)
    wrong = b64encode(hashlib.md5(b"other").digest()).decode()
    assert refused(sealed.client.put_object, Bucket=bucket, Key="key", Body=body, ContentMD5=wrong)[1] == "BadDigest"
    crc = b64encode(bytes(4)).decode()
    assert refused(sealed.client.put_object, Bucket=bucket, Key="key", Body=body, ChecksumCRC32=crc)[1] == "BadDigest"
    assert sealed.direct.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_metadata_has_its_limit_with_ours_counted(sealed: Sealed, bucket: str) -> None:
    assert refused(sealed.client.put_object, Bucket=bucket, Key="key", Body=b"", Metadata={"a": "x" * 1900}) == (
        400,
        "MetadataTooLarge",
    )
    assert refused(sealed.client.put_object, Bucket=bucket, Key="key", Body=b"", Metadata={"s3w": "x"})[0] == 400
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"", Metadata={"a": "x" * 1000})


def test_named_keys_are_used_and_shown(sealed: Sealed, bucket: str) -> None:
    arn = "arn:aws:kms:us-east-1:123456789012:key/ops"
    named = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "ops"}
    put = sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text", **named)
    got = sealed.client.get_object(Bucket=bucket, Key="key")
    assert (put["SSEKMSKeyId"], got["SSEKMSKeyId"], got["ServerSideEncryption"]) == (arn, arn, "aws:kms")
    assert got["Body"].read() == b"text"
    unknown = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "nobody"}
    assert (
        refused(sealed.client.put_object, Bucket=bucket, Key="key", Body=b"", **unknown)[1] == "KMS.NotFoundException"
    )


def test_plain_objects_are_refused_unless_the_bucket_admits_them(sealed: Sealed, bucket: str) -> None:
    sealed.direct.put_object(Bucket=bucket, Key="plain", Body=b"plain text")
    assert refused(sealed.client.get_object, Bucket=bucket, Key="plain") == (403, "AccessDenied")
    assert refused(sealed.client.get_object, Bucket=bucket, Key="plain", Range="bytes=0-1") == (403, "AccessDenied")
    assert refused(sealed.client.head_object, Bucket=bucket, Key="plain")[0] == 403
    mixed = sealed.bucket("mixed")
    sealed.direct.put_object(Bucket=mixed, Key="plain", Body=b"plain text")
    assert sealed.client.get_object(Bucket=mixed, Key="plain")["Body"].read() == b"plain text"
    got = sealed.client.get_object(Bucket=mixed, Key="plain", Range="bytes=2-4")
    assert (got["Body"].read(), got["ContentRange"]) == (b"ain", "bytes 2-4/10")
    assert sealed.client.head_object(Bucket=mixed, Key="plain")["ContentLength"] == 10


@pytest.mark.parametrize("call", ["get_object_torrent", "select_object_content"])
def test_what_could_show_stored_bytes_is_refused(sealed: Sealed, bucket: str, call: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    arguments: dict[str, Any] = {"Bucket": bucket, "Key": "key"}
    if call.startswith("select"):
        arguments |= {"Expression": "s", "ExpressionType": "SQL"}
        arguments |= {"InputSerialization": {"CSV": {}}, "OutputSerialization": {"CSV": {}}}
    assert refused(getattr(sealed.client, call), **arguments)[0] == 501


def test_policies_see_whether_the_proxy_encrypts(sealed: Sealed, moto_store: Store, tmp_path: Path) -> None:
    with sealed_proxy(tmp_path, moto_store, policy=ENVELOPE_ONLY) as strict:
        enveloped, plain, other = strict.bucket(), strict.bucket("plain"), strict.bucket("ops")
        strict.client.put_object(Bucket=enveloped, Key="key", Body=b"text")
        assert refused(strict.client.put_object, Bucket=plain, Key="key", Body=b"text")[0] == 403
        assert refused(strict.client.put_object, Bucket=other, Key="key", Body=b"text")[0] == 403


ENVELOPE_ONLY = """\
Version: "2012-10-17"
Statement:
  - {Sid: Encrypt, Effect: Deny, Principal: "*", Action: s3:PutObject, Resource: "arn:aws:s3:::*",
     Condition: {Bool: {"s3w:Envelope": "false"}}}
  - {Sid: UnderHr, Effect: Deny, Principal: "*", Action: s3:PutObject, Resource: "arn:aws:s3:::*",
     Condition: {ArnNotEquals: {"s3w:EnvelopeKeyId": "arn:aws:kms:us-east-1:123456789012:key/hr"}}}
"""


def test_a_body_that_would_not_fit_sealed_is_refused_at_once(sealed: Sealed, bucket: str) -> None:
    url = sealed.client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "key"})
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    connection.putheader("Content-Length", str(MAX_SINGLE_PLAIN + 1))
    connection.endheaders()
    answer = connection.getresponse()
    document = answer.read()
    connection.close()
    assert answer.status == 400
    assert b"EntityTooLarge" in document
    assert str(MAX_SINGLE_PLAIN).encode() in document


def test_keys_of_clients_are_refused_wherever_they_come(sealed: Sealed, bucket: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    for call in (sealed.client.head_object, sealed.client.get_object):
        assert refused(call, Bucket=bucket, Key="key", **own)[0] == 400


def test_restores_pass_and_selections_do_not(sealed: Sealed, bucket: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    select = {
        "Type": "SELECT",
        "SelectParameters": {
            "InputSerialization": {"CSV": {}}, "OutputSerialization": {"CSV": {}},
            "ExpressionType": "SQL", "Expression": "s",
        },
    }  # fmt: skip
    assert refused(sealed.client.restore_object, Bucket=bucket, Key="key", RestoreRequest=select)[0] == 501

"""What S3 does with keys of clients (SSE-C), as cases for any store; the client is boto3, which computes the MD5."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from typing import Any

import pytest
from botocore.exceptions import ClientError

from proxy.envelope.capsule import parse_capsule
from proxy.envelope.metadata import decode_value
from proxy.envelope.sizes import FRAME, MIN_PART
from tests.server.envelope.conftest import Sealed
from tests.server.envelope.test_multipart import LARGE, complete, send, upload
from tests.server.envelope.test_single import RANGES, refused

RULES = """\
  "own-*": {encryption: {mode: envelope, key: hr, sse_c: true, sse_c_over_http: true}}
  "mixedown-*": {encryption: {mode: envelope, key: hr, sse_c: true, sse_c_over_http: true, read_plaintext: true}}
  "plain-*": {encryption: {mode: forward, sse_c_over_http: true}}
"""
KEY, OTHER = os.urandom(32), os.urandom(32)
FIELD = "x-amz-server-side-encryption-customer-"


def key(secret: bytes = KEY) -> dict[str, Any]:
    """Return the arguments that bring a key."""
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": secret}


def source_key(secret: bytes = KEY) -> dict[str, Any]:
    """Return the arguments that bring the key of a copy's source."""
    return {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": secret}


def written_key(secret: bytes = KEY) -> dict[str, Any]:
    """Return the arguments for an operation whose key botocore sends as it is."""
    return {
        "SSECustomerAlgorithm": "AES256", "SSECustomerKey": base64.b64encode(secret).decode(),
        "SSECustomerKeyMD5": digest(secret),
    }  # fmt: skip


def digest(secret: bytes = KEY) -> str:
    return base64.b64encode(md5(secret, usedforsecurity=False).digest()).decode()


def code_and_words(call: Any, **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    response = raised.value.response
    error = response["Error"]
    return response["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"]


@contextmanager
def with_fields(client: Any, **changed: str | None) -> Iterator[None]:
    """Change the fields of a key on the way out; None takes one away. A client computes what it is not given."""

    def change(request: Any, **_: Any) -> None:
        for name, value in changed.items():
            field = FIELD + name.replace("_", "-")
            del request.headers[field]
            if value is not None:
                request.headers[field] = value

    client.meta.events.register("before-sign.s3", change)
    try:
        yield
    finally:
        client.meta.events.unregister("before-sign.s3", change)


def own_upload(client: Any, bucket: str, parts: dict[int, bytes], name: str = "key", secret: bytes = KEY) -> Any:
    """Upload parts under a key of the client's."""
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=name, **key(secret))["UploadId"]
    etags = {
        number: client.upload_part(
            Bucket=bucket, Key=name, UploadId=upload_id, PartNumber=number, Body=body, **key(secret)
        )["ETag"]
        for number, body in parts.items()
    }
    return complete(client, bucket, upload_id, etags, name)


class CustomerKeyCases:
    """Needs a fixture `own`: a proxy whose buckets are configured as `RULES` say."""

    @pytest.fixture
    def bucket(self, own: Sealed) -> str:
        return own.bucket("own")

    @pytest.mark.parametrize("size", [0, 1, 1000, FRAME, 2 * FRAME + 7])
    def test_what_is_put_under_a_key_comes_back_with_it(self, own: Sealed, bucket: str, size: int) -> None:
        body = os.urandom(size)
        put = own.client.put_object(Bucket=bucket, Key="key", Body=body, Metadata={"own": "value"}, **key())
        got = own.client.get_object(Bucket=bucket, Key="key", **key())
        head = own.client.head_object(Bucket=bucket, Key="key", **key())
        assert got["Body"].read() == body
        assert got["ContentLength"] == head["ContentLength"] == size
        assert put["ETag"] == got["ETag"] == head["ETag"]
        for answer in (put, got, head):
            assert (answer["SSECustomerAlgorithm"], answer["SSECustomerKeyMD5"]) == ("AES256", digest())
            assert "ServerSideEncryption" not in answer
        stored = own.direct.get_object(Bucket=bucket, Key="key")
        [edk] = parse_capsule(decode_value(stored["Metadata"]["s3w"]))[0].edks
        assert (edk.provider_id, edk.key_info[:5]) == ("s3w-sse-c", b"sse-c")
        assert size < 16 or body[:16] not in stored["Body"].read()
        [row] = own.client.list_objects_v2(Bucket=bucket)["Contents"]
        assert row["Size"] == size

    def test_another_key_opens_nothing(self, own: Sealed, bucket: str) -> None:
        own.client.put_object(Bucket=bucket, Key="key", Body=b"text", ChecksumAlgorithm="CRC32", **key())
        for extra in ({}, {"Range": "bytes=0-1"}, {"PartNumber": 1}, {"ChecksumMode": "ENABLED"}):
            arguments = {"Bucket": bucket, "Key": "key", **key(OTHER), **extra}
            assert refused(own.client.get_object, **arguments) == (403, "AccessDenied")
            assert refused(own.client.head_object, **arguments)[0] == 403
        attributes = {"Bucket": bucket, "Key": "key", "ObjectAttributes": ["ETag"]}
        assert refused(own.client.get_object_attributes, **attributes, **written_key(OTHER)) == (403, "AccessDenied")

    def test_without_a_key_nothing_is_said_about_the_object(self, own: Sealed, bucket: str) -> None:
        own.client.put_object(Bucket=bucket, Key="key", Body=b"text", **key())
        own.client.put_object(Bucket=bucket, Key="empty", Body=b"", **key())
        for name in ("key", "empty"):
            for extra in ({}, {"PartNumber": 1}):
                status, code, words = code_and_words(own.client.get_object, Bucket=bucket, Key=name, **extra)
                assert (status, code) == (400, "InvalidRequest")
                assert "The correct parameters must be provided to retrieve the object" in words
                assert refused(own.client.head_object, Bucket=bucket, Key=name, **extra)[0] == 400
        arguments = {"Bucket": bucket, "Key": "key", "ObjectAttributes": ["ETag", "ObjectSize"]}
        assert refused(own.client.get_object_attributes, **arguments) == (400, "InvalidRequest")
        assert own.client.get_object_attributes(**arguments, **written_key())["ObjectSize"] == 4

    def test_a_key_for_an_object_of_another_kind_is_refused(self, own: Sealed, bucket: str) -> None:
        own.client.put_object(Bucket=bucket, Key="key", Body=b"text")
        status, code, words = code_and_words(own.client.get_object, Bucket=bucket, Key="key", **key())
        assert (status, code, words) == (
            400, "InvalidRequest", "The encryption parameters are not applicable to this object.",
        )  # fmt: skip
        for extra in ({"Range": "bytes=0-1"}, {"PartNumber": 1}):
            assert refused(own.client.get_object, Bucket=bucket, Key="key", **extra, **key())[1] == "InvalidRequest"
        assert refused(own.client.head_object, Bucket=bucket, Key="key", **key())[0] == 400
        attributes = {"Bucket": bucket, "Key": "key", "ObjectAttributes": ["ETag"]}
        assert refused(own.client.get_object_attributes, **attributes, **written_key()) == (400, "InvalidRequest")
        upload(own.client, bucket, {1: b"part"}, "parts")
        for call in (own.client.get_object, own.client.head_object):
            assert refused(call, Bucket=bucket, Key="parts", **key())[0] == 400
        plain = own.bucket("mixedown")
        own.direct.put_object(Bucket=plain, Key="key", Body=b"text")
        for call in (own.client.get_object, own.client.head_object):
            assert refused(call, Bucket=plain, Key="key", **key())[0] == 400

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"key_md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "did not match the hash that was provided"),
            ({"key_md5": None}, "must provide the client calculated MD5 of the secret key"),
            ({"key": None}, "must provide an appropriate secret key"),
            ({"algorithm": None}, "must provide a valid encryption algorithm"),
            ({"algorithm": "AES128"}, "must provide a valid encryption algorithm"),
            ({"key": base64.b64encode(b"k" * 16).decode()}, "invalid for the specified algorithm"),
            ({"key": "*"}, "invalid for the specified algorithm"),
        ],
    )
    def test_a_key_that_is_not_whole_is_refused(
        self, own: Sealed, bucket: str, changed: dict[str, str | None], words: str
    ) -> None:
        own.client.put_object(Bucket=bucket, Key="key", Body=b"text", **key())
        with with_fields(own.client, **changed):
            for call in (own.client.put_object, own.client.get_object, own.client.create_multipart_upload):
                status, code, said = code_and_words(call, Bucket=bucket, Key="key", **key())
                assert (status, code) == (400, "InvalidArgument")
                assert words in said
            assert refused(own.client.head_object, Bucket=bucket, Key="key", **key())[0] == 400
        assert own.client.get_object(Bucket=bucket, Key="key", **key())["Body"].read() == b"text"

    def test_an_object_has_one_kind_of_encryption(self, own: Sealed, bucket: str) -> None:
        for algorithm in ("AES256", "aws:kms"):
            arguments = {"Bucket": bucket, "Key": "key", "ServerSideEncryption": algorithm, **key()}
            assert refused(own.client.put_object, **arguments) == (400, "InvalidArgument")

    def test_ranges_are_the_bytes_asked_for(self, own: Sealed, bucket: str) -> None:
        body = os.urandom(3 * FRAME + 5)
        own.client.put_object(Bucket=bucket, Key="key", Body=body, **key())
        for text in RANGES:
            first, _, last = text.partition("-")
            start = int(first) if first else max(0, len(body) - int(last))
            stop = len(body) if not last or not first else min(len(body), int(last) + 1)
            got = own.client.get_object(Bucket=bucket, Key="key", Range=f"bytes={text}", **key())
            assert got["Body"].read() == body[start:stop], text
            assert got["SSECustomerKeyMD5"] == digest()
        beyond = {"Bucket": bucket, "Key": "key", "Range": f"bytes={len(body)}-"}
        assert refused(own.client.get_object, **beyond, **key()) == (416, "InvalidRange")

    def test_checksums_are_kept_and_returned(self, own: Sealed, bucket: str) -> None:
        put = own.client.put_object(Bucket=bucket, Key="key", Body=b"text", ChecksumSHA256=SHA256_OF_TEXT, **key())
        assert put["ChecksumSHA256"] == SHA256_OF_TEXT
        for call in (own.client.get_object, own.client.head_object):
            found = call(Bucket=bucket, Key="key", ChecksumMode="ENABLED", **key())
            assert found["ChecksumSHA256"] == SHA256_OF_TEXT

    def test_parts_become_one_object_under_the_key(self, own: Sealed, bucket: str) -> None:
        parts = {1: os.urandom(LARGE), 2: os.urandom(MIN_PART), 3: os.urandom(1000)}
        created = own.client.create_multipart_upload(Bucket=bucket, Key="key", **key())
        assert (created["SSECustomerAlgorithm"], created["SSECustomerKeyMD5"]) == ("AES256", digest())
        upload_id, etags = created["UploadId"], {}
        for number in (3, 1, 2):
            sent = own.client.upload_part(
                Bucket=bucket, Key="key", UploadId=upload_id, PartNumber=number, Body=parts[number], **key()
            )
            assert sent["SSECustomerKeyMD5"] == digest()
            etags[number] = sent["ETag"]
        listed = own.client.list_parts(Bucket=bucket, Key="key", UploadId=upload_id)["Parts"]
        assert [row["Size"] for row in listed] == [LARGE, MIN_PART, 1000]
        complete(own.client, bucket, upload_id, etags)
        body = parts[1] + parts[2] + parts[3]
        got = own.client.get_object(Bucket=bucket, Key="key", **key())
        assert got["Body"].read() == body
        assert got["SSECustomerKeyMD5"] == digest()
        for first, last in ((0, 10), (LARGE - 5, LARGE + 5), (LARGE + MIN_PART - 1, len(body) - 1)):
            for _ in ("cold", "warm"):
                ranged = own.client.get_object(Bucket=bucket, Key="key", Range=f"bytes={first}-{last}", **key())
                assert ranged["Body"].read() == body[first : last + 1]
            extent = {"Range": f"bytes={first}-{last}"}
            assert refused(own.client.get_object, Bucket=bucket, Key="key", **extent, **key(OTHER))[0] == 403
            assert refused(own.client.get_object, Bucket=bucket, Key="key", **extent)[0] == 400
        second = own.client.get_object(Bucket=bucket, Key="key", PartNumber=2, **key())
        assert (second["Body"].read(), second["PartsCount"]) == (parts[2], 3)
        assert refused(own.client.get_object, Bucket=bucket, Key="key", PartNumber=2, **key(OTHER))[0] == 403
        assert own.client.head_object(Bucket=bucket, Key="key", **key())["ContentLength"] == len(body)
        wanted = {"Bucket": bucket, "Key": "key", "ObjectAttributes": ["ObjectParts", "ObjectSize"]}
        found = own.client.get_object_attributes(**wanted, **written_key())
        assert (found["ObjectSize"], found["ObjectParts"]["TotalPartsCount"]) == (len(body), 3)
        assert refused(own.client.get_object_attributes, **wanted, **written_key(OTHER))[0] == 403

    @pytest.mark.parametrize("size", [100, MIN_PART])
    def test_every_part_proves_the_key_of_its_upload(self, own: Sealed, bucket: str, size: int) -> None:
        created = own.client.create_multipart_upload(Bucket=bucket, Key="key", **key())
        arguments = {
            "Bucket": bucket, "Key": "key", "UploadId": created["UploadId"], "PartNumber": 1, "Body": b"x" * size,
        }  # fmt: skip
        etag = own.client.upload_part(**arguments, **key())["ETag"]
        status, code, words = code_and_words(own.client.upload_part, **arguments, **key(OTHER))
        assert (status, code) == (400, "InvalidRequest")
        assert words == "The provided encryption parameters did not match the ones used originally."
        status, code, words = code_and_words(own.client.upload_part, **arguments)
        assert (status, code) == (400, "InvalidRequest")
        assert "Subsequent part requests must include the appropriate encryption parameters" in words
        with with_fields(own.client, key_md5="AAAAAAAAAAAAAAAAAAAAAA=="):
            assert refused(own.client.upload_part, **arguments, **key()) == (400, "InvalidArgument")
        rows = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        ending = {"Bucket": bucket, "Key": "key", "UploadId": created["UploadId"], "MultipartUpload": rows}
        assert refused(own.client.complete_multipart_upload, **ending, **key(OTHER)) == (400, "InvalidRequest")
        own.client.complete_multipart_upload(**ending, **key())
        assert own.client.get_object(Bucket=bucket, Key="key", **key())["Body"].read() == b"x" * size

    def test_a_part_brings_no_key_to_an_upload_without_one(self, own: Sealed, bucket: str) -> None:
        upload_id = own.client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
        etag = send(own.client, bucket, upload_id, 1, b"text")
        arguments = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "PartNumber": 1, "Body": b"other"}
        status, code, words = code_and_words(own.client.upload_part, **arguments, **key())
        assert (status, code) == (400, "InvalidRequest")
        assert "did not request encryption" in words
        complete(own.client, bucket, upload_id, {1: etag})
        assert own.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"text"

    def test_an_upload_under_a_key_is_aborted_without_it(self, own: Sealed, bucket: str) -> None:
        upload_id = own.client.create_multipart_upload(Bucket=bucket, Key="key", **key())["UploadId"]
        own.client.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=upload_id)
        assert "Uploads" not in own.client.list_multipart_uploads(Bucket=bucket)

    @pytest.mark.parametrize("large", [False, True], ids=["one part", "several parts"])
    def test_copies_change_the_key(self, own: Sealed, bucket: str, large: bool) -> None:
        body = os.urandom(LARGE + 500)
        if large:
            parts = {1: body[:LARGE], 2: body[LARGE:]}
            upload(own.client, bucket, parts, "plain", Metadata={"own": "x"})
        else:
            own.client.put_object(Bucket=bucket, Key="plain", Body=body, Metadata={"own": "x"})
        copy = own.client.copy_object
        made = copy(Bucket=bucket, Key="first", CopySource=f"{bucket}/plain", **key())
        assert (made["SSECustomerAlgorithm"], made["SSECustomerKeyMD5"]) == ("AES256", digest())
        copy(Bucket=bucket, Key="second", CopySource=f"{bucket}/first", **source_key(), **key(OTHER))
        copy(Bucket=bucket, Key="third", CopySource=f"{bucket}/second", **source_key(OTHER))
        for name, brought in (("first", key()), ("second", key(OTHER)), ("third", {})):
            got = own.client.get_object(Bucket=bucket, Key=name, **brought)
            assert (got["Body"].read(), got["Metadata"]) == (body, {"own": "x"})
        assert refused(own.client.get_object, Bucket=bucket, Key="second", **key())[0] == 403
        assert own.client.head_object(Bucket=bucket, Key="third")["ServerSideEncryption"] == "AES256"

    def test_a_copy_needs_the_key_of_its_source(self, own: Sealed, bucket: str) -> None:
        own.client.put_object(Bucket=bucket, Key="key", Body=b"text", **key())
        own.client.put_object(Bucket=bucket, Key="plain", Body=b"text")
        arguments = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/key"}
        copy = own.client.copy_object
        assert refused(copy, **arguments) == (400, "InvalidRequest")
        assert refused(copy, **arguments, **key()) == (400, "InvalidRequest")
        assert refused(copy, **arguments, **source_key(OTHER)) == (403, "AccessDenied")
        assert refused(copy, **arguments, **source_key(OTHER), **key()) == (403, "AccessDenied")
        idle = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/plain"}
        assert refused(copy, **idle, **source_key()) == (400, "InvalidRequest")
        assert refused(own.client.head_object, Bucket=bucket, Key="copy")[0] == 404

    def test_an_object_is_copied_onto_itself_under_another_key(self, own: Sealed, bucket: str) -> None:
        own.client.put_object(Bucket=bucket, Key="key", Body=b"text", **key())
        arguments = {"Bucket": bucket, "Key": "key", "CopySource": f"{bucket}/key"}
        own.client.copy_object(**arguments, **source_key(), **key(OTHER))
        assert refused(own.client.get_object, Bucket=bucket, Key="key", **key())[0] == 403
        assert own.client.get_object(Bucket=bucket, Key="key", **key(OTHER))["Body"].read() == b"text"

    def test_ranges_are_copied_into_uploads_under_other_keys(self, own: Sealed, bucket: str) -> None:
        body = os.urandom(2 * MIN_PART)
        own.client.put_object(Bucket=bucket, Key="source", Body=body, **key())
        own_upload(own.client, bucket, {1: body[:MIN_PART], 2: body[MIN_PART:]}, "parts")
        upload_id = own.client.create_multipart_upload(Bucket=bucket, Key="key", **key(OTHER))["UploadId"]
        named = {"Bucket": bucket, "Key": "key", "UploadId": upload_id}
        etags = {}
        for number, source, first, last in ((1, "parts", 10, MIN_PART + 20), (2, "source", 5, 99)):
            arguments = {
                **named, "PartNumber": number, "CopySource": f"{bucket}/{source}",
                "CopySourceRange": f"bytes={first}-{last}",
            }  # fmt: skip
            copy = own.client.upload_part_copy
            assert refused(copy, **arguments, **key(OTHER)) == (400, "InvalidRequest")
            assert refused(copy, **arguments, **source_key()) == (400, "InvalidRequest")
            assert refused(copy, **arguments, **source_key(OTHER), **key(OTHER)) == (403, "AccessDenied")
            assert refused(copy, **arguments, **source_key(), **key()) == (400, "InvalidRequest")
            made = copy(**arguments, **source_key(), **key(OTHER))
            assert made["SSECustomerKeyMD5"] == digest(OTHER)
            etags[number] = made["CopyPartResult"]["ETag"]
        complete(own.client, bucket, upload_id, etags)
        got = own.client.get_object(Bucket=bucket, Key="key", **key(OTHER))
        assert got["Body"].read() == body[10 : MIN_PART + 21] + body[5:100]

    def test_a_bucket_that_the_store_encrypts_takes_and_gives_copies(self, own: Sealed, bucket: str) -> None:
        plain, body = own.bucket("plain"), os.urandom(FRAME + 5)
        own.client.put_object(Bucket=plain, Key="key", Body=body, **key())
        assert own.direct.get_object(Bucket=plain, Key="key", **key())["Body"].read() == body
        own.client.copy_object(Bucket=bucket, Key="in", CopySource=f"{plain}/key", **source_key(), **key(OTHER))
        assert own.client.get_object(Bucket=bucket, Key="in", **key(OTHER))["Body"].read() == body
        out = own.client.copy_object(Bucket=plain, Key="out", CopySource=f"{bucket}/in", **source_key(OTHER), **key())
        assert out["SSECustomerKeyMD5"] == digest()
        assert own.client.get_object(Bucket=plain, Key="out", **key())["Body"].read() == body
        own.client.copy_object(Bucket=plain, Key="open", CopySource=f"{bucket}/in", **source_key(OTHER))
        assert own.direct.get_object(Bucket=plain, Key="open")["Body"].read() == body

    def test_an_upload_that_the_store_encrypts_takes_copied_parts(self, own: Sealed, bucket: str) -> None:
        plain, body = own.bucket("plain"), os.urandom(MIN_PART)
        own.client.put_object(Bucket=bucket, Key="source", Body=body, **key(OTHER))
        upload_id = own.client.create_multipart_upload(Bucket=plain, Key="key", **key())["UploadId"]
        copied = own.client.upload_part_copy(
            Bucket=plain, Key="key", UploadId=upload_id, PartNumber=1, CopySource=f"{bucket}/source",
            **source_key(OTHER), **key(),
        )  # fmt: skip
        assert copied["SSECustomerKeyMD5"] == digest()
        complete(own.client, plain, upload_id, {1: copied["CopyPartResult"]["ETag"]})
        assert own.client.get_object(Bucket=plain, Key="key", **key())["Body"].read() == body


SHA256_OF_TEXT = "mC2ePrmW9VnmM/TRlN7zdh2Qn1o7ZH0ahR/q1nwyydE="

"""Copies within and across encryption modes."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from typing import Any

import pytest

from proxy.envelope.capsule import parse_capsule
from proxy.envelope.metadata import decode_value
from proxy.envelope.sizes import FRAME, MIN_PART
from tests.server.envelope.conftest import Sealed
from tests.server.envelope.test_multipart import LARGE, complete, leftovers, send, upload
from tests.server.envelope.test_single import refused

KINDS = ("sealed", "ops", "mixed", "plain")


def body_of(client: Any, bucket: str, key: str) -> bytes:
    return client.get_object(Bucket=bucket, Key=key)["Body"].read()


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_single_objects_are_copied_between_any_two_modes(sealed: Sealed, source: str, target: str) -> None:
    here, there, body = sealed.bucket(source), sealed.bucket(target), os.urandom(FRAME + 17)
    sealed.client.put_object(
        Bucket=here, Key="a b+ü", Body=body, Metadata={"own": "x"}, ContentType="a/b", Tagging="k=v&l=w"
    )
    copied = sealed.client.copy_object(Bucket=there, Key="copy", CopySource={"Bucket": here, "Key": "a b+ü"})
    got = sealed.client.get_object(Bucket=there, Key="copy")
    assert got["Body"].read() == body
    assert (got["Metadata"], got["ContentType"]) == ({"own": "x"}, "a/b")
    assert copied["CopyObjectResult"]["ETag"] == got["ETag"]
    tags = sealed.client.get_object_tagging(Bucket=there, Key="copy")["TagSet"]
    assert tags == [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"}]
    stored = body_of(sealed.direct, there, "copy")
    assert (stored == body) == (target == "plain")


@pytest.mark.parametrize("target", ["sealed", "plain"])
@pytest.mark.parametrize("layout", [{1: LARGE, 4: 1000}, {2: MIN_PART, 3: LARGE}, {1: 5}])
def test_objects_of_parts_are_copied_as_they_are(sealed: Sealed, layout: dict[int, int], target: str) -> None:
    here, there = sealed.bucket(), sealed.bucket(target)
    parts = {number: os.urandom(size) for number, size in layout.items()}
    etag = upload(sealed.client, here, parts, Metadata={"own": "x"}, Tagging="k=v")
    sealed.client.copy_object(Bucket=there, Key="copy", CopySource=f"{here}/key")
    got = sealed.client.get_object(Bucket=there, Key="copy")
    assert got["Body"].read() == b"".join(parts.values())
    assert got["Metadata"] == {"own": "x"}
    assert sealed.client.get_object_tagging(Bucket=there, Key="copy")["TagSet"] == [{"Key": "k", "Value": "v"}]
    [row] = sealed.client.list_objects_v2(Bucket=there)["Contents"]
    assert row["Size"] == sum(layout.values())
    if target == "sealed":
        assert got["ETag"].rpartition("-")[2] == etag.rpartition("-")[2]


def test_a_copy_has_a_capsule_of_its_own_around_the_same_body(sealed: Sealed, bucket: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text", ChecksumSHA256=SHA_OF_TEXT)
    sealed.client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/key")
    one, two = (sealed.direct.get_object(Bucket=bucket, Key=key) for key in ("key", "copy"))
    assert one["Body"].read() == two["Body"].read()
    (first, body), (second, same) = (parse_capsule(decode_value(each["Metadata"]["s3w"])) for each in (one, two))
    assert body == same
    assert first.raw[3:35] != second.raw[3:35], "the message ids"
    assert first.edks != second.edks
    got = sealed.client.get_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["ChecksumSHA256"]) == (b"text", SHA_OF_TEXT)


SHA_OF_TEXT = b64encode(hashlib.sha256(b"text").digest()).decode()


def test_replacing_directives_and_another_key(sealed: Sealed, bucket: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text", Metadata={"old": "1"}, ContentType="a/b")
    sealed.client.copy_object(
        Bucket=bucket, Key="key", CopySource=f"{bucket}/key", MetadataDirective="REPLACE", Metadata={"new": "2"},
        ServerSideEncryption="aws:kms", SSEKMSKeyId="ops",
    )  # fmt: skip
    got = sealed.client.get_object(Bucket=bucket, Key="key")
    assert (got["Body"].read(), got["Metadata"]) == (b"text", {"new": "2"})
    assert got["SSEKMSKeyId"].endswith(":key/ops")
    assert got["ContentType"] != "a/b"
    itself = {"Bucket": bucket, "Key": "key", "CopySource": f"{bucket}/key"}
    assert refused(sealed.client.copy_object, **itself) == (400, "InvalidRequest")


def test_conditions_on_the_source_are_translated(sealed: Sealed, bucket: str) -> None:
    etag = sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")["ETag"]
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/key"}
    sealed.client.copy_object(**copy, CopySourceIfMatch=etag)
    assert refused(sealed.client.copy_object, **copy, CopySourceIfMatch='"0"')[0] == 412
    assert refused(sealed.client.copy_object, **copy, CopySourceIfNoneMatch=etag)[0] == 412
    missing = {**copy, "CopySource": f"{bucket}/none"}
    assert refused(sealed.client.copy_object, **missing) == (404, "NoSuchKey")


@pytest.mark.parametrize("target", ["sealed", "plain"])
@pytest.mark.parametrize("source", ["sealed", "plain"])
def test_ranges_are_copied_into_uploads(sealed: Sealed, source: str, target: str) -> None:
    if (source, target) == ("plain", "plain"):
        return
    here, there, body = sealed.bucket(source), sealed.bucket(target), os.urandom(2 * LARGE)
    upload(sealed.client, here, {1: body[:LARGE], 2: body[LARGE:]})
    client = sealed.client
    upload_id = client.create_multipart_upload(Bucket=there, Key="copy")["UploadId"]
    etags = {}
    cut = MIN_PART + 100
    for number, span in enumerate((f"bytes=5-{5 + cut}", f"bytes={LARGE}-{LARGE + 20}"), 1):
        copied = client.upload_part_copy(
            Bucket=there,
            Key="copy",
            UploadId=upload_id,
            PartNumber=number,
            CopySource=f"{here}/key",
            CopySourceRange=span,
        )
        etags[number] = copied["CopyPartResult"]["ETag"]
    wrong = {"Bucket": there, "Key": "copy", "UploadId": upload_id, "PartNumber": 3, "CopySource": f"{here}/key"}
    assert refused(client.upload_part_copy, **wrong, CopySourceRange=f"bytes=0-{len(body)}")[0] == 400
    complete(client, there, upload_id, etags, "copy")
    assert body_of(client, there, "copy") == body[5 : 6 + cut] + body[LARGE : LARGE + 21]
    assert leftovers(sealed, there) == []


def test_a_whole_object_can_be_a_part(sealed: Sealed, bucket: str) -> None:
    client, body = sealed.client, os.urandom(LARGE)
    client.put_object(Bucket=bucket, Key="key", Body=body)
    upload_id = client.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    part = {"Bucket": bucket, "Key": "copy", "UploadId": upload_id, "CopySource": f"{bucket}/key"}
    etags = {1: client.upload_part_copy(**part, PartNumber=1)["CopyPartResult"]["ETag"]}
    etags[2] = send(client, bucket, upload_id, 2, b"tail", "copy")
    complete(client, bucket, upload_id, etags, "copy")
    assert body_of(client, bucket, "copy") == body + b"tail"


def test_a_damaged_source_is_not_copied_into_a_plain_bucket(sealed: Sealed, bucket: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=os.urandom(5 * FRAME))
    raw = bytearray(body_of(sealed.direct, bucket, "key"))
    raw[4 * FRAME] ^= 1
    sealed.rewrite(bucket, "key", body=bytes(raw))
    there = sealed.bucket("plain")
    copy = {"Bucket": there, "Key": "copy", "CopySource": f"{bucket}/key"}
    assert refused(sealed.client.copy_object, **copy)[0] == 500
    assert sealed.direct.list_objects_v2(Bucket=there)["KeyCount"] == 0


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", ["sealed", "plain"])
def test_copies_say_which_version_was_copied_and_made(sealed: Sealed, source: str, target: str) -> None:
    if (source, target) == ("plain", "plain"):
        return
    here, there, client = sealed.bucket(source), sealed.bucket(target), sealed.client
    for each in (here, there):
        sealed.direct.put_bucket_versioning(Bucket=each, VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket=here, Key="key", Body=b"old")["VersionId"]
    new = client.put_object(Bucket=here, Key="key", Body=b"new")["VersionId"]
    named = f"{here}/key?versionId={old}"
    copied = client.copy_object(Bucket=there, Key="copy", CopySource=named)
    made = client.head_object(Bucket=there, Key="copy")["VersionId"]
    assert (copied["CopySourceVersionId"], copied["VersionId"]) == (old, made)
    assert body_of(client, there, "copy") == b"old"
    upload_id = client.create_multipart_upload(Bucket=there, Key="parts")["UploadId"]
    part = {"Bucket": there, "Key": "parts", "UploadId": upload_id, "PartNumber": 1}
    assert client.upload_part_copy(**part, CopySource=named)["CopySourceVersionId"] == old
    assert client.upload_part_copy(**part, CopySource=f"{here}/key")["CopySourceVersionId"] == new


def test_an_object_of_parts_says_so_too(sealed: Sealed, bucket: str) -> None:
    sealed.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    upload(sealed.client, bucket, {1: os.urandom(MIN_PART), 2: b"end"})
    version = sealed.client.head_object(Bucket=bucket, Key="key")["VersionId"]
    copied = sealed.client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/key")
    assert copied["CopySourceVersionId"] == version
    assert sealed.client.head_object(Bucket=bucket, Key="copy")["ETag"] == copied["CopyObjectResult"]["ETag"]


def test_what_is_missing_of_a_source_is_named(sealed: Sealed, bucket: str) -> None:
    sealed.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    marker = sealed.client.delete_object(Bucket=bucket, Key="key")["VersionId"]
    sources = {
        "sealed-there-is-none/key": (404, "NoSuchBucket"),
        f"{bucket}/none": (404, "NoSuchKey"),
        f"{bucket}/key": (404, "NoSuchKey"),
        f"{bucket}/key?versionId=none": (404, "NoSuchVersion"),
        f"{bucket}/key?versionId={marker}": (400, "InvalidRequest"),
    }
    for source, expected in sources.items():
        assert refused(sealed.client.copy_object, Bucket=bucket, Key="copy", CopySource=source) == expected, source


@pytest.mark.parametrize(
    "odd",
    [
        {"MetadataDirective": "KEEP"},
        {"TaggingDirective": "copy"},
        {"MetadataDirective": "REPLACE", "Metadata": {"s3w": "forged"}},
        {"MetadataDirective": "REPLACE", "Metadata": {"s3w-ck": "forged"}},
    ],
)
@pytest.mark.parametrize("layout", [{1: MIN_PART, 2: 5}, {}])
def test_directives_and_names_that_are_not_for_clients_are_refused(
    sealed: Sealed, bucket: str, odd: dict[str, Any], layout: dict[int, int]
) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    if layout:
        upload(sealed.client, bucket, {number: bytes(size) for number, size in layout.items()})
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/key"}
    assert refused(sealed.client.copy_object, **copy, **odd) == (400, "InvalidArgument")
    # What is not taken over does not matter.
    sealed.client.copy_object(**copy, Metadata={"s3w": "forged"})
    assert sealed.client.head_object(Bucket=bucket, Key="copy")["Metadata"] == {}


def test_an_answer_has_one_content_type(sealed: Sealed, bucket: str) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    for there in (bucket, sealed.bucket("plain")):
        copied = sealed.client.copy_object(Bucket=there, Key="copy", CopySource=f"{bucket}/key")
        assert copied["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/xml"

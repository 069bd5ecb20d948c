"""What others wrote, read through a running proxy: Encryption SDK messages and S3 Encryption Client objects."""

from __future__ import annotations

import base64
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.envelope.context import Context, object_arn
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.frames import FrameSealer
from proxy.envelope.keyring import AesKeyring
from proxy.envelope.message import DataKey
from proxy.envelope.sizes import FRAME, MIN_PART
from tests.server.envelope.conftest import KEY, OTHER_KEY, Sealed
from tests.server.envelope.test_multipart import upload
from tests.server.envelope.test_single import refused

TEXT = os.urandom(100_000)


def message(plaintext: bytes, context: Context, key: bytes = KEY, frame: int = 4096) -> bytes:
    entropy = SystemEntropy()
    data_key = DataKey(entropy)
    edk = AesKeyring("s3w", "hr@2", key, entropy).wrap(data_key.plaintext, context)
    header, sealing = data_key.seal_header(context, [edk], frame)
    sealer = FrameSealer(sealing, frame_length=frame)
    return header + bytes(sealer.feed(plaintext)) + bytes(sealer.finish())


def test_a_message_that_names_the_object_is_read_anywhere(sealed: Sealed, bucket: str) -> None:
    raw = message(TEXT, {"aws:s3:arn": object_arn(bucket, "key")})
    sealed.direct.put_object(Bucket=bucket, Key="key", Body=raw)
    got = sealed.client.get_object(Bucket=bucket, Key="key")
    assert (got["ContentLength"], got["Body"].read()) == (len(TEXT), TEXT)
    got = sealed.client.get_object(Bucket=bucket, Key="key", Range="bytes=10-19")
    assert (got["Body"].read(), got["ContentRange"]) == (TEXT[10:20], f"bytes 10-19/{len(TEXT)}")
    sealed.direct.put_object(Bucket=bucket, Key="other", Body=raw)
    assert refused(sealed.client.get_object, Bucket=bucket, Key="other") == (403, "AccessDenied")


@pytest.mark.parametrize("frame", [100, 65_536, 2**20])
def test_other_messages_are_read_where_the_bucket_says_so(sealed: Sealed, bucket: str, frame: int) -> None:
    mixed, raw = sealed.bucket("mixed"), message(TEXT, {"purpose": "test"}, frame=frame)
    for place in (mixed, bucket):
        sealed.direct.put_object(Bucket=place, Key="key", Body=raw)
    assert sealed.client.get_object(Bucket=mixed, Key="key")["Body"].read() == TEXT
    assert refused(sealed.client.get_object, Bucket=bucket, Key="key") == (403, "AccessDenied")


def test_a_damaged_message_or_one_under_another_key_is_refused(sealed: Sealed) -> None:
    mixed, raw = sealed.bucket("mixed"), message(TEXT, {})
    for key, body in (("flip", raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:]), ("cut", raw[:-1]), ("more", raw + b"x")):
        sealed.direct.put_object(Bucket=mixed, Key=key, Body=body)
        assert refused(sealed.client.get_object, Bucket=mixed, Key=key)[0] == 500
    sealed.direct.put_object(Bucket=mixed, Key="other", Body=message(TEXT, {}, key=bytes(32)))
    assert refused(sealed.client.get_object, Bucket=mixed, Key="other")[0] == 500


def client_object(plaintext: bytes, key: bytes) -> tuple[bytes, dict[str, str]]:
    """Encrypt as version 2 of the S3 Encryption Client does with an AES key."""
    data_key, nonce, wrap_nonce = os.urandom(32), os.urandom(12), os.urandom(12)
    algorithm = "AES/GCM/NoPadding"
    wrapped = wrap_nonce + AESGCM(key).encrypt(wrap_nonce, data_key, algorithm.encode())
    metadata = {
        "x-amz-key-v2": base64.b64encode(wrapped).decode(),
        "x-amz-iv": base64.b64encode(nonce).decode(),
        "x-amz-cek-alg": algorithm,
        "x-amz-wrap-alg": "AES/GCM",
        "x-amz-tag-len": "128",
        "x-amz-matdesc": "{}",
    }
    return AESGCM(data_key).encrypt(nonce, plaintext, b""), metadata


def test_objects_of_the_s3_encryption_client_are_read_whole(sealed: Sealed, bucket: str) -> None:
    mixed = sealed.bucket("mixed")
    body, metadata = client_object(TEXT, OTHER_KEY)
    for place in (mixed, bucket):
        sealed.direct.put_object(Bucket=place, Key="key", Body=body, Metadata={**metadata, "own": "x"})
    got = sealed.client.get_object(Bucket=mixed, Key="key")
    assert (got["Body"].read(), got["Metadata"]) == (TEXT, {"own": "x"})
    assert sealed.client.head_object(Bucket=mixed, Key="key")["ContentLength"] == len(TEXT)
    assert sealed.client.get_object(Bucket=mixed, Key="key", Range="bytes=-3")["Body"].read() == TEXT[-3:]
    assert refused(sealed.client.get_object, Bucket=bucket, Key="key") == (403, "AccessDenied")
    body, metadata = client_object(TEXT, bytes(32))
    sealed.direct.put_object(Bucket=mixed, Key="other", Body=body, Metadata=metadata)
    assert refused(sealed.client.get_object, Bucket=mixed, Key="other") == (400, "InvalidRequest")


@pytest.mark.parametrize("target", ["sealed", "plain", "mixed"])
def test_a_copy_of_what_others_encrypted_takes_the_plaintext(sealed: Sealed, target: str) -> None:
    mixed, there = sealed.bucket("mixed"), sealed.bucket(target)
    body, metadata = client_object(TEXT, OTHER_KEY)
    sealed.direct.put_object(Bucket=mixed, Key="client", Body=body, Metadata={**metadata, "own": "x"})
    sealed.direct.put_object(Bucket=mixed, Key="message", Body=message(TEXT, {"a": "b"}), Metadata={"own": "x"})
    sealed.direct.put_object(Bucket=mixed, Key="none", Body=message(b"", {}), Metadata={"own": "x"})
    sealed.direct.put_object(Bucket=mixed, Key="plain", Body=TEXT, Metadata={"own": "x"})
    for key, plaintext in (("client", TEXT), ("message", TEXT), ("none", b""), ("plain", TEXT)):
        sealed.client.copy_object(Bucket=there, Key=key, CopySource=f"{mixed}/{key}")
        got = sealed.client.get_object(Bucket=there, Key=key)
        assert (got["Body"].read(), got["Metadata"]) == (plaintext, {"own": "x"}), key
    upload = {"Bucket": there, "Key": "parts"}
    upload["UploadId"] = sealed.client.create_multipart_upload(**upload)["UploadId"]
    rows = []
    for number, key in enumerate(("client", "message"), 1):
        part = sealed.client.upload_part_copy(
            **upload, PartNumber=number, CopySource=f"{mixed}/{key}", CopySourceRange="bytes=10-19"
        )
        rows.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})
        past = {"CopySource": f"{mixed}/{key}", "CopySourceRange": f"bytes=0-{len(TEXT)}"}
        assert refused(sealed.client.upload_part_copy, **upload, PartNumber=3, **past)[0] == 400
    # Parts as small as these can only be the last.
    sealed.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": rows[1:]})
    assert sealed.client.get_object(Bucket=there, Key="parts")["Body"].read() == TEXT[10:20]


def test_a_copy_of_what_does_not_open_is_refused(sealed: Sealed, bucket: str) -> None:
    mixed = sealed.bucket("mixed")
    body, metadata = client_object(TEXT, OTHER_KEY)
    flipped = bytes([body[0] ^ 1]) + body[1:]
    raw = message(TEXT, {})
    sources = {
        "flipped client": (flipped, metadata),
        "another key": client_object(TEXT, bytes(32)),
        "cut message": (raw[:-1], {}),
        "unknown key": (message(TEXT, {}, key=bytes(32)), {}),
    }
    for key, (stored, fields) in sources.items():
        sealed.direct.put_object(Bucket=mixed, Key=key, Body=stored, Metadata=fields)
        copy = {"Bucket": bucket, "Key": key, "CopySource": f"{mixed}/{key}"}
        assert refused(sealed.client.copy_object, **copy)[0] in (400, 500), key
    assert "Contents" not in sealed.client.list_objects_v2(Bucket=bucket)


def test_a_message_that_names_the_object_can_be_copied_and_looked_at_anywhere(sealed: Sealed, bucket: str) -> None:
    raw = message(TEXT, {"aws:s3:arn": object_arn(bucket, "key")})
    for key in ("key", "other"):
        sealed.direct.put_object(Bucket=bucket, Key=key, Body=raw)
    sealed.client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/key")
    assert sealed.client.get_object(Bucket=bucket, Key="copy")["Body"].read() == TEXT
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/other"}
    assert refused(sealed.client.copy_object, **copy) == (403, "AccessDenied")
    assert sealed.client.head_object(Bucket=bucket, Key="key")["ContentLength"] == len(TEXT)
    assert refused(sealed.client.head_object, Bucket=bucket, Key="other")[0] == 403


def test_sizes_of_client_encrypted_objects_are_those_of_the_plaintext_everywhere(sealed: Sealed) -> None:
    mixed = sealed.bucket("mixed")
    body, metadata = client_object(TEXT, OTHER_KEY)
    sealed.direct.put_object(Bucket=mixed, Key="key", Body=body, Metadata=metadata)
    [row] = sealed.client.list_objects_v2(Bucket=mixed)["Contents"]
    attributes = sealed.client.get_object_attributes(Bucket=mixed, Key="key", ObjectAttributes=["ObjectSize"])
    head = sealed.client.head_object(Bucket=mixed, Key="key")
    assert row["Size"] == attributes["ObjectSize"] == head["ContentLength"] == len(TEXT)


@pytest.mark.parametrize(
    "odd", ["[" * 1500, '{"a": "1", "a": "2"}', '{"a": "\\ud800"}', '{"\\udfff": "a"}', "{", "null"]
)
def test_an_odd_material_description_is_refused_and_no_accident(sealed: Sealed, odd: str) -> None:
    mixed = sealed.bucket("mixed")
    body, metadata = client_object(TEXT, OTHER_KEY)
    sealed.direct.put_object(Bucket=mixed, Key="key", Body=body, Metadata={**metadata, "x-amz-matdesc": odd})
    assert refused(sealed.client.get_object, Bucket=mixed, Key="key") == (400, "InvalidRequest")


def test_parts_of_plain_objects_are_the_stores(sealed: Sealed, bucket: str) -> None:
    mixed = sealed.bucket("mixed")
    upload(sealed.direct, mixed, {1: os.urandom(MIN_PART), 2: b"the end"})
    for number in (1, 2):
        asked = {"Bucket": mixed, "Key": "key", "PartNumber": number}
        ours, theirs = sealed.client.get_object(**asked), sealed.direct.get_object(**asked)
        assert ours["Body"].read() == theirs["Body"].read()
        assert ours.get("ContentRange") == theirs.get("ContentRange")
        shown, known = sealed.client.head_object(**asked), sealed.direct.head_object(**asked)
        assert (shown["ContentLength"], shown.get("PartsCount")) == (known["ContentLength"], known.get("PartsCount"))
    sealed.direct.put_object(Bucket=bucket, Key="key", Body=b"text")
    assert refused(sealed.client.get_object, Bucket=bucket, Key="key", PartNumber=1) == (403, "AccessDenied")
    assert refused(sealed.client.head_object, Bucket=bucket, Key="key", PartNumber=1)[0] == 403


def test_parts_of_what_others_encrypted_are_never_ciphertext(sealed: Sealed, bucket: str) -> None:
    mixed, text = sealed.bucket("mixed"), os.urandom(MIN_PART + FRAME)
    raw = message(text, {}, frame=FRAME)
    upload(sealed.direct, mixed, {1: raw[:MIN_PART], 2: raw[MIN_PART:]})
    assert sealed.client.get_object(Bucket=mixed, Key="key", PartNumber=1)["Body"].read() == text
    assert refused(sealed.client.get_object, Bucket=mixed, Key="key", PartNumber=2) == (416, "InvalidPartNumber")
    sealed.direct.put_object(Bucket=bucket, Key="other", Body=raw)
    assert refused(sealed.client.get_object, Bucket=bucket, Key="other", PartNumber=1) == (403, "AccessDenied")

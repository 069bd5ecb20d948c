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
from tests.server.envelope.conftest import KEY, OTHER_KEY, Sealed
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

"""Encryption SDK messages that are larger than what is held in memory, written by the official tool."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import aws_encryption_sdk
import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import AesWrappingAlg, CreateRawAesKeyringInput
from aws_encryption_sdk.identifiers import AlgorithmSuite, CommitmentPolicy

from tests.conftest import Store
from tests.server.envelope.conftest import KEY, OTHER_KEY, Sealed, sealed_proxy
from tests.server.envelope.lowered import HELD
from tests.server.envelope.test_single import refused, upstream_requests
from tests.server.envelope.test_unmarked import client_object
from tests.server.envelope.test_unmarked import message as other_message

FRAME = 64 * 1024
BODY = os.urandom(3 * HELD + 12_345)
PLAIN, SIGNED = (
    AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
)
OLD = AlgorithmSuite.AES_256_GCM_IV12_TAG16_HKDF_SHA256
MPL: Any = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())


@pytest.fixture(scope="module")
def proxy(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    command = ("-m", "tests.server.envelope.lowered")
    with sealed_proxy(tmp_path_factory.mktemp("messages"), moto_store, command=command) as running:
        yield running


@cache
def message(suite: AlgorithmSuite, frame: int = FRAME) -> bytes:
    """Let the official tool write BODY under the key `hr`; a frame of 0 is none."""
    wrapping = CreateRawAesKeyringInput(
        key_namespace="s3w", key_name="hr@2", wrapping_key=KEY, wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16
    )
    policy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    if not suite.is_committing():
        policy = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy)
    written, _ = client.encrypt(
        source=BODY, keyring=MPL.create_raw_aes_keyring(wrapping), algorithm=suite, frame_length=frame,
        encryption_context={"who": "they"},
    )  # fmt: skip
    return bytes(written)


def stored(proxy: Sealed, raw: bytes) -> str:
    bucket = proxy.bucket("mixed")
    proxy.direct.put_object(Bucket=bucket, Key="key", Body=raw)
    return bucket


def ranged(proxy: Sealed, bucket: str, text: str) -> Any:
    return proxy.client.get_object(Bucket=bucket, Key="key", Range=f"bytes={text}")


@pytest.mark.parametrize("suite", [PLAIN, SIGNED, OLD], ids=["plain", "signed", "version 1"])
def test_ranges_of_a_large_message_are_the_bytes_asked_for(proxy: Sealed, suite: AlgorithmSuite) -> None:
    bucket, size = stored(proxy, message(suite)), len(BODY)
    chooser = random.Random(3)
    spans = [tuple(sorted(chooser.sample(range(size), 2))) for _ in range(8)]
    spans += [(0, 0), (0, FRAME), (FRAME - 1, FRAME), (FRAME, 2 * FRAME - 1), (size - 1, size - 1), (0, size - 1)]
    for first, last in spans:
        got = ranged(proxy, bucket, f"{first}-{last}")
        assert got["ContentRange"] == f"bytes {first}-{last}/{size}"
        assert got["Body"].read() == BODY[first : last + 1]
    assert ranged(proxy, bucket, "-70000")["Body"].read() == BODY[-70000:]
    assert ranged(proxy, bucket, f"{size - 9}-{size + 9}")["Body"].read() == BODY[-9:]
    assert ranged(proxy, bucket, f"{size - 9}-")["Body"].read() == BODY[-9:]
    assert refused(ranged, proxy=proxy, bucket=bucket, text=f"{size}-") == (416, "InvalidRange")
    got = proxy.client.get_object(Bucket=bucket, Key="key")
    assert got["Body"].read() == BODY
    assert got.get("ContentLength") == (None if suite is SIGNED else size)


def test_a_range_asks_the_store_for_few_things(proxy: Sealed) -> None:
    for suite, cold, warm in ((PLAIN, 3, 3), (SIGNED, 4, 3)):
        bucket = stored(proxy, message(suite))
        for expected in (cold, warm):
            before = upstream_requests(proxy)
            ranged(proxy, bucket, "100000-100009")["Body"].read()
            # What the client asked for tells what it is, then header and frames; all of it once for its signature.
            assert upstream_requests(proxy) - before == expected


def test_a_damaged_frame_is_an_error_in_the_ranges_that_hold_it(proxy: Sealed) -> None:
    raw = bytearray(message(PLAIN))
    raw[len(raw) // 2] ^= 1
    bucket = stored(proxy, bytes(raw))
    at = len(BODY) // 2
    assert refused(ranged, proxy=proxy, bucket=bucket, text=f"{at}-{at + 5}") == (500, "InternalError")
    assert ranged(proxy, bucket, "5-9")["Body"].read() == BODY[5:10]
    for cut in (bytes(message(PLAIN))[:-1], message(PLAIN) + b"x"):
        bucket = stored(proxy, cut)
        assert refused(ranged, proxy=proxy, bucket=bucket, text="-1") == (500, "InternalError")


@pytest.mark.parametrize("place", ["frame", "signature"])
def test_no_range_of_a_signed_message_is_released_that_does_not_verify_as_a_whole(proxy: Sealed, place: str) -> None:
    raw = bytearray(message(SIGNED))
    raw[len(raw) // 2 if place == "frame" else -1] ^= 1
    bucket = stored(proxy, bytes(raw))
    assert refused(ranged, proxy=proxy, bucket=bucket, text="5-9") == (500, "InternalError")


def test_a_message_that_is_exchanged_for_another_is_verified_anew(proxy: Sealed) -> None:
    bucket = stored(proxy, message(SIGNED))
    assert ranged(proxy, bucket, "5-9")["Body"].read() == BODY[5:10]
    raw = bytearray(message(SIGNED))
    raw[-1] ^= 1
    proxy.direct.put_object(Bucket=bucket, Key="key", Body=bytes(raw))
    assert refused(ranged, proxy=proxy, bucket=bucket, text="5-9") == (500, "InternalError")


def test_a_large_message_in_one_piece_is_refused_clearly(proxy: Sealed) -> None:
    bucket = stored(proxy, message(PLAIN, 0))
    assert refused(ranged, proxy=proxy, bucket=bucket, text="5-9") == (501, "NotImplemented")
    assert refused(proxy.client.get_object, Bucket=bucket, Key="key") == (501, "NotImplemented")


def test_conditions_hold_for_ranges_of_messages(proxy: Sealed) -> None:
    bucket = stored(proxy, message(PLAIN))
    etag = proxy.client.head_object(Bucket=bucket, Key="key")["ETag"]
    asked = {"Bucket": bucket, "Key": "key", "Range": "bytes=5-9"}
    assert proxy.client.get_object(**asked, IfMatch=etag)["Body"].read() == BODY[5:10]
    assert refused(proxy.client.get_object, **asked, IfMatch='"0"')[0] == 412
    assert refused(proxy.client.get_object, **asked, IfNoneMatch=etag)[0] == 304


def test_objects_that_are_held_whole_do_not_fill_the_memory(proxy: Sealed) -> None:
    bucket, there = proxy.bucket("mixed"), proxy.bucket()
    small, large = os.urandom(HELD // 4), os.urandom(HELD * 3 // 4)
    for name, body in (("small", small), ("large", large)):
        stored_body, metadata = client_object(body, OTHER_KEY)
        proxy.direct.put_object(Bucket=bucket, Key=f"client {name}", Body=stored_body, Metadata=metadata)
        proxy.direct.put_object(Bucket=bucket, Key=f"message {name}", Body=other_message(body, {}))
    for kind in ("client", "message"):
        for _ in range(3):
            assert proxy.client.get_object(Bucket=bucket, Key=f"{kind} small")["Body"].read() == small
            proxy.client.copy_object(Bucket=there, Key="copy", CopySource=f"{bucket}/{kind} small")
            assert proxy.client.get_object(Bucket=there, Key="copy")["Body"].read() == small
            copy = {"Bucket": there, "Key": "large", "CopySource": f"{bucket}/{kind} large"}
            assert refused(proxy.client.copy_object, **copy) == (503, "SlowDown")
            assert refused(proxy.client.get_object, Bucket=bucket, Key=f"{kind} large") == (503, "SlowDown")

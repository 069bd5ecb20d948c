"""Copies from Encryption SDK messages that are larger than what is held in memory, written by the official tool."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import aws_encryption_sdk
import pytest
from aws_cryptographic_material_providers.mpl.models import AesWrappingAlg, CreateRawAesKeyringInput
from aws_encryption_sdk.identifiers import AlgorithmSuite, CommitmentPolicy

from proxy.envelope.sizes import MIN_PART
from tests.conftest import Store
from tests.server.envelope.conftest import KEY, OTHER_KEY, Sealed, sealed_proxy
from tests.server.envelope.counting import counting_store
from tests.server.envelope.lowered import HELD, LIMIT
from tests.server.envelope.test_messages import MPL, OLD, PLAIN, SIGNED
from tests.server.envelope.test_multipart import leftovers
from tests.server.envelope.test_single import refused
from tests.server.envelope.test_unmarked import client_object

pytestmark = pytest.mark.filterwarnings("ignore")

FRAME = 64 * 1024
EVEN, LONG = 48 * FRAME, LIMIT + 3 * FRAME + 5
SIZE = 3 * HELD + 12_345
SOURCE = os.urandom(LONG)


COMMAND = ("-m", "tests.server.envelope.lowered")


@pytest.fixture(scope="module")
def proxy(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("message-sources"), moto_store, command=COMMAND) as running:
        yield running


@cache
def message(suite: AlgorithmSuite, size: int = SIZE, frame: int = FRAME) -> bytes:
    """Let the official tool write so much under the key `hr`."""
    wrapping = CreateRawAesKeyringInput(
        key_namespace="s3w", key_name="hr@2", wrapping_key=KEY, wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16
    )
    policy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    if not suite.is_committing():
        policy = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy)
    keyring = MPL.create_raw_aes_keyring(wrapping)
    written, _ = client.encrypt(source=SOURCE[:size], keyring=keyring, algorithm=suite, frame_length=frame)
    return bytes(written)


def stored(proxy: Sealed, raw: bytes, **options: Any) -> str:
    bucket = proxy.bucket("mixed")
    proxy.direct.put_object(Bucket=bucket, Key="key", Body=raw, **options)
    return bucket


def copied(proxy: Sealed, bucket: str, target: str) -> dict[str, Any]:
    return {"Bucket": proxy.bucket(target), "Key": "copy", "CopySource": f"{bucket}/key"}


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


TARGETS = pytest.mark.parametrize("target", ["sealed", "plain"])
SUITES = pytest.mark.parametrize("suite", [PLAIN, SIGNED, OLD], ids=["plain", "signed", "version 1"])


@TARGETS
@SUITES
@pytest.mark.parametrize("size", [SIZE, EVEN, LONG], ids=["odd", "even", "by parts"])
def test_a_large_message_is_copied_as_its_plaintext(
    proxy: Sealed, suite: AlgorithmSuite, size: int, target: str
) -> None:
    copy = copied(proxy, stored(proxy, message(suite, size), Metadata={"own": "x"}, ContentType="a/b"), target)
    proxy.client.copy_object(**copy)
    got = proxy.client.get_object(Bucket=copy["Bucket"], Key="copy")
    assert got["Body"].read() == SOURCE[:size]
    assert (got["Metadata"], got["ContentType"]) == ({"own": "x"}, "a/b")


@pytest.mark.parametrize("frame", [128, 2**17])
def test_frames_of_other_lengths_are_found_as_well(proxy: Sealed, frame: int) -> None:
    for size in (SIZE, SIZE - SIZE % frame):
        copy = copied(proxy, stored(proxy, message(SIGNED, size, frame)), "plain")
        proxy.client.copy_object(**copy)
        assert proxy.direct.get_object(Bucket=copy["Bucket"], Key="copy")["Body"].read() == SOURCE[:size]


DAMAGES = {
    "the first frame": lambda raw: flipped(raw, 2000),
    "a frame in the middle": lambda raw: flipped(raw, len(raw) // 2),
    "the end": lambda raw: flipped(raw, len(raw) - 1),
    "cut": lambda raw: raw[:-1],
    "cut by a frame": lambda raw: raw[: -FRAME - 32],
    "bytes behind it": lambda raw: raw + b"x",
}


@TARGETS
@pytest.mark.parametrize("suite", [PLAIN, SIGNED], ids=["plain", "signed"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_of_a_damaged_message_nothing_is_committed(
    proxy: Sealed, suite: AlgorithmSuite, damage: str, target: str
) -> None:
    sizes = (EVEN, SIZE, LONG) if damage == "the end" else (SIZE,)
    for size in sizes:
        copy = copied(proxy, stored(proxy, DAMAGES[damage](message(suite, size))), target)
        with pytest.raises(proxy.client.exceptions.ClientError) as raised:
            proxy.client.copy_object(**copy)
        assert raised.value.response["Error"]["Code"] == "InternalError"
        there = copy["Bucket"]
        assert leftovers(proxy, there) == []
        assert "Contents" not in proxy.direct.list_objects_v2(Bucket=there)
        assert "Uploads" not in proxy.direct.list_multipart_uploads(Bucket=there)


def parts_of(proxy: Sealed, bucket: str, target: str) -> Any:
    """Begin an upload; return what copies a range of the message into it."""
    there = {"Bucket": proxy.bucket(target), "Key": "copy"}
    upload = {**there, "UploadId": proxy.client.create_multipart_upload(**there)["UploadId"]}
    return partial(proxy.client.upload_part_copy, **upload, CopySource=f"{bucket}/key"), upload


@TARGETS
@SUITES
def test_ranges_of_a_large_message_become_parts(proxy: Sealed, suite: AlgorithmSuite, target: str) -> None:
    copy, upload = parts_of(proxy, stored(proxy, message(suite, LONG)), target)
    cuts = [(5, MIN_PART + 9), (MIN_PART, 2 * MIN_PART + FRAME), (LONG - 9, LONG - 1)]
    with ThreadPoolExecutor() as at_once:
        calls = [
            at_once.submit(copy, PartNumber=number, CopySourceRange=f"bytes={first}-{last}")
            for number, (first, last) in enumerate(cuts, 1)
        ]
        rows = [
            {"PartNumber": number, "ETag": call.result()["CopyPartResult"]["ETag"]}
            for number, call in enumerate(calls, 1)
        ]
    past = f"bytes=0-{LONG}"
    assert refused(copy, PartNumber=4, CopySourceRange=past) == (400, "InvalidArgument")
    proxy.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": rows})
    got = proxy.client.get_object(Bucket=upload["Bucket"], Key="copy")["Body"].read()
    assert got == b"".join(SOURCE[first : last + 1] for first, last in cuts)


def test_a_signed_message_is_read_whole_once_however_many_parts_are_copied(moto_store: Store, tmp_path: Path) -> None:
    raw = message(SIGNED, LONG)
    with (
        counting_store(moto_store) as store,
        sealed_proxy(tmp_path, moto_store, command=COMMAND, endpoint=store.store.endpoint) as proxy,
    ):
        copy, _ = parts_of(proxy, stored(proxy, raw), "plain")
        store.reset()
        with ThreadPoolExecutor() as at_once:
            list(at_once.map(lambda number: copy(PartNumber=number, CopySourceRange="bytes=70000-70009"), range(1, 5)))
        assert len(raw) < store.sent < len(raw) + 4 * (3 * FRAME)


def test_no_range_of_a_message_is_copied_whose_signature_does_not_verify(proxy: Sealed) -> None:
    raw = message(SIGNED, LONG)
    copy, _ = parts_of(proxy, stored(proxy, flipped(raw, len(raw) - 1)), "plain")
    with pytest.raises(proxy.client.exceptions.ClientError) as raised:
        copy(PartNumber=1, CopySourceRange="bytes=5-9")
    assert raised.value.response["Error"]["Code"] == "InternalError"


def test_what_has_one_tag_and_is_too_large_to_be_held_is_refused_with_its_bound(proxy: Sealed) -> None:
    body, metadata = client_object(SOURCE[:SIZE], OTHER_KEY)
    for raw, fields in ((message(PLAIN, SIZE, 0), {}), (body, metadata)):
        bucket = stored(proxy, raw, Metadata=fields)
        for call, arguments in (
            (proxy.client.copy_object, copied(proxy, bucket, "sealed")),
            (proxy.client.get_object, {"Bucket": bucket, "Key": "key"}),
            (parts_of(proxy, bucket, "sealed")[0], {"PartNumber": 1}),
        ):
            with pytest.raises(proxy.client.exceptions.ClientError) as raised:
                call(**arguments)
            error = raised.value.response["Error"]
            assert error["Code"] == "NotImplemented"
            assert f"up to {HELD} " in error["Message"]

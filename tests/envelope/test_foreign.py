"""Whole Encryption SDK messages of others: every suite the official tool writes, and every change to them."""

from __future__ import annotations

from typing import Any

import aws_encryption_sdk
import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import AesWrappingAlg, CreateRawAesKeyringInput
from aws_encryption_sdk.identifiers import AlgorithmSuite, CommitmentPolicy
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.envelope import foreign
from proxy.envelope.context import serialise_context
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.foreign import ForeignOpener, looks_foreign, parse_foreign_header
from proxy.envelope.keyring import AesKeyring, unwrap_any
from proxy.errors import IntegrityError

MASTER = bytes(range(32))
MPL: Any = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
OFFICIAL = MPL.create_raw_aes_keyring(
    CreateRawAesKeyringInput(
        key_namespace="theirs",
        key_name="their key",
        wrapping_key=MASTER,
        wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
    )
)
MINE = AesKeyring("theirs", "their key", MASTER, SystemEntropy())
SUITES = list(AlgorithmSuite)


def written(plaintext: bytes, suite: AlgorithmSuite, frame: int = 128) -> bytes:
    policy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    if not suite.is_committing():
        policy = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy)
    message, _ = client.encrypt(
        source=plaintext, keyring=OFFICIAL, algorithm=suite, frame_length=frame, encryption_context={"who": "they"}
    )
    return bytes(message)


def read(message: bytes, step: int = 10**6) -> bytes:
    header = parse_foreign_header(message[: foreign.MAX_HEADER])
    opener = ForeignOpener(header, unwrap_any(header.edks, [MINE], header.context))
    body = message[len(header.raw) :]
    plaintext = b"".join([opener.feed(body[i : i + step]) for i in range(0, len(body), step)])
    opener.finish()
    return plaintext


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: f"{suite.algorithm_id:04x}")
@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 256, 1000])
def test_every_suite_of_the_official_tool_is_read(suite: AlgorithmSuite, size: int) -> None:
    message = written(bytes(size), suite)
    assert looks_foreign(message[:4])
    assert read(message) == bytes(size)
    header = parse_foreign_header(message)
    assert header.is_committing == suite.is_committing()
    assert header.context["who"] == "they"


@pytest.mark.parametrize("step", [1, 7, 64, 500])
def test_slicing_changes_nothing(step: int) -> None:
    message = written(b"0123456789" * 50, AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384)
    assert read(message, step) == b"0123456789" * 50


@pytest.mark.parametrize(
    "suite",
    [
        AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
        AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
        AlgorithmSuite.AES_128_GCM_IV12_TAG16,
        AlgorithmSuite.AES_256_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384,
    ],
    ids=lambda suite: f"{suite.algorithm_id:04x}",
)
def test_every_flipped_bit_and_every_cut_is_noticed(suite: AlgorithmSuite) -> None:
    message = written(b"x" * 200, suite)
    for index in range(len(message)):
        with pytest.raises(IntegrityError):
            read(message[:index] + bytes([message[index] ^ 1]) + message[index + 1 :])
        with pytest.raises(IntegrityError):
            read(message[:index])
    with pytest.raises(IntegrityError):
        read(message + b"x")


def test_two_messages_in_one_object_are_not_silently_the_first() -> None:
    message = written(b"one", AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY)
    with pytest.raises(IntegrityError):
        read(message + message)


def test_the_last_plaintext_waits_for_the_signature() -> None:
    message = written(b"x" * 200, AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384)
    header = parse_foreign_header(message)
    opener = ForeignOpener(header, unwrap_any(header.edks, [MINE], header.context))
    assert opener.feed(message[len(header.raw) : -1]) == b"x" * 128
    assert opener.feed(message[-1:]) == b"x" * 72
    opener.finish()


def unframed(plaintext: bytes, claimed: int | None = None) -> tuple[bytes, bytes]:
    """An unframed message, which the official tools read and no longer write."""
    data_key, message_id, context = b"d" * 32, b"m" * 16, serialise_context({"who": "they"})
    edk = MINE.wrap(data_key, {"who": "they"})
    header = b"\x01\x80\x00\x78" + message_id + len(context).to_bytes(2, "big") + context + b"\0\1"
    for part in (edk.provider_id.encode(), edk.key_info, edk.ciphertext):
        header += len(part).to_bytes(2, "big") + part
    header += b"\x01" + bytes(4) + b"\x0c" + bytes(4)
    aead = AESGCM(data_key)
    head = header + b"h" * 12 + aead.encrypt(b"h" * 12, b"", header)
    length = len(plaintext) if claimed is None else claimed
    aad = message_id + b"AWSKMSEncryptionClient Single Block" + b"\0\0\0\1" + length.to_bytes(8, "big")
    return head, b"b" * 12 + length.to_bytes(8, "big") + aead.encrypt(b"b" * 12, plaintext, aad)


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_unframed_messages_are_read_once_they_are_whole(size: int) -> None:
    head, body = unframed(bytes(size))
    assert read(head + body, 1000) == bytes(size)
    official = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    assert official.decrypt(source=head + body, keyring=OFFICIAL)[0] == bytes(size)
    for broken in (body[:-1], body + b"x", bytes(12) + body[12:], body[:12] + b"\xff" * 8 + body[20:]):
        with pytest.raises(IntegrityError):
            read(head + broken)


def test_units_that_could_not_be_held_back_are_refused() -> None:
    head, body = unframed(b"", foreign.MAX_UNIT + 1)
    with pytest.raises(IntegrityError):
        read(head + body)
    with pytest.raises(IntegrityError):
        parse_foreign_header(written(b"x", AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY, foreign.MAX_UNIT + 128))


def test_a_data_key_of_another_length_is_refused() -> None:
    header = parse_foreign_header(written(b"x", AlgorithmSuite.AES_128_GCM_IV12_TAG16))
    with pytest.raises(IntegrityError):
        ForeignOpener(header, bytes(32))


@pytest.mark.parametrize(
    "start", [b"", b"\x02", b"\x02\x04\x77", b"\x01\x80\x04\x78", b"\x01\x81\x00\x78", b"<xml", b"\x03\x04\x78"]
)
def test_other_bodies_do_not_look_like_messages(start: bytes) -> None:
    assert not looks_foreign(start)
    with pytest.raises(IntegrityError):
        parse_foreign_header(start + bytes(100))

"""Sizes of messages that the official Encryption SDK wrote, told without a key."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import aws_encryption_sdk
import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import AesWrappingAlg, CreateRawAesKeyringInput
from aws_encryption_sdk.identifiers import AlgorithmSuite, CommitmentPolicy
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from proxy.envelope.foreign import parse_foreign_header
from proxy.envelope.foreign_sizes import START, TAIL, needs_tail, plain_size_of_message
from proxy.errors import IntegrityError

SUITES = [
    AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    AlgorithmSuite.AES_128_GCM_IV12_TAG16,
    AlgorithmSuite.AES_256_GCM_IV12_TAG16_HKDF_SHA256,
    AlgorithmSuite.AES_128_GCM_IV12_TAG16_HKDF_SHA256_ECDSA_P256,
    AlgorithmSuite.AES_192_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384,
    AlgorithmSuite.AES_256_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384,
]
MPL: Any = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())


@cache
def keyring() -> Any:
    wrapping = CreateRawAesKeyringInput(
        key_namespace="s3w", key_name="k", wrapping_key=bytes(32), wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16
    )
    return MPL.create_raw_aes_keyring(wrapping)


def written(suite: AlgorithmSuite, body: bytes, frame: int) -> bytes:
    """Let the official tool write a message; a frame of 0 is none."""
    policy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    if not suite.is_committing():
        policy = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy)
    raw, _ = client.encrypt(
        source=body, keyring=keyring(), algorithm=suite, frame_length=frame, encryption_context={"who": "they"}
    )
    return bytes(raw)


def told(raw: bytes) -> int:
    """Return the size that shows in no more bytes than are read of a stored message."""
    header = parse_foreign_header(raw[:START])
    tail = raw[-TAIL:] if needs_tail(header) else b""
    return plain_size_of_message(header, raw[:START], len(raw), tail)


@pytest.mark.parametrize("frame", [0, 128, 256, 4096, 65_536], ids=lambda frame: f"frames of {frame}")
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_the_size_of_an_official_message_is_exact(suite: AlgorithmSuite, frame: int) -> None:
    for size in (0, 1, 127, 128, 129, 256, 4096, 70_000):
        if size // (frame or size or 1) < 300:
            assert told(written(suite, os.urandom(size), frame)) == size


def test_a_signature_of_any_length_is_found() -> None:
    raw = written(SUITES[1], bytes(1000), 128)
    signature = int.from_bytes(raw[-105:-103], "big")
    assert signature == 103, "the official tool writes one length only; other tools write what DER makes of it"
    unsigned = raw[:-105]
    for first, second in ((1, 1), (2**383, 2**383), (2**384 - 1, 2**384 - 1), (2**376, 2**8), (2**200, 2**383)):
        der = encode_dss_signature(first, second)
        assert told(unsigned + len(der).to_bytes(2, "big") + der) == 1000


def test_what_ends_in_no_signature_or_has_no_such_length_is_refused() -> None:
    signed, plain, block = (written(SUITES[1], bytes(1000), 128), written(SUITES[0], bytes(1000), 128),
                            written(SUITES[0], bytes(1000), 0))  # fmt: skip
    signed_block = written(SUITES[1], bytes(1000), 0)
    sequence = len(signed) - 103
    for damaged in (
        signed[:-1], signed + b"x", signed[:-105], signed[:-106] + signed[-105:-103] + b"x" + signed[-103:],
        signed[:sequence] + b"\x31" + signed[sequence + 1 :], signed[: sequence + 2] + b"\x03" + signed[sequence + 3 :],
        plain[: len(parse_foreign_header(plain).raw) + 40 + 130], block[:-1], block + b"x", block[:200],
        signed_block[:-104], signed_block + b"x" * 5,
    ):  # fmt: skip
        with pytest.raises(IntegrityError) as raised:
            told(damaged)
        assert raised.value.where == "size"

"""Key material is taken only in the form that can be used, and no message shows it."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from proxy.config import Secret
from proxy.config.keys import KeyVersion, aes_material, key_arn, partition_of, rsa_pair, rsa_private, rsa_public

RSA = rsa.generate_private_key(65537, 2048)
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is to be refused
CURVE = ec.generate_private_key(ec.SECP256R1())


def private_pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, protection: KeySerializationEncryption | None = None
) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection or NoEncryption()).decode()


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_material_is_base64_of_32_bytes() -> None:
    assert aes_material(base64.b64encode(bytes(range(32))).decode() + "\n") == bytes(range(32))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("hunter2!", "not base64"), (base64.b64encode(b"k" * 16).decode(), "16 bytes instead of 32"), ("äöü", "base64")],
)
def test_other_material_is_refused_without_being_shown(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        aes_material(text)
    assert text not in str(caught.value)


def test_the_public_key_follows_from_the_private_one() -> None:
    public, private = rsa_pair(KeyVersion("1", private=Secret(private_pem(RSA))))
    assert private is not None
    assert public.public_numbers() == RSA.public_key().public_numbers()


def test_a_public_key_alone_is_enough_to_write() -> None:
    assert rsa_pair(KeyVersion("1", public=Secret(public_pem(RSA))))[1] is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hunter2", "not PEM that can be read"),
        (private_pem(RSA, BestAvailableEncryption(b"pass")), "protected by a pass phrase"),
        (private_pem(CURVE), "not an RSA key"),
        (private_pem(WEAK), "1024 bits: at least 2048"),
    ],
)
def test_an_unusable_private_key_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rsa_private(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hunter2", "not PEM that can be read"),
        (public_pem(CURVE), "not an RSA key"),
        (public_pem(WEAK), "1024 bits"),
    ],
)
def test_an_unusable_public_key_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rsa_public(text)


def test_keys_that_do_not_belong_together_are_refused() -> None:
    other = rsa.generate_private_key(65537, 2048)
    version = KeyVersion("1", public=Secret(public_pem(other)), private=Secret(private_pem(RSA)))
    with pytest.raises(ValueError, match="does not belong to the private key"):
        rsa_pair(version)
    with pytest.raises(ValueError, match="neither"):
        rsa_pair(KeyVersion("1"))


def test_a_key_is_named_as_kms_names_its_own() -> None:
    assert key_arn("hr", "eu-central-1", "123456789012") == "arn:aws:kms:eu-central-1:123456789012:key/hr"
    assert key_arn("hr", "cn-north-1", "123456789012") == "arn:aws-cn:kms:cn-north-1:123456789012:key/hr"
    assert partition_of("us-gov-west-1") == "aws-us-gov"

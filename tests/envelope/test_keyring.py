"""Wrapping with local keys."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from proxy.envelope.keyring import AesKeyring, Edk, RsaKeyring, unwrap_any
from proxy.errors import IntegrityError

DATA_KEY = bytes(range(100, 132))
CONTEXT = {"s3w": "1s", "aws:s3:arn": "arn:aws:s3:::b/k"}


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_an_aes_edk_opens_with_key_name_and_context_it_was_made_for(keyring: AesKeyring) -> None:
    edk = keyring.wrap(DATA_KEY, CONTEXT)
    assert edk.provider_id == "s3w"
    assert edk.key_info[:-12] == b"hr@1" + (128).to_bytes(4, "big") + (12).to_bytes(4, "big")
    assert len(edk.ciphertext) == 48
    assert keyring.unwrap(edk, CONTEXT) == DATA_KEY


def test_wrapping_twice_uses_two_nonces(keyring: AesKeyring) -> None:
    assert keyring.wrap(DATA_KEY, CONTEXT).key_info != keyring.wrap(DATA_KEY, CONTEXT).key_info


def test_an_edk_of_another_key_is_none_of_ours(keyring: AesKeyring) -> None:
    edk = keyring.wrap(DATA_KEY, CONTEXT)
    for other in (
        dataclasses.replace(edk, provider_id="else"),
        dataclasses.replace(edk, key_info=b"hr@2" + edk.key_info[4:]),
        dataclasses.replace(edk, key_info=edk.key_info + b"x"),
        dataclasses.replace(edk, key_info=edk.key_info[:-1]),
    ):
        assert keyring.unwrap(other, CONTEXT) is None


def test_a_changed_edk_or_context_or_key_is_an_integrity_error(keyring: AesKeyring, entropy) -> None:
    edk = keyring.wrap(DATA_KEY, CONTEXT)
    wrong_key = AesKeyring("s3w", "hr@1", bytes(32), entropy)
    attempts = [
        (keyring, dataclasses.replace(edk, ciphertext=bytes(48)), CONTEXT),
        (keyring, dataclasses.replace(edk, ciphertext=b""), CONTEXT),
        (keyring, edk, {**CONTEXT, "s3w": "1m"}),
        (wrong_key, edk, CONTEXT),
    ]
    for attempted, changed, context in attempts:
        with pytest.raises(IntegrityError) as caught:
            attempted.unwrap(changed, context)
        assert caught.value.where == "edk"


def test_rsa_wraps_with_the_public_and_unwraps_with_the_private_key(private: rsa.RSAPrivateKey) -> None:
    writer = RsaKeyring("s3w", "offline@1", private.public_key())
    reader = RsaKeyring("s3w", "offline@1", private.public_key(), private)
    edk = writer.wrap(DATA_KEY, CONTEXT)
    assert edk.key_info == b"offline@1"
    assert reader.unwrap(edk, CONTEXT) == DATA_KEY
    assert writer.unwrap(edk, CONTEXT) is None
    assert reader.unwrap(dataclasses.replace(edk, key_info=b"other"), CONTEXT) is None
    with pytest.raises(IntegrityError):
        reader.unwrap(dataclasses.replace(edk, ciphertext=bytes(256)), CONTEXT)


def test_the_first_edk_that_opens_is_enough(keyring: AesKeyring, entropy) -> None:
    broken = Edk("s3w", b"hr@1" + keyring.wrap(DATA_KEY, CONTEXT).key_info[4:], bytes(48))
    edks = [Edk("aws-kms", b"arn", b""), broken, keyring.wrap(DATA_KEY, CONTEXT)]
    other = AesKeyring("s3w", "other@1", bytes(32), entropy)
    assert unwrap_any(edks, [other, keyring], CONTEXT) == DATA_KEY


def test_no_key_and_a_wrong_key_are_told_apart(keyring: AesKeyring, entropy) -> None:
    edk = keyring.wrap(DATA_KEY, CONTEXT)
    with pytest.raises(IntegrityError) as caught:
        unwrap_any([edk], [AesKeyring("s3w", "other@1", bytes(32), entropy)], CONTEXT)
    assert caught.value.where == "key"
    with pytest.raises(IntegrityError) as caught:
        unwrap_any([edk], [AesKeyring("s3w", "hr@1", bytes(32), entropy)], CONTEXT)
    assert caught.value.where == "edk"


def test_keys_never_show(private: rsa.RSAPrivateKey, keyring: AesKeyring) -> None:
    assert repr(keyring) == "AesKeyring('s3w', 'hr@1')"
    assert repr(RsaKeyring("s3w", "o@1", private.public_key(), private)) == "RsaKeyring('s3w', 'o@1')"

"""Local keys write with their first version, read with all, and make the SDK's own EDKs."""

from __future__ import annotations

from dataclasses import replace

import aws_encryption_sdk
import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import AesWrappingAlg, CreateRawAesKeyringInput

from proxy.envelope.context import object_arn
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.frames import seal_whole
from proxy.envelope.keyring import PROVIDER, Edk
from proxy.envelope.message import DataKey
from proxy.envelope.sizes import FRAME
from proxy.errors import IntegrityError
from proxy.keys.local import local_key, version_name
from tests.keys.conftest import CONTEXT, DATA_KEY, aes, rsa_settings

ENTROPY = SystemEntropy()


async def test_the_first_version_writes_and_all_versions_read() -> None:
    old = local_key(aes("hr", 1), ENTROPY)
    both = local_key(aes("hr", 2, 1), ENTROPY)
    written = await both.wrap(DATA_KEY, CONTEXT)
    assert written.key_info.startswith(b"hr@2")
    assert not old.names(written)
    assert await old.unwrap(written, CONTEXT) is None
    before = await old.wrap(DATA_KEY, CONTEXT)
    assert both.names(before)
    assert await both.unwrap(before, CONTEXT) == DATA_KEY


async def test_a_context_that_is_another_does_not_open() -> None:
    key = local_key(aes("hr", 1), ENTROPY)
    edk = await key.wrap(DATA_KEY, CONTEXT)
    with pytest.raises(IntegrityError):
        await key.unwrap(edk, {"aws:s3:arn": object_arn("bucket", "other")})


async def test_another_key_with_the_same_version_is_not_asked() -> None:
    edk = await local_key(aes("hr", 1), ENTROPY).wrap(DATA_KEY, CONTEXT)
    other = local_key(aes("hr2", 1), ENTROPY)
    assert not other.names(edk)
    assert not local_key(aes("hr", 1), ENTROPY).names(replace(edk, provider_id="aws-kms"))


@pytest.mark.parametrize("bits", [2048, 4096])
async def test_rsa_wraps_and_unwraps_whatever_its_size(bits: int) -> None:
    key = local_key(rsa_settings("offline", bits), ENTROPY)
    edk = await key.wrap(DATA_KEY, CONTEXT)
    assert (edk.provider_id, edk.key_info) == (PROVIDER, b"offline@1")
    assert await key.unwrap(edk, CONTEXT) == DATA_KEY
    assert await key.check() is None


async def test_a_public_key_alone_writes_and_cannot_read() -> None:
    writer = local_key(rsa_settings("offline", can_read=False), ENTROPY)
    assert not writer.can_unwrap
    edk = await writer.wrap(DATA_KEY, CONTEXT)
    assert writer.names(edk)
    assert await writer.unwrap(edk, CONTEXT) is None
    assert await local_key(rsa_settings("offline"), ENTROPY).unwrap(edk, CONTEXT) == DATA_KEY


async def test_an_rsa_edk_that_was_changed_does_not_open() -> None:
    key = local_key(rsa_settings("offline"), ENTROPY)
    edk = await key.wrap(DATA_KEY, CONTEXT)
    with pytest.raises(IntegrityError):
        await key.unwrap(replace(edk, ciphertext=bytes(len(edk.ciphertext))), CONTEXT)
    assert await key.unwrap(Edk(PROVIDER, b"offline@2", edk.ciphertext), CONTEXT) is None


async def test_the_official_sdk_opens_what_a_local_key_wrapped() -> None:
    data_key = DataKey(ENTROPY)
    edk = await local_key(aes("hr", 7), ENTROPY).wrap(data_key.plaintext, {"a": "b"})
    header, sealing = data_key.seal_header({"a": "b"}, [edk], FRAME)
    message = header + seal_whole(sealing, b"plaintext")
    providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
    keyring = providers.create_raw_aes_keyring(
        input=CreateRawAesKeyringInput(
            key_namespace=PROVIDER,
            key_name=version_name("hr", "7"),
            wrapping_key=bytes([7]) * 32,
            wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
        )
    )
    client = aws_encryption_sdk.EncryptionSDKClient()
    assert client.decrypt(source=message, keyring=keyring)[0] == b"plaintext"


def test_no_repr_shows_material() -> None:
    shown = repr(local_key(aes("hr", 1), ENTROPY)) + repr(local_key(rsa_settings("offline"), ENTROPY))
    assert shown == "LocalAesKey('hr')LocalRsaKey('offline')"

"""Keys of AWS KMS wrap and unwrap, and every answer of KMS becomes the right error. KMS here is moto's."""

from __future__ import annotations

import os
from dataclasses import replace

import aws_encryption_sdk
import boto3
import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import CreateAwsKmsKeyringInput
from botocore.client import BaseClient

from proxy.config import AwsKms, Secret
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.frames import seal_whole
from proxy.envelope.keyring import Edk
from proxy.envelope.message import DataKey
from proxy.envelope.sizes import FRAME
from proxy.errors import IntegrityError, S3Error
from proxy.keys.aws_kms import AwsKmsKey
from proxy.keys.service import KeyUnavailableError
from tests.conftest import Store
from tests.keys.conftest import CONTEXT, DATA_KEY

REGION = "eu-central-1"


@pytest.fixture(scope="module")
def kms(moto_store: Store) -> BaseClient:
    session = boto3.session.Session(moto_store.access_key_id, moto_store.secret_access_key, region_name=REGION)
    return session.client("kms", endpoint_url=moto_store.endpoint)


@pytest.fixture
def arn(kms: BaseClient) -> str:
    return str(kms.create_key()["KeyMetadata"]["Arn"])


def key(arn: str, store: Store) -> AwsKmsKey:
    secret = Secret(store.secret_access_key)
    return AwsKmsKey("cloud", AwsKms(arn, store.endpoint, store.access_key_id, secret), 5)


async def test_a_data_key_comes_back_under_its_context_only(arn: str, moto_store: Store) -> None:
    cloud = key(arn, moto_store)
    edk = await cloud.wrap(DATA_KEY, CONTEXT)
    assert (edk.provider_id, edk.key_info) == ("aws-kms", arn.encode())
    assert cloud.names(edk)
    assert await cloud.unwrap(edk, CONTEXT) == DATA_KEY
    # KMS answers InvalidCiphertextException to both; moto denies access to the second.
    for changed, context in ((edk, {"aws:s3:arn": "arn:aws:s3:::x"}), (replace(edk, ciphertext=b"x" * 200), CONTEXT)):
        with pytest.raises((IntegrityError, S3Error)):
            await cloud.unwrap(changed, context)
    assert await cloud.check() is None
    await cloud.close()


async def test_another_keys_data_key_is_not_sent(arn: str, moto_store: Store) -> None:
    cloud = key(arn, moto_store)
    assert await cloud.unwrap(Edk("aws-kms", arn.encode() + b"x", b"x"), CONTEXT) is None
    assert await cloud.unwrap(Edk("s3w", arn.encode(), b"x"), CONTEXT) is None


async def test_a_check_sees_a_disabled_key(arn: str, moto_store: Store, kms: BaseClient) -> None:
    kms.disable_key(KeyId=arn.partition("/")[2])  # moto knows it by its id only, and lets it go on encrypting
    assert await key(arn, moto_store).check() == f"{arn} is in the state Disabled"


async def test_a_key_that_is_not_there_is_not_found(moto_store: Store) -> None:
    gone = f"arn:aws:kms:{REGION}:123456789012:key/00000000-0000-0000-0000-000000000000"
    cloud = key(gone, moto_store)
    with pytest.raises(S3Error, match=r"KMS\.NotFoundException"):
        await cloud.wrap(DATA_KEY, CONTEXT)
    assert await cloud.check() == f"{gone}: KMS.NotFoundException"


async def test_a_service_that_cannot_be_reached_may_be_asked_again() -> None:
    arn = f"arn:aws:kms:{REGION}:123456789012:key/x"
    cloud = AwsKmsKey("cloud", AwsKms(arn, "http://127.0.0.1:1", "AKIA", Secret("secret")), 1)
    with pytest.raises(KeyUnavailableError) as caught:
        await cloud.wrap(DATA_KEY, CONTEXT)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("AccessDeniedException", "AccessDenied"),
        ("DisabledException", "KMS.DisabledException"),
        ("InvalidCiphertextException", "edk"),
        ("KMSInvalidStateException", "KMS.KMSInvalidStateException"),
        ("ThrottlingException", None),
        ("KMSInternalException", None),
    ],
)
async def test_every_refusal_of_kms_has_its_code(
    arn: str, moto_store: Store, monkeypatch: pytest.MonkeyPatch, code: str, wanted: str | None
) -> None:
    from botocore.exceptions import ClientError

    cloud = key(arn, moto_store)

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "User: x is not authorized"}}, "Encrypt")

    monkeypatch.setattr(cloud._client, "encrypt", refuse)
    monkeypatch.setattr(cloud._client, "describe_key", refuse)
    with pytest.raises((KeyUnavailableError, S3Error, IntegrityError)) as caught:
        await cloud.wrap(DATA_KEY, CONTEXT)
    assert getattr(caught.value, "code", getattr(caught.value, "where", None)) == wanted
    if code == "AccessDeniedException":
        assert await cloud.check() is None, "the service answers"
    assert "not authorized" not in str(caught.value)


@pytest.fixture
def environment(moto_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The official SDK takes its credentials and endpoint from the environment."""
    monkeypatch.setitem(os.environ, "AWS_ACCESS_KEY_ID", moto_store.access_key_id)
    monkeypatch.setitem(os.environ, "AWS_SECRET_ACCESS_KEY", moto_store.secret_access_key)


@pytest.mark.usefixtures("environment")
async def test_the_official_sdk_opens_what_kms_wrapped(arn: str, moto_store: Store, kms: BaseClient) -> None:
    entropy = SystemEntropy()
    data_key = DataKey(entropy)
    edk = await key(arn, moto_store).wrap(data_key.plaintext, {"a": "b"})
    header, sealing = data_key.seal_header({"a": "b"}, [edk], FRAME)
    keyring = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig()).create_aws_kms_keyring(
        input=CreateAwsKmsKeyringInput(kms_key_id=arn, kms_client=kms)
    )
    message = header + seal_whole(sealing, b"plaintext")
    assert aws_encryption_sdk.EncryptionSDKClient().decrypt(source=message, keyring=keyring)[0] == b"plaintext"

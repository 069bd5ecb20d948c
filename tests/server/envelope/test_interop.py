"""What the proxy stores, the official Encryption SDK opens in two calls, without the proxy."""

from __future__ import annotations

import os
import warnings
from typing import Any

import aws_encryption_sdk as sdk
import pytest

from proxy.envelope.capsule import parse_capsule
from proxy.envelope.context import object_arn
from proxy.envelope.metadata import decode_value
from proxy.envelope.sizes import FRAME, MIN_PART, segment_size
from tests.server.envelope.conftest import KEY, Sealed
from tests.server.envelope.test_multipart import upload

pytestmark = pytest.mark.filterwarnings("ignore")


def opened(
    message: bytes, name: str, key: bytes, context: dict[str, str] | None = None, namespace: str = "s3w"
) -> bytes:
    from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
    from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
    from aws_cryptographic_material_providers.mpl.models import AesWrappingAlg, CreateRawAesKeyringInput

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
        keyring: Any = providers.create_raw_aes_keyring(
            input=CreateRawAesKeyringInput(
                key_namespace=namespace,
                key_name=name,
                wrapping_key=key,
                wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
            )
        )
        client = sdk.EncryptionSDKClient()
        plaintext, _ = client.decrypt(source=message, keyring=keyring, encryption_context=context or {})
    return bytes(plaintext)


def test_single_objects_open_in_two_calls(sealed: Sealed, bucket: str) -> None:
    body = os.urandom(2 * FRAME + 9)
    sealed.client.put_object(Bucket=bucket, Key="a/ü", Body=body)
    stored = sealed.direct.get_object(Bucket=bucket, Key="a/ü")
    capsule, header = parse_capsule(decode_value(stored["Metadata"]["s3w"]))
    keys = opened(capsule.raw, "hr@2", KEY, {"aws:s3:arn": object_arn(bucket, "a/ü")})
    assert opened(header + stored["Body"].read(), "body", keys[:32]) == body


def test_parts_open_one_by_one(sealed: Sealed, bucket: str) -> None:
    parts = {1: os.urandom(MIN_PART), 2: os.urandom(100)}
    upload(sealed.client, bucket, parts)
    stored = sealed.direct.get_object(Bucket=bucket, Key="key")
    raw = stored["Body"].read()
    capsule, _ = parse_capsule(decode_value(stored["Metadata"]["s3w"]))
    keys = opened(capsule.raw, "hr@2", KEY, {"aws:s3:arn": object_arn(bucket, "key")})
    at = 0
    for body in parts.values():
        end = at + segment_size(len(body))
        assert opened(raw[at:end], "part", keys[:32]) == body
        at = end

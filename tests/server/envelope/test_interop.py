"""What the proxy stores, the official Encryption SDK opens in two calls, without the proxy."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import aws_encryption_sdk as sdk
import pytest

from proxy.envelope.capsule import parse_capsule
from proxy.envelope.context import object_arn
from proxy.envelope.metadata import decode_value
from proxy.envelope.sizes import FRAME, MIN_PART, segment_size
from tests.conftest import Store
from tests.server.envelope.conftest import KEY, Sealed, sealed_proxy
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


PAGE = Path(__file__).parents[3] / "docs" / "reference" / "envelope.md"


def run_the_program(folder: Path, store: Store, bucket: str, key: str, name: str, material: bytes) -> bytes:
    """Run the program that the page prints, in a process that cannot import the proxy."""
    program, file = folder / "open_stored.py", folder / "opened"
    program.write_text(re.findall(r"^```python\n(# open_stored\.py.*?)^```", PAGE.read_text(), re.S | re.M)[0])
    settings = {
        "MATERIAL": base64.b64encode(material).decode(),
        "AWS_ENDPOINT_URL": store.endpoint,
        "AWS_ACCESS_KEY_ID": store.access_key_id,
        "AWS_SECRET_ACCESS_KEY": store.secret_access_key,
        "AWS_DEFAULT_REGION": store.region,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    command = [sys.executable, str(program), bucket, key, name, str(file)]
    subprocess.run(command, check=True, cwd=folder, env={**kept, **settings}, timeout=60)
    return file.read_bytes()


def test_the_program_in_the_reference_opens_objects_of_both_kinds(
    sealed: Sealed, moto_store: Store, bucket: str, tmp_path: Path
) -> None:
    body, parts = os.urandom(FRAME + 1), {1: os.urandom(MIN_PART), 5: os.urandom(2 * FRAME)}
    sealed.client.put_object(Bucket=bucket, Key="one", Body=body)
    upload(sealed.client, bucket, parts, "several")
    assert run_the_program(tmp_path, moto_store, bucket, "one", "hr@2", KEY) == body
    assert run_the_program(tmp_path, moto_store, bucket, "several", "hr@2", KEY) == b"".join(parts.values())


def test_the_program_opens_what_is_under_a_bucket_key(moto_store: Store, tmp_path: Path) -> None:
    extra = '  "kek-*": {encryption: {mode: envelope, key: hr, kek: {use: always}}}'
    with sealed_proxy(tmp_path, moto_store, extra=extra) as proxy:
        bucket = proxy.bucket("kek")
        proxy.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    (row,) = proxy.direct.list_objects_v2(Bucket=bucket, Prefix=".s3w/kek/")["Contents"]
    document = proxy.direct.get_object(Bucket=bucket, Key=row["Key"])["Body"].read()
    kek = opened(document, "hr@2", KEY, {"aws:s3:arn": f"arn:aws:s3:::{bucket}"})
    name = row["Key"].removeprefix(".s3w/")
    assert run_the_program(tmp_path, moto_store, bucket, "key", name, kek) == b"text"

"""What the official S3 Encryption Client wrote under keys of KMS, read through a running proxy. KMS here is moto's."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from proxy.audit.chain import records
from proxy.audit.journal import journal_places
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.test_single import refused

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-clients" / "s3ec" / "bin" / "python"
WRITER = Path(__file__).parent / "s3ec_writer.py"
REGION = "eu-central-1"
SMALL, LARGE = b"written by the official client", os.urandom(9 * 2**20)
BODIES = {"empty": b"", "small": SMALL, "large": LARGE, "parts": LARGE}
KEYS = """\
  other: {{type: aws-kms, key_arn: "{other}", {access}}}
  cloud: {{type: aws-kms, key_arn: "{cloud}", {access}}}
  barred: {{type: aws-kms, key_arn: "{barred}", {access}, policy: nobody.yaml}}
"""
NOBODY = """\
Version: "2012-10-17"
Statement: {Effect: Deny, Principal: "*", Action: "kms:Decrypt", Resource: "*"}
"""


def new_key(store: Store) -> str:
    session = boto3.session.Session(store.access_key_id, store.secret_access_key, region_name=REGION)
    client = session.client("kms", endpoint_url=store.endpoint)
    try:
        return str(client.create_key()["KeyMetadata"]["Arn"])
    finally:
        client.close()


def write(store: Store, kms_key: str, objects: list[dict[str, Any]]) -> None:
    """Let the official client write objects straight to the store."""
    assert PYTHON.exists(), "the S3 Encryption Client is not installed: make .venv-clients"
    asked = {
        "endpoint": store.endpoint, "region": REGION, "access_key_id": store.access_key_id,
        "secret_access_key": store.secret_access_key, "kms_key": kms_key, "objects": objects,
    }  # fmt: skip
    subprocess.run([str(PYTHON), str(WRITER)], input=json.dumps(asked), text=True, check=True, timeout=100)


def written(bucket: str, version: int, names: tuple[str, ...] = tuple(BODIES)) -> list[dict[str, Any]]:
    return [
        {
            "bucket": bucket, "key": f"v{version}/{name}", "version": version, "context": {"project": "alpha"},
            "body": base64.b64encode(BODIES[name]).decode(), "parts": name == "parts",
        }
        for name in names
    ]  # fmt: skip


@pytest.fixture(scope="module")
def arns(moto_store: Store) -> dict[str, str]:
    return {name: new_key(moto_store) for name in ("other", "cloud", "barred", "unknown")}


@pytest.fixture(scope="module")
def proxy(moto_store: Store, arns: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    folder = tmp_path_factory.mktemp("s3ec")
    (folder / "nobody.yaml").write_text(NOBODY)
    access = (
        f"endpoint: {moto_store.endpoint}, access_key_id: {moto_store.access_key_id}, "
        f"secret_access_key: {moto_store.secret_access_key}"
    )
    extra = "audit: {path: keys.jsonl}"
    with sealed_proxy(folder, moto_store, keys=KEYS.format(**arns, access=access), extra=extra) as running:
        yield running


@pytest.fixture(scope="module")
def mixed(proxy: Sealed, moto_store: Store, arns: dict[str, str]) -> str:
    bucket = proxy.bucket("mixed")
    write(moto_store, arns["cloud"], written(bucket, 2) + written(bucket, 3))
    return bucket


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("version", [2, 3])
def test_objects_under_a_key_of_kms_are_read_whole_and_in_ranges(
    proxy: Sealed, mixed: str, version: int, name: str
) -> None:
    key, body = f"v{version}/{name}", BODIES[name]
    assert proxy.direct.get_object(Bucket=mixed, Key=key)["Body"].read() != body
    got = proxy.client.get_object(Bucket=mixed, Key=key)
    assert got["Body"].read() == body
    assert (got["ContentLength"], got["Metadata"], got["ContentType"]) == (len(body), {"own": "x"}, "a/b")
    head = proxy.client.head_object(Bucket=mixed, Key=key)
    assert (head["ContentLength"], head["Metadata"]) == (len(body), {"own": "x"})
    if body:
        got = proxy.client.get_object(Bucket=mixed, Key=key, Range="bytes=3-12")
        assert (got["Body"].read(), got["ContentRange"]) == (body[3:13], f"bytes 3-12/{len(body)}")


@pytest.mark.parametrize("version", [2, 3])
def test_a_key_that_may_not_be_used_or_is_not_there_opens_nothing(
    proxy: Sealed, moto_store: Store, arns: dict[str, str], version: int
) -> None:
    bucket = proxy.bucket("mixed")
    write(moto_store, arns["barred"], written(bucket, version, ("small",)))
    key = f"v{version}/small"
    assert refused(proxy.client.get_object, Bucket=bucket, Key=key) == (403, "AccessDenied")
    write(moto_store, arns["unknown"], written(bucket, version, ("small",)))
    assert refused(proxy.client.get_object, Bucket=bucket, Key=key)[0] in (400, 403)


@pytest.mark.parametrize(("key", "name"), [("v2/small", "x-amz-matdesc"), ("v3/small", "x-amz-t")])
def test_another_context_opens_nothing(proxy: Sealed, mixed: str, key: str, name: str) -> None:
    found = proxy.direct.head_object(Bucket=mixed, Key=key)
    for changed in ("{}", found["Metadata"][name].replace("alpha", "beta")):
        metadata = {**found["Metadata"], name: changed}
        proxy.rewrite(mixed, key, metadata=metadata)
        assert refused(proxy.client.get_object, Bucket=mixed, Key=key)[0] in (400, 403)
    proxy.rewrite(mixed, key, metadata=found["Metadata"])
    assert proxy.client.get_object(Bucket=mixed, Key=key)["Body"].read() == SMALL


def test_objects_in_a_bucket_that_holds_no_others_are_refused(
    proxy: Sealed, moto_store: Store, arns: dict[str, str]
) -> None:
    bucket = proxy.bucket()
    write(moto_store, arns["cloud"], written(bucket, 3, ("small",)))
    assert refused(proxy.client.get_object, Bucket=bucket, Key="v3/small") == (403, "AccessDenied")


def test_an_object_whose_data_key_lies_elsewhere_is_no_plaintext(proxy: Sealed, mixed: str) -> None:
    found = proxy.direct.get_object(Bucket=mixed, Key="v3/small")
    elsewhere = {name: value for name, value in found["Metadata"].items() if name not in ("x-amz-3", "x-amz-w")}
    body = found["Body"].read()
    proxy.direct.put_object(Bucket=mixed, Key="elsewhere", Body=body, Metadata=elsewhere)
    assert refused(proxy.client.get_object, Bucket=mixed, Key="elsewhere") == (400, "InvalidRequest")
    ranged = {"Bucket": mixed, "Key": "elsewhere", "Range": "bytes=0-3"}
    assert refused(proxy.client.get_object, **ranged) == (400, "InvalidRequest")


def test_every_use_of_the_key_is_on_record(proxy: Sealed, mixed: str, arns: dict[str, str]) -> None:
    proxy.client.get_object(Bucket=mixed, Key="v2/empty")["Body"].read()
    rows: list[Any] = list(records(journal_places(proxy.folder / "keys.jsonl")))
    last = [row for row in rows if row["object"] == "v2/empty"][-1]
    assert (last["action"], last["outcome"]) == ("kms:Decrypt", "allowed")
    assert last["context"] == {"project": "alpha", "aws:x-amz-cek-alg": "AES/GCM/NoPadding"}

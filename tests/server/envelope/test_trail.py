"""Every use of a key is on record before anything comes of it, and a key that cannot be used shows."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from proxy.audit.chain import records, verify
from proxy.audit.database import database_head, database_places
from proxy.audit.journal import journal_places, read_head
from tests.conftest import ACCOUNT, Store
from tests.keys.transit import TOKEN, Transit
from tests.server.envelope.conftest import Sealed, fetch, sealed_proxy

TRAIL = "audit: {path: keys.jsonl, store: keys.db}\n"
# Alice may write under the key, and read nothing but what is public.
WRITE_ONLY = f"""\
Version: "2012-10-17"
Statement:
  - Effect: Allow
    Principal: {{AWS: "arn:aws:iam::{ACCOUNT}:user/alice"}}
    Action: "kms:GenerateDataKey"
    Resource: "*"
  - Effect: Allow
    Principal: {{AWS: "arn:aws:iam::{ACCOUNT}:user/alice"}}
    Action: "kms:Decrypt"
    Resource: "*"
    Condition: {{StringLike: {{"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::*/public/*"}}}}
"""


@pytest.fixture(scope="module")
def recorded(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "key.yaml").write_text(WRITE_ONLY)
    with sealed_proxy(folder, moto_store, extra=TRAIL, key_options=", policy: key.yaml") as running:
        yield running


def trail(folder: Path, key: str) -> list[dict[str, Any]]:
    return [record for record in records(journal_places(folder / "keys.jsonl")) if record.get("object") == key]


def test_who_used_which_key_for_what_is_on_record(recorded: Sealed) -> None:
    bucket = recorded.bucket()
    recorded.client.put_object(Bucket=bucket, Key="public/a", Body=b"plaintext")
    answer = recorded.client.get_object(Bucket=bucket, Key="public/a")
    assert answer["Body"].read() == b"plaintext"
    written, read = trail(recorded.folder, "public/a")
    assert (written["action"], written["operation"], written["outcome"]) == (
        "kms:GenerateDataKey",
        "PutObject",
        "allowed",
    )
    assert (read["action"], read["operation"], read["bucket"]) == ("kms:Decrypt", "GetObject", bucket)
    assert read["principal"] == f"arn:aws:iam::{ACCOUNT}:user/alice"
    assert read["key"] == f"arn:aws:kms:us-east-1:{ACCOUNT}:key/hr"
    assert read["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert read["context"]["aws:s3:arn"] == f"arn:aws:s3:::{bucket}/public/a"


def test_only_whom_the_key_policy_names_may_decrypt_and_refusals_are_on_record(recorded: Sealed) -> None:
    bucket = recorded.bucket()
    recorded.client.put_object(Bucket=bucket, Key="secret/a", Body=b"plaintext")
    with pytest.raises(ClientError) as caught:
        recorded.client.get_object(Bucket=bucket, Key="secret/a")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert "kms:Decrypt" in caught.value.response["Error"]["Message"]
    refused = trail(recorded.folder, "secret/a")[-1]
    assert (refused["action"], refused["outcome"], refused["error"]) == ("kms:Decrypt", "denied", "AccessDenied")


def test_multipart_uploads_and_parts_are_on_record(recorded: Sealed) -> None:
    bucket = recorded.bucket()
    upload = recorded.client.create_multipart_upload(Bucket=bucket, Key="public/m")["UploadId"]
    tag = recorded.client.upload_part(Bucket=bucket, Key="public/m", UploadId=upload, PartNumber=1, Body=b"x" * 100)
    recorded.client.complete_multipart_upload(
        Bucket=bucket,
        Key="public/m",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag["ETag"]}]},
    )
    operations = {record["operation"] for record in trail(recorded.folder, "public/m")}
    assert {"CreateMultipartUpload", "UploadPart"} <= operations


def test_journal_and_store_verify_while_the_proxy_writes(recorded: Sealed) -> None:
    journal, store = recorded.folder / "keys.jsonl", recorded.folder / "keys.db"
    assert verify(journal_places(journal), (), read_head(journal)).broken == ()
    assert verify(database_places(store), (), database_head(store)).broken == ()
    assert "plaintext" not in journal.read_text()


def test_a_use_that_cannot_be_recorded_is_refused(moto_store: Store, tmp_path: Path) -> None:
    with sealed_proxy(tmp_path, moto_store, extra="audit: {path: keys.jsonl}\n") as running:
        bucket = running.bucket()
        running.client.put_object(Bucket=bucket, Key="a", Body=b"x")
        # What cannot be opened any more stands for a disk that fails: the next writer opens the file anew.
        (tmp_path / "keys.jsonl").unlink()
        (tmp_path / "keys.jsonl").mkdir()
        for use in (
            lambda: running.client.get_object(Bucket=bucket, Key="a"),
            lambda: running.client.put_object(Bucket=bucket, Key="b", Body=b"x"),
        ):
            with pytest.raises(ClientError) as caught:
                use()
            assert caught.value.response["Error"]["Code"] == "ServiceUnavailable"
        assert [each["Key"] for each in running.direct.list_objects_v2(Bucket=bucket)["Contents"]] == ["a"]


def test_a_key_service_that_is_down_fails_closed_and_shows_in_readyz(moto_store: Store, tmp_path: Path) -> None:
    with Transit() as transit:
        key = (
            f"  cloud: {{type: vault, address: {transit.address}, token: {TOKEN}, key_name: hr, timeout_seconds: 1}}\n"
        )
        extra = '  "cloud-*": {encryption: {mode: envelope, key: cloud, kek: {cache_seconds: 0}}}\n'
        with sealed_proxy(tmp_path, moto_store, keys=key, extra=extra) as running:
            bucket = running.bucket("cloud")
            running.client.put_object(Bucket=bucket, Key="a", Body=b"plaintext")
            assert running.client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"plaintext"
            assert json.load(fetch(f"http://127.0.0.1:{running.admin}/readyz")) is not None
            transit.status = 503
            for use in (
                lambda: running.client.get_object(Bucket=bucket, Key="a"),
                lambda: running.client.put_object(Bucket=bucket, Key="b", Body=b"x"),
            ):
                with pytest.raises(ClientError) as caught:
                    use()
                assert caught.value.response["Error"]["Code"] == "ServiceUnavailable"
            assert "VaultDown" not in json.dumps(caught.value.response), "what is inside is for the log only"
            metrics = fetch(f"http://127.0.0.1:{running.admin}/metrics").read().decode()
            assert 's3warden_key_requests_total{op="unwrap",provider="vault",result="unavailable"}' in metrics


def test_readyz_says_which_key_cannot_be_used(moto_store: Store, tmp_path: Path) -> None:
    key = "  cloud: {type: vault, address: 'http://127.0.0.1:1', token: t, timeout_seconds: 1}\n"
    with sealed_proxy(tmp_path, moto_store, keys=key) as running:
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(f"http://127.0.0.1:{running.admin}/readyz")
        assert caught.value.code == 503
        assert "key `cloud`" in caught.value.read().decode()

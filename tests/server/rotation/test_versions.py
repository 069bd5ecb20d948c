"""Versions, locks, archives and uploads keep keys needed: they are counted, reported, and never lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.main import main
from proxy.config import load_config
from proxy.s3.headers import Headers
from proxy.server.rotation.depot import Stored
from proxy.server.rotation.replacing import _still_locked
from proxy.server.rotation.rewrap import _is_archived
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.rotation.test_rotation import EXTRA, offline, rewrap, rotated, wrapped_by


@pytest.fixture(scope="module")
def proxy(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    folder = tmp_path_factory.mktemp("versions")
    (folder / "offline.pem").write_text(offline())
    keys = '  offline: {type: rsa, public: "${file:offline.pem}"}'
    with sealed_proxy(folder, moto_store, keys=keys, extra=EXTRA) as running:
        yield running


def versioned(proxy: Sealed, kind: str = "sealed", status: str = "Enabled") -> str:
    bucket = proxy.bucket(kind)
    proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    return bucket


def put(proxy: Sealed, bucket: str, key: str = "k", **more: Any) -> str:
    return str(proxy.client.put_object(Bucket=bucket, Key=key, Body=b"text", **more).get("VersionId", ""))


def usage(proxy: Sealed, bucket: str, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, int]]:
    capsys.readouterr()
    command = ["keys", "usage", "--config", str(rotated(proxy.folder)), "--bucket", bucket, "--output", "json"]
    assert main(command) == 0
    [row] = json.loads(capsys.readouterr().out)["buckets"]
    return {name: {what: n for what, n in counts.items() if n} for name, counts in row["keys"].items()}


def retire(proxy: Sealed, key: str, *buckets: str) -> tuple[int, Path]:
    """Try to retire a key in a copy of the configuration."""
    copy = proxy.folder / "retired.yaml"
    shutil.copy(rotated(proxy.folder), copy)
    named = [word for bucket in buckets for word in ("--bucket", bucket)]
    return main(["keys", "retire", key, "--config", str(copy), *named]), copy


def test_older_versions_keep_a_key_and_are_told(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = versioned(proxy)
    first = put(proxy, bucket)
    put(proxy, bucket)
    put(proxy, bucket, "gone")
    proxy.client.delete_object(Bucket=bucket, Key="gone")
    assert rewrap(proxy, bucket, "--output", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"rewrapped": 1, "older": 3} or told["counts"] == {"rewrapped": 1, "older": 2}
    assert first in [each["version"] for each in told["objects"]]
    assert wrapped_by(proxy, bucket, "k") == "hr@3"
    assert usage(proxy, bucket, capsys) == {"hr@2": {"older versions": 3}, "hr@3": {"objects": 1}}
    assert retire(proxy, "hr@2", bucket)[0] == 1
    assert f"{bucket}: hr@2: 3 older versions" in capsys.readouterr().out
    for row in proxy.direct.list_object_versions(Bucket=bucket)["Versions"]:
        if not row["IsLatest"]:
            proxy.direct.delete_object(Bucket=bucket, Key=row["Key"], VersionId=row["VersionId"])
    code, config = retire(proxy, "hr@2", bucket)
    assert code == 0
    assert [version.id for version in load_config(config).keys["hr"].versions] == ["3", "1"]
    assert main(["keys", "usage", "--config", str(config), "--bucket", bucket, "--output", "markdown"]) == 0
    assert f"| {bucket} | hr@3 | 1 | 0 | 0 | 0 | 0 |" in capsys.readouterr().out


def test_a_bucket_key_spares_older_versions_all_of_it(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = versioned(proxy, "kek")
    put(proxy, bucket)
    put(proxy, bucket)
    # What a run of another program, or of nobody, left behind.
    [row] = proxy.direct.list_object_versions(Bucket=bucket, Prefix=".s3w/kek/")["Versions"]
    document = proxy.direct.get_object(Bucket=bucket, Key=row["Key"])["Body"].read()
    proxy.direct.put_object(Bucket=bucket, Key=row["Key"], Body=document)
    before = usage(proxy, bucket, capsys)
    assert before["hr@2"] == {"objects": 1, "older versions": 1, "bucket keys": 1, "older bucket keys": 1}
    assert rewrap(proxy, bucket, "--only", "bucket-keys") == 0
    assert "hr@2" not in usage(proxy, bucket, capsys)
    assert retire(proxy, "hr@2", bucket)[0] == 0


def test_an_upload_under_way_keeps_its_key(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = proxy.bucket()
    upload = {"Bucket": bucket, "Key": "k"}
    upload["UploadId"] = proxy.client.create_multipart_upload(**upload)["UploadId"]
    assert usage(proxy, bucket, capsys) == {"hr@2": {"uploads": 1}}
    assert retire(proxy, "hr@2", bucket)[0] == 1
    proxy.client.abort_multipart_upload(**upload)
    assert retire(proxy, "hr@2", bucket)[0] == 0


def test_locks_go_along_and_old_versions_stay(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = f"sealed-locked-{proxy.pid}"
    proxy.direct.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    until = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until, "ObjectLockLegalHoldStatus": "ON"}
    first = put(proxy, bucket)
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    proxy.direct.put_object_retention(Bucket=bucket, Key="k", Retention=retention)
    proxy.direct.put_object_legal_hold(Bucket=bucket, Key="k", LegalHold={"Status": "ON"})
    assert rewrap(proxy, bucket) == 0
    assert "1 older versions that keep an older key" not in capsys.readouterr().out, "it was the current one"
    after = proxy.direct.head_object(Bucket=bucket, Key="k")
    assert {name: after[name] for name in lock} == lock
    assert after["VersionId"] != first
    assert usage(proxy, bucket, capsys)["hr@2"] == {"older versions": 1}
    assert retire(proxy, "hr@2", bucket)[0] == 1
    names = [row["Key"] for row in proxy.direct.list_object_versions(Bucket=bucket)["Versions"]]
    assert set(names) == {"k"}, "no probe stays where nothing can be deleted"


def test_a_retention_that_has_ended_is_not_repeated() -> None:
    fields = {
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-retain-until-date": "2026-11-23T12:00:00.000Z",
        "x-amz-object-lock-legal-hold": "ON",
    }
    end = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
    assert _still_locked(fields, end - 1) == fields
    assert _still_locked(fields, end) == {"x-amz-object-lock-legal-hold": "ON"}


@pytest.mark.parametrize(
    ("headers", "archived"),
    [
        ({}, False),
        ({"x-amz-storage-class": "GLACIER"}, True),
        ({"x-amz-storage-class": "DEEP_ARCHIVE", "x-amz-restore": 'ongoing-request="true"'}, True),
        ({"x-amz-storage-class": "GLACIER", "x-amz-restore": 'ongoing-request="false", expiry-date="x"'}, False),
        ({"x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": "ARCHIVE_ACCESS"}, True),
        ({"x-amz-storage-class": "STANDARD_IA"}, False),
    ],
)
def test_what_has_to_be_restored_first_is_known(headers: dict[str, str], archived: bool) -> None:
    assert _is_archived(Stored("b", "k", Headers.of(headers.items()))) == archived


def test_an_archived_object_is_left_alone_and_told(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = proxy.bucket()
    put(proxy, bucket, StorageClass="GLACIER")
    assert rewrap(proxy, bucket) == 0
    told = capsys.readouterr().out
    assert "k: archived" in told
    assert "1 archived: restore them first" in told
    assert wrapped_by(proxy, bucket, "k") == "hr@2"


def test_where_versioning_is_suspended_no_version_is_replaced(
    proxy: Sealed, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = proxy.bucket()
    put(proxy, bucket)
    proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(proxy, bucket)
    put(proxy, bucket, "alone")
    proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert rewrap(proxy, bucket) == 1
    assert "replace the older one called null" in capsys.readouterr().out
    assert [wrapped_by(proxy, bucket, key) for key in ("k", "alone")] == ["hr@2", "hr@3"]
    rows = proxy.direct.list_object_versions(Bucket=bucket, Prefix="k")["Versions"]
    assert sorted(row["VersionId"] == "null" for row in rows) == [False, True]
    for row in proxy.direct.list_object_versions(Bucket=bucket)["Versions"]:  # moto cannot be asked for null
        proxy.direct.delete_object(Bucket=bucket, Key=row["Key"], VersionId=row["VersionId"])


def test_a_key_goes_only_when_nobody_can_use_it(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = proxy.bucket()
    assert retire(proxy, "ops", bucket)[0] == 2
    assert "run `keys disable` first" in capsys.readouterr().err
    for version, told in (("hr@3", "is the version that writes"), ("hr@9", "its versions: 3, 2, 1")):
        assert retire(proxy, version, bucket)[0] == 2
        assert told in capsys.readouterr().err
    text = rotated(proxy.folder).read_text()
    config = proxy.folder / "spare.yaml"
    config.write_text(text.replace("  ops: {", "  spare: {enabled: false, ", 1).replace("key: ops", "key: hr"))
    command = ["keys", "retire", "spare", "--config", str(config), "--bucket", bucket]
    assert main([*command, "--dry-run"]) == 0
    assert "spare" in load_config(config).keys
    assert main(command) == 0
    assert "spare" not in load_config(config).keys
    config.write_text(text.replace("  ops: {", "  ops: {enabled: false, ", 1))
    assert main(["keys", "retire", "ops", "--config", str(config), "--bucket", bucket]) == 2, "a bucket names it"
    assert "ops" in load_config(config).keys


def test_what_cannot_be_read_may_depend_on_anything(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = proxy.bucket("kek")
    put(proxy, bucket)
    [row] = proxy.direct.list_objects_v2(Bucket=bucket, Prefix=".s3w/kek/")["Contents"]
    proxy.direct.delete_object(Bucket=bucket, Key=row["Key"])
    assert retire(proxy, "hr@2", bucket)[0] == 1
    assert "its bucket key is gone: nobody knows" in capsys.readouterr().out


def test_a_damaged_upload_may_depend_on_anything_and_hides_nothing_else(
    proxy: Sealed, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = proxy.bucket()
    put(proxy, bucket)
    proxy.direct.put_object(Bucket=bucket, Key=".s3w/mpu/00/ctx", Body=b"{}")
    assert retire(proxy, "hr@1", bucket)[0] == 1
    told = capsys.readouterr().out
    assert f"{bucket}: `.s3w/mpu/00/ctx`" in told
    assert main(["keys", "usage", "--config", str(rotated(proxy.folder)), "--bucket", bucket]) == 1
    assert f"{bucket}: hr@2: 1 objects" in capsys.readouterr().out


def test_every_bucket_is_looked_through_whatever_its_mode(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = proxy.bucket()
    put(proxy, bucket)
    text = rotated(proxy.folder).read_text()
    config = proxy.folder / "forwarding.yaml"
    config.write_text(text.replace('"sealed-*": {encryption: {mode: envelope, key: hr}}', '"sealed-*": {}'))
    assert main(["keys", "retire", "hr@2", "--config", str(config)]) == 1
    assert f"{bucket}: hr@2: 1 objects" in capsys.readouterr().out

"""Rotation on a store that keeps ACLs, tags and part sizes as S3 does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli.main import main
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.rotation.test_races import at
from tests.server.rotation.test_rotation import PART, rotated, send_parts, wrapped_by


@pytest.fixture(scope="module")
def proxy(radosgw_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("rotation"), radosgw_store, payload="unsigned") as running:
        yield running


def rewrap(folder: Path, bucket: str, *more: str) -> int:
    return main(["keys", "rewrap", "--alone", "--config", str(rotated(folder)), "--bucket", bucket, *more])


def test_objects_of_one_and_of_several_parts_are_rewrapped_and_readable(proxy: Sealed) -> None:
    bucket, body = proxy.bucket(), os.urandom(100_000)
    proxy.client.put_object(Bucket=bucket, Key="s", Body=body, ACL="public-read", Metadata={"a": "b"}, Tagging="t=1")
    parts = os.urandom(PART + 5), os.urandom(PART), b"end"
    send_parts(proxy, bucket, "m", *parts)
    assert rewrap(proxy.folder, bucket) == 0
    assert [wrapped_by(proxy, bucket, key) for key in "sm"] == ["hr@3", "hr@3"]
    assert rewrap(proxy.folder, bucket, "--to", "ops") == 0
    assert proxy.client.get_object(Bucket=bucket, Key="s")["Body"].read() == body
    assert proxy.client.get_object(Bucket=bucket, Key="m")["Body"].read() == b"".join(parts)
    assert proxy.direct.get_object_tagging(Bucket=bucket, Key="s")["TagSet"] == [{"Key": "t", "Value": "1"}]
    grants = proxy.direct.get_object_acl(Bucket=bucket, Key="s")["Grants"]
    assert {"FULL_CONTROL", "READ"} == {grant["Permission"] for grant in grants}


def test_ceph_checks_sources_under_its_own_name(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"x")
    command = ["keys", "rewrap", "--config", str(rotated(proxy.folder)), "--bucket", bucket]
    assert main(command) == 0, "no promise is needed"
    assert wrapped_by(proxy, bucket, "k") == "hr@3"
    assert [each["Key"] for each in proxy.direct.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


@pytest.mark.parametrize("step", ["looked", "told", "copied", "settled"])
@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("parts", [False, True])
def test_what_is_written_meanwhile_stays(
    proxy: Sealed, step: str, versioned: bool, parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = proxy.bucket()
    if versioned:
        proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    if parts:
        send_parts(proxy, bucket, "k", os.urandom(PART), b"end")
    else:
        proxy.client.put_object(Bucket=bucket, Key="k", Body=b"old")
    reached = at(monkeypatch, step, lambda: proxy.client.put_object(Bucket=bucket, Key="k", Body=b"new"))
    command = ["keys", "rewrap", "--config", str(rotated(proxy.folder)), "--bucket", bucket, "--to", "ops"]
    assert main(command) == (0 if step == "settled" else 1)
    assert step in reached
    assert proxy.client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"


@pytest.mark.parametrize("step", ["looked", "told", "copied", "settled"])
def test_what_is_deleted_meanwhile_stays_deleted(proxy: Sealed, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = proxy.bucket()
    proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"old")
    at(monkeypatch, step, lambda: proxy.client.delete_object(Bucket=bucket, Key="k"))
    main(["keys", "rewrap", "--config", str(rotated(proxy.folder)), "--bucket", bucket, "--to", "ops"])
    assert "Contents" not in proxy.client.list_objects_v2(Bucket=bucket)

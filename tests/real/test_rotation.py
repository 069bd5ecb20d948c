"""Rotation on a store that keeps ACLs, tags and part sizes as S3 does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli.main import main
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
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


def test_a_store_that_does_not_check_conditions_is_found_out(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"x")
    command = ["keys", "rewrap", "--config", str(rotated(proxy.folder)), "--bucket", bucket]
    assert main(command) == 2, "Ceph 16 copies whatever the condition says"
    assert "does not check x-amz-copy-source-if-match" in capsys.readouterr().err
    assert wrapped_by(proxy, bucket, "k") == "hr@2"

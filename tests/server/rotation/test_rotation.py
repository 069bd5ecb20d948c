"""Keys are rotated without reading a body, whoever writes meanwhile and wherever a run breaks off."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.chain import records
from proxy.audit.journal import journal_places
from proxy.cli.main import main
from proxy.envelope.single import parse_envelope
from proxy.server.rotation.depot import Depot
from proxy.server.rotation.usage import edk_name
from proxy.server.upstream import PooledUpstream
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy

PART = 5 * 1024 * 1024
EXTRA = """\
  "kek-*": {encryption: {mode: envelope, key: hr, kek: {use: always, recovery: offline}}}
audit: {path: keys.jsonl}
"""


def offline() -> str:
    from tests.keys.conftest import public_pem, rsa_key

    return public_pem(rsa_key(2048))


@pytest.fixture(scope="module")
def proxy(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    folder = tmp_path_factory.mktemp("rotation")
    (folder / "offline.pem").write_text(offline())
    keys = '  offline: {type: rsa, public: "${file:offline.pem}"}'
    with sealed_proxy(folder, moto_store, keys=keys, extra=EXTRA) as running:
        yield running


def rotated(folder: Path) -> Path:
    """Write the configuration of an operator who put a new version of `hr` in front."""
    text = (folder / "config.yaml").read_text()
    fresh = base64.b64encode(b"3" * 32).decode()
    (folder / "rotated.yaml").write_text(text.replace("versions: [", f'versions: [{{id: "3", material: {fresh}}}, ', 1))
    return folder / "rotated.yaml"


def rewrap(proxy: Sealed, bucket: str, *more: str) -> int:
    # moto does not check conditions of copies.
    command = ["keys", "rewrap", "--alone", "--config", str(rotated(proxy.folder)), "--bucket", bucket]
    return main([*command, *more])


def wrapped_by(proxy: Sealed, bucket: str, key: str) -> str:
    value = proxy.direct.head_object(Bucket=bucket, Key=key)["Metadata"]["s3w"]
    return edk_name(parse_envelope(value).capsule.edks[0])


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is asked of the store."""
    seen: list[tuple[str, str]] = []
    real = PooledUpstream.send

    async def send(pool: PooledUpstream, request: Any) -> Any:
        seen.append((request.method, request.target))
        return await real(pool, request)

    monkeypatch.setattr(PooledUpstream, "send", send)
    return seen


def send_parts(proxy: Sealed, bucket: str, key: str, *parts: bytes) -> None:
    # Without an ACL moto cannot tell the ACL of such objects.
    created = proxy.client.create_multipart_upload(Bucket=bucket, Key=key, Metadata={"a": "b"}, ACL="public-read")
    upload = created["UploadId"]
    etags = [
        proxy.client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=part)["ETag"]
        for number, part in enumerate(parts, 1)
    ]
    listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    proxy.client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": listed})


def test_objects_get_a_capsule_under_the_new_version_and_keep_everything_else(
    proxy: Sealed, requests: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    bucket, body = proxy.bucket(), os.urandom(100_000)
    proxy.client.put_object(
        Bucket=bucket,
        Key="a/b ü+%",
        Body=body,
        Metadata={"owner": "alice"},
        ContentType="text/x",
        CacheControl="no-store",
        Tagging="t=1",
        ACL="public-read",
    )
    before = proxy.direct.get_object(Bucket=bucket, Key="a/b ü+%")
    granted = proxy.direct.get_object_acl(Bucket=bucket, Key="a/b ü+%")["Grants"]
    assert len(granted) == 2
    proxy.direct.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert rewrap(proxy, bucket) == 0
    assert "1 rewrapped, 0 current, 1 not encrypted" in capsys.readouterr().out
    assert wrapped_by(proxy, bucket, "a/b ü+%") == "hr@3"
    after = proxy.direct.get_object(Bucket=bucket, Key="a/b ü+%")
    assert after["Body"].read() == before["Body"].read()
    for field in ("ContentType", "CacheControl"):
        assert after[field] == before[field]
    assert after["Metadata"]["owner"] == "alice"
    tags = proxy.direct.get_object_tagging(Bucket=bucket, Key="a/b ü+%")["TagSet"]
    assert tags == [{"Key": "t", "Value": "1"}]
    assert proxy.direct.get_object_acl(Bucket=bucket, Key="a/b ü+%")["Grants"] == granted
    read = [target for method, target in requests if method == "GET" and target.startswith(f"/{bucket}/")]
    assert all("?acl" in target or "?tagging" in target for target in read), "bodies are never downloaded"


def test_two_capsules_of_one_object_share_nothing(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"x")
    values = [proxy.direct.head_object(Bucket=bucket, Key="k")["Metadata"]["s3w"]]
    rewrap(proxy, bucket)
    values.append(proxy.direct.head_object(Bucket=bucket, Key="k")["Metadata"]["s3w"])
    first, second = (parse_envelope(value) for value in values)
    assert first.body_header == second.body_header
    assert first.capsule.raw[3:35] != second.capsule.raw[3:35], "another message id"


def test_what_is_done_is_left_alone(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = proxy.bucket()
    for key in ("a", "b", "c"):
        proxy.client.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert rewrap(proxy, bucket, "--dry-run") == 0
    assert "3 would be rewrapped" in capsys.readouterr().out
    assert wrapped_by(proxy, bucket, "a") == "hr@2"
    assert rewrap(proxy, bucket, "--start-after", "a", "--rate", "1000", "--parallel", "1") == 0
    assert "2 rewrapped" in capsys.readouterr().out
    assert rewrap(proxy, bucket) == 0
    assert "1 rewrapped, 2 current" in capsys.readouterr().out
    assert rewrap(proxy, bucket, "--prefix", "nothing") == 3


def test_an_object_of_several_parts_is_copied_along_its_boundaries(
    proxy: Sealed, requests: list[tuple[str, str]]
) -> None:
    bucket = proxy.bucket()
    first, second = os.urandom(PART + 5), os.urandom(PART)
    send_parts(proxy, bucket, "m", first, second, b"end")
    tag = proxy.direct.head_object(Bucket=bucket, Key="m")["ETag"]
    assert rewrap(proxy, bucket) == 0
    assert wrapped_by(proxy, bucket, "m") == "hr@3"
    assert proxy.direct.head_object(Bucket=bucket, Key="m")["ETag"].endswith(tag[-3:])
    read = [target.partition("?")[2] for method, target in requests if method == "GET" and f"/{bucket}/m" in target]
    assert read == ["acl=", "tagging=", "", ""], "the last two are locator and trailer, 16 and some hundred bytes"
    # The proxy that runs does not know the new version; one that does reads it.
    unaware = str(proxy.folder / "config.yaml")
    assert main(["keys", "rewrap", "--alone", "--config", unaware, "--bucket", bucket]) == 1
    assert rewrap(proxy, bucket, "--to", "ops") == 0
    answer = proxy.client.get_object(Bucket=bucket, Key="m")
    assert answer["Body"].read() == first + second + b"end"
    assert answer["Metadata"] == {"a": "b"}


def test_bucket_keys_are_rewritten_and_no_object_is_touched(
    proxy: Sealed, requests: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = proxy.bucket("kek")
    proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"text")
    assert rewrap(proxy, bucket, "--only", "bucket-keys") == 0
    assert "1 rewrapped" in capsys.readouterr().out
    assert not [target for _, target in requests if target.startswith(f"/{bucket}/k")]
    versions = proxy.direct.list_object_versions(Bucket=bucket, Prefix=".s3w/kek/")["Versions"]
    assert len(versions) == 1, "what the old key opens is gone"
    assert rewrap(proxy, bucket) == 0
    assert "0 rewrapped, 2 current" in capsys.readouterr().out
    assert rewrap(proxy, bucket, "--to", "ops") == 0
    assert proxy.client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"text", "the proxy knows ops"


def test_a_key_is_retired_only_when_nothing_depends_on_it(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket, kek = proxy.bucket(), proxy.bucket("kek")
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"x")
    proxy.client.put_object(Bucket=kek, Key="k", Body=b"x")
    usage = ["keys", "usage", "--config", str(rotated(proxy.folder)), "--bucket", bucket, "--bucket", kek]
    assert main(usage) == 0
    told = capsys.readouterr().out
    assert f"{bucket}: hr@2: 1 objects, 0 bucket keys" in told
    assert f"{kek}: hr@2: 1 objects, 1 bucket keys" in told
    assert f"{kek}: offline@1: 1 objects, 1 bucket keys" in told
    assert main([*usage, "--retire", "hr@2"]) == 1
    for each in (bucket, kek):
        assert rewrap(proxy, each) == 0
    assert main([*usage, "--retire", "hr@2"]) == 0
    assert "nothing here depends on hr@2" in capsys.readouterr().out
    assert main([*usage, "--retire", "hr"]) == 1, "the new version is a version of it"


def test_every_bucket_in_envelope_mode_is_looked_at_by_default(
    proxy: Sealed, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"x")
    proxy.direct.put_object(Bucket=bucket, Key="damaged", Body=b"x", Metadata={"s3w": "AAAA"})
    assert main(["keys", "usage", "--config", str(rotated(proxy.folder))]) == 1
    told = capsys.readouterr().out
    assert f"{bucket}: hr@2: 1 objects" in told
    assert f"{bucket}: `damaged` has a capsule that cannot be read" in told


def test_a_store_that_does_not_check_conditions_needs_a_promise(
    proxy: Sealed, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"x")
    command = ["keys", "rewrap", "--config", str(rotated(proxy.folder)), "--bucket", bucket]
    assert main(command) == 2
    assert "does not check x-amz-copy-source-if-match" in capsys.readouterr().err
    assert wrapped_by(proxy, bucket, "k") == "hr@2"
    assert [each["Key"] for each in proxy.direct.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_a_run_that_is_broken_off_leaves_every_object_readable(proxy: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = proxy.bucket()
    send_parts(proxy, bucket, "m", os.urandom(PART), b"end")
    real = Depot._copy_part

    async def breaks(depot: Depot, *arguments: Any) -> str:
        await real(depot, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Depot, "_copy_part", breaks)
    assert rewrap(proxy, bucket) == 130
    monkeypatch.undo()
    assert wrapped_by(proxy, bucket, "m") == "hr@2"
    assert rewrap(proxy, bucket) == 0
    assert wrapped_by(proxy, bucket, "m") == "hr@3"


def test_rewrapping_is_on_record(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="recorded", Body=b"x")
    rewrap(proxy, bucket, "--to", "ops")
    found = [row for row in records(journal_places(proxy.folder / "keys.jsonl")) if row.get("object") == "recorded"]
    assert [(row["action"], str(row["key"]).rpartition("/")[2], row["operation"]) for row in found[-2:]] == [
        ("kms:ReEncryptFrom", "hr", "keys rewrap"),
        ("kms:ReEncryptTo", "ops", "keys rewrap"),
    ]


def test_a_damaged_object_and_an_unknown_key_are_told(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = proxy.bucket()
    proxy.direct.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"s3w": "AAAA"})
    assert rewrap(proxy, bucket) == 1
    assert "k: failed" in capsys.readouterr().out
    assert rewrap(proxy, bucket, "--to", "gone") == 2
    assert rewrap(proxy, "no-such-bucket-anywhere") == 2

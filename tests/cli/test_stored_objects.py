"""Commands about stored objects, on what a running proxy stored."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli.exits import Exit
from proxy.cli.main import main
from proxy.envelope.sizes import FRAME, MIN_PART
from tests.conftest import Store
from tests.server.envelope.conftest import KEY, Sealed, sealed_proxy
from tests.server.envelope.test_interop import opened
from tests.server.envelope.test_multipart import upload
from tests.server.envelope.test_single import refused

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def sealed(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("sealed"), moto_store) as running:
        yield running


def run(sealed: Sealed, *words: str) -> int:
    command = [*words[:2]] if words[0] == "object" else [words[0]]
    return main([*command, "--config", str(sealed.folder / "config.yaml"), *words[len(command) :]])


def test_whole_objects_verify_and_damaged_ones_do_not(sealed: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = sealed.bucket()
    sealed.client.put_object(Bucket=bucket, Key="one", Body=b"x" * (2 * FRAME), ChecksumAlgorithm="CRC32")
    upload(sealed.client, bucket, {1: os.urandom(MIN_PART), 2: b"end"}, "parts")
    assert run(sealed, "object", "verify", bucket, "one") == Exit.CLEAN
    assert run(sealed, "object", "verify", bucket, "parts") == Exit.CLEAN
    assert f"{MIN_PART + 3} bytes" in capsys.readouterr().out
    raw = sealed.direct.get_object(Bucket=bucket, Key="one")["Body"].read()
    sealed.rewrite(bucket, "one", body=raw[:-1] + bytes([raw[-1] ^ 1]))
    assert run(sealed, "object", "verify", bucket, "one") == Exit.BAD_NEWS
    sealed.direct.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert run(sealed, "object", "verify", bucket, "plain") == Exit.BAD_NEWS
    assert run(sealed, "object", "verify", bucket, "none") == Exit.ERROR


def test_an_exported_object_is_a_message_of_the_official_sdk(sealed: Sealed, tmp_path: Path) -> None:
    bucket, parts = sealed.bucket(), {1: os.urandom(MIN_PART), 2: b"end"}
    upload(sealed.client, bucket, parts)
    output = tmp_path / "message"
    assert run(sealed, "object", "export", bucket, "key", "--output", str(output)) == Exit.CLEAN
    assert opened(output.read_bytes(), "hr@2", KEY) == b"".join(parts.values())
    assert run(sealed, "object", "export", bucket, "none", "--output", str(tmp_path / "other")) == Exit.ERROR
    assert sorted(path.name for path in tmp_path.iterdir()) == ["message"]


def test_an_object_renamed_behind_the_proxy_gets_its_name_back(sealed: Sealed) -> None:
    bucket, other = sealed.bucket(), sealed.bucket()
    sealed.client.put_object(Bucket=bucket, Key="old", Body=b"text", Metadata={"own": "x"})
    sealed.direct.copy_object(Bucket=other, Key="new", CopySource=f"{bucket}/old")
    assert refused(sealed.client.get_object, Bucket=other, Key="new")[0] == 500
    assert run(sealed, "object", "rebind", other, "new", "--from", f"{bucket}/wrong") == Exit.BAD_NEWS
    assert run(sealed, "object", "rebind", other, "new", "--from", f"{bucket}/old") == Exit.CLEAN
    got = sealed.client.get_object(Bucket=other, Key="new")
    assert (got["Body"].read(), got["Metadata"]) == (b"text", {"own": "x"})


def test_sweeping_deletes_what_ended_uploads_left_and_nothing_else(
    sealed: Sealed, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = sealed.bucket()
    gone, alive = (sealed.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in "ab")
    sealed.client.upload_part(Bucket=bucket, Key="a", UploadId=gone, PartNumber=1, Body=b"spilled")
    sealed.direct.abort_multipart_upload(Bucket=bucket, Key="a", UploadId=gone)
    assert run(sealed, "sweep", "--bucket", bucket, "--dry-run") == Exit.CLEAN
    assert "2 would be deleted" in capsys.readouterr().out
    assert run(sealed, "sweep", "--bucket", bucket) == Exit.CLEAN
    assert "2 were deleted" in capsys.readouterr().out
    assert sealed.direct.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    sealed.client.upload_part(Bucket=bucket, Key="b", UploadId=alive, PartNumber=1, Body=b"goes on")

"""Encrypted buckets on other stores, and with every way of framing what goes to the store."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from proxy.envelope.sizes import FRAME, MIN_PART
from tests.conftest import Store, rclone_binary
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.test_multipart import upload


def round_trip(proxy: Sealed, bucket: str) -> None:
    """Store and read objects of one and of several parts."""
    bodies = {"empty": b"", "small": b"x" * 100, "large": os.urandom(3 * FRAME + 1)}
    for key, body in bodies.items():
        proxy.client.put_object(Bucket=bucket, Key=key, Body=body, ContentType="a/b")
    parts = {1: os.urandom(MIN_PART), 2: os.urandom(MIN_PART + 1), 3: b"end"}
    upload(proxy.client, bucket, parts, "parts")
    upload(proxy.client, bucket, {1: b"little"}, "one part")
    bodies["parts"], bodies["one part"] = b"".join(parts.values()), b"little"
    listed = proxy.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert {row["Key"]: row["Size"] for row in listed} == {key: len(body) for key, body in bodies.items()}
    for key, body in bodies.items():
        got = proxy.client.get_object(Bucket=bucket, Key=key)
        assert got["Body"].read() == body, key
        assert proxy.client.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(body)
        if body:
            got = proxy.client.get_object(Bucket=bucket, Key=key, Range="bytes=5-70000")
            assert got["Body"].read() == body[5:70001], key
        stored = proxy.direct.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert len(body) < 50 or body[:50] not in stored


@pytest.mark.parametrize("payload", ["unsigned", "signed-chunks"])
def test_every_framing_towards_the_store(moto_store: Store, tmp_path: Path, payload: str) -> None:
    with sealed_proxy(tmp_path, moto_store, payload=payload) as proxy:
        round_trip(proxy, proxy.bucket())


def test_a_store_that_checks_signatures_and_counts_no_parts(rclone_store: Store, tmp_path: Path) -> None:
    with sealed_proxy(tmp_path, rclone_store, payload="unsigned") as proxy:
        round_trip(proxy, proxy.bucket())


def test_a_second_sync_transfers_nothing(sealed: Sealed, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name, size in (("a", 0), ("dir/b", 100_000), ("dir/c d", 7 * 2**20)):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(os.urandom(size))
    config = tmp_path / "rclone.conf"
    config.write_text(
        f"[proxy]\ntype = s3\nprovider = Other\naccess_key_id = AKIAALICE\nsecret_access_key = alice-secret\n"
        f"endpoint = {sealed.endpoint}\nforce_path_style = true\nupload_cutoff = 5Mi\nchunk_size = 5Mi\n"
    )
    command = [rclone_binary(), "--config", str(config), "--retries", "1", "-v"]
    for expected in (3, 0):
        done = subprocess.run(
            [*command, "sync", str(source), f"proxy:{bucket}"], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stderr.count("Copied (new)") == expected, done.stderr
    check = [*command, "check", "--download", str(source), f"proxy:{bucket}"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr

"""A rewrap on a Ceph object gateway that is killed and goes on: no body leaves the store, and the old key can go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli.main import main
from tests.conftest import Store
from tests.real.meter import Meter, metered
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.rotation.test_rotation import PART, rotated, send_parts, wrapped_by

SINGLES = 120
BODY = 200_000


@pytest.fixture(scope="module")
def meter(radosgw_store: Store) -> Iterator[Meter]:
    with metered(radosgw_store) as meter:
        yield meter


@pytest.fixture(scope="module")
def proxy(meter: Meter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("rewrap"), meter.store, payload="unsigned") as running:
        yield running


def filled(proxy: Sealed) -> tuple[str, dict[str, bytes]]:
    """Make a bucket with objects of one part and of several; return it and what is in them."""
    bucket, bodies = proxy.bucket(), {}
    for number in range(SINGLES):
        key = f"{number:03}/a b+c%20"
        bodies[key] = os.urandom(BODY)
        proxy.client.put_object(Bucket=bucket, Key=key, Body=bodies[key])
    parts = os.urandom(PART), os.urandom(PART), b"end"
    send_parts(proxy, bucket, "zz", *parts)
    return bucket, {**bodies, "zz": b"".join(parts)}


def rewrap(config: Path, bucket: str, *more: str) -> list[str]:
    return ["keys", "rewrap", "--config", str(config), "--bucket", bucket, *more]


def killed(command: list[str], progress: Path) -> None:
    """Run a command and kill it once it has noted how far it is."""
    child = subprocess.Popen([sys.executable, "-m", "proxy", *command])
    while not progress.exists():
        assert child.poll() is None, "it ended before it was killed"
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()


def test_a_rewrap_that_is_killed_goes_on_and_no_body_is_downloaded(
    proxy: Sealed, meter: Meter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket, bodies = filled(proxy)
    config, progress = rotated(proxy.folder), tmp_path / "progress"
    meter.reset()
    assert main(rewrap(config, bucket, "--dry-run")) == 0
    assert f"{len(bodies)} would be rewrapped" in capsys.readouterr().out
    assert wrapped_by(proxy, bucket, "zz") == "hr@2", "a dry run changes nothing"
    killed(rewrap(config, bucket, "--progress", str(progress), "--rate", "60"), progress)
    done = [key for key in bodies if wrapped_by(proxy, bucket, key) == "hr@3"]
    assert 100 <= len(done) < len(bodies), "it was killed in the middle"
    assert main(rewrap(config, bucket, "--progress", str(progress))) == 0
    assert f"{len(bodies)} rewrapped" in capsys.readouterr().out, "what was done before counts"
    assert {wrapped_by(proxy, bucket, key) for key in bodies} == {"hr@3"}
    stored = sum(map(len, bodies.values()))
    assert meter.received < stored / 20, "heads, copies and a listing, and no body"
    assert meter.sent < stored / 20
    told = ["keys", "usage", "--config", str(config), "--bucket", bucket]
    assert main(told) == 0
    assert f"hr@3: {len(bodies)} objects" in capsys.readouterr().out
    meter.reset()
    assert main(rewrap(config, bucket, "--to", "ops")) == 0
    assert meter.received < stored / 20
    # What the running proxy, which has never heard of the new version, can read again.
    for key, body in bodies.items():
        assert proxy.client.get_object(Bucket=bucket, Key=key)["Body"].read() == body

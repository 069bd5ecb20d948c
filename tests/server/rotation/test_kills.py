"""A rewrap that is killed between any two requests loses nothing, and the same command goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.main import main
from proxy.server.rotation.steps import STEPS
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.rotation.test_rotation import EXTRA, PART, offline, send_parts, wrapped_by

ROOT = Path(__file__).parents[3]
DOCUMENTS = ("document-written", "document-pruned")
PARTS = ("upload-created", "upload-marked", "part-copied", "parts-checked")


@pytest.fixture(scope="module")
def proxy(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    folder = tmp_path_factory.mktemp("kills")
    (folder / "offline.pem").write_text(offline())
    keys = '  offline: {type: rsa, public: "${file:offline.pem}"}'
    with sealed_proxy(folder, moto_store, keys=keys, extra=EXTRA) as running:
        yield running


def command(proxy: Sealed, bucket: str, progress: Path) -> list[str]:
    config = str(proxy.folder / "config.yaml")
    words = ["keys", "rewrap", "--alone", "--config", config, "--bucket", bucket, "--to", "ops"]
    return [*words, "--parallel", "1", "--progress", str(progress)]


def kill(words: list[str], step: str, times: int = 1) -> None:
    environment = {**os.environ, "S3WARDEN_TEST_STEP": f"{step}:{times}"}
    faulty = [sys.executable, "-m", "tests.server.rotation.faulty", *words]
    ended = subprocess.run(faulty, env=environment, cwd=ROOT, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


def read(proxy: Sealed, bucket: str, key: str) -> bytes:
    return bytes(proxy.client.get_object(Bucket=bucket, Key=key)["Body"].read())


def test_every_step_is_tried() -> None:
    assert {*DOCUMENTS, *PARTS, "looked", "told", "copied", "settled"} == set(STEPS)


@pytest.mark.parametrize("step", ["looked", "told", "copied", "settled", *PARTS])
def test_every_object_can_be_read_and_the_next_run_ends_the_work(
    proxy: Sealed, tmp_path: Path, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket, progress = proxy.bucket(), tmp_path / "progress.json"
    bodies = {key: os.urandom(1000) for key in "abc"}
    for key, body in bodies.items():
        proxy.client.put_object(Bucket=bucket, Key=key, Body=body)
    if step in PARTS:
        bodies["b"] = os.urandom(PART)
        send_parts(proxy, bucket, "b", bodies["b"], b"")
    kill(command(proxy, bucket, progress), step, 1 if step in PARTS else 2)
    assert {key: read(proxy, bucket, key) for key in bodies} == bodies
    assert wrapped_by(proxy, bucket, "c") == "hr@2"
    assert main(command(proxy, bucket, progress)) == 0
    assert {key: read(proxy, bucket, key) for key in bodies} == bodies
    assert {wrapped_by(proxy, bucket, key) for key in bodies} == {"ops@1"}
    assert json.loads(progress.read_text())["ended"] is True
    capsys.readouterr()
    assert main(command(proxy, bucket, progress)) == 0
    assert "0 rewrapped, 3 current" in capsys.readouterr().out


@pytest.mark.parametrize("step", DOCUMENTS)
def test_no_old_version_of_a_document_stays_behind(proxy: Sealed, tmp_path: Path, step: str) -> None:
    bucket, progress = proxy.bucket("kek"), tmp_path / "progress.json"
    proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"text")
    kill(command(proxy, bucket, progress), step)
    assert read(proxy, bucket, "k") == b"text"
    assert main([*command(proxy, bucket, progress), "--only", "bucket-keys"]) == 0
    assert len(proxy.direct.list_object_versions(Bucket=bucket, Prefix=".s3w/kek/")["Versions"]) == 1
    assert read(proxy, bucket, "k") == b"text"


def test_what_is_done_is_not_looked_at_again(
    proxy: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("proxy.server.rotation.run.SLICE", 2)
    bucket, progress = proxy.bucket(), tmp_path / "progress.json"
    for number in range(5):
        proxy.client.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x")
    proxy.direct.put_object(Bucket=bucket, Key="k0", Body=b"x", Metadata={"s3w": "AAAA"})
    from proxy.server.rotation import progress as module

    saves: list[dict[str, Any]] = []
    real = module.Progress._save

    def save(self: module.Progress) -> None:
        real(self)
        saves.append(json.loads(progress.read_text()))
        if len(saves) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module.Progress, "_save", save)
    assert main(command(proxy, bucket, progress)) == 130
    monkeypatch.setattr(module.Progress, "_save", real)
    assert (saves[-1]["after"], saves[-1]["again"]) == (["k3", ""], ["k0"])
    assert saves[-1]["tally"] == {"failed": 1, "rewrapped": 3}
    capsys.readouterr()
    assert main(command(proxy, bucket, progress)) == 1, "what failed is looked at again"
    assert "4 rewrapped, 0 current, 0 not encrypted, 0 changed meanwhile, 1 failed" in capsys.readouterr().out
    for words, told in (
        (["--prefix", "k"], "this file is of another run"),
        (["--to", "hr"], "this file is of another run"),
    ):
        assert main([*command(proxy, bucket, progress), *words]) == 2
        assert told in capsys.readouterr().err
    progress.write_text("{}")
    assert main(command(proxy, bucket, progress)) == 2
    assert "this is no file of an earlier run" in capsys.readouterr().err
    assert main(command(proxy, bucket, tmp_path / "no" / "folder")) == 2


def test_a_place_is_kept_while_more_failed_than_a_file_holds(tmp_path: Path) -> None:
    from collections import Counter

    from proxy.server.rotation.progress import MAX_AGAIN, Progress, Task, resume

    path, task = tmp_path / "p", Task("b")
    progress = Progress(task, path)
    progress.advance(("a", ""), Counter(failed=MAX_AGAIN), ["x"] * MAX_AGAIN)
    progress.advance(("b", ""), Counter(failed=1), ["y"])
    found = resume(path, task)
    assert (found.after, len(found.again), found.tally["failed"]) == (("a", ""), MAX_AGAIN, MAX_AGAIN + 1)

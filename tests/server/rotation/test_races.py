"""Whoever writes while an object is rewrapped: nothing is lost that the store can save, and the rest is told."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from proxy.cli.main import main
from proxy.server.rotation import steps
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.rotation.strict import CEPH, STANDARD, StrictStore, strict_store
from tests.server.rotation.test_rotation import PART, send_parts, wrapped_by

SINGLE = ("looked", "told", "copied", "settled")
PARTS = ("looked", "told", "upload-created", "upload-marked", "part-copied", "parts-checked", "copied", "settled")
# Before these, the store has not made the copy yet.
BEFORE = frozenset(PARTS) - {"copied", "settled"}
STORES = {
    "checks all": (STANDARD, True),
    "checks sources": (STANDARD, False),
    "checks as ceph": (CEPH, False),
    "checks nothing": (None, False),
}


@pytest.fixture(scope="module")
def strict(moto_store: Store) -> Iterator[StrictStore]:
    with strict_store(moto_store) as store:
        yield store


@pytest.fixture(scope="module")
def proxy(strict: StrictStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("races"), strict.store) as running:
        yield running


@pytest.fixture(params=STORES, ids=str)
def checks(request: pytest.FixtureRequest, strict: StrictStore) -> str:
    strict.source, strict.destination = STORES[request.param]
    return str(request.param)


@pytest.fixture(params=["unversioned", "versioned"])
def bucket(request: pytest.FixtureRequest, proxy: Sealed) -> str:
    name = proxy.bucket()
    if request.param == "versioned":
        proxy.direct.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def versioned(proxy: Sealed, bucket: str) -> bool:
    return bool(proxy.direct.get_bucket_versioning(Bucket=bucket).get("Status"))


def rewrap(proxy: Sealed, bucket: str, *more: str) -> int:
    command = ["keys", "rewrap", "--alone", "--config", str(proxy.folder / "config.yaml"), "--bucket", bucket]
    return main([*command, "--to", "ops", *more])


def at(monkeypatch: pytest.MonkeyPatch, step: str, act: Callable[[], object]) -> list[str]:
    """Act once, when a step is reached for the first time."""
    reached: list[str] = []

    def hook(name: str) -> None:
        reached.append(name)
        if name == step and reached.count(step) == 1:
            act()

    monkeypatch.setattr(steps, "reached", hook)
    return reached


def body(proxy: Sealed, bucket: str) -> bytes:
    return bytes(proxy.client.get_object(Bucket=bucket, Key="k")["Body"].read())


@pytest.mark.parametrize("step", SINGLE)
def test_an_object_of_one_part_that_is_written_meanwhile(
    proxy: Sealed,
    bucket: str,
    checks: str,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"old", Tagging="t=1")
    reached = at(monkeypatch, step, lambda: proxy.client.put_object(Bucket=bucket, Key="k", Body=b"new"))
    code = rewrap(proxy, bucket, "--output", "json")
    told = capsys.readouterr().out
    assert step in reached
    if checks == "checks nothing" and not versioned(proxy, bucket) and step in BEFORE:
        # The store took the new content under the old capsule: that cannot be undone, and is never silent.
        assert (code, "has lost its keys: upload it again" in told) == (1, True)
        with pytest.raises(ClientError):
            body(proxy, bucket)
        return
    assert body(proxy, bucket) == b"new"
    assert code == (0 if step == "settled" else 1)
    monkeypatch.undo()
    assert rewrap(proxy, bucket) == 0
    assert (body(proxy, bucket), wrapped_by(proxy, bucket, "k")) == (b"new", "ops@1")


@pytest.mark.parametrize("step", PARTS)
def test_an_object_of_several_parts_that_is_written_meanwhile(
    proxy: Sealed, bucket: str, checks: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [os.urandom(PART), b"end"]
    send_parts(proxy, bucket, "k", *old)
    reached = at(monkeypatch, step, lambda: proxy.client.put_object(Bucket=bucket, Key="k", Body=b"new"))
    code = rewrap(proxy, bucket)
    assert step in reached
    if step == "parts-checked" and not versioned(proxy, bucket) and checks != "checks all":
        # Between the last look and the store's own work nothing stands but the store: what it has is whole.
        assert (code, body(proxy, bucket)) == (0, b"".join(old))
        return
    assert (body(proxy, bucket), code) == (b"new", 0 if step == "settled" else 1)
    assert "Uploads" not in proxy.direct.list_multipart_uploads(Bucket=bucket)
    assert not [each["Key"] for each in proxy.direct.list_objects_v2(Bucket=bucket)["Contents"] if each["Key"] != "k"]


@pytest.mark.parametrize("checks", ["checks all", "checks nothing"], indirect=True)
@pytest.mark.parametrize("step", SINGLE)
def test_an_object_that_is_deleted_meanwhile_stays_deleted(
    proxy: Sealed, bucket: str, checks: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"old")
    at(monkeypatch, step, lambda: proxy.client.delete_object(Bucket=bucket, Key="k"))
    assert rewrap(proxy, bucket) == (0 if step == "settled" else 1)
    with pytest.raises(ClientError, match="NoSuchKey"):
        body(proxy, bucket)


@pytest.mark.parametrize("checks", ["checks all", "checks nothing"], indirect=True)
@pytest.mark.parametrize("step", SINGLE)
def test_two_rewraps_at_once_leave_a_whole_object(
    proxy: Sealed, bucket: str, checks: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"old")

    def another() -> None:
        # Hooked in, too, but it acts once only.
        thread = threading.Thread(target=rewrap, args=(proxy, bucket, "--to", "hr"))
        thread.start()
        thread.join()

    at(monkeypatch, step, another)
    rewrap(proxy, bucket)
    assert body(proxy, bucket) == b"old"


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("step", ["told", "copied"])
def test_the_version_of_somebody_else_is_never_taken_for_the_copy(
    proxy: Sealed, strict: StrictStore, step: str, parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict.source, strict.destination = None, False
    monkeypatch.setattr(strict, "silent", True)
    bucket = proxy.bucket()
    proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    if parts:
        send_parts(proxy, bucket, "k", os.urandom(PART), b"end")
    else:
        proxy.client.put_object(Bucket=bucket, Key="k", Body=b"old")
    at(monkeypatch, step, lambda: proxy.client.put_object(Bucket=bucket, Key="k", Body=b"new"))
    assert rewrap(proxy, bucket) == 1
    assert body(proxy, bucket) == b"new"
    assert rewrap(proxy, bucket) == 0
    assert (body(proxy, bucket), wrapped_by(proxy, bucket, "k")) == (b"new", "ops@1")


def test_a_version_that_cannot_be_taken_back_is_told(
    proxy: Sealed, strict: StrictStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strict.source, strict.destination = None, False
    bucket = proxy.bucket()
    proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"old")
    at(monkeypatch, "told", lambda: proxy.client.put_object(Bucket=bucket, Key="k", Body=b"new"))
    real = strict.serve

    def serve(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        if method == "DELETE" and path.startswith(f"/{bucket}/k?versionId="):
            return 403, [], b"<Error><Code>AccessDenied</Code></Error>"
        return real(method, path, headers, body)

    monkeypatch.setattr(strict, "serve", serve)
    assert rewrap(proxy, bucket) == 1
    assert "was written meanwhile and is hidden by" in capsys.readouterr().out


def test_a_store_that_checks_as_ceph_does_needs_no_promise(proxy: Sealed, strict: StrictStore, tmp_path: Path) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="k", Body=b"x")
    command = ["keys", "rewrap", "--config", str(proxy.folder / "config.yaml"), "--bucket", bucket, "--to", "ops"]
    strict.source, strict.destination = None, False
    assert main(command) == 2
    strict.source = CEPH
    assert main(command) == 0
    assert wrapped_by(proxy, bucket, "k") == "ops@1"
    assert [each["Key"] for each in proxy.direct.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]

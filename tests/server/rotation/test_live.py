"""Keys change under a running proxy: uploads and downloads go on, and afterwards the new key is all anybody needs."""

from __future__ import annotations

import base64
import io
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.main import main
from proxy.envelope.capsule import parse_capsule
from proxy.envelope.context import object_arn
from proxy.envelope.metadata import decode_value
from proxy.keys.kek import kek_id
from tests.cli.test_keys_changes import until
from tests.conftest import Store
from tests.server.envelope.conftest import KEY, OTHER_KEY, Sealed, sealed_proxy
from tests.server.envelope.test_interop import opened
from tests.server.envelope.test_multipart import complete, send
from tests.server.rotation.strict import strict_store
from tests.server.rotation.test_rotation import PART, send_parts, wrapped_by

EXTRA = '  "kek-*": {encryption: {mode: envelope, key: hr, kek: {use: always}}}\n'
BOTH_RUNGS = pytest.mark.parametrize("kind", ["sealed", "kek"])


@pytest.fixture
def proxy(moto_store: Store, tmp_path: Path) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path, moto_store, extra=EXTRA) as running:
        yield running


def keys(proxy: Sealed, command: str, *arguments: str) -> int:
    return main(["keys", command, *arguments, "--config", str(proxy.folder / "config.yaml")])


def rotate(proxy: Sealed) -> None:
    before = proxy.log().count("reloaded")
    assert keys(proxy, "rotate", "hr") == 0
    os.kill(proxy.pid, signal.SIGHUP)
    until(lambda: proxy.log().count("reloaded") > before)


def rewrap(proxy: Sealed, bucket: str) -> None:
    assert keys(proxy, "rewrap", "--alone", "--bucket", bucket) == 0


def read(proxy: Sealed, bucket: str, key: str = "key") -> bytes:
    return bytes(proxy.client.get_object(Bucket=bucket, Key=key)["Body"].read())


@BOTH_RUNGS
def test_an_upload_begun_under_the_old_key_is_ended_under_the_new_one(proxy: Sealed, kind: str) -> None:
    bucket, parts = proxy.bucket(kind), {1: os.urandom(PART), 2: os.urandom(PART), 3: b"end"}
    # Without an ACL moto cannot tell the ACL of such objects.
    created = proxy.client.create_multipart_upload(Bucket=bucket, Key="key", ACL="public-read")
    upload_id = created["UploadId"]
    etags = {1: send(proxy.client, bucket, upload_id, 1, parts[1])}
    rotate(proxy)
    etags[2] = send(proxy.client, bucket, upload_id, 2, parts[2])
    rewrap(proxy, bucket) if kind == "kek" else None
    etags[3] = send(proxy.client, bucket, upload_id, 3, parts[3])
    complete(proxy.client, bucket, upload_id, etags)
    assert read(proxy, bucket) == b"".join(parts.values())
    rewrap(proxy, bucket)
    assert keys(proxy, "usage", "--bucket", bucket, "--retire", "hr@2") == 0
    assert read(proxy, bucket) == b"".join(parts.values())


class Hooked(io.BytesIO):
    """A body in the middle of which something happens, when it is sent rather than signed."""

    def __init__(self, body: bytes, act: Callable[[], None]) -> None:
        super().__init__(body)
        self.size, self.ends, self.act = len(body), 0, act

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.ends += self.tell() == self.size and not found
        if self.ends and self.tell() > self.size // 2:
            act, self.act = self.act, lambda: None
            act()
        return found


@BOTH_RUNGS
def test_a_body_on_its_way_arrives_whole(proxy: Sealed, kind: str) -> None:
    bucket, body = proxy.bucket(kind), os.urandom(3_000_000)
    done: list[bool] = []

    def act() -> None:
        rotate(proxy)
        done.append(True)

    proxy.client.put_object(Bucket=bucket, Key="key", Body=Hooked(body, act))
    assert done
    assert read(proxy, bucket) == body
    rewrap(proxy, bucket)
    assert read(proxy, bucket) == body


@BOTH_RUNGS
@pytest.mark.parametrize("parts", [1, 3])
def test_a_slow_download_does_not_notice(proxy: Sealed, kind: str, parts: int) -> None:
    bucket, bodies = proxy.bucket(kind), [os.urandom(4 * PART) for _ in range(parts)]
    if parts == 1:
        proxy.client.put_object(Bucket=bucket, Key="key", Body=bodies[0])
    else:
        send_parts(proxy, bucket, "key", *bodies)
    stream = proxy.client.get_object(Bucket=bucket, Key="key")["Body"]
    start = stream.read(65_536)
    rotate(proxy)
    rewrap(proxy, bucket)
    assert start + stream.read() == b"".join(bodies)
    assert read(proxy, bucket) == b"".join(bodies)


def fresh_key(proxy: Sealed) -> bytes:
    return base64.b64decode((proxy.folder / "hr-3.key").read_text())


@pytest.mark.filterwarnings("ignore")
@BOTH_RUNGS
def test_the_encryption_sdk_needs_the_new_key_only(proxy: Sealed, kind: str) -> None:
    bucket, body = proxy.bucket(kind), os.urandom(100_000)
    proxy.client.put_object(Bucket=bucket, Key="key", Body=body)
    before = proxy.direct.head_object(Bucket=bucket, Key="key")["Metadata"]["s3w"]
    rotate(proxy)
    rewrap(proxy, bucket)
    stored = proxy.direct.get_object(Bucket=bucket, Key="key")
    capsule, header = parse_capsule(decode_value(stored["Metadata"]["s3w"]))
    context = {"aws:s3:arn": object_arn(bucket, "key")}
    wrong = "unable to decrypt any encrypted data key"
    if kind == "kek":
        name = kek_id(capsule.edks[0])
        document = proxy.direct.get_object(Bucket=bucket, Key=f".s3w/kek/{name}")["Body"].read()
        bound = {"aws:s3:arn": f"arn:aws:s3:::{bucket}"}
        with pytest.raises(Exception, match=wrong):
            opened(document, "hr@2", KEY, bound)
        kek = opened(document, "hr@3", fresh_key(proxy), bound)
        wrapping = opened(capsule.raw, f"kek/{name}", kek, context)
    else:
        wrapping = opened(capsule.raw, "hr@3", fresh_key(proxy), context)
        assert opened(parse_capsule(decode_value(before))[0].raw, "hr@2", KEY, context) == wrapping, "until then"
        for name, old in (("hr@2", KEY), ("hr@1", OTHER_KEY)):
            with pytest.raises(Exception, match=wrong):
                opened(capsule.raw, name, old, context)
    assert opened(header + stored["Body"].read(), "body", wrapping[:32]) == body


def test_no_body_is_ever_downloaded(moto_store: Store, tmp_path: Path) -> None:
    with (
        strict_store(moto_store) as store,
        sealed_proxy(tmp_path, store.store, extra=EXTRA) as proxy,
    ):
        bucket = proxy.bucket()
        bodies: dict[str, Any] = {f"k{number}": os.urandom(200_000) for number in range(10)}
        for key, body in bodies.items():
            proxy.client.put_object(Bucket=bucket, Key=key, Body=body)
        send_parts(proxy, bucket, "parts", os.urandom(PART), os.urandom(PART), b"end")
        rotate(proxy)
        for counter in (store.sent, store.received, store.requests):
            counter.clear()
        assert keys(proxy, "rewrap", "--bucket", bucket) == 0
        assert wrapped_by(proxy, bucket, "parts") == "hr@3"
        # A page of the listing, an ACL and tags for each object, and the trailer of the one in parts.
        assert store.sent["GET"] < 25_000
        assert store.received.total() < 2_000
        assert store.requests["HEAD"] <= 2 * 11 + 3
        assert {key: read(proxy, bucket, key) for key in bodies} == bodies

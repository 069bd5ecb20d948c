"""Where requests come from and where they go: proxies in front, TLS on either side, the store's way to be addressed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ACCOUNT, Store, free_port, rclone_binary, running
from tests.journeys.clients.site import certificates
from tests.journeys.scripted import ScriptedStore, answer
from tests.journeys.signing import presign_v4, sign_v4
from tests.journeys.walking import ALICE, Document, Walk, bucket_policy, walking
from tests.journeys.wire import Answer, Wire


def deny(sid: str, bucket: str, operator: str, key: str, value: str) -> Document:
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return bucket_policy(
        {"Sid": sid, "Effect": "Deny", "Action": "s3:*", "Resource": resources, "Condition": {operator: {key: value}}}
    )


POLICIES = {
    "office": deny("OnlyFromTheOffice", "office", "NotIpAddress", "aws:SourceIp", "192.0.2.0/24"),
    "secure": deny("OnlyOverTls", "secure", "Bool", "aws:SecureTransport", "false"),
    "fresh": deny("OnlyFreshSignatures", "fresh", "NumericGreaterThan", "s3:signatureAge", "60000"),
}


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedStore]:
    with ScriptedStore().running() as store:
        store.script = lambda seen: [answer(200, b"hello")]
        yield store


@pytest.fixture(scope="module")
def behind(scripted: ScriptedStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """A proxy that believes what the machine in front of it says."""
    folder = tmp_path_factory.mktemp("behind")
    with walking(folder, scripted.store, buckets=POLICIES, trusted_proxies=["127.0.0.0/8"]) as walk:
        yield walk


@pytest.fixture(scope="module")
def alone(scripted: ScriptedStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """A proxy that believes nobody."""
    with walking(tmp_path_factory.mktemp("alone"), scripted.store, buckets=POLICIES) as walk:
        yield walk


def ask(walk: Walk, path: str, **headers: str) -> Answer:
    """Send a signed request; what a machine in front adds is not covered by the signature."""
    wire = sign_v4(Wire("GET", path), ALICE, walk.host)
    for name, value in headers.items():
        wire = wire.with_header(name.replace("_", "-"), value)
    return walk.send(wire)


@pytest.mark.parametrize(
    ("chain", "status"),
    [
        ("192.0.2.7", 200),
        ("198.51.100.1, 192.0.2.7", 200),
        ("192.0.2.7, 127.0.0.2", 200),
        ("192.0.2.7, 198.51.100.1", 403),
        ("198.51.100.1", 403),
    ],
)
def test_the_clients_address_is_the_last_one_that_is_not_ours(behind: Walk, chain: str, status: int) -> None:
    found = ask(behind, "/office/key", X_Forwarded_For=chain)
    assert found.status == status
    decision = behind.decision(found)
    assert decision["client"] == chain.removesuffix(", 127.0.0.2").rpartition(", ")[2]


def test_nobody_may_say_where_he_comes_from(alone: Walk) -> None:
    found = ask(alone, "/office/key", X_Forwarded_For="192.0.2.7")
    assert (found.status, alone.decision(found)["client"]) == (403, "127.0.0.1")
    assert ask(alone, "/secure/key", X_Forwarded_Proto="https").status == 403


def test_tls_may_end_in_front_of_us(behind: Walk) -> None:
    assert ask(behind, "/secure/key").status == 403
    assert ask(behind, "/secure/key", X_Forwarded_Proto="https", X_Forwarded_For="192.0.2.7").status == 200
    assert ask(behind, "/secure/key", X_Forwarded_Proto="http", X_Forwarded_For="192.0.2.7").status == 403


def test_the_host_that_a_client_signed_may_be_another_one_in_front_of_us(behind: Walk, alone: Walk) -> None:
    for walk, status in ((behind, 200), (alone, 403)):
        wire = sign_v4(Wire("GET", "/bucket/key"), ALICE, "s3.example.test")
        wire = wire.with_header("Host", walk.host).with_header("X-Forwarded-For", "192.0.2.7")
        wire = wire.with_header("X-Forwarded-Host", "s3.example.test")
        assert walk.send(wire).status == status


def test_an_old_link_may_be_too_old_for_a_policy(alone: Walk) -> None:
    now = time.time()
    assert alone.send(presign_v4(Wire("GET", "/fresh/key"), ALICE, alone.host, 600)).status == 200
    old = alone.send(presign_v4(Wire("GET", "/fresh/key"), ALICE, alone.host, 600, at=now - 120))
    assert (old.status, old.code) == (403, "AccessDenied")
    assert "OnlyFreshSignatures" in old.element("Message")


def test_buckets_may_be_hosts_on_the_store(scripted: ScriptedStore, tmp_path: Path) -> None:
    with walking(tmp_path, scripted.store, upstream={"addressing": "virtual"}) as walk:
        scripted.seen.clear()
        assert ask(walk, "/bucket/a%20key").status == 200
        walk.send(sign_v4(Wire("GET", "/bucket", (("list-type", "2"),)), ALICE, walk.host))
    host = scripted.store.endpoint.partition("//")[2]
    assert [(each.headers["host"], each.target) for each in scripted.seen] == [
        (f"bucket.{host}", "/a%20key"),
        (f"bucket.{host}", "/?list-type=2"),
    ]


def test_the_store_must_prove_who_it_is(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    authority, cert, key = certificates(tmp_path)
    stranger, _, _ = certificates(tmp_path_factory.mktemp("stranger"))
    port, folder = free_port(), tmp_path / "objects"
    (folder / "bucket").mkdir(parents=True)
    (folder / "bucket" / "key").write_bytes(b"over TLS")
    store = Store(f"https://localhost:{port}", "AKIARCLONE", "rclone-secret")
    command = [rclone_binary(), "serve", "s3", "--config", os.devnull, "--addr", f"127.0.0.1:{port}"]
    command += ["--cert", str(cert), "--key", str(key), "--auth-key", "AKIARCLONE,rclone-secret", str(folder)]
    with running(command, port):
        for name, tls, status in (
            ("known", {"ca": str(authority)}, 200),
            ("stranger", {"ca": str(stranger)}, 503),
            ("public", {}, 503),
            ("trusting", {"verify": False}, 200),
        ):
            with walking(tmp_path / name, store, upstream={"tls": tls}) as walk:
                found = ask(walk, "/bucket/key")
                assert found.status == status, name
                assert (found.body == b"over TLS") is (status == 200)
                if status == 503:
                    assert "certificate" in walk.decision(found)["detail"].lower()


def test_a_metric_is_counted_for_each_decision(alone: Walk) -> None:
    before = alone.metrics()
    ask(alone, "/office/key")
    ask(alone, "/bucket/key")
    after = alone.metrics()
    assert before != after
    assert f"arn:aws:iam::{ACCOUNT}" not in after
    assert "AKIAALICE" not in after

"""What commands do with keys is on record, whatever came of it: of bucket keys, objects and probes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.chain import records
from proxy.audit.journal import journal_places
from proxy.cli.main import main
from tests.conftest import Store
from tests.keys.conftest import public_pem, rsa_key
from tests.server.envelope.conftest import Sealed, sealed_proxy

EXTRA = """\
  "kek-*": {encryption: {mode: envelope, key: hr, kek: {use: always, recovery: offline}}}
audit: {path: keys.jsonl}
"""


@pytest.fixture
def proxy(moto_store: Store, tmp_path: Path) -> Iterator[Sealed]:
    (tmp_path / "offline.pem").write_text(public_pem(rsa_key(2048)))
    keys = '  offline: {type: rsa, public: "${file:offline.pem}"}'
    with sealed_proxy(tmp_path, moto_store, keys=keys, extra=EXTRA) as running:
        yield running


def by_commands(proxy: Sealed, operation: str) -> list[tuple[str, str, str, str | None]]:
    """Return what a command left on record: action, key, outcome, object."""
    found: list[dict[str, Any]] = [dict(row) for row in records(journal_places(proxy.folder / "keys.jsonl"))]
    return [
        (row["action"], row["key"].rpartition("/")[2], row["outcome"], row.get("object"))
        for row in found
        if row["operation"] == operation
    ]


def run(proxy: Sealed, *words: str, config: str = "config.yaml") -> int:
    return main([*words[:2], "--config", str(proxy.folder / config), *words[2:]])


def changed(proxy: Sealed, old: str, new: str) -> str:
    text = (proxy.folder / "config.yaml").read_text()
    assert old in text
    (proxy.folder / "changed.yaml").write_text(text.replace(old, new, 1))
    return "changed.yaml"


def test_every_key_that_wraps_a_bucket_key_anew_and_the_probe_are_on_record(proxy: Sealed) -> None:
    bucket = proxy.bucket("kek")
    proxy.client.put_object(Bucket=bucket, Key="a", Body=b"x")
    assert run(proxy, "keys", "rewrap", "--alone", "--bucket", bucket, "--to", "ops") == 0
    found = by_commands(proxy, "keys rewrap")
    document = next(name for _, _, _, name in found if name is not None and name.startswith("kek/"))
    assert found[:2] == [
        ("kms:GenerateDataKey", "ops", "allowed", document),
        ("kms:GenerateDataKey", "offline", "allowed", document),
    ], "data keys wrapped for nothing but to see what the newest versions are called"
    assert found[2:5] == [
        ("kms:ReEncryptFrom", "hr", "allowed", document),
        ("kms:ReEncryptTo", "ops", "allowed", document),
        ("kms:ReEncryptTo", "offline", "allowed", document),
    ]


def test_a_dry_run_opens_bucket_keys_and_objects_and_says_so(proxy: Sealed) -> None:
    sealed, kek = proxy.bucket(), proxy.bucket("kek")
    for bucket in (sealed, kek):
        proxy.client.put_object(Bucket=bucket, Key="a", Body=b"x")
        assert run(proxy, "keys", "rewrap", "--alone", "--bucket", bucket, "--to", "ops", "--dry-run") == 0
    actions = [(action, key) for action, key, _, _ in by_commands(proxy, "keys rewrap")]
    assert actions.count(("kms:ReEncryptFrom", "hr")) == 3, "an object, a bucket key, and an object under that"
    assert "kms:ReEncryptTo" not in dict(actions)


def test_keys_that_refuse_a_command_are_on_record(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="a", Body=b"x")
    proxy.direct.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    stopped = changed(proxy, "  hr: {", "  hr: {enabled: false, ")
    assert run(proxy, "keys", "rewrap", "--alone", "--bucket", bucket, "--to", "ops", config=stopped) == 1
    assert ("kms:ReEncryptFrom", "hr", "failed", "a") in by_commands(proxy, "keys rewrap")
    assert run(proxy, "object", "rebind", bucket, "b", "--from", f"{bucket}/a", config=stopped) != 0
    assert by_commands(proxy, "object rebind") == [("kms:ReEncryptFrom", "hr", "failed", "b")]


def test_an_export_wraps_under_a_key_and_says_so(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="a", Body=b"payroll")
    assert run(proxy, "object", "export", "--output", str(proxy.folder / "message"), bucket, "a") == 0
    assert by_commands(proxy, "object export") == [
        ("kms:Decrypt", "hr", "allowed", "a"),
        ("kms:GenerateDataKey", "hr", "allowed", "a"),
    ]


def test_binding_anew_under_a_key_that_is_disabled_is_on_record(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="a", Body=b"x")
    proxy.direct.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    # The object is under `hr`, which works; the bucket's key is another one by now, which does not.
    text = changed(proxy, "  ops: {", "  ops: {enabled: false, ")
    path = proxy.folder / text
    path.write_text(
        path.read_text().replace(
            '"sealed-*": {encryption: {mode: envelope, key: hr', '"sealed-*": {encryption: {mode: envelope, key: ops', 1
        )
    )
    assert run(proxy, "object", "rebind", bucket, "b", "--from", f"{bucket}/a", config=text) != 0
    assert by_commands(proxy, "object rebind") == [
        ("kms:ReEncryptFrom", "hr", "allowed", "b"),
        ("kms:ReEncryptTo", "ops", "failed", "b"),
    ]

"""Keys are made, rotated and disabled in the configuration, and a proxy that runs follows."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from proxy.cli.main import main
from proxy.cli.stored import labels_of
from proxy.config import Config, load_config
from proxy.config.keys import rsa_pair
from tests.cli.test_keys_commands import BASE
from tests.conftest import Store
from tests.keys.conftest import public_pem, rsa_key
from tests.keys.transit import Transit
from tests.server.envelope.conftest import sealed_proxy

MATERIAL = "A" * 43 + "="
KEYS = """\
# the keys
keys:
  hr: {type: aes, material: "${file:secrets/hr-1.key}"}   # people
  cloud:
    type: aes
    versions:
      # newest first
      - {id: "2", material: "${env:CLOUD_KEY_2}"}
      - {id: "1", material: INLINE}  # in the file
  offline: {type: rsa, public: "${file:offline.pem}"}
""".replace("INLINE", MATERIAL)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOUD_KEY_2", MATERIAL)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "hr-1.key").write_text(MATERIAL)
    (tmp_path / "offline.pem").write_text(public_pem(rsa_key(2048)))
    path = tmp_path / "config.yaml"
    path.write_text(BASE + KEYS)
    path.chmod(0o640)
    return path


def versions(config: Config, key: str) -> list[str]:
    return [version.id for version in config.keys[key].versions]


def keys(command: str, *arguments: str, config: Path) -> int:
    return main(["keys", command, *arguments, "--config", str(config)])


def test_a_new_version_goes_where_the_old_one_is_and_writes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = config.read_text()
    assert keys("rotate", "hr", config=config) == 0
    loaded = load_config(config)
    assert versions(loaded, "hr") == ["2", "1"]
    secret = config.parent / "secrets" / "hr-2.key"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert config.stat().st_mode & 0o777 == 0o640
    told = capsys.readouterr()
    assert secret.read_text() not in told.out + told.err
    assert 'versions: [{id: "2", material: "${file:secrets/hr-2.key}"}, {id: "1",' in told.out
    changed = [line for line in before.splitlines() if line not in config.read_text().splitlines()]
    assert changed == ['  hr: {type: aes, material: "${file:secrets/hr-1.key}"}   # people']
    assert keys("rotate", "hr", config=config) == 0
    assert versions(load_config(config), "hr") == ["3", "2", "1"]
    assert sorted(path.name for path in config.parent.iterdir()) == ["config.yaml", "offline.pem", "secrets"]


def test_a_secret_of_the_environment_is_printed_as_a_line_for_it(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keys("rotate", "cloud", config=config) == 0
    told = capsys.readouterr()
    [(name, secret)] = re.findall(r"^export (\w+)=(\S+)$", told.out, re.MULTILINE)
    assert (name, "a reload cannot give it one" in told.err) == ("CLOUD_KEY_3", True)
    assert MATERIAL not in told.out, "what stands in the file is hidden in the diff"
    assert secret not in config.read_text()
    monkeypatch.setenv(name, secret)
    assert versions(load_config(config), "cloud") == ["3", "2", "1"]
    assert "# newest first\n" in config.read_text()
    assert keys("rotate", "cloud", "--version-id", "3", config=config) == 2, "it writes already"
    assert keys("rotate", "cloud", "--folder", str(config.parent / "secrets"), config=config) == 0
    assert (config.parent / "secrets" / "cloud-4.key").exists()


def test_a_version_is_prepared_on_every_proxy_before_it_writes_on_any(config: Path) -> None:
    for key, material in (("hr", ["1", "2"]), ("cloud", ["2", "1", "3"])):
        assert keys("rotate", key, "--prepare", "--folder", str(config.parent / "secrets"), config=config) == 0
        assert versions(load_config(config), key) == material
    assert keys("rotate", "hr", "--version-id", "2", config=config) == 0
    assert keys("rotate", "cloud", "--version-id", "3", config=config) == 0
    loaded = load_config(config)
    assert (versions(loaded, "hr"), versions(loaded, "cloud")) == (["2", "1"], ["3", "2", "1"])


def test_a_dry_run_changes_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = config.read_text()
    for command in (["rotate", "hr"], ["rotate", "cloud"], ["rotate", "offline"], ["disable", "hr"], ["create", "new"]):
        assert keys(*command, "--dry-run", config=config) == 0
        told = capsys.readouterr().out
        assert "\n+" in told
        assert "export" not in told
    assert config.read_text() == before
    assert [path.name for path in (config.parent / "secrets").iterdir()] == ["hr-1.key"]


def test_the_private_half_of_a_key_that_only_writes_is_kept_out(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keys("rotate", "offline", config=config) == 0
    newest = load_config(config).keys["offline"].versions[0]
    assert rsa_pair(newest)[0].key_size == 2048
    assert (newest.private, "move the private key away" in capsys.readouterr().err) == (None, True)
    assert (config.parent / "offline-2.private.pem").stat().st_mode & 0o777 == 0o600
    assert keys("rotate", "offline", "--env", config=config) == 2


def test_a_key_is_disabled_and_enabled(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key in ("hr", "cloud"):
        assert keys("disable", key, config=config) == 0
        assert not load_config(config).keys[key].enabled
        assert keys("disable", key, config=config) == 3
        assert f"{key} is disabled already" in capsys.readouterr().out
        assert keys("disable", key, "--undo", config=config) == 0
        assert load_config(config).keys[key].enabled
    assert keys("disable", "gone", config=config) == 2
    assert "the keys here: cloud, hr, offline" in capsys.readouterr().err


def test_a_key_is_made_in_the_configuration(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(config.parent / "secrets")
    assert keys("create", "ops", "--folder", folder, config=config) == 0
    assert keys("create", "pair", "--type", "rsa", "--bits", "2048", "--folder", folder, config=config) == 0
    assert keys("create", "late", "--version-id", "2026", "--folder", folder, config=config) == 0
    loaded = load_config(config)
    assert [versions(loaded, key) for key in ("ops", "pair", "late")] == [["1"], ["1"], ["2026"]]
    assert keys("create", "ops", "--folder", folder, config=config) == 2
    assert "there is a key `ops` already" in capsys.readouterr().err
    assert main(["keys", "create", "x", "--dry-run"]) == 2


def test_what_cannot_be_done_leaves_everything_as_it_was(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = config.read_text()
    assert keys("rotate", "gone", config=config) == 2
    (config.parent / "secrets" / "hr-2.key").write_text("somebody's")
    assert keys("rotate", "hr", config=config) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    (config.parent / "secrets" / "hr-2.key").unlink()
    monkeypatch.setenv("CLOUD_KEY_3", MATERIAL)
    assert keys("rotate", "cloud", config=config) == 2
    assert keys("rotate", "hr", "--version-id", "new", "--folder", "/nowhere/at/all", config=config) == 2

    def changed(*_: object) -> None:
        config.write_text(before + "# somebody else\n")

    monkeypatch.setattr("proxy.cli.keys_rotate.difference", changed)
    assert keys("rotate", "hr", config=config) == 2
    assert "somebody else changed the file meanwhile" in capsys.readouterr().err
    assert config.read_text() == before + "# somebody else\n"
    assert [path.name for path in (config.parent / "secrets").iterdir()] == ["hr-1.key"]


def test_versions_that_are_not_numbered_need_an_id(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text().replace('id: "2"', "id: may").replace('id: "1"', "id: april"))
    assert keys("rotate", "cloud", config=config) == 2
    assert "add --version-id ID" in capsys.readouterr().err


def test_a_key_of_vault_is_rotated_there(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Transit() as transit:
        vault = f'  hr-vault: {{type: vault, address: "{transit.address}", token: hvs.transit-token, key_name: hr}}\n'
        config.write_text(config.read_text() + vault)
        before = config.read_text()
        assert keys("rotate", "hr-vault", "--dry-run", config=config) == 0
        assert len(transit.keys["hr"]) == 1
        assert keys("rotate", "hr-vault", config=config) == 0
        assert len(transit.keys["hr"]) == 2
        assert keys("rotate", "hr-vault", "--prepare", config=config) == 2
        transit.status = 403
        assert keys("rotate", "hr-vault", config=config) == 2
        assert "rotate it there, as somebody who may" in capsys.readouterr().err
        transit.status = 500
        asked = len(transit.seen)
        assert keys("rotate", "hr-vault", config=config) == 2
        assert len(transit.seen) == asked + 1, "it could rotate twice"
    assert config.read_text() == before


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_running_proxy_follows(moto_store: Store, tmp_path: Path) -> None:
    from tests.server.envelope.test_single import refused
    from tests.server.rotation.test_rotation import wrapped_by

    with sealed_proxy(tmp_path, moto_store) as proxy:
        bucket, config = proxy.bucket(), tmp_path / "config.yaml"
        revisions = (tmp_path / "stderr.log").read_text().count

        def follow(*command: str) -> None:
            before = proxy.log().count("reloaded")
            assert keys(*command, config=config) == 0
            os.kill(proxy.pid, signal.SIGHUP)
            until(lambda: proxy.log().count("reloaded") > before)

        proxy.client.put_object(Bucket=bucket, Key="old", Body=b"old")
        follow("rotate", "hr")
        proxy.client.put_object(Bucket=bucket, Key="new", Body=b"new")
        assert [wrapped_by(proxy, bucket, key) for key in ("old", "new")] == ["hr@2", "hr@3"]
        assert proxy.client.get_object(Bucket=bucket, Key="old")["Body"].read() == b"old"
        follow("disable", "hr")
        assert refused(proxy.client.get_object, Bucket=bucket, Key="old")[1] == "KMS.DisabledException"
        follow("disable", "hr", "--undo")
        assert proxy.client.get_object(Bucket=bucket, Key="new")["Body"].read() == b"new"
        assert revisions("reload refused") == 0


def test_a_key_of_kms_is_rotated_there(moto_store: Store, config: Path) -> None:
    credentials = {"aws_access_key_id": moto_store.access_key_id, "aws_secret_access_key": "s"}
    kms = boto3.client("kms", endpoint_url=moto_store.endpoint, region_name="eu-central-1", **credentials)
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    more = f'  kms: {{type: aws-kms, key_arn: "{arn}", endpoint: "{moto_store.endpoint}", access_key_id: AKIAMOTO'
    config.write_text(config.read_text() + more + ", secret_access_key: s}\n")
    assert keys("rotate", "kms", config=config) == 0
    # What is stored calls it by the ARN that it has at KMS: `keys retire` has to know.
    assert (labels_of(load_config(config), "kms"), labels_of(load_config(config), "hr@1")) == ((arn,), ("hr@1",))
    config.write_text(config.read_text().replace("key/", "key/0"))
    assert keys("rotate", "kms", config=config) == 2

"""A key that is made can be written into the configuration as it is told, and listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.cli.main import main
from proxy.config import Config, load_config
from proxy.config.keys import rsa_pair

BASE = """\
upstream: {endpoint: "http://127.0.0.1:1", credentials: {access_key_id: AKIA, secret_access_key: s}}
owner: "123456789012"
"""


def configured(folder: Path, printed: str) -> Config:
    """Load a configuration as somebody would make it of what was printed."""
    environ = dict(re.findall(r"^export (\w+)=(\S+)$", printed, re.MULTILINE))
    (folder / "config.yaml").write_text(BASE + printed.partition("# for the configuration\n")[2])
    return load_config(folder / "config.yaml", environ)


def test_an_aes_key_works_as_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "hr-data"]) == 0
    printed = capsys.readouterr().out
    assert "export HR_DATA_KEY_1=" in printed
    key = configured(tmp_path, printed).keys["hr-data"]
    assert [version.id for version in key.versions] == ["1"]
    main(["keys", "create", "hr-data"])
    assert capsys.readouterr().out != printed


def test_a_further_version_is_printed_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "hr", "--version-id", "2026.11"]) == 0
    key = configured(tmp_path, capsys.readouterr().out).keys["hr"]
    assert [version.id for version in key.versions] == ["2026.11"]


def test_an_rsa_key_goes_to_files_that_only_its_owner_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make = ["keys", "create", "offline", "--type", "rsa", "--bits", "2048", "--folder", str(tmp_path)]
    assert main(make) == 0
    printed = capsys.readouterr().out
    assert "PRIVATE KEY" not in printed
    assert (tmp_path / "offline-1.private.pem").stat().st_mode & 0o777 == 0o600
    assert rsa_pair(configured(tmp_path, printed).keys["offline"].versions[0])[1] is not None
    assert main(make) == 2, "a key is never overwritten"


def test_an_rsa_key_without_a_folder_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "offline", "--type", "rsa", "--bits", "2048"]) == 0
    printed = capsys.readouterr().out
    assert "-----BEGIN PRIVATE KEY-----" in printed
    assert 'private: "${file:offline-1.private.pem}"' in printed


@pytest.mark.parametrize("arguments", [["a/b"], ["hr", "--version-id", "a@b"]])
def test_a_name_that_the_configuration_would_refuse_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["keys", "create", *arguments])
    assert caught.value.code == 2


def test_keys_are_listed_with_what_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.yaml").write_text("{}")
    material = "A" * 43 + "="
    config = tmp_path / "config.yaml"
    config.write_text(
        BASE
        + f"""\
keys:
  hr:
    type: aes
    versions: [{{id: "2", material: {material}}}, {{id: "1", material: {material}}}]
    aliases: [alias/hr]
  off: {{type: aes, material: {material}, enabled: false, policy: policy.yaml}}
  cloud: {{type: vault, address: "http://127.0.0.1:1", token: t, timeout_seconds: 0.5}}
"""
    )
    assert main(["keys", "list", "--config", str(config)]) == 0
    told = capsys.readouterr().out
    assert (
        "hr: aes, enabled\n  arn: arn:aws:kms:us-east-1:123456789012:key/hr\n  versions: 2 writes, 1 read too" in told
    )
    assert "off: aes, disabled" in told
    assert material not in told
    assert main(["keys", "list", "--config", str(config), "--check"]) == 1
    assert "cannot be used: the service of the key `cloud`" in capsys.readouterr().out
    config.write_text(BASE)
    assert main(["keys", "list", "--config", str(config)]) == 3

"""New policies come into force only without errors of lint and with all their tests passed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.cli.main import main
from proxy.errors import ConfigError
from proxy.server.checks import check_policies
from proxy.server.rules import load_rules
from tests.conftest import free_port

CONFIG = """
upstream: {endpoint: "http://127.0.0.1:1", credentials: {access_key_id: AKIA, secret_access_key: s}}
owner: "123456789012"
identities:
  - arn: arn:aws:iam::123456789012:user/alice
    access_keys: [{id: AKIAALICE, secret: s}]
    policies: [alice.yaml]
policies: [buckets]
"""
ALICE = 'Version: "2012-10-17"\nStatement: {Sid: All, Effect: Allow, Action: "s3:*", Resource: "*"}\n'
DENY = """\
Version: "2012-10-17"
Statement:
  - Sid: Encrypted
    Effect: Deny
    Principal: "*"
    Action: s3:PutObject
    Resource: arn:aws:s3:::hr-data/*
    Condition: {StringNotEquals: {s3:x-amz-server-side-encryption: %s}}
"""
TEST = "defaults: {principal: anonymous}\ntests:\n  - {http: {method: PUT, path: /hr-data/k}, expect: %s}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "buckets").mkdir()
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "alice.yaml").write_text(ALICE)
    (tmp_path / "buckets" / "hr.yaml").write_text(DENY % "AES256")
    (tmp_path / "buckets" / "hr.test.yaml").write_text(TEST % "deny")
    return tmp_path


def check(folder: Path) -> int:
    return check_policies(load_rules(folder / "config.yaml", {}))


def test_policies_without_errors_whose_tests_pass_are_fine(folder: Path) -> None:
    assert check(folder) == 1


def test_a_test_beside_an_identity_s_policy_counts_as_well(folder: Path) -> None:
    test = "tests: [{principal: 'arn:aws:iam::123456789012:user/alice', action: s3:GetObject, "
    (folder / "alice.test.yaml").write_text(test + "resource: 'arn:aws:s3:::hr-data/k', expect: deny}]")
    with pytest.raises(ConfigError, match=r"alice\.test\.yaml:1:9: error failed-expectation .*got allow by `All`"):
        check(folder)


def test_tests_beside_a_key_s_policy_count_as_well(folder: Path) -> None:
    material = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    (folder / "config.yaml").write_text(
        f"{CONFIG}keys: {{hr: {{type: aes, material: {material}, policy: hr-key.yaml}}}}\n"
    )
    (folder / "hr-key.yaml").write_text(
        'Version: "2012-10-17"\nStatement: {Sid: Hr, Effect: Allow, Action: "kms:Decrypt", Resource: "*", '
        'Principal: {AWS: "arn:aws:iam::123456789012:role/hr"}}\n'
    )
    test = "tests: [{principal: 'arn:aws:iam::123456789012:role/%s', action: kms:Decrypt, expect: deny, "
    test += "resource: 'arn:aws:kms:us-east-1:123456789012:key/hr'}]"
    (folder / "hr-key.test.yaml").write_text(test % "it")
    assert check(folder) == 2
    (folder / "hr-key.test.yaml").write_text(test % "hr")
    with pytest.raises(ConfigError, match=r"hr-key\.test\.yaml:1:9: error failed-expectation .*got allow by `Hr`"):
        check(folder)


def test_an_error_of_lint_and_a_failed_test_are_told_together(folder: Path) -> None:
    (folder / "buckets" / "hr.yaml").write_text(DENY % "AES-256")
    (folder / "buckets" / "hr.test.yaml").write_text(TEST % "allow")
    with pytest.raises(ConfigError) as caught:
        check(folder)
    text = str(caught.value)
    assert "error S3W074" in text
    assert "expected allow, got explicit_deny by `Encrypted`" in text


def test_a_warning_of_lint_is_no_reason(folder: Path) -> None:
    (folder / "buckets" / "hr.yaml").write_text((DENY % "AES256").replace('Version: "2012-10-17"\n', ""))
    assert check(folder) == 1


def test_a_broken_test_file_is_told_with_its_place(folder: Path) -> None:
    (folder / "buckets" / "hr.test.yaml").write_text("tests: [")
    with pytest.raises(ConfigError, match=r"hr\.test\.yaml:2:1: error invalid-yaml"):
        check(folder)


def test_a_running_proxy_keeps_what_it_has_when_a_test_fails(folder: Path) -> None:
    port = free_port()
    config = folder / "config.yaml"
    config.write_text(f"listen: {{host: 127.0.0.1, port: {port}}}\nadmin: null\n{CONFIG}")
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-m", "proxy", "serve", "--config", str(config)]
        process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(port))
        (folder / "buckets" / "hr.yaml").write_text((DENY % "AES256").replace("Deny", "Allow"))
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "stays in force" in (folder / "log").read_text())
        assert "expected deny, got allow by `Encrypted`" in (folder / "log").read_text()
        (folder / "buckets" / "hr.test.yaml").write_text(TEST % "allow")
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reloaded: revision" in (folder / "log").read_text())
    finally:
        process.terminate()
        process.wait(20)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_serve_check_runs_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["serve", "--check", "--config", str(folder / "config.yaml")]
    assert main(command) == 0
    assert "policy tests: 1" in capsys.readouterr().out
    (folder / "buckets" / "hr.test.yaml").write_text(TEST % "allow")
    assert main(command) == 1
    assert "hr.test.yaml:3:5: error failed-expectation" in capsys.readouterr().err

"""`serve --check` tells a good configuration from a bad one, by exit code and by words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxy.cli.main import main

GOOD = """\
upstream: {endpoint: "http://127.0.0.1:5000", credentials: {access_key_id: AKIA, secret_access_key: s}}
owner: "123456789012"
"""


def check(path: Path) -> int:
    return main(["serve", "--check", "--config", str(path)])


def test_a_valid_configuration_is_exit_code_0_and_says_what_was_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(GOOD)
    assert check(path) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{path}: ok (identities: 0, access keys: 0, bucket policies: 0")
    assert captured.err == ""


def test_an_invalid_configuration_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(GOOD + "lisen: {}\n")
    assert check(path) == 1
    captured = capsys.readouterr()
    assert "did you mean `listen`?" in captured.err
    assert captured.out == ""


def test_an_unreadable_configuration_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path / "gone.yaml") == 2
    assert "gone.yaml" in capsys.readouterr().err


def test_a_warning_is_shown_and_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(GOOD.replace('"123456789012"', "123456789012"))
    assert check(path) == 0
    captured = capsys.readouterr()
    assert "put it in quotes" in captured.err
    assert "warnings: 1" in captured.out


def test_an_invalid_policy_is_exit_code_1_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.yaml").write_text("Version: 2012-10-17\nStatement: {Effect: Allow, Principal: '*'}\n")
    path = tmp_path / "c.yaml"
    path.write_text(GOOD + "policies: [p.yaml]\n")
    assert check(path) == 1
    assert f"{tmp_path}/p.yaml:2:" in capsys.readouterr().err


def test_the_example_is_valid_as_it_ships(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("UPSTREAM_ACCESS_KEY", "UPSTREAM_SECRET", "ALICE_SECRET", "BACKUP_SECRET"):
        monkeypatch.setenv(name, "value")
    assert check(Path(__file__).parents[2] / "config.example.yaml") == 0
    assert "bucket policies: 1, statements: 2, policy tests: 8, warnings: 0" in capsys.readouterr().out


def test_a_certificate_that_does_not_fit_its_key_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(GOOD + "listen: {tls: {cert: a.pem, key: b.pem}}\n")
    _write_certificate(tmp_path / "a.pem", days=30)
    (tmp_path / "b.pem").write_bytes((tmp_path / "a.pem").read_bytes())
    assert check(path) == 0
    _write_certificate(tmp_path / "b.pem", days=30)
    assert check(path) == 1
    assert "key values mismatch" in capsys.readouterr().err


def test_a_certificate_that_expires_soon_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(GOOD + "listen: {tls: {cert: a.pem, key: a.pem}}\n")
    _write_certificate(tmp_path / "a.pem", days=3)
    assert check(path) == 0
    captured = capsys.readouterr()
    assert "the certificate expires on" in captured.err
    assert "warnings: 1" in captured.out


def test_an_authority_that_holds_no_certificate_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    (tmp_path / "ca.pem").write_text("nothing")
    path.write_text(GOOD.replace("http:", "https:").replace("credentials", "tls: {ca: ca.pem}, credentials"))
    assert check(path) == 1
    assert "cannot load the authority" in capsys.readouterr().err


def _write_certificate(path: Path, days: int) -> None:
    """Write a self-signed certificate and its key into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "proxy")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = (
        builder.not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8, open_key = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, pkcs8, open_key))

"""What the server's tests share: certificates, and configurations read from real files."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

WriteCertificate: TypeAlias = Callable[..., tuple[Path, Path]]

CONFIG = """
listen: {{host: 127.0.0.1, port: 0, workers: {workers}}}
admin: {admin}
upstream:
  endpoint: http://127.0.0.1:1
  credentials: {{access_key_id: AKIAUPSTREAM, secret_access_key: upstream-secret}}
limits: {{drain_seconds: {drain_seconds}}}
owner: "123456789012"
policies: [policies]
"""


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """Write a configuration with an empty folder of policies; returns its path."""

    def write(workers: int = 1, drain_seconds: float = 5, admin: str = "{host: 127.0.0.1, port: 0}") -> Path:
        (tmp_path / "policies").mkdir(exist_ok=True)
        path = tmp_path / "config.yaml"
        path.write_text(CONFIG.format(workers=workers, drain_seconds=drain_seconds, admin=admin))
        return path

    return write


@pytest.fixture
def write_certificate(tmp_path: Path) -> WriteCertificate:
    """Write a self-signed certificate for 127.0.0.1 and its key; returns both paths."""

    def write(name: str, passphrase: bytes = b"") -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        cert_path, key_path = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
        return cert_path, key_path

    return write

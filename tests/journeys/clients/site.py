"""The place where journeys happen: certificates, buckets on a store, and the proxy in front of it.

Shared by the journeys of clients from a Python index and of those from Debian and npm.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.conftest import Store
from tests.journeys.clients.catalogue import ROOT, environment_of
from tests.journeys.clients.journey import DOMAIN, MANY, Target
from tests.serving import Served, serving

RESULTS = ROOT / "build" / "clients"
"""One JSON file per journey, from which the page of clients is written."""

DEMANDS = {
    "encryption": "s3:x-amz-server-side-encryption: AES256",
    "class": "s3:x-amz-storage-class: STANDARD_IA",
}

POLICY = """\
Version: "2012-10-17"
Statement:
  Sid: StrictUploadsConform
  Effect: Deny
  Principal: "*"
  Action: s3:PutObject
  Resource: arn:aws:s3:::*/strict/*
  Condition: {{StringNotEquals: {{"{key}": {value}}}}}
"""


def policy(demand: str) -> str:
    """Return the policy of these journeys: what uploads under strict/ must carry."""
    key, _, value = DEMANDS[demand].rpartition(": ")
    return POLICY.format(key=key, value=value)


@dataclass(frozen=True, slots=True)
class Site:
    """A store with a proxy that speaks http and one that speaks https."""

    store: Store
    proxies: dict[str, Served]
    demand: str
    authority: Path
    listed: str

    def target(self, transport: str, style: str, bucket: str, folder: Path) -> Target:
        """Return what a driver is told."""
        served = self.proxies[transport]
        return Target(
            transport,
            int(served.endpoint.rpartition(":")[2]),
            style,
            served.access_key_id,
            served.secret_access_key,
            served.region,
            bucket,
            self.listed,
            self.demand,
            str(self.authority),
            str(folder),
        )


@contextmanager
def site(folder: Path, store: Store, *, demand: str = "encryption", payload: str = "checksums") -> Iterator[Site]:
    """Run both proxies in front of `store`, which gets a bucket that takes more than one page to list."""
    authority, cert, key = certificates(folder)
    listeners = {"http": "", "https": f", tls: {{cert: {cert}, key: {key}}}"}
    listed = f"listed-{os.getpid()}"
    _fill(store, listed)
    with ExitStack() as stack:
        proxies = {}
        for transport, tls in listeners.items():
            place = folder / transport
            place.mkdir()
            listen = f", domains: [{DOMAIN}]{tls}"
            started = serving(place, store, policy(demand), payload=payload, listen=listen)
            proxies[transport] = stack.enter_context(started)
        yield Site(store, proxies, demand, authority, listed)


def direct(store: Store) -> Any:
    """Return a client that talks to the store itself, to prepare it and to look at what is left."""
    return boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        aws_access_key_id=store.access_key_id,
        aws_secret_access_key=store.secret_access_key,
        region_name=store.region,
        config=Config(
            s3={"addressing_style": "path"},
            max_pool_connections=8,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _fill(store: Store, bucket: str) -> None:
    s3 = direct(store)
    s3.create_bucket(Bucket=bucket)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: s3.put_object(Bucket=bucket, Key=f"many/{n:04}", Body=b"x"), range(MANY)))
    s3.close()


def take(
    command: list[str],
    to: Target,
    name: str,
    store_name: str = "moto",
    wrap: Callable[[list[str]], list[str]] = list,
    cwd: Path | None = None,
) -> dict[str, str]:
    """Let a client take its journey; returns what came of each step, and keeps it for the page of clients.

    What it writes goes to its own folder, which is its home as well: no configuration of the user's is read.
    """
    environ = {"PATH": os.environ["PATH"], "HOME": to.folder, "LANG": "C.UTF-8", "AWS_EC2_METADATA_DISABLED": "true"}
    environ |= environment_of(to.style) | {"JOURNEY": json.dumps(asdict(to))}
    done = subprocess.run(wrap(command), env=environ, capture_output=True, text=True, timeout=110, cwd=cwd)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout)
    outcomes: dict[str, str] = told["steps"]
    RESULTS.mkdir(parents=True, exist_ok=True)
    way = {"client": name, "store": store_name, "transport": to.scheme, "style": to.style}
    file = "-".join([name.split()[0].lower(), *list(way.values())[1:]]) + ".json"
    (RESULTS / file).write_text(json.dumps(way | told, indent=1, ensure_ascii=False) + "\n")
    return {step: outcome + _told_of(step, outcome, done.stderr) for step, outcome in outcomes.items()}


def _told_of(step: str, outcome: str, errors: str) -> str:
    return f"\n{errors[-3000:]}" if outcome.startswith("failed") else ""


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Write an authority, and a certificate and key for localhost and every bucket under it."""
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.DNSName(DOMAIN), x509.DNSName(f"*.{DOMAIN}")]
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())

    def certificate(name: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )

    own = certificate(issuer, authority_key, authority=True).add_extension(identifier, critical=False)
    served = (
        certificate(subject, server_key, authority=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    paths = folder / "authority.pem", folder / "server.pem", folder / "server.key"
    paths[0].write_bytes(own.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(served.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[2].write_bytes(server_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return paths

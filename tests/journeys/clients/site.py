"""The place where journeys happen: certificates, buckets on a store, and the proxy in front of it.

Shared by the journeys of clients from a Python index and of those from Debian and npm.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import indent
from typing import Any

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.conftest import Store
from tests.journeys.clients.catalogue import ROOT, Client, environment_of
from tests.journeys.clients.journey import BODY, DOMAIN, LARGE, MANY, SYNCED, Target
from tests.journeys.clients.secrecy import plaintexts
from tests.serving import Served, serving

RESULTS = ROOT / "build" / "clients"
"""One JSON file per journey, from which the page of clients is written."""

DEMANDS = {
    "encryption": "s3:x-amz-server-side-encryption: AES256",
    "acl": "s3:x-amz-acl: bucket-owner-full-control",
}

POLICY = """\
Version: "2012-10-17"
Statement:
  - Sid: StrictUploadsConform
    Effect: Deny
    Principal: "*"
    Action: s3:PutObject
    Resource: arn:aws:s3:::*/strict/*
    Condition: {{StringNotEquals: {{"{key}": {value}}}}}
"""


ENCRYPTED = "encrypted"
"""What the names of buckets begin with that the proxies encrypt."""

ENCRYPTION = f"""\
keys: {{journeys: {{type: aes, material: {base64.b64encode(bytes(range(32))).decode()}}}}}
state_secret: [state-secret-of-more-than-thirty-two-bytes]
buckets:
  "{ENCRYPTED}-*": {{encryption: {{mode: envelope, key: journeys}}}}
"""


def policy(demand: str, protection: str) -> str:
    """Return the policy of these journeys: what uploads under strict/ must carry, and what the store must not get."""
    key, _, value = DEMANDS[demand].rpartition(": ")
    return POLICY.format(key=key, value=value) + indent(protection, "  ")


@dataclass(frozen=True, slots=True)
class Way:
    """How a client goes: `http` or `https`, `path` or `virtual`, to a bucket that is encrypted or not."""

    transport: str
    style: str
    encrypted: bool = False

    def __str__(self) -> str:
        return "-".join([self.transport, self.style, *[ENCRYPTED] * self.encrypted])


@dataclass(frozen=True, slots=True)
class Site:
    """A store with a proxy that speaks http and one that speaks https."""

    name: str
    store: Store
    proxies: dict[str, Served]
    demand: str
    authority: Path
    listed: str

    def target(self, way: Way, bucket: str, folder: Path) -> Target:
        """Return what a driver is told."""
        served = self.proxies[way.transport]
        return Target(
            way.transport,
            int(served.endpoint.rpartition(":")[2]),
            way.style,
            served.access_key_id,
            served.secret_access_key,
            served.region,
            bucket,
            f"{ENCRYPTED}-{self.listed}" if way.encrypted else self.listed,
            self.demand,
            str(self.authority),
            str(folder),
            self.name,
        )


@contextmanager
def site(
    folder: Path,
    name: str,
    store: Store,
    *,
    demand: str = "encryption",
    payload: str = "checksums",
    protection: str = "",
    encrypted: bool = False,
) -> Iterator[Site]:
    """Run both proxies in front of `store`, which gets a bucket that takes more than one page to list.

    With `encrypted` there is an encrypted one of that kind as well.
    """
    authority, cert, key = certificates(folder)
    listeners = {"http": "", "https": f", tls: {{cert: {cert}, key: {key}}}"}
    listed = f"listed-{os.getpid()}"
    _fill(client_of(store), listed)
    with ExitStack() as stack:
        proxies = {}
        for transport, tls in listeners.items():
            place = folder / transport
            place.mkdir()
            listen = f", domains: [{DOMAIN}]{tls}"
            started = serving(
                place, store, policy(demand, protection), payload=payload, listen=listen, extra=ENCRYPTION
            )
            proxies[transport] = stack.enter_context(started)
        if encrypted:
            _fill(client_of(proxies["http"]), f"{ENCRYPTED}-{listed}")
        yield Site(name, store, proxies, demand, authority, listed)


def documented_protection() -> str:
    """Return the statement that the page of stores gives for a store that does not know sub-resources."""
    page = (ROOT / "docs" / "reference" / "stores.md").read_text()
    return (
        page.partition("```yaml\n- Sid: NotOnThisStore\n")[2].partition("```")[0].join(["- Sid: NotOnThisStore\n", ""])
    )


def client_of(place: Store | Served) -> Any:
    """Return a client that talks to the store itself, to prepare it and to look at what is left, or to a proxy."""
    return boto3.client(
        "s3",
        endpoint_url=place.endpoint,
        aws_access_key_id=place.access_key_id,
        aws_secret_access_key=place.secret_access_key,
        region_name=place.region,
        config=Config(
            s3={"addressing_style": "path"},
            max_pool_connections=8,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _fill(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: s3.put_object(Bucket=bucket, Key=f"many/{n:04}", Body=b"x"), range(MANY)))
    s3.close()


def bucket_of(client: Client, way: Way) -> str:
    """Return the name of the bucket that a client works in."""
    return f"{ENCRYPTED + '-' if way.encrypted else ''}{client.slug}-{way.transport}-{way.style}-{os.getpid()}"


def journey(
    client: Client,
    place: Site,
    way: Way,
    folder: Path,
    *,
    gaps: Collection[str] = (),
    wrap: Callable[[list[str]], list[str]] = list,
) -> None:
    """Let a client take its journey, and look at what is left on the store.

    `gaps` are the steps that fail because the store cannot do them.
    """
    bucket = bucket_of(client, way)
    store = client_of(place.store)
    store.create_bucket(Bucket=bucket)
    if way.encrypted:  # what is deleted on the way stays to be looked at
        store.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    outcomes = _take(client, place, way, bucket, folder, wrap)
    failed = {step: said for step, said in outcomes.items() if said.startswith("failed")}
    assert failed.keys() == set(gaps), failed
    left = [each["Key"] for each in store.list_objects_v2(Bucket=bucket).get("Contents", [])]
    assert client.leaves or left == [], "all was deleted, or never came"
    if place.name != "rclone":  # cannot list them
        assert store.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    served = place.proxies[way.transport]
    if way.encrypted:
        shown = client_of(served)
        texts = plaintexts(store, shown, bucket)
        assert {BODY, LARGE} <= texts or client.leaves
        shown.close()
    store.close()
    _look_into_log(served.decisions, f"arn:aws:s3:::{bucket}", synced=outcomes.get("sync") == "passed")


def _look_into_log(decisions: Path, bucket: str, *, synced: bool) -> None:
    """Prove that the upload was denied which had to be, and that a second synchronisation uploaded nothing."""
    log = [json.loads(line) for line in decisions.read_text().splitlines()]
    denied = [each for each in log if f"{bucket}/strict/denied" in str(each["resources"])]
    assert next(each["decision"] for each in denied if "s3:PutObject" in each["actions"]) == "explicit_deny"
    uploads = [
        each["resources"]
        for each in log
        if each["operation"] in ("PutObject", "CreateMultipartUpload") and f"{bucket}/synced/" in str(each["resources"])
    ]
    assert len(uploads) == SYNCED * synced, uploads


def _take(
    client: Client,
    place: Site,
    way: Way,
    bucket: str,
    folder: Path,
    wrap: Callable[[list[str]], list[str]],
) -> dict[str, str]:
    """Run the client; returns what came of each step, and keeps it for the page of clients.

    What it writes goes to its own folder, which is its home as well: no configuration of the user's is read.
    """
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "AWS_EC2_METADATA_DISABLED": "true"}
    environ |= environment_of(way.style) | {"JOURNEY": json.dumps(asdict(place.target(way, bucket, folder)))}
    done = subprocess.run(wrap(client.command), env=environ, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout)
    RESULTS.mkdir(parents=True, exist_ok=True)
    kept = {"client": client.name, "store": place.name, **asdict(way)} | told
    file = RESULTS / f"{client.slug}-{place.name}-{way}.json"
    file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    steps: dict[str, str] = told["steps"]
    return {
        step: f"{said}\n{done.stderr[-3000:]}" if said.startswith("failed") else said for step, said in steps.items()
    }


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

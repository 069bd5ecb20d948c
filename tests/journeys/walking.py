"""The proxy as a child process: its configuration made here, its decisions read back."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conftest import ACCOUNT, Store, free_port, running
from tests.journeys.front import until
from tests.journeys.signing import Key
from tests.journeys.wire import Answer, Wire, send

Document = Mapping[str, Any]
Settings = dict[str, Any]

ALICE = Key("AKIAALICE", "alice-secret")
"""May do everything in her account."""
BOB = Key("AKIABOB", "bob-secret")
"""Has no policy of his own."""
CAROL = Key("AKIACAROL", "carol-secret")
"""Has no policy of her own either, but the private bucket's policy knows her."""
MALLORY = Key("AKIAMALLORY", "mallory-secret")
"""May do everything, in another account."""
TEMPORARY = Key("ASIAVISITOR", "visitor-secret", "the+visitor/token==")
"""A role with a session token, which may do everything."""
EXPIRED = Key("ASIAEXPIRED", "expired-secret", "old-token")

FULL_ACCESS: Document = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "Full", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


def allow(*actions: str, resource: str = "*") -> Document:
    """An identity policy that allows these actions and nothing else."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def bucket_policy(*statements: Document) -> Document:
    """A bucket policy of these statements, for everybody unless one says else."""
    return {"Version": "2012-10-17", "Statement": [{"Principal": "*", **each} for each in statements]}


def identity(user: str, key: Key, *policies: str, account: str = ACCOUNT, **more: object) -> Settings:
    """One entry of `identities`."""
    access_key: Settings = {"id": key.id, "secret": key.secret}
    if key.token is not None:
        access_key["session_token"] = key.token
    if key is EXPIRED:
        access_key["expires"] = "2020-01-01T00:00:00Z"
    arn = f"arn:aws:iam::{account}:{user}"
    return {"arn": arn, "access_keys": [access_key], "policies": list(policies), **more}


def everybody() -> list[Settings]:
    return [
        identity("user/alice", ALICE, "full.yaml"),
        identity("user/bob", BOB),
        identity("user/carol", CAROL),
        identity("user/mallory", MALLORY, "full.yaml", account="210987654321"),
        identity("role/visitor", TEMPORARY, "full.yaml"),
        identity("role/late", EXPIRED, "full.yaml"),
    ]


@dataclass
class Walk:
    """A running proxy."""

    endpoint: str
    folder: Path
    context: ssl.SSLContext | None = None
    admin: str = ""
    pid: int = 0

    @property
    def host(self) -> str:
        return self.endpoint.partition("://")[2]

    def send(self, wire: Wire) -> Answer:
        return send(self.endpoint, wire, self.context)

    def decisions(self) -> list[dict[str, Any]]:
        lines = (self.folder / "decisions.jsonl").read_text("ascii").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def decision(self, answer: Answer) -> dict[str, Any]:
        """Return the line of the decision log about an answer."""
        return self.decided(answer.request_id)

    def decided(self, request_id: str) -> dict[str, Any]:
        """Return the line of the decision log about a request; it is written after the answer."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [line for line in self.decisions() if line["request_id"] == request_id]
            return bool(found)

        assert until(look), f"no decision about {request_id}"
        return found[0]

    def last(self, operation: str) -> dict[str, Any]:
        """Return the newest line about an operation."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [line for line in self.decisions() if line["operation"] == operation]
            return bool(found)

        assert until(look), f"no decision about {operation}"
        return found[-1]

    def log(self) -> str:
        """What the operator sees."""
        return (self.folder / "stderr.txt").read_text()

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=10) as response:  # noqa: S310  loopback
            return str(response.read().decode())

    def client(self, key: Key = ALICE, **config: object) -> Any:
        """boto3, with nothing changed but where it goes."""
        return client(self.endpoint, key, verify=self.folder / "ca.pem" if self.context else None, **config)


def client(endpoint: str, key: Key, *, verify: Path | None = None, **config: object) -> Any:
    settings: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}, **config}
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        aws_session_token=key.token,
        region_name="us-east-1",
        verify=str(verify) if verify else None,
        config=Config(**settings),
    )


def store_client(store: Store) -> Any:
    """boto3 on the store itself, beside the proxy."""
    return client(store.endpoint, Key(store.access_key_id, store.secret_access_key))


def make_bucket(direct: Any, name: str, *keys: str) -> None:
    """Make a bucket on the store, if it is not there yet, with these objects."""
    try:
        direct.create_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
            raise
    for key in keys:
        direct.put_object(Bucket=name, Key=key, Body=b"stored before")


@contextmanager
def walking(
    folder: Path,
    store: Store,
    *,
    endpoint: str | None = None,
    policies: Mapping[str, Document] | None = None,
    buckets: Mapping[str, Document] | None = None,
    identities: list[Settings] | None = None,
    rules: Settings | None = None,
    context: ssl.SSLContext | None = None,
    **settings: Any,
) -> Iterator[Walk]:
    """Run the proxy. `policies` are files for identities, `buckets` those in the folder of bucket policies.

    `rules` are the configuration's `buckets`. Other arguments are settings at its top; mappings are laid over what
    is here.
    """
    port, admin = free_port(), free_port()
    (folder / "buckets").mkdir(parents=True, exist_ok=True)
    for name, document in {"full": FULL_ACCESS, **(policies or {})}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(dict(document)))
    for name, document in (buckets or {}).items():
        (folder / "buckets" / f"{name}.yaml").write_text(yaml.safe_dump(dict(document)))
    config: Settings = {
        "listen": {"host": "127.0.0.1", "port": port},
        "admin": {"host": "127.0.0.1", "port": admin},
        "owner": ACCOUNT,
        "upstream": {
            "endpoint": endpoint or store.endpoint,
            "region": store.region,
            "credentials": {"access_key_id": store.access_key_id, "secret_access_key": store.secret_access_key},
        },
        "identities": everybody() if identities is None else identities,
        "policies": ["buckets"],
        "decision_log": {"path": "decisions.jsonl"},
        "buckets": rules or {},
    }
    for name, value in settings.items():
        config[name] = {**config[name], **value} if isinstance(config.get(name), dict) else value
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    scheme = "https" if "tls" in config["listen"] else "http"
    command = [sys.executable, "-m", "proxy", "serve", "--config", str(path)]
    with running(command, port, folder / "stderr.txt") as process:
        yield Walk(f"{scheme}://127.0.0.1:{port}", folder, context, f"http://127.0.0.1:{admin}", process.pid)

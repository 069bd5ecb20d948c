"""A proxy with encrypted buckets in front of moto, seen from both sides."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.conftest import ACCOUNT, Store, free_port, running

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))

CONFIG = """\
listen: {{host: 127.0.0.1, port: {port}, workers: {workers}}}
admin: {{host: 127.0.0.1, port: {admin}}}
upstream:
  endpoint: {endpoint}
  region: {store.region}
  credentials: {{access_key_id: {store.access_key_id}, secret_access_key: {store.secret_access_key}}}
  payload: {payload}
  state: {state}
owner: "{account}"
identities:
  - arn: arn:aws:iam::{account}:user/alice
    access_keys: [{{id: AKIAALICE, secret: alice-secret}}]
    policies: [full-access.yaml]
policies: [policies]
decision_log: {{path: decisions.jsonl{log_options}}}
keys:
  hr: {{type: aes, versions: [{{id: "2", material: {key}}}, {{id: "1", material: {other}}}]{key_options}}}
  ops: {{type: aes, material: {other}}}
{keys}
state_secret: [state-secret-of-more-than-thirty-two-bytes]
buckets:
  "sealed-*": {{encryption: {{mode: envelope, key: hr}}}}
  "ops-*": {{encryption: {{mode: envelope, key: ops}}}}
  "mixed-*": {{encryption: {{mode: envelope, key: hr, read_plaintext: true, list_sizes: head}}}}
{extra}
"""
FULL_ACCESS = """\
Version: "2012-10-17"
Statement: {Effect: Allow, Action: "s3:*", Resource: "*"}
"""


@dataclass
class Sealed:
    """The proxy and the store behind it, each with a client."""

    endpoint: str
    folder: Path
    client: Any
    direct: Any
    admin: int
    pid: int

    def bucket(self, kind: str = "sealed") -> str:
        """Make a bucket whose settings go with its name."""
        name = f"{kind}-{uuid.uuid4().hex[:12]}"
        self.direct.create_bucket(Bucket=name)
        return name

    def decisions(self) -> list[dict[str, Any]]:
        """Return what the proxy logged."""
        return [json.loads(line) for line in (self.folder / "decisions.jsonl").read_text().splitlines()]

    def log(self) -> str:
        """Return what the operator sees."""
        return (self.folder / "stderr.log").read_text()

    def rewrite(self, bucket: str, key: str, body: bytes | None = None, metadata: dict[str, str] | None = None) -> None:
        """Change a stored object behind the proxy's back."""
        found = self.direct.get_object(Bucket=bucket, Key=key)
        self.direct.put_object(
            Bucket=bucket,
            Key=key,
            Body=found["Body"].read() if body is None else body,
            Metadata=found["Metadata"] if metadata is None else metadata,
        )


def s3_client(endpoint: str, key: str, secret: str, **options: Any) -> Any:
    """Return a boto3 client that asks once and shows every error."""
    settings = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        retries={"total_max_attempts": 1},
        read_timeout=20,
        max_pool_connections=20,
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=settings.merge(Config(**options)),
    )


@contextmanager
def sealed_proxy(
    folder: Path,
    store: Store,
    *,
    payload: str = "checksums",
    extra: str = "",
    command: tuple[str, ...] = ("-m", "proxy"),
    policy: str = "",
    endpoint: str = "",
    keys: str = "",
    key_options: str = "",
    state: str = "{}",
    swap_keys: bool = False,
    environment: dict[str, str] | None = None,
    workers: int = 1,
    log_options: str = "",
) -> Iterator[Sealed]:
    """Run a proxy with encrypted buckets; `command` is what Python runs in its place."""
    port, admin = free_port(), free_port()
    (folder / "full-access.yaml").write_text(FULL_ACCESS)
    (folder / "policies").mkdir(exist_ok=True)
    if policy:
        (folder / "policies" / "bucket.yaml").write_text(policy)
    config = folder / "config.yaml"
    config.write_text(
        CONFIG.format(
            port=port,
            workers=workers,
            log_options=log_options,
            admin=admin,
            store=store,
            endpoint=endpoint or store.endpoint,
            payload=payload,
            account=ACCOUNT,
            key=base64.b64encode(OTHER_KEY if swap_keys else KEY).decode(),
            other=base64.b64encode(KEY if swap_keys else OTHER_KEY).decode(),
            extra=extra,
            keys=keys,
            key_options=key_options,
            state=state,
        )
    )
    child = _Logged([sys.executable, *command, "serve", "--config", str(config)], port)
    child.log, child.environment = folder / "stderr.log", environment or {}
    with child:
        yield Sealed(
            f"http://127.0.0.1:{port}",
            folder,
            s3_client(f"http://127.0.0.1:{port}", "AKIAALICE", "alice-secret"),
            s3_client(store.endpoint, store.access_key_id, store.secret_access_key),
            admin,
            child.process.pid,
        )


def fetch(url: str, data: bytes | None = None, headers: dict[str, str] | None = None, method: str | None = None) -> Any:
    """Ask without an SDK."""
    request = urllib.request.Request(url, data, headers or {}, method=method)  # noqa: S310 - one of our own servers
    return urllib.request.urlopen(request)  # noqa: S310 - likewise


class _Logged(running):
    log: Path
    environment: dict[str, str]

    def __enter__(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=subprocess.DEVNULL, stderr=log, env={**os.environ, **self.environment}
            )
        try:
            self._wait()
        except BaseException as error:
            self.__exit__()
            error.add_note(self.log.read_text())
            raise
        return self.process


@pytest.fixture(scope="session")
def sealed(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    """A proxy in front of moto."""
    with sealed_proxy(tmp_path_factory.mktemp("sealed"), moto_store) as running:
        yield running


@pytest.fixture
def bucket(sealed: Sealed) -> str:
    """A new bucket whose objects are encrypted."""
    return sealed.bucket()

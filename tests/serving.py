"""The proxy as a child process in front of a store, for tests that use it as clients do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ACCOUNT, Store, free_port, running

CONFIG = """\
listen: {{host: 127.0.0.1, port: {port}{listen}}}
admin: null
upstream:
  endpoint: {store.endpoint}
  region: {store.region}
  credentials: {{access_key_id: {store.access_key_id}, secret_access_key: {store.secret_access_key}}}
  payload: {payload}
owner: "{account}"
identities:
  - arn: arn:aws:iam::{account}:user/alice
    access_keys: [{{id: AKIAALICE, secret: alice-secret}}]
    policies: [full-access.yaml]
policies: [policy.yaml]
decision_log: {{path: decisions.jsonl}}
"""

FULL_ACCESS = """\
Version: "2012-10-17"
Statement: {Effect: Allow, Action: "s3:*", Resource: "*"}
"""

ENCRYPTED_UPLOADS = """\
Version: "2012-10-17"
Statement:
  Sid: UploadsNameTheirEncryption
  Effect: Deny
  Principal: "*"
  Action: s3:PutObject
  Resource: arn:aws:s3:::*
  Condition: {StringNotEquals: {"s3:x-amz-server-side-encryption": [AES256, "aws:kms"]}}
"""


@dataclass(frozen=True, slots=True)
class Served:
    """A running proxy: how alice reaches it, and where it writes its decisions."""

    endpoint: str
    decisions: Path
    access_key_id: str = "AKIAALICE"
    secret_access_key: str = "alice-secret"
    region: str = "us-east-1"


@contextmanager
def serving(
    folder: Path,
    store: Store,
    policy: str = ENCRYPTED_UPLOADS,
    *,
    payload: str = "checksums",
    listen: str = "",
    extra: str = "",
) -> Iterator[Served]:
    """Run the proxy in front of `store`; its files are in `folder`.

    `listen` goes into the listener's settings, `extra` to the end of the configuration.
    """
    port = free_port()
    (folder / "full-access.yaml").write_text(FULL_ACCESS)
    (folder / "policy.yaml").write_text(policy)
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(port=port, store=store, payload=payload, account=ACCOUNT, listen=listen) + extra)
    with running([sys.executable, "-m", "proxy", "serve", "--config", str(config)], port):
        yield Served(f"http://127.0.0.1:{port}", folder / "decisions.jsonl")

"""The AWS command line interface encrypts with keys of its own (SSE-C), over TLS, as its users do it."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.conftest import Store
from tests.journeys.clients.catalogue import CLIENTS
from tests.journeys.clients.site import certificates
from tests.serving import Served, serving

BUCKET = "own-keys"
SETTINGS = f"""\
keys: {{proxy: {{type: aes, material: {base64.b64encode(bytes(range(32))).decode()}}}}}
state_secret: [state-secret-of-more-than-thirty-two-bytes]
buckets: {{{BUCKET}: {{encryption: {{mode: envelope, key: proxy, sse_c: true}}}}}}
"""
NO_POLICY = """\
Version: "2012-10-17"
Statement: {Sid: Nothing, Effect: Deny, Principal: "*", Action: s3:DeleteBucketPolicy, Resource: "arn:aws:s3:::*"}
"""
AWS = """\
[default]
region = us-east-1
max_attempts = 1
s3 =
    addressing_style = path
    multipart_threshold = 6MB
    multipart_chunksize = 6MB
"""


class Aws:
    """The command, in the environment of the tools that the journeys use."""

    def __init__(self, folder: Path, served: Served, authority: Path) -> None:
        (folder / "aws.ini").write_text(AWS)
        tools = next(client for client in CLIENTS if client.name == "AWS CLI 1")
        self.command = [
            tools.command[0], "-m", "awscli", "--endpoint-url", served.endpoint.replace("http://127.0.0.1", "https://localhost"),
        ]  # fmt: skip
        self.environ = {
            "PATH": os.environ["PATH"],
            "AWS_CONFIG_FILE": str(folder / "aws.ini"),
            "AWS_ACCESS_KEY_ID": served.access_key_id,
            "AWS_SECRET_ACCESS_KEY": served.secret_access_key,
            "AWS_CA_BUNDLE": str(authority),
        }

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *words], env=self.environ, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(scope="module")
def aws(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    folder = tmp_path_factory.mktemp("own-keys")
    authority, cert, key = certificates(folder)
    with serving(
        folder, moto_store, NO_POLICY, listen=f", tls: {{cert: {cert}, key: {key}}}", extra=SETTINGS
    ) as served:
        direct = boto3.client(
            "s3", endpoint_url=moto_store.endpoint, region_name="us-east-1",
            aws_access_key_id=moto_store.access_key_id, aws_secret_access_key=moto_store.secret_access_key,
        )  # fmt: skip
        direct.create_bucket(Bucket=BUCKET)
        yield Aws(folder, served, authority)


@pytest.mark.parametrize("size", [100, 13 * 2**20], ids=["one part", "several parts"])
def test_files_go_up_come_back_and_are_copied_under_other_keys(aws: Aws, tmp_path: Path, size: int) -> None:
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(os.urandom(32))
    up, down = tmp_path / "up", tmp_path / "down"
    up.write_bytes(os.urandom(size))
    there, copy = f"s3://{BUCKET}/{size}", f"s3://{BUCKET}/copy-{size}"
    first, second = (("--sse-c", "AES256", "--sse-c-key", f"fileb://{tmp_path / name}") for name in ("first", "second"))
    source = ("--sse-c-copy-source", "AES256", "--sse-c-copy-source-key", f"fileb://{tmp_path / 'first'}")
    for words in (
        ("cp", str(up), there, *first),
        ("cp", there, str(down), *first),
        ("cp", there, copy, *source, *second),
    ):
        done = aws("s3", *words)
        assert done.returncode == 0, done.stderr
    assert down.read_bytes() == up.read_bytes()
    assert aws("s3", "cp", copy, str(down), *second).returncode == 0
    assert down.read_bytes() == up.read_bytes()
    for wrong in ((), first):
        refused = aws("s3", "cp", copy, str(tmp_path / "nothing"), *wrong)
        assert refused.returncode != 0
        assert not (tmp_path / "nothing").exists()

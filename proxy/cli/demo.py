"""`s3warden demo`: a store with data in memory, the proxy in front of it, and lines to copy.

Both run as child processes and end with this one. Nothing here is fit for real use: the keys are printed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from types import FrameType, TracebackType

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.shipped import policies_folder

HOST = "127.0.0.1"
DEFAULT_PORT = 9000
ACCESS_KEY_ID = "AKIADEMOFORSHOW"
SECRET_ACCESS_KEY = "demo-secret-for-show"  # noqa: S105  printed to everybody, and worth nothing
START_SECONDS = 30.0
STOP_SECONDS = 10.0

CONFIG = """\
listen: {{host: {host}, port: {port}}}
admin: null
upstream:
  endpoint: {upstream}
  credentials: {{access_key_id: upstream, secret_access_key: upstream}}
owner: "123456789012"
identities:
  - arn: arn:aws:iam::123456789012:user/demo
    access_keys: [{{id: {key}, secret: {secret}}}]
    policies: ["{policies}/identity/full-access.yaml"]
policies: ["{policies}/buckets/demo.yaml"]
log: {{level: warning}}
"""

WELCOME = """\
s3warden demo
=============
The proxy:   {endpoint}
The store:   moto, behind it. DATA IS TEMPORARY: it is in memory, and gone when this ends.
The keys:    FOR SHOW ONLY. They are printed here and accepted on this machine only.
The policy:  {policy}

Copy these lines into another terminal.

--- aws ---

export AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY={secret} AWS_DEFAULT_REGION=us-east-1
echo hello > hello.txt

# allowed: the upload names its encryption
aws --endpoint-url {endpoint} s3 cp hello.txt s3://demo/hello.txt --sse AES256
# denied: it does not (Sid UploadsNameTheirEncryption)
aws --endpoint-url {endpoint} s3 cp hello.txt s3://demo/hello.txt

--- curl ---

# allowed
curl --aws-sigv4 aws:amz:us-east-1:s3 --user {key}:{secret} \\
  -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -H 'x-amz-server-side-encryption: AES256' \\
  -T hello.txt {endpoint}/demo/public/hello.txt
# allowed, without any key: everybody reads public/ (Sid EverybodyReadsPublic)
curl {endpoint}/demo/public/hello.txt
# denied: no encryption named
curl --aws-sigv4 aws:amz:us-east-1:s3 --user {key}:{secret} \\
  -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -T hello.txt {endpoint}/demo/hello.txt

--- boto3 ---

{python} - <<'END'
import boto3
s3 = boto3.client("s3", endpoint_url="{endpoint}", region_name="us-east-1",
                  aws_access_key_id="{key}", aws_secret_access_key="{secret}")
print(s3.put_object(Bucket="demo", Key="a", Body=b"hello", ServerSideEncryption="AES256")["ETag"])  # allowed
s3.put_object(Bucket="demo", Key="a", Body=b"hello")                                                # denied
END

Every decision appears below as a line of JSON. Ctrl-C ends both processes.
"""


@dataclass(frozen=True, slots=True)
class Child:
    """A process that ends with the `with` block."""

    name: str
    process: subprocess.Popen[bytes]

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `demo`."""
    parser.add_argument(
        "--port",
        type=int,
        default=None,
        metavar="PORT",
        help=f"port to listen on (default {DEFAULT_PORT}, or a free one)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Start both processes, print what to try, and wait until one ends or a signal comes."""
    missing = [name for name in ("boto3", "moto", "flask") if find_spec(name) is None]
    if missing:
        print(f's3warden: the demo needs {", ".join(missing)}: pip install "s3warden[demo]"', file=sys.stderr)
        return Exit.ERROR
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    port = arguments.port or _free_port(DEFAULT_PORT)
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3warden-demo-")))
            children = _start(stack, folder, port)
            print(_welcome(port), flush=True)
            return _watch(children)
    except KeyboardInterrupt:
        print("\ns3warden: both processes have ended, the data is gone", file=sys.stderr)
        return Exit.CLEAN


def _start(stack: ExitStack, folder: Path, port: int) -> list[Child]:
    store_port = _free_port()
    store = stack.enter_context(
        _spawn("the store", [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(store_port)], quiet=True)
    )
    _await_port(store, store_port)
    _make_bucket(store_port)
    config = folder / "config.yaml"
    config.write_text(
        CONFIG.format(
            host=HOST,
            port=port,
            upstream=f"http://{HOST}:{store_port}",
            key=ACCESS_KEY_ID,
            secret=SECRET_ACCESS_KEY,
            policies=policies_folder(),
        )
    )
    server = stack.enter_context(_spawn("the proxy", [sys.executable, "-m", "proxy", "serve", "--config", str(config)]))
    _await_port(server, port)
    return [store, server]


def _spawn(name: str, command: Sequence[str], *, quiet: bool = False) -> Child:
    output = subprocess.DEVNULL if quiet else None
    # A group of its own: Ctrl-C must reach this process alone, which then ends the others in order.
    process = subprocess.Popen(command, stdout=output, stderr=output, process_group=0)  # noqa: S603  our own words
    return Child(name, process)


def _await_port(child: Child, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        if child.process.poll() is not None:
            raise SystemExit(f"s3warden: {child.name} ended with exit code {child.process.returncode}")
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise SystemExit(f"s3warden: {child.name} does not answer on port {port}") from None
            time.sleep(0.05)
        else:
            return


def _make_bucket(port: int) -> None:
    # Behind the proxy's back, since it is the owner who makes the bucket; moto asks for no signature.
    connection = HTTPConnection(HOST, port, timeout=START_SECONDS)
    connection.request("PUT", "/demo", headers={"Content-Length": "0"})
    status = connection.getresponse().status
    connection.close()
    if status != HTTPStatus.OK:
        raise SystemExit(f"s3warden: the store answers {status} to CreateBucket")


def _watch(children: Sequence[Child]) -> int:
    while True:
        for child in children:
            if child.process.poll() is not None:
                print(f"s3warden: {child.name} ended with exit code {child.process.returncode}", file=sys.stderr)
                return Exit.ERROR
        time.sleep(0.2)


def _welcome(port: int) -> str:
    return WELCOME.format(
        endpoint=f"http://{HOST}:{port}",
        key=ACCESS_KEY_ID,
        secret=SECRET_ACCESS_KEY,
        python=shlex.quote(sys.executable),
        policy=os.path.relpath(policies_folder() / "buckets" / "demo.yaml"),
    )


def _free_port(wanted: int = 0) -> int:
    """Return `wanted` if nobody listens there, otherwise any free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            return _free_port()
        return int(probe.getsockname()[1])


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


COMMAND = Command(
    "demo",
    "try it: a store in memory with the proxy in front of it",
    configure,
    run,
    "Start a store with data in memory (moto) and the proxy in front of it, create a bucket with a policy, and "
    "print lines to copy. Needs the extra: pip install 's3warden[demo]'. Ctrl-C ends both.",
)

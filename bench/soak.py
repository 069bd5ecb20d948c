"""Does memory stay flat: 32 clients of all kinds on the proxy, for minutes, against moto, buckets encrypted and not.

    python bench/soak.py [MINUTES] [--workers N] [--json FILE]

The clients read, write, list, copy and delete, upload in parts, ask for ranges, break off uploads, leave in
the middle of answers, send nonsense and are refused. Resident memory and open descriptors of the proxy are
sampled every second. After a warm-up, the median of the last third of the samples may exceed that of the
first by `GROWTH` at most. Prints a summary; exits with 1 if memory grew, a worker ended, or a request failed that
should not.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

KIB, MIB = 1 << 10, 1 << 20
CLIENTS = 32
BUCKETS = ("soak", "soak-encrypted")
WARM_UP = 0.25
"""Part of the run in which caches and buffers may fill."""
GROWTH = 6 * MIB
PART = bytes(5 * MIB)
LARGE = bytes(8 * MIB)
KEY, SECRET = "AKIASOAK", "soak-secret"
MATERIAL = base64.b64encode(bytes(range(32))).decode()
START_SECONDS = 30.0

CONFIG = """\
listen: {{host: 127.0.0.1, port: {port}, workers: {workers}}}
admin: null
upstream:
  endpoint: http://127.0.0.1:{store}
  credentials: {{access_key_id: AKIASTORE, secret_access_key: store-secret}}
  # moto copies a bucket's objects, bytes and all, whenever its versions are listed: state has a small one of its own.
  state: {{bucket: soak-state}}
owner: "123456789012"
limits: {{idle_seconds: 5}}
identities:
  - arn: arn:aws:iam::123456789012:user/soak
    access_keys: [{{id: {key}, secret: {secret}}}]
    policies: [full.yaml]
policies: []
decision_log: {{path: decisions.jsonl}}
keys: {{soak: {{type: aes, material: {material}}}}}
state_secret: [soak-state-secret-of-more-than-thirty-two-bytes]
buckets: {{soak-encrypted: {{encryption: {{mode: envelope, key: soak}}}}}}
"""
FULL = 'Version: "2012-10-17"\nStatement: {Effect: Allow, Action: "s3:*", Resource: "*"}\n'


@dataclass
class Soak:
    """The run: where the proxy is, and what has happened so far."""

    port: int
    until: float
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, counter: Counter[str], name: str) -> None:
        with self.lock:
            counter[name] += 1

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


class Client:
    """One client; each of its methods is something that clients do."""

    def __init__(self, soak: Soak, number: int) -> None:
        self.soak = soak
        self.random = random.Random(number)
        self.own = f"client-{number}"
        self.bucket = BUCKETS[0]
        self.s3 = s3_client(soak.port)

    def run(self) -> None:
        deeds: Sequence[Callable[[], None]] = (
            *[self.write_and_read] * 6,
            *[self.read_range] * 4,
            *[self.list_keys] * 3,
            *[self.copy_and_delete] * 2,
            self.upload_in_parts,
            self.abort_parts,
            self.read_large,
            *[self.break_off_upload] * 2,
            *[self.leave_within_answer] * 2,
            *[self.send_nonsense] * 2,
            *[self.be_refused] * 2,
            self.stay_silent,
        )
        while time.monotonic() < self.soak.until:
            deed = self.random.choice(deeds)
            self.bucket = self.random.choice(BUCKETS)
            name = f"{deed.__name__} in {self.bucket}"
            try:
                deed()
            except (BotoCoreError, ClientError, OSError, AssertionError) as error:
                self.soak.note(self.soak.failed, f"{name}: {type(error).__name__}: {error}"[:200])
            else:
                self.soak.note(self.soak.done, name)
            time.sleep(self.random.random() / 20)

    def write_and_read(self) -> None:
        body = self.random.randbytes(self.random.choice([0, 1, 1000, 20_000, 200_000]))
        self.s3.put_object(Bucket=self.bucket, Key=self.own, Body=body, Metadata={"a": "b"})
        assert self.s3.get_object(Bucket=self.bucket, Key=self.own)["Body"].read() == body
        self.s3.head_object(Bucket=self.bucket, Key=self.own)

    def read_range(self) -> None:
        start = self.random.randrange(len(LARGE) - 100_000)
        got = self.s3.get_object(Bucket=self.bucket, Key="large", Range=f"bytes={start}-{start + 65_535}")[
            "Body"
        ].read()
        assert len(got) == 65_536

    def list_keys(self) -> None:
        self.s3.list_objects_v2(Bucket=self.bucket, MaxKeys=100)
        self.s3.list_objects(Bucket=self.bucket, Prefix="client-", Delimiter="-", MaxKeys=10)

    def copy_and_delete(self) -> None:
        self.s3.copy_object(Bucket=self.bucket, Key=f"{self.own}-copy", CopySource=f"{self.bucket}/small")
        self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": f"{self.own}-copy"}, {"Key": "none"}]})

    def upload_in_parts(self) -> None:
        name = {"Bucket": self.bucket, "Key": f"{self.own}-parts"}
        upload = {**name, "UploadId": self.s3.create_multipart_upload(**name)["UploadId"]}
        parts = [
            {"PartNumber": number, "ETag": self.s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
            for number, body in ((1, PART), (2, b"end"))
        ]
        self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        start = len(PART) - 70_000
        got = self.s3.get_object(**name, Range=f"bytes={start}-")["Body"].read()
        assert got == PART[start:] + b"end"
        self.s3.delete_object(**name)

    def abort_parts(self) -> None:
        name = {"Bucket": self.bucket, "Key": f"{self.own}-aborted"}
        upload = {**name, "UploadId": self.s3.create_multipart_upload(**name)["UploadId"]}
        self.s3.upload_part(**upload, PartNumber=1, Body=b"x" * 100_000)
        self.s3.abort_multipart_upload(**upload)

    def read_large(self) -> None:
        assert len(self.s3.get_object(Bucket=self.bucket, Key="large")["Body"].read()) == len(LARGE)

    def break_off_upload(self) -> None:
        """Promise 4 MiB, send some of them, and be gone."""
        head = self.presigned("put_object", "PUT", f"{self.own}-broken", "Content-Length: 4194304")
        with self.soak.connect() as connection:
            connection.sendall(head + bytes(self.random.choice([0, 1000, 100_000, 1_000_000])))
            vanish(connection, self.random)

    def leave_within_answer(self) -> None:
        with self.soak.connect() as connection:
            connection.sendall(self.presigned("get_object", "GET", "large"))
            connection.recv(self.random.choice([1, 1000, 100_000]))
            vanish(connection, self.random)

    def send_nonsense(self) -> None:
        nonsense = self.random.choice(
            [
                b"GET\r\n\r\n",
                b"\x16\x03\x01" + bytes(500),
                b"PUT /soak-encrypted/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"GET /soak HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
                b"POST /soak?delete HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n<Delete><a><",
                b"GET /%zz%00 HTTP/1.1\r\nHost: h\r\nAuthorization: AWS4-HMAC-SHA256 x\r\n\r\n",
            ]
        )
        with self.soak.connect() as connection, suppress(ConnectionError):
            connection.sendall(nonsense)
            assert connection.recv(KIB).startswith(b"HTTP/1.")

    def be_refused(self) -> None:
        with self.soak.connect() as connection:
            connection.sendall(f"GET /{self.bucket}/small HTTP/1.1\r\nHost: h\r\n\r\n".encode() * 5)
            assert connection.recv(KIB).startswith(b"HTTP/1.1 403")

    def stay_silent(self) -> None:
        """Begin a head and wait until the proxy has enough of it."""
        with self.soak.connect() as connection:
            connection.sendall(b"GET /soak/small HTTP/1.1\r\nHo")
            assert connection.recv(KIB).startswith(b"HTTP/1.1 400")

    def presigned(self, operation: str, method: str, key: str, *lines: str) -> bytes:
        url = urlsplit(self.s3.generate_presigned_url(operation, {"Bucket": self.bucket, "Key": key}))
        head = [f"{method} {url.path}?{url.query} HTTP/1.1", f"Host: {url.netloc}", *lines, "", ""]
        return "\r\n".join(head).encode()


def vanish(connection: socket.socket, choose: random.Random) -> None:
    """Close, or reset."""
    if choose.random() < 0.5:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def s3_client(port: int) -> Any:
    """boto3 with one retry, as moto answers 500 when two clients write while a third one lists."""
    config = Config(s3={"addressing_style": "path"}, signature_version="s3v4", retries={"total_max_attempts": 2})
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=config,
    )


def start(command: Sequence[str], port: int, errors: Path) -> subprocess.Popen[bytes]:
    """Start a server and wait until it accepts connections."""
    with errors.open("wb") as output:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=output)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[2]} did not start:\n{errors.read_text()}") from None
            time.sleep(0.1)
        else:
            return process


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def resident(pid: int) -> int:
    """Return the memory of the proxy: of each process what is not shared with the others, and its share."""
    total = 0
    for each in family(pid):
        lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * KIB
    return total


def descriptors(pid: int) -> int:
    return sum(len(os.listdir(f"/proc/{each}/fd")) for each in family(pid))


def soak(minutes: float, workers: int) -> dict[str, Any]:
    """Run it; return the report."""
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="s3warden-soak-")))
        store, port = free_port(), free_port()
        moto = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(store)]
        ending.callback(stop, start(moto, store, folder / "moto.txt"))
        (folder / "full.yaml").write_text(FULL)
        (folder / "config.yaml").write_text(
            CONFIG.format(port=port, workers=workers, store=store, key=KEY, secret=SECRET, material=MATERIAL)
        )
        command = [sys.executable, "-m", "proxy", "serve", "--config", str(folder / "config.yaml")]
        proxy = start(command, port, folder / "proxy.txt")
        ending.callback(stop, proxy)
        s3 = s3_client(port)
        s3.create_bucket(Bucket="soak-state")
        for bucket in BUCKETS:
            s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key="large", Body=LARGE)
            s3.put_object(Bucket=bucket, Key="small", Body=b"small")
        run = Soak(port, time.monotonic() + minutes * 60)
        threads = [threading.Thread(target=Client(run, number).run) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        processes = family(proxy.pid)
        samples = sample(proxy.pid, run.until)
        for thread in threads:
            thread.join()
        time.sleep(6)  # longer than any connection may stay idle
        log = (folder / "proxy.txt").read_text()
        decisions = (folder / "decisions.jsonl").read_bytes().count(b"\n")
        found = report(samples, run, log, descriptors(proxy.pid))
        # A worker that ends is replaced at once, so nobody else would notice.
        ended = len(set(processes) - set(family(proxy.pid)))
        found["flat"] = found["flat"] and not ended
        return found | {"decisions": decisions, "workers": workers, "workers_ended": ended}


def sample(pid: int, until: float) -> list[tuple[float, int, int]]:
    """Return (seconds, bytes, descriptors), once a second."""
    started = time.monotonic()
    samples = []
    while time.monotonic() < until:
        samples.append((round(time.monotonic() - started, 1), resident(pid), descriptors(pid)))
        time.sleep(1)
    return samples


def report(samples: list[tuple[float, int, int]], run: Soak, log: str, left_open: int) -> dict[str, Any]:
    steady = [size for _, size, _ in samples[int(len(samples) * WARM_UP) :]]
    third = max(1, len(steady) // 3)
    first, last = statistics.median(steady[:third]), statistics.median(steady[-third:])
    return {
        "flat": last - first <= GROWTH and not run.failed and "Traceback" not in log,
        "mib_first": round(first / MIB, 1),
        "mib_last": round(last / MIB, 1),
        "mib_peak": round(max(size for _, size, _ in samples) / MIB, 1),
        "descriptors_peak": max(count for _, _, count in samples),
        "descriptors_after": left_open,
        "done": dict(run.done.most_common()),
        "failed": dict(run.failed.most_common(20)),
        "tracebacks": log.count("Traceback"),
        "samples": [(at, round(size / MIB, 1), count) for at, size, count in samples],
    }


def main() -> int:
    """Soak, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", type=float, nargs="?", default=10.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the report with all samples here")
    arguments = parser.parse_args()
    found = soak(arguments.minutes, arguments.workers)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({name: value for name, value in found.items() if name != "samples"}, indent=1))
    return 0 if found["flat"] else 1


if __name__ == "__main__":
    sys.exit(main())

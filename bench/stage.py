"""The processes a benchmark needs: nginx as the store and as a plain reverse proxy, and the proxies measured.

Everything listens on free loopback ports, keeps its files in memory, and ends with the run.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ACCESS_KEY, SECRET_KEY, REGION, BUCKET = "AKIABENCHMARK", "benchmark-secret", "us-east-1", "bench"

_NGINX = """
worker_processes {workers}; daemon off; pid {dir}/{name}.pid; error_log {dir}/{name}.err;
events {{ worker_connections 2048; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {dir}/{name}-body; sendfile on; tcp_nodelay on;
  proxy_temp_path {dir}/{name}-proxy; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  keepalive_requests 1000000; client_body_buffer_size 128k;
  {upstream}
  server {{ listen 127.0.0.1:{port} backlog=1024; root {dir}/data; {location} }}
}}
"""
_STORE = "location / { dav_methods PUT DELETE; create_full_put_path on; }"
_PROXY = (
    "location / { proxy_pass http://store; proxy_http_version 1.1; proxy_set_header Connection '';"
    " proxy_buffering off; proxy_request_buffering off; }"
)
_POLICY = """
bucket: {bucket}
policy:
  Version: "2012-10-17"
  Statement:
{statements}
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A process under measurement and how to reach it."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def pids(self) -> list[int]:
        """Return the process and its children."""
        found = [self.process.pid]
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return found + [int(pid) for pid in children.read_text().split()]

    def cpu_seconds(self) -> float:
        """Return the processor time used so far, in user and kernel mode."""
        total = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def peak_rss(self) -> int:
        """Return the largest resident size of any of its processes, in bytes."""
        return max(_status(pid, "VmHWM") for pid in self.pids)


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def stage() -> Iterator[Stage]:
    """Yield a stage whose processes and files are gone afterwards."""
    for tool in ("nginx", "wrk"):
        if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            raise SystemExit(f"bench: {tool} is missing; on Debian: apt-get install nginx-light wrk")
    folder = Path(tempfile.mkdtemp(prefix="s3warden-bench-", dir="/dev/shm"))
    made = Stage(folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Stage:
    """Starts what is measured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[Running] = []

    def nginx_store(self) -> Running:
        """Start nginx as a store: GET, PUT and DELETE of files in memory."""
        return self._nginx("store", "", _STORE)

    def nginx_proxy(self, store: Running) -> Running:
        """Start nginx as a reverse proxy."""
        upstream = f"upstream store {{ server 127.0.0.1:{store.port}; keepalive 128; }}"
        return self._nginx("proxy", upstream, _PROXY)

    def passthrough(self, store: Running) -> Running:
        """Start the bare aiohttp proxy."""
        port = free_port()
        command = [sys.executable, str(ROOT / "bench/passthrough.py"), str(port), f"http://127.0.0.1:{store.port}"]
        return self._start("aiohttp", port, command)

    def s3warden(self, store: Running, workers: int, extra: str = "") -> Running:
        """Start this proxy with a signature to check, a policy of 10 statements and a decision log."""
        port = free_port()
        policy = self.folder / "policy.yaml"
        statements = "\n".join(
            f'    - {{Sid: Deny{number}, Effect: Deny, Principal: "*", Action: "s3:PutObject", Resource: '
            f'"arn:aws:s3:::{BUCKET}/*", Condition: {{StringLike: {{"s3:x-amz-acl": "public{number}*"}}}}}}'
            for number in range(9)
        )
        statements += (
            '\n    - {Sid: Allow, Effect: Allow, Principal: {AWS: "arn:aws:iam::123456789012:user/bench"}, '
            f'Action: "s3:*", Resource: ["arn:aws:s3:::{BUCKET}", "arn:aws:s3:::{BUCKET}/*"]}}'
        )
        policy.write_text(_POLICY.format(bucket=BUCKET, statements=statements))
        config = self.folder / f"s3warden-{port}.yaml"
        config.write_text(
            f"""
listen: {{host: 127.0.0.1, port: {port}, workers: {workers}}}
admin: null
upstream:
  endpoint: http://127.0.0.1:{store.port}
  region: {REGION}
  credentials: {{access_key_id: UPSTREAM, secret_access_key: upstream-secret}}
identities:
  - arn: arn:aws:iam::123456789012:user/bench
    access_keys: [{{id: {ACCESS_KEY}, secret: {SECRET_KEY}}}]
policies: [{policy}]
owner: "123456789012"
decision_log: {{path: {self.folder}/decisions.log}}
log: {{level: warning}}
{extra}"""
        )
        command = [sys.executable, "-m", "proxy", "serve", "--config", str(config)]
        return self._start(f"s3warden-{workers}", port, command)

    def stop(self) -> None:
        """End what was started."""
        for each in self._running:
            each.process.send_signal(signal.SIGTERM)
        for each in self._running:
            try:
                each.process.wait(10)
            except subprocess.TimeoutExpired:
                each.process.kill()

    def _nginx(self, name: str, upstream: str, location: str) -> Running:
        port = free_port()
        (self.folder / "data").mkdir(exist_ok=True)
        config = self.folder / f"{name}.conf"
        config.write_text(
            _NGINX.format(name=name, dir=self.folder, port=port, upstream=upstream, location=location, workers=1)
        )
        nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
        return self._start(
            f"nginx-{name}", port, [nginx, "-c", str(config), "-e", str(self.folder / "e"), "-g", "user root;"]
        )

    def _start(self, name: str, port: int, command: list[str]) -> Running:
        log = (self.folder / f"{name}.out").open("wb")
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        running = Running(name, port, process)
        self._running.append(running)
        _wait_for(port, process, self.folder / f"{name}.out")
        return running


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise SystemExit(f"bench: a process ended at once:\n{log.read_text()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"bench: nobody listens on port {port}")

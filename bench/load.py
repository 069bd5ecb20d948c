"""Load: really signed requests, sent by wrk, and what they cost the process that serves them."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from stage import ACCESS_KEY, BUCKET, REGION, ROOT, SECRET_KEY, Running

sys.path.insert(0, str(ROOT))
from proxy.auth.credential import Credential
from proxy.auth.sign import sign_v4

NAMES = 16
_CREDENTIAL = Credential(ACCESS_KEY, SECRET_KEY)

_LUA = """
local requests, count, at = {}, 0, 0
local file = io.open("%s", "rb")
while true do
  local size = file:read("*line")
  if not size then break end
  count = count + 1
  requests[count] = file:read(tonumber(size))
  file:read(1)
end
file:close()
request = function() at = at %% count + 1; return requests[at] end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%%d,"microseconds":%%d,"bytes":%%d,"errors":%%d,"p50":%%d,"p99":%%d}\\n',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of wrk found, and what it cost the measured process."""

    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p99_ms: float
    cpu_seconds: float
    received: int
    """Bytes of answers, those of answers that had not ended included."""

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def signed_request(port: int, method: str, key: str, body: bytes, *, signed_body: bool) -> bytes:
    """Return the bytes of one signed request."""
    path = f"/{BUCKET}/{key}"
    payload = sha256(body).hexdigest() if signed_body else "UNSIGNED-PAYLOAD"
    headers = [("host", f"127.0.0.1:{port}"), ("user-agent", "bench/1 wrk")]
    if method == "PUT":
        headers += [("content-length", str(len(body))), ("content-type", "application/octet-stream")]
    headers += sign_v4(method, path, "", headers, payload, _CREDENTIAL, REGION, time.time()).headers
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def run_wrk(
    target: Running, folder: Path, method: str, prefix: str, size: int, *, connections: int, seconds: float
) -> Result:
    """Load `target` with one kind of request on a few names."""
    body = b"x" * size if method == "PUT" else b""
    names = NAMES if size < 1 << 20 else 4
    requests = [
        signed_request(target.port, method, f"{prefix}{number}", body, signed_body=size < 1 << 20)
        for number in range(names)
    ]
    data = folder / "requests"
    data.write_bytes(b"".join(b"%d\n%b\n" % (len(each), each) for each in requests))
    script = folder / "wrk.lua"
    script.write_text(_LUA % data)
    before = target.cpu_seconds()
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(script)]
    out = subprocess.run(
        [*command, f"http://127.0.0.1:{target.port}/"], capture_output=True, text=True, check=True, timeout=seconds + 60
    ).stdout
    found = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    cpu = target.cpu_seconds() - before
    return Result(
        found["requests"],
        found["microseconds"] / 1e6,
        found["errors"],
        found["p50"] / 1e3,
        found["p99"] / 1e3,
        cpu,
        found["bytes"],
    )


def first_byte_ms(target: Running, key: str, samples: int = 41) -> float:
    """Return the median time to the first byte of a GET, on one connection, in milliseconds."""
    times = []
    for _ in range(samples):
        with socket.create_connection(("127.0.0.1", target.port)) as client:
            request = signed_request(target.port, "GET", key, b"", signed_body=True)
            started = time.perf_counter()
            client.sendall(request)
            client.recv(1)
            times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000

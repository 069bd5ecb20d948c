"""A Ceph object gateway for the tests: one monitor, one OSD in memory, one radosgw, all on the loopback interface.

radosgw is a real S3 store that checks signatures. Ceph 16, which Debian 12 has, refuses checksum trailers.

Source: https://docs.ceph.com/en/pacific/install/manual-deployment/
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tests.conftest import Store, free_port

START_SECONDS = 120.0
ACCESS_KEY_ID = "RADOSGWTESTKEY"
SECRET_ACCESS_KEY = "radosgw-test-secret"
KMS_KEY = "testkey"
"""What SSE-KMS may name here: this gateway's own key service for tests has no other key."""

# Without `crc secure`, monitor and clients without authentication do not come together; without
# `tcp_nodelay` every small GET waits 40 ms.
CONF = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_port},v1:127.0.0.1:{mon_port_v1}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc secure
run dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
crash dir = {folder}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 10000
mon data avail warn = 2
mon data avail crit = 1
[mon.a]
host = {host}
mon data = {folder}/mon
[osd]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd class load list = *
osd class default list = *
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw data = {folder}/rgw
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = {kms_key}=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
"""


class Radosgw:
    """The three processes, for the length of a `with` block; `store` says how to reach them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "ceph.conf"
        self.environ = os.environ | {"CEPH_CONF": str(self.conf)}
        port = free_port()
        self.store = Store(f"http://127.0.0.1:{port}", ACCESS_KEY_ID, SECRET_ACCESS_KEY)
        self.stack = ExitStack()
        self._configure(port)

    def __enter__(self) -> Store:
        try:
            self._start()
        except BaseException:
            self.stack.close()
            raise
        return self.store

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.close()

    def _configure(self, port: int) -> None:
        for name in ("mon", "osd", "rgw"):
            (self.folder / name).mkdir()
        # The monitor speaks two versions of its protocol, on two ports.
        mon_port, mon_port_v1 = free_port(), free_port()
        fsid = str(uuid.uuid4())
        self.conf.write_text(
            CONF.format(
                fsid=fsid,
                mon_port=mon_port,
                mon_port_v1=mon_port_v1,
                folder=self.folder,
                host=socket.gethostname().partition(".")[0],
                port=port,
                kms_key=KMS_KEY,
            )
        )
        monitor_map = str(self.folder / "monmap")
        addresses = f"[v2:127.0.0.1:{mon_port},v1:127.0.0.1:{mon_port_v1}]"
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", addresses, monitor_map)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitor_map)

    def _start(self) -> None:
        self._spawn("ceph-mon", "-i", "a", "-f")
        self._wait("the monitor", lambda: bool(self._run("ceph", "--connect-timeout", "3", "mon", "stat", check=False)))
        osd_id = str(uuid.uuid4())
        self._run("ceph", "osd", "new", osd_id, "0")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_id)
        self._spawn("ceph-osd", "-i", "0", "-f")
        self._wait("the OSD", lambda: b"1 up" in self._run("ceph", "osd", "stat", check=False))
        self._spawn("radosgw", "-n", "client.rgw.a", "-f")
        self._wait("radosgw", self._answers)
        keys = ("--access-key", ACCESS_KEY_ID, "--secret", SECRET_ACCESS_KEY)
        self._run("radosgw-admin", "-n", "client.rgw.a", "user", "create", "--uid=t", "--display-name=t", *keys)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.store.endpoint, timeout=3).close()  # noqa: S310  loopback
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def _run(self, *command: str, check: bool = True) -> bytes:
        done = subprocess.run(command, env=self.environ, capture_output=True, timeout=60)
        assert not check or done.returncode == 0, f"{command}: {done.stderr.decode()}"
        return done.stdout

    def _spawn(self, *command: str) -> None:
        output = (self.folder / f"{command[0]}.out").open("wb")
        self.stack.callback(output.close)
        process = subprocess.Popen(command, env=self.environ, stdout=output, stderr=output)
        self.stack.callback(_end, process)

    def _wait(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            assert time.monotonic() < deadline, f"{what} does not answer, see {self.folder}"
            time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""The pages on rotating keys and on scanning are run as they stand: every command, beside a proxy that serves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ACCOUNT, Store, free_port, running
from tests.server.envelope.conftest import FULL_ACCESS, s3_client
from tests.server.rotation.strict import strict_store
from tests.test_tutorial import install_command

ROOT = Path(__file__).parents[1]
SHELL = re.compile(r"^( *)```sh\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
CONFIG = f"""\
listen: {{{{host: 127.0.0.1, port: {{port}}}}}}
admin: null
upstream:
  endpoint: {{store.endpoint}}
  credentials: {{{{access_key_id: {{store.access_key_id}}, secret_access_key: "${{{{env:UPSTREAM_SECRET}}}}"}}}}
owner: "{ACCOUNT}"
identities:
  - arn: arn:aws:iam::{ACCOUNT}:user/alice
    access_keys: [{{{{id: AKIAALICE, secret: alice-secret}}}}]
    policies: [full-access.yaml]
keys:
  hr:
    type: aes
    material: "${{{{env:HR_KEY_1}}}}"
buckets:
  "hr-*":
    encryption: {{{{mode: envelope, key: hr}}}}
"""
BODIES = {f"file {number}": os.urandom(1000 * number) for number in range(5)}


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A store of its own: whether a key may go is asked of all buckets."""
    port = free_port()
    with running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        yield Store(f"http://127.0.0.1:{port}", "AKIAMOTO", "moto-secret")


def commands(page: str) -> list[str]:
    """Return the blocks of a page that are for a shell."""
    return [textwrap.dedent(text) for _, text in SHELL.findall((ROOT / "docs" / "how-to" / page).read_text())]


@dataclass
class Site:
    """A folder with a configuration, the proxy that serves it, and one bucket."""

    folder: Path
    environment: dict[str, str]
    client: Any

    def run(self, script: str, code: int = 0) -> str:
        """Run a block; return what it said."""
        done = subprocess.run(
            ["bash", "-ec", script], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def wait_for_reload(self) -> None:
        """Wait until the proxy has taken up what the last command changed."""
        log, seen = self.folder / "serve.log", self.reloads
        deadline = time.monotonic() + 20
        while log.read_text().count("reloaded: ") <= seen:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        self.reloads = log.read_text().count("reloaded: ")

    reloads: int = 0

    def check(self) -> None:
        """Read every object through the proxy."""
        for key, body in BODIES.items():
            assert self.client.get_object(Bucket="hr-data", Key=key)["Body"].read() == body


@contextmanager
def site(folder: Path, store: Store) -> Iterator[Site]:
    install_command(folder / "bin")
    port = free_port()
    (folder / "config.yaml").write_text(CONFIG.format(port=port, store=store))
    (folder / "full-access.yaml").write_text(FULL_ACCESS)
    (folder / "policies").mkdir()
    environment = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        "UPSTREAM_SECRET": store.secret_access_key,
        "HR_KEY_1": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    }
    serve = f"import os, sys; os.chdir({str(folder)!r}); os.environ.update({environment!r}); sys.argv[0] = 's3warden'\n"
    serve += "from proxy.cli.main import main; sys.exit(main(sys.argv[1:]))"
    with running([sys.executable, "-c", serve, "serve", "--config", "config.yaml"], port, errors=folder / "serve.log"):
        client = s3_client(f"http://127.0.0.1:{port}", "AKIAALICE", "alice-secret")
        client.create_bucket(Bucket="hr-data")
        for key, body in BODIES.items():
            client.put_object(Bucket="hr-data", Key=key, Body=body)
        yield Site(folder, environment, client)
        for key in BODIES:
            client.delete_object(Bucket="hr-data", Key=key)
        client.delete_bucket(Bucket="hr-data")
        client.close()


@pytest.mark.parametrize("fleet", [False, True], ids=["one proxy", "several"])
def test_a_key_is_rotated_as_the_page_says(store: Store, tmp_path: Path, fleet: bool) -> None:
    alone, prepare, promote, rewrap, retire = commands("rotate-keys.md")
    with strict_store(store) as strict, site(tmp_path, strict.store) as made:
        for block in (prepare, promote) if fleet else (alone,):
            made.run(block)
            made.wait_for_reload()
            made.check()
        assert (tmp_path / "keys" / "hr-2.key").stat().st_mode & 0o777 == 0o600
        told = made.run(rewrap)
        assert "hr-data: hr@1: 5 objects, 0 bucket keys" in told
        assert "5 would be rewrapped" in told
        assert "5 rewrapped, 0 current, 0 not encrypted, 0 changed meanwhile, 0 failed" in told
        made.check()
        made.run(retire)
        made.wait_for_reload()
        made.check()
        assert "HR_KEY_1" not in (tmp_path / "config.yaml").read_text()


def test_a_version_that_is_in_use_is_not_retired_and_a_key_is_stopped_at_once(store: Store, tmp_path: Path) -> None:
    alone, *_, retire = commands("rotate-keys.md")
    with strict_store(store) as strict, site(tmp_path, strict.store) as made:
        made.run(alone)
        made.wait_for_reload()
        made.run(retire, code=1)
        made.check()
        inline = re.findall(r"`(s3warden keys disable [^`]+)`", (ROOT / "docs/how-to/rotate-keys.md").read_text())
        assert len(inline) == 1
        made.run(inline[0])
        made.wait_for_reload()
        with pytest.raises(Exception, match=r"KMS\.DisabledException"):
            made.client.get_object(Bucket="hr-data", Key="file 1")


def test_a_bucket_is_scanned_as_the_page_says(store: Store, tmp_path: Path) -> None:
    with site(tmp_path, store) as made:
        for block in commands("scan.md"):
            assert "5  envelope" in made.run(block)
        assert {"scan.sarif", "scan.csv", "hr-data.scan"} <= {each.name for each in tmp_path.iterdir()}
        assert len((tmp_path / "scan.csv").read_text().splitlines()) == 6

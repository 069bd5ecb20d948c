"""`serve` serves: a configuration's warnings are logged, and a signal ends it in order."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.cli.main import main
from tests.conftest import free_port, running

ROOT = Path(__file__).parents[2]
CONFIG = """\
listen: {{host: 127.0.0.1, port: {port}}}
admin: null
upstream: {{endpoint: "http://127.0.0.1:9", credentials: {{access_key_id: AKIA, secret_access_key: hunter2}}}}
owner: 123456789012
"""


def test_it_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    port = free_port()
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.format(port=port))
    with running([sys.executable, "-m", "proxy", "serve", "--config", str(path)], port) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_warnings_are_logged_when_it_starts(tmp_path: Path) -> None:
    port = free_port()
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.format(port=port))
    ready = f"for i in $(seq 100); do (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.1; done"
    script = f"{sys.executable} -m proxy serve --config {path} & {ready}; kill $!; wait $!"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert "put it in quotes" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_an_invalid_configuration_does_not_serve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("lisen: {}\n")
    assert main(["serve", "--config", str(path)]) == 2
    assert "did you mean `listen`?" in capsys.readouterr().err

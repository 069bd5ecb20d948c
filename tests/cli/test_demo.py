"""The demo does what it prints: every line it offers is copied and run, and both processes end with it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.cli import demo
from proxy.cli.main import main
from proxy.cli.shipped import policies_folder
from proxy.policy.store import load_policies
from tests.conftest import free_port

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Demo:
    process: subprocess.Popen[str]
    port: int
    text: str

    def commands(self, section: str) -> list[str]:
        """Return the commands of a section, each with the comment above it."""
        body = self.text.partition(f"--- {section} ---\n\n")[2]
        body = re.split(r"\n--- |\nEvery decision", body)[0]
        return [block.strip() for block in re.split(r"\n(?=# )", body) if block.strip()]


@pytest.fixture(scope="module")
def running_demo() -> Iterator[Demo]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy", "demo", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Every decision"):
            break
    with process:
        yield Demo(process, port, "".join(lines))
        process.send_signal(signal.SIGINT)
        # Decisions that were logged must be read, or the proxy could wait for somebody to read them.
        process.communicate(timeout=30)
    assert process.returncode == 0


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    (folder / "hello.txt").write_text("hello\n")
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=folder, env=environ, timeout=60)


def test_it_says_loudly_that_data_and_keys_are_not_for_keeps(running_demo: Demo) -> None:
    assert "DATA IS TEMPORARY" in running_demo.text
    assert "FOR SHOW ONLY" in running_demo.text


def test_the_curl_lines_do_what_their_comments_say(running_demo: Demo, tmp_path: Path) -> None:
    allowed, anonymous, denied = (run(f"{each} -sS -i", tmp_path) for each in running_demo.commands("curl"))
    assert " 200 OK" in allowed.stdout, allowed.stdout + allowed.stderr
    assert anonymous.stdout.endswith("hello\n")
    assert " 403 " in denied.stdout
    assert "UploadsNameTheirEncryption" in denied.stdout


def test_the_boto3_lines_do_what_their_comments_say(running_demo: Demo, tmp_path: Path) -> None:
    [script] = running_demo.commands("boto3")
    result = run(script, tmp_path)
    assert "5d41402abc4b2a76b9719d911017c592" in result.stdout, result.stderr
    assert "AccessDenied" in result.stderr
    assert "UploadsNameTheirEncryption" in result.stderr


@pytest.mark.skipif(shutil.which("aws") is None, reason="the aws command is not installed")
def test_the_aws_lines_do_what_their_comments_say(running_demo: Demo, tmp_path: Path) -> None:
    setup, allowed, denied = running_demo.commands("aws")
    assert run(f"{setup}\n{allowed}", tmp_path).returncode == 0
    refused = run(f"{setup}\n{denied}", tmp_path)
    assert refused.returncode == 1
    shown = re.findall(r"^```text\n(upload failed.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert " ".join(shown[0].split()) in " ".join(refused.stderr.split())


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert demo._free_port(taken.getsockname()[1]) != taken.getsockname()[1]


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert main(["demo"]) == 2
    assert 'pip install "s3warden[demo]"' in capsys.readouterr().err


def test_the_policies_that_ship_are_valid() -> None:
    assert load_policies([policies_folder() / "buckets"], "bucket").files
    assert load_policies([policies_folder() / "identity"], "identity").files

"""A bucket may have any number of objects: what a scan holds does not grow with it, and neither do its reports."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.scan_report import MAX_KEYS
from tests.server.scan.endless import name

ROOT = Path(__file__).parents[3]
SMALL, LARGE = 12_000, 36_000
CONFIG = """\
listen: {host: 127.0.0.1, port: 1}
admin: null
upstream:
  endpoint: http://127.0.0.1:1
  credentials: {access_key_id: AKIAUPSTREAM, secret_access_key: upstream-secret}
owner: "123456789012"
policies: []
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def scan(folder: Path, count: int, *more: str) -> dict[str, Any]:
    """Scan a bucket of so many objects in a process of its own; return what it took."""
    told = folder / "told.json"
    outputs = [word for kind in ("json", "csv", "markdown", "sarif") for word in ("--output", f"{kind}=out.{kind}")]
    command = [sys.executable, "-m", "tests.server.scan.endless", str(count), str(told)]
    command += ["scan", "--config", "config.yaml", "--bucket", "large", *outputs, *more]
    subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, check=False)
    found: dict[str, Any] = json.loads(told.read_text())
    return found


def test_memory_does_not_grow_with_the_bucket(folder: Path) -> None:
    small, large = scan(folder, SMALL), scan(folder, LARGE)
    assert large["asked"] == {"GET": LARGE // 1000, "HEAD": LARGE}, "each object is asked about once"
    with (folder / "out.csv").open() as file:
        keys = [row["key"] for row in csv.DictReader(file)]
    assert keys == [name(number) for number in range(LARGE)]
    with (folder / "out.json").open() as file:
        assert sum(line.startswith('{"key"') for line in file) == LARGE
    # Were objects held, this many more would take 20 MiB and more.
    assert large["peak_kib"] - small["peak_kib"] < 6 * 1024


def test_keys_are_counted_one_by_one_as_far_as_there_is_an_end_to_them(folder: Path) -> None:
    scan(folder, 3000)
    table = (folder / "out.markdown").read_text()
    assert table.count("sse-kms under arn:") == MAX_KEYS
    assert f"| {1500 - MAX_KEYS:,} | sse-kms under other keys |" in table


def test_a_scan_goes_on_in_the_middle_of_a_large_bucket(folder: Path) -> None:
    state = folder / "large.scan"
    scan(folder, 6000, "--state", str(state))
    lines = state.read_bytes().splitlines(keepends=True)
    ends = [number for number, line in enumerate(lines, 1) if line.startswith(b'{"page"')]
    # As if it had been killed while it wrote the fourth page.
    state.write_bytes(b"".join(lines[: ends[2] + 500]) + b'{"key":"torn')
    assert scan(folder, 6000, "--state", str(state))["asked"] == {"GET": 3, "HEAD": 3000}
    assert state.read_bytes() == b"".join(lines)

"""The AWS SDK for JavaScript works through the proxy, and is told when a policy denies."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Store
from tests.serving import serving

FOLDER = Path(__file__).parent / "js"


@pytest.fixture(scope="module")
def sdk() -> None:
    """Install the SDK beside the script, where Node looks for it."""
    if not (FOLDER / "node_modules" / "@aws-sdk" / "client-s3").exists():
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"]
        subprocess.run(command, cwd=FOLDER, check=True, timeout=110)


@pytest.mark.usefixtures("sdk")
def test_a_program_with_the_javascript_sdk_works(moto_store: Store, tmp_path: Path) -> None:
    with serving(tmp_path, moto_store) as proxy:
        environ = os.environ | {
            "ENDPOINT": proxy.endpoint,
            "AWS_ACCESS_KEY_ID": proxy.access_key_id,
            "AWS_SECRET_ACCESS_KEY": proxy.secret_access_key,
        }
        done = subprocess.run(
            ["node", "journey.mjs"], cwd=FOLDER, env=environ, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    assert dict(line.split(": ", 1) for line in done.stdout.splitlines()) == {
        "round trip": "true",
        "range": "gr",
        "denied": "AccessDenied 403",
        "presigned put": "200",
        "presigned get": "by link",
        "list": "a b+c/ü.txt | signed",
        "deleted": "2",
    }

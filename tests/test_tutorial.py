"""The tutorial is run as it stands: from an empty folder, every file written, every answer compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run(script: str, folder: Path) -> str:
    bin_folder = folder.parent / "bin"
    environment = {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "HOME": str(folder.parent),
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "You",
        "GIT_AUTHOR_EMAIL": "you@example.com",
        "GIT_COMMITTER_NAME": "You",
        "GIT_COMMITTER_EMAIL": "you@example.com",
    }
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
    # git sends the output of hooks to standard error.
    return done.stdout + ("".join(done.stderr.splitlines(keepends=True)) if "git commit" in script else "")


def install_command(folder: Path) -> None:
    folder.mkdir()
    command = folder / "s3warden"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m proxy "$@"\n')
    command.chmod(0o755)


def test_every_step_of_the_tutorial_works_as_it_says(tmp_path: Path) -> None:
    install_command(tmp_path / "bin")
    folder = tmp_path / "empty"
    folder.mkdir()
    answer = ""
    kinds = []
    for kind, text in BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text()):
        kinds.append(kind)
        if kind == "yaml":
            first, _, rest = text.partition("\n")
            name, _, where = first.removeprefix("# ").partition(", ")
            with (folder / name).open("a" if where == "at its end" else "w") as file:
                file.write(rest)
        elif kind == "sh":
            assert not answer, f"the tutorial does not show this answer:\n{answer}"
            answer = run(text, folder)
        else:
            assert answer == text
            answer = ""
    assert not answer
    assert kinds.count("text") >= 6

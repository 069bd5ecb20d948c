"""The pre-commit hooks and the GitHub Action call the command as it is, and nothing an author writes is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.cli.main import COMMANDS, build_parser

ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
CI_PAGE = (ROOT / "docs/how-to/ci.md").read_text()
PRE_COMMIT_PAGE = (ROOT / "docs/how-to/pre-commit.md").read_text()
POLICY = (ROOT / "policies/buckets/demo.yaml").read_text()


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook["id"]))
def test_a_hook_calls_a_command_that_exists(hook: dict[str, Any]) -> None:
    words = [*hook["entry"].split(), *hook.get("args", [])]
    assert words[0] == "s3warden"
    paths = [] if hook.get("pass_filenames") is False else ["policies/buckets/demo.yaml"]
    build_parser(COMMANDS).parse_args([*words[1:], *paths])


@pytest.mark.parametrize(
    ("file", "linted"),
    [
        ("policies/buckets/a.yaml", True),
        ("policies/a.json", True),
        ("policies/a.test.yaml", False),
        ("policies/goals/tls.yaml", False),
        ("config.yaml", False),
    ],
)
def test_the_lint_hook_takes_policies_and_nothing_else(file: str, linted: bool) -> None:
    hook = next(hook for hook in HOOKS if hook["id"] == "policy-lint")
    assert bool(re.search(hook["files"], file) and not re.search(hook["exclude"], file)) is linted


def test_the_pages_name_hooks_and_inputs_that_exist() -> None:
    assert set(re.findall(r"- id: (\S+)", PRE_COMMIT_PAGE)) <= {hook["id"] for hook in HOOKS}
    assert set(re.findall(r"^\| `([a-z-]+)` \|", CI_PAGE, re.MULTILINE)) == set(ACTION["inputs"])


def test_no_input_is_pasted_into_a_script() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


def lint_step() -> dict[str, Any]:
    step: dict[str, Any] = next(step for step in ACTION["runs"]["steps"] if step.get("name") == "Lint policies")
    return step


def run_lint_step(folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the action's script as GitHub does, with the inputs' defaults."""
    binaries = folder / "runner" / "s3warden" / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    command = binaries / "s3warden"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m proxy "$@"\n')
    command.chmod(0o755)
    values = {name: str(entry.get("default", "")) for name, entry in ACTION["inputs"].items()} | inputs
    environ = {
        name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda match: values[match[1]], text)
        for name, text in lint_step()["env"].items()
    }
    environ |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "RUNNER_TEMP": str(folder / "runner")}
    environ |= {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", lint_step()["run"]]
    return subprocess.run(bash, capture_output=True, text=True, cwd=folder, env=environ)


def test_the_action_lints_annotates_and_sums_up(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "a.yaml").write_text(POLICY)
    clean = run_lint_step(tmp_path)
    assert (clean.returncode, clean.stderr) == (0, "")
    assert (tmp_path / "summary.md").read_text().startswith("## ✅")
    (tmp_path / "policies" / "a.yaml").write_text(POLICY.replace("s3:PutObject", "s3:PutObjct"))
    wrong = run_lint_step(tmp_path, sarif="lint.sarif")
    assert wrong.returncode == 1
    assert "::error file=policies/a.yaml,line=" in wrong.stdout
    assert "S3W014" in (tmp_path / "lint.sarif").read_text()
    assert run_lint_step(tmp_path, **{"fail-on": "never"}).returncode == 0


def test_the_action_fails_when_nothing_was_checked(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    assert run_lint_step(tmp_path).returncode == 3


def test_an_input_of_the_action_is_never_run(tmp_path: Path) -> None:
    result = run_lint_step(tmp_path, paths="$(touch pwned) `touch pwned` ; touch pwned --output json")
    assert result.returncode == 2
    assert not (tmp_path / "pwned").exists()

"""`policy library`: what ships can be listed, shown and copied, from a wheel as well."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from proxy.cli.main import main

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "policies" / "library").glob("*.yaml") if ".test" not in path.name)


def test_the_list_says_what_each_one_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "library", "list"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    assert "tls-only                   Nothing without TLS." in lines
    assert captured.err == f"{len(NAMES)} policies\n"


def test_one_is_shown_for_a_bucket(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "library", "show", "tls-only", "--bucket", "hr-data"]) == 0
    out = capsys.readouterr().out
    assert "arn:aws:s3:::hr-data/*" in out
    assert "example-bucket" not in out
    assert "$schema" not in out


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_passes_lint_and_its_own_tests(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "policies"
    assert main(["policy", "library", "copy", name, "--to", str(folder), "--bucket", "hr-data"]) == 0
    assert capsys.readouterr().out.split() == [str(folder / f"{name}.yaml"), str(folder / f"{name}.test.yaml")]
    assert main(["policy", "lint", str(folder)]) == 0
    assert main(["policy", "test", str(folder), "--mutate"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "no policy is named"),
        (["show", "tls-onl"], "did you mean `tls-only`?"),
        (["copy", "tls-only", "--bucket", "NO"], "`NO` is no bucket's name"),
        (["copy", "tls-only"], "`tls-only.yaml` is there already"),
        (["copy", "tls-only", "--to", "tls-only.yaml"], "error unreadable"),
    ],
)
def test_what_cannot_be_done_is_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tls-only.yaml").write_text("mine")
    assert main(["policy", "library", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "tls-only.yaml").read_text() == "mine"


def test_library_goals_examples_and_rules_are_in_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in NAMES:
        assert f"proxy/shipped_policies/library/{name}.yaml" in names
        assert f"proxy/shipped_policies/library/{name}.test.yaml" in names
    for folder in ("goals", "buckets", "identity"):
        for path in (ROOT / "policies" / folder).glob("*.yaml"):
            assert f"proxy/shipped_policies/{folder}/{path.name}" in names
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    line = "import sys; from proxy.cli.main import main; sys.exit(main(['policy', 'library', 'list']))"
    listed = subprocess.run(
        [sys.executable, "-c", line],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path / "installed")},
    )
    assert [each.split()[0] for each in listed.stdout.splitlines()] == NAMES, listed.stderr

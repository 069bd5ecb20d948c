"""`serve --check` tells a good configuration from a bad one, by exit code and by words."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli.main import main

GOOD = """\
upstream: {endpoint: "http://127.0.0.1:5000", credentials: {access_key_id: AKIA, secret_access_key: s}}
owner: "123456789012"
"""


def check(path: Path) -> int:
    return main(["serve", "--check", "--config", str(path)])


def test_a_valid_configuration_is_exit_code_0_and_says_what_was_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(GOOD)
    assert check(path) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{path}: ok, 0 identities with 0 access keys")
    assert captured.err == ""


def test_an_invalid_configuration_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(GOOD + "lisen: {}\n")
    assert check(path) == 1
    captured = capsys.readouterr()
    assert "did you mean `listen`?" in captured.err
    assert captured.out == ""


def test_an_unreadable_configuration_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path / "gone.yaml") == 2
    assert "gone.yaml" in capsys.readouterr().err


def test_a_warning_is_shown_and_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(GOOD.replace('"123456789012"', "123456789012"))
    assert check(path) == 0
    captured = capsys.readouterr()
    assert "put it in quotes" in captured.err
    assert "1 warning" in captured.out

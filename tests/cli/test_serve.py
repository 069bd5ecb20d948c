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
    assert captured.out.startswith(f"{path}: ok (identities: 0, access keys: 0, bucket policies: 0")
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
    assert "warnings: 1" in captured.out


def test_an_invalid_policy_is_exit_code_1_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.yaml").write_text("Version: 2012-10-17\nStatement: {Effect: Allow, Principal: '*'}\n")
    path = tmp_path / "c.yaml"
    path.write_text(GOOD + "policies: [p.yaml]\n")
    assert check(path) == 1
    assert f"{tmp_path}/p.yaml:2:" in capsys.readouterr().err


def test_the_example_is_valid_as_it_ships(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("UPSTREAM_ACCESS_KEY", "UPSTREAM_SECRET", "ALICE_SECRET", "BACKUP_SECRET"):
        monkeypatch.setenv(name, "value")
    assert check(Path(__file__).parents[2] / "config.example.yaml") == 0
    assert "bucket policies: 1, statements: 2, policy tests: 8, warnings: 0" in capsys.readouterr().out

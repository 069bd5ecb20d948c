"""The command line: commands are found in the table, and exit codes mean what they say."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import proxy
from proxy.cli.command import Command, Listed
from proxy.cli.main import COMMANDS, build_parser, main
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError

ROOT = Path(__file__).parents[2]
# What the door itself needs.
BASE = {"proxy.diagnostics", "proxy.errors"}


def command(name: str, outcome: object) -> Command:
    def run(arguments: argparse.Namespace) -> int:
        if isinstance(outcome, BaseException):
            raise outcome
        assert isinstance(outcome, int)
        return outcome

    return Command(name, "does it", lambda parser: None, run)


def with_commands(monkeypatch: pytest.MonkeyPatch, *commands: Command) -> None:
    monkeypatch.setattr("proxy.cli.main.COMMANDS", commands)


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"s3warden {proxy.__version__}\n"


def test_python_m_proxy_is_the_same_command() -> None:
    result = subprocess.run([sys.executable, "-m", "proxy", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout == f"s3warden {proxy.__version__}\n"
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"s3warden": "proxy.__main__:main"}


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["serve"], ["serve", "--conf", "x"], ["schema", "nonsense"]])
def test_a_usage_error_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: s3warden" in capsys.readouterr().err


def test_a_command_of_a_group_has_two_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with_commands(monkeypatch, command("policy lint", 1), command("policy test", 3), command("other", 0))
    assert (main(["policy", "lint"]), main(["policy", "test"]), main(["other"])) == (1, 3, 0)


def test_a_configuration_error_is_shown_with_its_place_and_is_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Diagnostic(Severity.ERROR, "rule", "it is wrong", Span("f.yaml", 3, 4), "do it right")
    with_commands(monkeypatch, command("fail", ConfigError([finding])))
    assert main(["fail"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "f.yaml:3:4: error rule it is wrong\n    help: do it right\n"
    assert captured.out == ""


def test_an_internal_error_is_exit_code_2_since_1_would_be_an_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_commands(monkeypatch, command("fail", ZeroDivisionError("division by zero")))
    assert main(["fail"]) == 2
    assert capsys.readouterr().err.endswith("s3warden: internal error: ZeroDivisionError\n")


def test_what_no_encoding_can_show_is_escaped() -> None:
    command = [sys.executable, "-m", "proxy", "policy", "explain", "policies/buckets", "--principal", "anonymous"]
    resource = b"arn:aws:s3:::demo/\xff"
    result = subprocess.run(
        [*command, "--action", "s3:GetObject", "--resource", resource], capture_output=True, cwd=ROOT
    )
    assert (result.returncode, b"demo/\\udcff" in result.stdout) == (1, True)


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with_commands(monkeypatch, command("wait", KeyboardInterrupt()))
    assert main(["wait"]) == 130


def test_a_reader_that_leaves_early_is_no_error() -> None:
    line = "import sys; from proxy.cli.main import main; sys.exit(main(['schema', 'config']))"
    shell = f'{sys.executable} -c "{line}" | true; echo "${{PIPESTATUS[0]}}"'
    result = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, cwd=ROOT)
    assert (result.stdout, result.stderr) == ("0\n", "")


def imported_by(*words: str) -> set[str]:
    """Run a command in a process of its own and return the modules that it left imported."""
    script = (
        "import sys\nfrom proxy.cli.main import main\ntry:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\nprint('\\n', *sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split())


def test_no_command_waits_for_what_another_one_needs() -> None:
    modules = imported_by("policy", "lint", "policies/buckets")
    assert "proxy.cli.policy_lint" in modules
    assert not {"aiohttp", "asyncio", "boto3", "proxy.server", "proxy.cli.serve"} & modules
    assert {"aiohttp", "proxy.server.rotation.session"} <= imported_by("keys", "usage", "--help")


@pytest.mark.parametrize("words", [["--help"], ["keys", "--help"], ["--version"]])
def test_an_overview_loads_no_command(words: list[str]) -> None:
    loaded = {name for name in imported_by(*words) if name.startswith("proxy.")}
    assert loaded == {"proxy.cli", "proxy.cli.command", "proxy.cli.exits", "proxy.cli.main", *BASE}


@pytest.mark.parametrize("listed", COMMANDS, ids=lambda listed: listed.name)
def test_the_table_says_of_a_command_what_the_command_says(listed: Listed) -> None:
    own = listed.load()
    assert (own.name, own.help) == (listed.name, listed.help)


def test_what_is_no_command_cannot_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.cli.rule.COMMAND", "something else")
    with pytest.raises(TypeError, match="`rule` is no command"):
        Listed("rule", "explain a lint rule").load()


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for each in COMMANDS:
        with pytest.raises(SystemExit) as caught:
            build_parser(COMMANDS).parse_args([*each.name.split(), "--help"])
        assert caught.value.code == 0
        assert each.help[0].islower()
        assert not each.help.endswith(".")
        assert f"s3warden {each.name}" in capsys.readouterr().out

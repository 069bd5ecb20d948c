"""The documentation says what the code does: keys, codes, commands and examples are held against it."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from docs.generate_tables import code_row, setting_row, settings
from proxy.cli.main import COMMANDS, build_parser
from proxy.config import load_config
from proxy.errors import CODES, ConfigError
from proxy.schemas import load_schema

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CONFIG_SCHEMA: Mapping[str, Any] = load_schema("config")
REMEDY = "run `make docs`"


def page(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text()


@pytest.mark.parametrize("wanted", list(settings()), ids=lambda wanted: wanted[0])
def test_every_setting_is_explained_as_its_schema_explains_it(wanted: tuple[str, str, str]) -> None:
    assert setting_row(*wanted) in page("configuration.md").splitlines(), REMEDY


def test_no_setting_is_explained_that_does_not_exist() -> None:
    known = {path for path, _, _ in settings()}
    explained = set(re.findall(r"^\| `([^`]+)` \|", page("configuration.md"), re.MULTILINE))
    assert explained <= known


@pytest.mark.parametrize("code", CODES)
def test_every_error_code_has_its_line(code: str) -> None:
    assert code_row(code) in page("errors.md").splitlines(), REMEDY


def test_no_error_code_is_listed_that_does_not_exist() -> None:
    assert set(re.findall(r"^\| `([^`]+)` \|", page("errors.md"), re.MULTILINE)) <= set(CODES)


def flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if action.help != argparse.SUPPRESS and action.dest != "help":
            yield action.option_strings[-1] if action.option_strings else action.metavar or action.dest


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_and_flag_has_its_line(command: Any) -> None:
    parser = argparse.ArgumentParser()
    command.load().configure(parser)
    section = page("commands.md").partition(f"## `s3warden {command.name}`")[2].partition("\n## ")[0]
    assert section, f"docs/reference/commands.md has no section for {command.name}"
    for flag in flags(parser):
        assert f"`{flag}" in section, f"{command.name} {flag}"


def shell_lines(text: str) -> Iterator[str]:
    for block in re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_line_in_a_page_can_be_parsed(path: Path) -> None:
    for line in shell_lines(path.read_text()):
        words = shlex.split(re.split(r"\s[>|]", line)[0], comments=True)
        if words[:1] == ["s3warden"] and words[1:] != ["--version"]:
            build_parser(COMMANDS).parse_args(words[1:])
        if words[:1] == ["make"]:
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert {word for word in words[1:] if "=" not in word} <= set(targets), line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_configuration_in_a_page_fits_the_schema(path: Path) -> None:
    for block in re.findall(r"^```yaml\n# config\.yaml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
        jsonschema.Draft7Validator(CONFIG_SCHEMA).validate(yaml.safe_load(block))


def test_the_mistake_that_the_readme_shows_is_shown_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (ROOT / "README.md").read_text()
    config = re.findall(r"^```yaml\n(# config\.yaml\n.*?)^```", readme, re.MULTILINE | re.DOTALL)[0]
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(config.replace("credentials:", "credential:"))
    with pytest.raises(ConfigError) as caught:
        load_config("config.yaml", {"UPSTREAM_SECRET": "s", "ALICE_SECRET": "s"})
    assert f"```text\n{caught.value}\n```" in readme


def test_the_example_configuration_loads_when_its_variables_are_set() -> None:
    path = ROOT / "config.example.yaml"
    names = re.findall(r"\$\{env:([A-Z_]+)\}", re.sub(r"(?m)^\s*#.*$", "", path.read_text()))
    introduction = path.read_text().partition("listen:")[0]
    assert all(name in introduction for name in names), "the file says at its top which variables it needs"
    config = load_config(path, {name: f"{name.lower()}-value" for name in names})
    assert config.warnings == ()
    assert [identity.principal.user_name for identity in config.identities] == ["alice", None]


def test_the_example_configuration_fits_the_schema_as_editors_read_it() -> None:
    typed = yaml.safe_load((ROOT / "config.example.yaml").read_text())
    jsonschema.Draft7Validator(CONFIG_SCHEMA).validate(typed)

"""`--output`: which formats go where."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.cli.reports import Problem, Report, add_output_option, emit
from proxy.cli.reports.emit import FORMATS, Output, choose, read_output
from proxy.errors import ConfigError


def test_all_formats_are_there() -> None:
    assert list(FORMATS) == ["text", "json", "junit", "sarif", "github", "markdown"]


@pytest.mark.parametrize(
    ("word", "output"),
    [
        ("json", Output("json")),
        ("sarif=out/x.sarif", Output("sarif", "out/x.sarif")),
        ("sarif=a=b", Output("sarif", "a=b")),
        ("json=-", Output("json")),
    ],
)
def test_a_format_may_name_its_file(word: str, output: Output) -> None:
    assert read_output(word) == output


@pytest.mark.parametrize("word", ["xml", "", "=x", "json=", "JSON"])
def test_anything_else_is_a_usage_error(word: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        read_output(word)
    parser = argparse.ArgumentParser()
    add_output_option(parser)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["--output", word])
    assert caught.value.code == 2


ACTIONS = {"GITHUB_ACTIONS": "true"}


@pytest.mark.parametrize(
    ("wanted", "environ", "outputs"),
    [
        ([], {}, ["text"]),
        ([], ACTIONS, ["text", "github"]),
        ([], {"GITHUB_ACTIONS": "false"}, ["text"]),
        (["sarif=x"], {}, ["sarif=x"]),
        (["sarif=x"], ACTIONS, ["sarif=x", "github"]),
        (["json"], ACTIONS, ["json"]),
        (["github=x"], ACTIONS, ["github=x"]),
        (["text", "github"], {}, ["text", "github"]),
    ],
)
def test_annotations_come_by_themselves_in_github_actions(
    wanted: list[str], environ: dict[str, str], outputs: list[str]
) -> None:
    assert choose([read_output(word) for word in wanted], environ) == [read_output(word) for word in outputs]


def test_two_formats_do_not_mix_on_standard_output() -> None:
    with pytest.raises(ConfigError, match="only one format can go to standard output"):
        choose([Output("json"), Output("text")], {})


def test_files_are_written_and_the_summary_is_still_told(
    report: Callable[..., Report], problem: Callable[..., Problem], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.json"
    emit(report(problem()), [Output("json", str(path))], {})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "checked 7 policies, 31 statements: 1 error\n"
    assert json.loads(path.read_text())["failed"] is True


def test_a_file_that_cannot_be_written_is_an_error(report: Callable[..., Report], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write the report"):
        emit(report(), [Output("json", str(tmp_path / "none" / "x"))], {})


def test_a_terminal_of_few_characters_is_no_error(
    report: Callable[..., Report], problem: Callable[..., Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    emit(report(problem(message="größe \ud800")), [], {})
    assert b"gr\\xf6\\xdfe \\ud800" in raw.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_takes_any_text_and_ends_with_a_line_end(name: str, nasty: Report) -> None:
    written = FORMATS[name](nasty)
    assert written.endswith("\n")
    written.encode("utf-8", "strict")

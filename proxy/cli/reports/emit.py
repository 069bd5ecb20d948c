"""`--output FORMAT[=FILE]`: which formats go where.

The result goes to standard output unless a file is named. In GitHub Actions annotations are added by
themselves. Whatever goes to files only is still summed up in one line on standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TextIO, TypeAlias

from proxy.cli.reports import machine, pages, sarif, text
from proxy.cli.reports.model import Report
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError

FORMATS: Mapping[str, Callable[[Report], str]] = MappingProxyType(
    {
        "text": text.write,
        "json": machine.write_json,
        "junit": machine.write_junit,
        "sarif": sarif.write,
        "github": pages.write_github,
        "markdown": pages.write_markdown,
    }
)

Streamed: TypeAlias = Callable[[TextIO], None]
"""Writes a format of its own piece by piece, for what does not fit in memory."""
_NONE: Mapping[str, Streamed] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Output:
    """One format and where it goes; `file` None is standard output."""

    format: str
    file: str | None = None


def read_output(word: str, formats: Collection[str] = FORMATS) -> Output:
    """Read `sarif=out.sarif`; for argparse."""
    name, _, file = word.partition("=")
    if name not in formats:
        raise argparse.ArgumentTypeError(f"unknown format `{name}`; known: {', '.join(formats)}")
    if "=" in word and not file:
        raise argparse.ArgumentTypeError(f"`{word}` names no file")
    return Output(name, None if file in ("", "-") else file)


def add_output_option(parser: argparse.ArgumentParser, more: Sequence[str] = ()) -> None:
    """Add `--output`; its value is for `emit`. `more` are formats that the command streams itself."""
    formats = (*FORMATS, *(name for name in more if name not in FORMATS))
    parser.add_argument(
        "--output",
        metavar="FORMAT[=FILE]",
        type=lambda word: read_output(word, formats),
        action="append",
        default=[],
        help=f"how to report, and where to; may be repeated. Formats: {', '.join(formats)} (default text)",
    )


def choose(wanted: Sequence[Output], environ: Mapping[str, str]) -> list[Output]:
    """Add what goes to standard output by itself; raises `ConfigError` for two formats that would mix there."""
    on_screen = [output for output in wanted if output.file is None]
    if len(on_screen) > 1 and {output.format for output in on_screen} != {"text", "github"}:
        message = "only one format can go to standard output"
        remedy = f"name a file for the others: --output {on_screen[0].format}=FILE"
        raise ConfigError([Diagnostic(Severity.ERROR, "usage", message, Span("--output"), remedy)])
    in_actions = environ.get("GITHUB_ACTIONS") == "true"
    if not wanted:
        return [Output("text"), Output("github")] if in_actions else [Output("text")]
    if in_actions and not on_screen and not any(output.format == "github" for output in wanted):
        return [*wanted, Output("github")]
    return list(wanted)


def emit(
    report: Report,
    wanted: Sequence[Output],
    environ: Mapping[str, str] = os.environ,
    streamed: Mapping[str, Streamed] = _NONE,
) -> None:
    """Write the report in every format, by `streamed` where that has it.

    Raises `ConfigError` when a file cannot be written.
    """
    outputs = choose(wanted, environ)
    for output in outputs:
        if output.format in streamed:
            _stream(output.file, streamed[output.format])
            continue
        if output.file is not None:
            _save(output.file, FORMATS[output.format](report))
            continue
        if output.format == "text":
            written = text.write(report, colour=text.wants_colour(sys.stdout, environ))
        else:
            written = FORMATS[output.format](report)
        _print(written)
    if not any(output.file is None for output in outputs):
        print(report.summary, file=sys.stderr)


def _stream(file: str | None, write: Streamed) -> None:
    if file is None:
        write(sys.stdout)
        return
    try:
        with Path(file).open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            write(stream)
    except OSError as error:
        raise _unwritable(file, error) from error


def _print(written: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    # A terminal that cannot show a character must not end the command.
    sys.stdout.write(written.encode(encoding, "backslashreplace").decode(encoding))


def _save(file: str, written: str) -> None:
    try:
        Path(file).write_text(written, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise _unwritable(file, error) from error


def _unwritable(file: str, error: OSError) -> ConfigError:
    message = f"cannot write the report: {error.strerror}"
    return ConfigError([Diagnostic(Severity.ERROR, "unwritable-report", message, Span(file))])

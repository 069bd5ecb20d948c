"""What the commands about stored keys report: as text, JSON or Markdown, and where to."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from proxy.cli.reports.emit import Output, read_output
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError

FORMATS = ("text", "json", "markdown")


def add_report_option(parser: argparse.ArgumentParser) -> None:
    """Add `--output`; its value is for `write_reports`."""
    parser.add_argument(
        "--output",
        metavar="FORMAT[=FILE]",
        type=lambda word: read_output(word, FORMATS),
        action="append",
        default=[],
        help=f"how to report, and where to; may be repeated. Formats: {', '.join(FORMATS)} (default text)",
    )


def on_screen(wanted: Sequence[Output]) -> str | None:
    """Return the format that goes to standard output, None when all go to files; raises `ConfigError` for two."""
    if not wanted:
        return "text"
    found = [output.format for output in wanted if output.file is None]
    if len(found) > 1:
        raise _mistake("only one format can go to standard output", "--output", f"--output {found[0]}=FILE")
    return found[0] if found else None


def write_reports(wanted: Sequence[Output], render: Mapping[str, Callable[[], str]]) -> None:
    """Write each format where it goes; raises `ConfigError` for a file that cannot be written."""
    for output in wanted or [Output("text")]:
        text = render[output.format]().rstrip("\n") + "\n"
        if output.file is None:
            sys.stdout.write(text)
            continue
        try:
            Path(output.file).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise _mistake(f"cannot write the report: {error.strerror}", output.file) from error


def as_json(value: object) -> str:
    """Write JSON that is read by people, too."""
    return json.dumps(value, indent=2)


def as_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _mistake(message: str, place: str, remedy: str = "") -> ConfigError:
    return ConfigError([Diagnostic(Severity.ERROR, "report", message, Span(place), remedy)])

"""`--batch FILE|-`: JSON lines in, JSON lines out; one door for `policy explain` and `policy simulate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from proxy.cli.exits import Exit
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError
from proxy.policy.batch import Batch


def add_batch_option(parser: argparse.ArgumentParser) -> None:
    """Add `--batch`."""
    parser.add_argument(
        "--batch",
        metavar="FILE",
        help="decide JSON lines, each with its policies and its request; `-` is standard input",
    )


def run_batch(name: str) -> int:
    """Answer every line; what is wrong with one is told in its answer. Raises `ConfigError` without a file."""
    if name == "-":
        return _answer(sys.stdin.buffer)
    try:
        with Path(name).open("rb") as stream:
            return _answer(stream)
    except OSError as error:
        raise unreadable(name, error) from error


def unreadable(name: str, error: OSError) -> ConfigError:
    """Make the error for a file that cannot be read."""
    message = f"cannot read the file: {error.strerror}"
    return ConfigError([Diagnostic(Severity.ERROR, "unreadable", message, Span(name))])


def _answer(lines: Iterable[bytes]) -> int:
    write = sys.stdout.write
    # On a terminal or towards a program that asks line by line, every answer must come at once.
    prompt = sys.stdout.isatty()
    for answer in Batch().answers(lines):
        write(answer + "\n")
        if prompt:
            sys.stdout.flush()
    return Exit.CLEAN

"""`s3warden schema NAME`: print the JSON Schema that editors check a file against."""

from __future__ import annotations

import argparse

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.schemas import schema_names, schema_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `schema`."""
    parser.add_argument("name", choices=schema_names(), help="which kind of file")


def run(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    print(schema_text(arguments.name), end="")
    return Exit.CLEAN


COMMAND = Command(
    "schema",
    "print a JSON Schema for editors",
    configure,
    run,
    "Print the JSON Schema (draft-07) of a kind of file, for editors that complete and check YAML.",
)

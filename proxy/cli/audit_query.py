"""`s3warden audit query`: who used which key for what, one line each."""

from __future__ import annotations

import argparse

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.trail import add_search_options, add_source_options, search_of, trail_of, unreadable


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `audit query`."""
    add_source_options(parser)
    add_search_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; raises `ConfigError` for a trail that cannot be read."""
    count = 0
    try:
        for record in trail_of(arguments).found(search_of(arguments)):
            print(line(record))
            count += 1
    except OSError as error:
        raise unreadable(error) from error
    return Exit.CLEAN if count else Exit.NOTHING


def line(record: dict[str, object]) -> str:
    """Write a record for people to read."""
    place = "/".join(str(record[name]) for name in ("bucket", "object") if name in record) or "-"
    ending = f" {record['error']}" if "error" in record else ""
    who = record.get("principal", "anonymous")
    text = (
        f"{record.get('time')} {record.get('outcome')}{ending} {record.get('action')} {record.get('key')} "
        f"by {who} for {record.get('operation')} {place} (request {record.get('request_id')})"
    )
    # Names of objects are their owners' to choose: none may steer a terminal.
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


COMMAND = Command(
    "audit query",
    "show who used which key for what",
    configure,
    run,
    "Show the uses of keys that are on record. Exit code 3 when nothing was found.",
)

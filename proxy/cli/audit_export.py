"""`s3warden audit export`: the trail as CloudTrail events, OCSF events, or as it is."""

from __future__ import annotations

import argparse
import json
import sys

from proxy.audit.render import RENDERINGS
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.trail import add_search_options, add_source_options, search_of, trail_of, unreadable


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `audit export`."""
    add_source_options(parser)
    add_search_options(parser)
    parser.add_argument("--format", choices=tuple(RENDERINGS), default="native", help="what to write (default native)")


def run(arguments: argparse.Namespace) -> int:
    """Print one JSON object a line; raises `ConfigError` for a trail that cannot be read."""
    render = RENDERINGS[arguments.format]
    count = forged = 0
    try:
        for record in trail_of(arguments).found(search_of(arguments)):
            count += 1
            try:
                rendered = render(record)
            except (AttributeError, IndexError, TypeError, ValueError):
                # The proxy writes no such record, so somebody else did.
                forged += 1
                print(f"s3warden: record {record['seq']!r} is none of the proxy's: run audit verify", file=sys.stderr)
                continue
            print(json.dumps(rendered))
    except OSError as error:
        raise unreadable(error) from error
    if forged:
        return Exit.BAD_NEWS
    return Exit.CLEAN if count else Exit.NOTHING


COMMAND = Command(
    "audit export",
    "write the trail of key use in others' formats",
    configure,
    run,
    "Write the uses of keys that are on record, one JSON object a line. Exit code 3 when there were none, 1 when some "
    "cannot have been written by the proxy.",
)

"""`s3warden audit verify`: whether records were removed, changed or put into another order."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from proxy.audit.chain import Broken, Head, Verified, verify
from proxy.audit.database import database_head, database_places, wrong_columns
from proxy.audit.journal import read_head
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.trail import Trail, add_source_options, trail_of, unreadable

_HEAD = re.compile(r"([0-9]{1,19}):([0-9a-f]{64})")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `audit verify`."""
    add_source_options(parser)
    parser.add_argument(
        "--head",
        metavar="NUMBER:HASH",
        type=_head,
        help="a record known to have been written, as an earlier verification printed it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what is wrong and what the end of the chain is; raises `ConfigError` for an unreadable trail."""
    records = problems = 0
    try:
        for name, verified in _verified(trail_of(arguments), arguments.head):
            for broken in verified.broken:
                print(broken)
            records += verified.records
            problems += len(verified.broken)
            lost = f", {verified.dropped} events dropped" if verified.dropped else ""
            print(f"{name}: {verified.records} records{lost}, head {verified.head.seq}:{verified.head.hash}")
    except OSError as error:
        raise unreadable(error) from error
    if problems:
        return Exit.BAD_NEWS
    return Exit.CLEAN if records else Exit.NOTHING


def _verified(trail: Trail, head: Head | None) -> Iterator[tuple[Path, Verified]]:
    if trail.journal is not None:
        # The head is read first: what is written meanwhile only makes the chain longer.
        noted = head or read_head(trail.journal)
        if noted is None:
            told = "there is no head beside it: give --head, or records missing at its end do not show"
            print(f"s3warden: {trail.journal}: {told}", file=sys.stderr)
        yield trail.journal, verify(trail.lines(), trail.secrets, noted)
    if trail.store is not None:
        kept = database_head(trail.store)
        found = verify(database_places(trail.store), trail.secrets, head if trail.journal is None and head else kept)
        rows = [
            Broken(str(trail.store), row, "the columns are not what the record says")
            for row in wrong_columns(trail.store)
        ]
        if kept is None and found.records:
            # They are written together, so somebody took it away.
            rows.append(Broken(str(trail.store), found.records, "the head of the chain is gone"))
        yield trail.store, Verified(found.records, found.head, found.dropped, (*found.broken, *rows))


def _head(text: str) -> Head:
    match = _HEAD.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"`{text}` is not NUMBER:HASH")
    return Head(int(match[1]), match[2])


COMMAND = Command(
    "audit verify",
    "find removed, changed or reordered records of key use",
    configure,
    run,
    "Follow the chain of records to its end and print its head, to be kept elsewhere: only who knows a head can tell "
    "that records are missing after it.",
)

"""`s3warden keys disable NAME`: refuse every use of a key from now on, and with `--undo` allow it again."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from proxy.cli.changing import add_change_options, check_draft, difference, named_key, read_draft, write_draft
from proxy.cli.command import Command
from proxy.cli.exits import Exit


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `keys disable`."""
    parser.add_argument("name", metavar="NAME", help="the key")
    parser.add_argument("--undo", action="store_true", help="enable it again")
    add_change_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Change the setting; raises `ConfigError`. Exit code 3 when it is so already."""
    path: Path = arguments.config
    before = read_draft(path)
    key = named_key(check_draft(before, path, os.environ), arguments.name)
    if key.enabled == arguments.undo:
        print(f"{key.name} is {'enabled' if key.enabled else 'disabled'} already")
        return Exit.NOTHING
    after = before.put(("keys", key.name, "enabled"), "true" if arguments.undo else "false")
    check_draft(after, path, os.environ)
    print(difference(before, after))
    if not arguments.dry_run:
        write_draft(before, after, path)
        print("s3warden: a running proxy takes it up within two seconds, or at once with SIGHUP", file=sys.stderr)
    return Exit.CLEAN


COMMAND = Command(
    "keys disable",
    "refuse every use of a key, or allow it again",
    configure,
    run,
    "Write `enabled: false` at a key: every use of it is refused with KMS.DisabledException, in memory or not, and "
    "nothing under it can be read until it is enabled again. Nothing is lost.",
)

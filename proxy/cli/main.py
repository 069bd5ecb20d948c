"""The table of commands, and the door that all of them go through.

To add a command: write `proxy/cli/NAME.py` with a `COMMAND`, and a row in `COMMANDS`. `policy NAME` is no
different: the module is `proxy/cli/policy_NAME.py`, and the group is known. One with findings or cases
builds a `Report` and calls `proxy.cli.reports.emit`, which gives it all formats.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Iterable, Sequence

import proxy
from proxy.cli import (
    audit_export,
    audit_query,
    audit_verify,
    demo,
    keys_create,
    keys_list,
    keys_rewrap,
    keys_usage,
    object_export,
    object_rebind,
    object_verify,
    policy_diff,
    policy_explain,
    policy_export,
    policy_import,
    policy_library,
    policy_lint,
    policy_prove,
    policy_replay,
    policy_simulate,
    policy_test,
    rule,
    schema,
    serve,
    sweep,
)
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.errors import ConfigError

COMMANDS: tuple[Command, ...] = (
    serve.COMMAND,
    demo.COMMAND,
    policy_lint.COMMAND,
    policy_test.COMMAND,
    policy_explain.COMMAND,
    policy_simulate.COMMAND,
    policy_replay.COMMAND,
    policy_import.COMMAND,
    policy_export.COMMAND,
    policy_library.COMMAND,
    policy_diff.COMMAND,
    policy_prove.COMMAND,
    keys_create.COMMAND,
    keys_list.COMMAND,
    keys_usage.COMMAND,
    keys_rewrap.COMMAND,
    object_verify.COMMAND,
    object_export.COMMAND,
    object_rebind.COMMAND,
    sweep.COMMAND,
    audit_query.COMMAND,
    audit_export.COMMAND,
    audit_verify.COMMAND,
    rule.COMMAND,
    schema.COMMAND,
)

# The first words of commands that have a space in their name.
GROUPS = {
    "audit": "read the trail of key use",
    "keys": "work with encryption keys",
    "object": "work with stored objects, past the proxy",
    "policy": "work with policies, without a server",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names, by default the process's own arguments; returns an exit code."""
    arguments = build_parser(COMMANDS).parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files and keys may hold what no encoding can show: that must not end a command.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return Exit.ERROR
    except BrokenPipeError:
        # The reader (`head`, `less`) has seen enough; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.CLEAN
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        # Python would exit with 1, which says that there is an answer, and that it is bad news.
        traceback.print_exc(file=sys.stderr)
        print(f"s3warden: internal error: {type(error).__name__}", file=sys.stderr)
        return Exit.ERROR
    return code


def build_parser(commands: Iterable[Command]) -> argparse.ArgumentParser:
    """Make the argument parser of a table of commands."""
    parser = argparse.ArgumentParser(
        "s3warden",
        description="A policy enforcement and envelope encryption proxy for S3.",
        epilog="Exit codes: 0 clean, 1 bad news, 2 usage or configuration error, 3 nothing was checked.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"s3warden {proxy.__version__}")
    level = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for command in commands:
        group, _, name = command.name.rpartition(" ")
        if group and group not in groups:
            inner = level.add_parser(group, help=GROUPS[group], allow_abbrev=False)
            groups[group] = inner.add_subparsers(title="commands", metavar="COMMAND", required=True)
        place = groups[group] if group else level
        own = place.add_parser(
            name, help=command.help, description=command.description or command.help, allow_abbrev=False
        )
        command.configure(own)
        own.set_defaults(run=command.run)
    return parser

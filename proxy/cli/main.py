"""The table of commands, and the door that all of them go through.

To add a command: write `proxy/cli/NAME.py` with a `COMMAND`, and a row in `COMMANDS`. `policy NAME` is no
different: the module is `proxy/cli/policy_NAME.py`, and the group is known. Modules are imported when their
command is called. One with findings or cases builds a `Report` and calls `proxy.cli.reports.emit`, which
gives it all formats.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any

import proxy
from proxy.cli.command import Command, Listed
from proxy.cli.exits import Exit
from proxy.errors import ConfigError

COMMANDS: tuple[Listed, ...] = (
    Listed("serve", "run the proxy"),
    Listed("demo", "try it: a store in memory with the proxy in front of it"),
    Listed("policy lint", "find what is wrong in policies, and how to say it right"),
    Listed("policy test", "check that requests get the verdicts that tests expect"),
    Listed("policy explain", "say what policies decide about a request, and why"),
    Listed("policy simulate", "show the verdicts on a matrix of requests"),
    Listed("policy replay", "find the logged requests whose verdict would change"),
    Listed("policy import", "make a policy file from AWS's JSON"),
    Listed("policy export", "write a policy file as AWS's JSON"),
    Listed("policy library", "list, show or copy ready policies"),
    Listed("policy diff", "find the requests whose verdict changes between two versions of policies"),
    Listed("policy prove", "prove that policies never allow what a goal forbids"),
    Listed("keys create", "make a local key, and tell the proxy of it"),
    Listed("keys list", "list the keys of a configuration"),
    Listed("keys rotate", "make a new version of a key and put it to use"),
    Listed("keys disable", "refuse every use of a key, or allow it again"),
    Listed("keys retire", "take a key that nothing depends on out of the configuration"),
    Listed("keys usage", "count what is stored under which key"),
    Listed("keys rewrap", "wrap bucket keys and objects under the keys of today"),
    Listed("object verify", "check a stored object without releasing it"),
    Listed("object export", "write a stored object as one plain Encryption SDK message"),
    Listed("object rebind", "bind an object to the name it was given behind the proxy"),
    Listed("scan", "find out how the objects of a bucket are protected"),
    Listed("sweep", "delete what is left of uploads that the store has given up"),
    Listed("audit query", "show who used which key for what"),
    Listed("audit export", "write the trail of key use in others' formats"),
    Listed("audit verify", "find removed, changed or reordered records of key use"),
    Listed("rule", "explain a lint rule"),
    Listed("schema", "print a JSON Schema for editors"),
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


class _Parser(argparse.ArgumentParser):
    """The parser of one command, which learns its arguments when it is first asked to parse some."""

    command: Command | Listed | None = None

    def parse_known_args(self, *arguments: Any, **options: Any) -> Any:
        """Parse, `--help` included."""
        if self.command is not None:
            command, self.command = self.command.load(), None
            self.description = command.description or command.help
            command.configure(self)
            self.set_defaults(run=command.run)
        return super().parse_known_args(*arguments, **options)


def build_parser(commands: Iterable[Command | Listed]) -> argparse.ArgumentParser:
    """Make the argument parser of a table of commands."""
    parser = argparse.ArgumentParser(
        "s3warden",
        description="A policy enforcement and envelope encryption proxy for S3.",
        epilog="Exit codes: 0 clean, 1 bad news, 2 usage or configuration error, 3 nothing was checked.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"s3warden {proxy.__version__}")
    level = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    groups: dict[str, argparse._SubParsersAction[_Parser]] = {}
    for command in commands:
        group, _, name = command.name.rpartition(" ")
        if group and group not in groups:
            inner = level.add_parser(group, help=GROUPS[group], allow_abbrev=False)
            groups[group] = inner.add_subparsers(title="commands", metavar="COMMAND", required=True)
        place = groups[group] if group else level
        place.add_parser(name, help=command.help, allow_abbrev=False).command = command
    return parser

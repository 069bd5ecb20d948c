"""`s3warden policy export FILE`: the AWS document in a policy file, as JSON."""

from __future__ import annotations

import argparse
import sys

from proxy import yamldoc
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.policy_import import emit, read_source, report_problems
from proxy.policy.translate import to_json


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `policy export`."""
    parser.add_argument("file", metavar="FILE", help="a policy file; `-` is standard input")
    parser.add_argument(
        "--indent",
        metavar="N",
        type=int,
        choices=range(9),
        default=4,
        help="blanks per level, 0 for one line (default 4)",
    )
    parser.add_argument(
        "--comments", action="store_true", help="write the description above it as // comments, which AWS does not take"
    )
    parser.add_argument("--to", metavar="FILE", help="write to a file, which must not be there yet")


def run(arguments: argparse.Namespace) -> int:
    """Translate; 1 when it is no policy that the proxy takes."""
    name, source = read_source(arguments.file)
    document = yamldoc.parse(source, name)
    text = to_json(document, indent=arguments.indent or None, comments=arguments.comments)
    emit(text, arguments.to)
    data = document.data
    if isinstance(data, dict) and data.get("mode") == "report":
        print(f"s3warden: `{name}` is in report mode, and AWS would enforce it", file=sys.stderr)
    if "s3w:" in text.lower():
        print(f"s3warden: `{name}` reads keys of the proxy's own (s3w:...), which AWS does not know", file=sys.stderr)
    return Exit(report_problems(source, name))


COMMAND = Command(
    "policy export",
    "write a policy file as AWS's JSON",
    configure,
    run,
    "Translate a policy file to the JSON that AWS takes, without the wrapper. Exit codes: 0 translated, 1 translated "
    "but the proxy refuses it (said on standard error), 2 usage or unreadable input.",
)

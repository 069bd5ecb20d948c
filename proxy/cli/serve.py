"""`s3warden serve`: run the proxy, or only check what it would run with."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.diagnostics import render_all
from proxy.errors import ConfigError
from proxy.server.checks import check_policies
from proxy.server.rules import Rules, load_rules
from proxy.server.tls import check_tls


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `serve`."""
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="the configuration file")
    parser.add_argument("--check", action="store_true", help="check configuration and policies, then exit")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it, or check."""
    if arguments.check:
        return check(arguments.config)
    # The server brings aiohttp and much else, which no other command should wait for.
    from proxy.server.app import run as serve

    return serve(arguments.config)


def check(path: Path) -> int:
    """Load everything that `serve` would load; says what it looked at, or what is wrong."""
    if not path.is_file():
        print(f"s3warden: cannot read `{path}`", file=sys.stderr)
        return Exit.ERROR
    try:
        rules = load_rules(path)
        tests = check_policies(rules)
        expiring = check_tls(rules.config, time.time())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return Exit.BAD_NEWS
    warnings = (*rules.config.warnings, *expiring)
    if warnings:
        print(render_all(warnings), file=sys.stderr)
    print(f"{path}: {_summary(rules, tests, len(warnings))}")
    return Exit.CLEAN


def _summary(rules: Rules, tests: int, warnings: int) -> str:
    identities = rules.config.identities
    keys = sum(len(identity.access_keys) for identity in identities)
    statements = sum(len(policy.statements) for policy in rules.bucket_policies.files)
    counted = {
        "identities": len(identities),
        "access keys": keys,
        "bucket policies": len(rules.bucket_policies.files),
        "statements": statements,
        "policy tests": tests,
        "warnings": warnings,
    }
    return f"ok ({', '.join(f'{name}: {count}' for name, count in counted.items())}), revision {rules.revision[:12]}"


COMMAND = Command(
    "serve",
    "run the proxy",
    configure,
    run,
    "Run the proxy until SIGTERM or SIGINT. With --check, load configuration and policies, look for errors of lint, "
    "run the policies' tests, say what is wrong, and exit: 0 valid, 1 invalid, 2 when the file cannot be read.",
)

"""`s3warden serve`: run the proxy, or only check what it would run with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.config import Config, load_config
from proxy.diagnostics import render_all
from proxy.errors import ConfigError


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
        config = load_config(path)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return Exit.BAD_NEWS
    if config.warnings:
        print(render_all(config.warnings), file=sys.stderr)
    print(f"{path}: {_summary(config)}")
    return Exit.CLEAN


def _summary(config: Config) -> str:
    keys = sum(len(identity.access_keys) for identity in config.identities)
    return f"ok, {len(config.identities)} identities with {keys} access keys, {len(config.warnings)} warnings"


COMMAND = Command(
    "serve",
    "run the proxy",
    configure,
    run,
    "Run the proxy until SIGTERM or SIGINT. With --check, load configuration and policies, say what is wrong, "
    "and exit: 0 valid, 1 invalid, 2 when the file cannot be read.",
)

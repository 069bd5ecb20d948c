"""`s3warden keys list`: the keys of a configuration, and whether they can be used."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.config import Config, KeySettings, load_config
from proxy.keys.registry import build_ring


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `keys list`."""
    parser.add_argument("--config", metavar="FILE", required=True, help="the configuration")
    parser.add_argument("--check", action="store_true", help="ask every key service whether its key can be used")


def run(arguments: argparse.Namespace) -> int:
    """Print the keys; raises `ConfigError`."""
    config = load_config(arguments.config)
    problems = asyncio.run(_problems(config)) if arguments.check else {}
    for key in config.keys.values():
        print("\n".join(lines(key, problems.get(key.name))))
    if not config.keys:
        return Exit.NOTHING
    return Exit.BAD_NEWS if any(problems.values()) else Exit.CLEAN


def lines(key: KeySettings, problem: str | None) -> list[str]:
    """Describe one key."""
    state = "enabled" if key.enabled else "disabled"
    found = [f"{key.name}: {key.type}, {state}", f"  arn: {key.arn}"]
    if key.versions:
        first, *others = (version.id for version in key.versions)
        found.append(f"  versions: {first} writes" + (f", {', '.join(others)} read too" if others else ""))
    if key.aliases:
        found.append(f"  aliases: {', '.join(key.aliases)}")
    if key.policy is not None:
        found.append(f"  policy: {key.policy}")
    if problem is not None:
        found.append(f"  cannot be used: {problem}")
    return found


async def _problems(config: Config) -> Mapping[str, str | None]:
    ring = build_ring(config)
    try:
        keys = list(ring)
        found = await asyncio.gather(*(key.service.check() for key in keys))
        return {key.name: problem for key, problem in zip(keys, found, strict=True)}
    finally:
        await ring.close()


COMMAND = Command(
    "keys list",
    "list the keys of a configuration",
    configure,
    run,
    "List the keys of a configuration. Exit code 1 when --check finds one that cannot be used, 3 when there are none.",
)

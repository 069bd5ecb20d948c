"""`s3warden object rebind`: give an object that was renamed behind the proxy its name back."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from proxy.cli.command import Command
from proxy.cli.stored_object import add_object, failed


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `object rebind`."""
    add_object(parser)
    parser.add_argument(
        "--from", dest="origin", metavar="BUCKET/KEY", type=_name, required=True, help="the name it was stored under"
    )


def _name(text: str) -> tuple[str, str]:
    bucket, _, key = text.partition("/")
    if not bucket or not key:
        raise argparse.ArgumentTypeError(f"`{text}` is not BUCKET/KEY")
    return bucket, key


def run(arguments: argparse.Namespace) -> int:
    """Bind an object to the name it has; raises `ConfigError`."""
    return asyncio.run(
        _rebind(arguments.config, arguments.bucket, arguments.key, arguments.version_id, arguments.origin)
    )


async def _rebind(config: Path, bucket: str, key: str, version: str, origin: tuple[str, str]) -> int:
    from proxy.config import load_config
    from proxy.server.rotation.rebind import rebind
    from proxy.server.rotation.session import session

    async with session(load_config(config)) as opened:
        with failed(bucket, key) as outcome:
            await rebind(opened, bucket, key, version, origin)
            print(f"{bucket}/{key}: was bound to {'/'.join(origin)}, is bound to its own name now")
    return outcome.code


COMMAND = Command(
    "object rebind",
    "bind an object to the name it was given behind the proxy",
    configure,
    run,
    "An encrypted object is bound to its bucket and key, so a copy or rename that went past the proxy cannot be read. "
    "Given the old name, this writes a fresh capsule for the new one around the same stored bytes. An object of "
    "several parts is copied along its own part boundaries, which a copy past the proxy may have lost. What is "
    "done goes into the trail of key use.",
)

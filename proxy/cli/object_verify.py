"""`s3warden object verify`: check stored objects without releasing any of them."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from proxy.cli.command import Command
from proxy.cli.customer_key import add_customer_key, read_customer_key
from proxy.cli.stored_object import add_object, failed
from proxy.envelope.customer_key import CustomerKey

_CHECKED = "{bucket}/{key}: verified, {size} bytes"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `object verify`."""
    add_object(parser)
    add_customer_key(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read an object to its end and say whether it is whole; raises `ConfigError`."""
    own = read_customer_key(arguments)
    return asyncio.run(_verify(arguments.config, arguments.bucket, arguments.key, arguments.version_id, own))


async def _verify(config: Path, bucket: str, key: str, version: str, own: CustomerKey | None) -> int:
    from proxy.server.envelope.operating import operating

    async with operating(config, "object verify") as operator:
        with failed(bucket, key) as outcome:
            size = await operator.verify(await operator.look(bucket, key, version, own))
            print(_CHECKED.format(bucket=bucket, key=key, size=size))
    return outcome.code


COMMAND = Command(
    "object verify",
    "check a stored object without releasing it",
    configure,
    run,
    "Reads an encrypted object to its end and verifies all of it: its keys, every frame, its parts, and the checksum "
    "that its client sent. What other software encrypted is verified where the proxy would serve it. Nothing of the "
    "plaintext is shown or kept.",
)

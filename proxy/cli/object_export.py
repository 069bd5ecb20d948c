"""`s3warden object export`: write a stored object as one plain Encryption SDK message."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from proxy.cli.command import Command
from proxy.cli.customer_key import add_customer_key, read_customer_key
from proxy.cli.stored_object import add_object, failed
from proxy.envelope.customer_key import CustomerKey


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `object export`."""
    add_object(parser)
    add_customer_key(parser)
    parser.add_argument("--output", metavar="FILE", type=Path, required=True, help="where to write the message")


def run(arguments: argparse.Namespace) -> int:
    """Write the message; raises `ConfigError`."""
    own = read_customer_key(arguments)
    return asyncio.run(
        _export(arguments.config, arguments.bucket, arguments.key, arguments.version_id, arguments.output, own)
    )


async def _export(config: Path, bucket: str, key: str, version: str, output: Path, own: CustomerKey | None) -> int:
    from proxy.server.envelope.operating import operating

    partial = output.with_name(f"{output.name}.part")
    async with operating(config, "object export") as operator:
        with failed(bucket, key) as outcome:
            try:
                with partial.open("wb") as file:
                    async for piece in operator.export(await operator.look(bucket, key, version, own)):
                        file.write(piece)
                # Only a whole message gets the name that was asked for.
                partial.replace(output)
            finally:
                partial.unlink(missing_ok=True)
    return outcome.code


COMMAND = Command(
    "object export",
    "write a stored object as one plain Encryption SDK message",
    configure,
    run,
    "Writes an encrypted object as one message of the AWS Encryption SDK under the key of its bucket, which the SDK's "
    "own tools open without this proxy. What is under a client's key, or was encrypted by other software, is encrypted "
    "anew so.",
)

"""`s3warden sweep`: delete what is left of uploads that nobody ends."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from proxy.cli.command import Command
from proxy.cli.stored_object import failed


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sweep`."""
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="the configuration file")
    parser.add_argument("--bucket", metavar="NAME", required=True, help="the bucket to look through")
    parser.add_argument("--dry-run", action="store_true", help="list what would be deleted, and delete nothing")


def run(arguments: argparse.Namespace) -> int:
    """Delete leftovers; raises `ConfigError`."""
    return asyncio.run(_sweep(arguments.config, arguments.bucket, arguments.dry_run))


async def _sweep(config: Path, bucket: str, dry_run: bool) -> int:
    from proxy.server.envelope.operating import operating

    async with operating(config, "sweep") as operator:
        with failed(bucket, "") as outcome:
            sweeper = operator.sweeper
            total = 0
            for upload in await sweeper.forsaken(bucket):
                print(f"{upload.key}: upload {upload.upload_id}")
                total += dry_run or await sweeper.give_up(upload)
            while left := await sweeper.leftovers(bucket):
                for key, _ in left:
                    print(key)
                done = len(left) if dry_run else await sweeper.delete(bucket, left)
                total += done
                if dry_run or not done:
                    break
            print(f"{total} {'would be' if dry_run else 'were'} deleted")
    return outcome.code


COMMAND = Command(
    "sweep",
    "delete what is left of uploads that the store has given up",
    configure,
    run,
    "The proxy keeps a small document, and parts that are too small, beside each upload under way. Where the store "
    "ends an upload by itself, by a lifecycle rule for example, they stay behind: this deletes them. It also ends the "
    "uploads of copies, and uploads without parts, that a proxy left behind when it died; nothing was added to them "
    "for an hour then.",
)

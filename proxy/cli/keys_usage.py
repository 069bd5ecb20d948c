"""`s3warden keys usage`: what still names which key."""

from __future__ import annotations

import argparse
import asyncio

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.stored import failed, sealed_buckets
from proxy.config import Config, load_config
from proxy.errors import IntegrityError, S3Error
from proxy.server.rotation.session import session
from proxy.server.rotation.usage import Usage, usage_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `keys usage`."""
    parser.add_argument("--config", metavar="FILE", required=True, help="the configuration")
    parser.add_argument(
        "--bucket", metavar="NAME", action="append", help="a bucket; by default all in envelope mode; may be repeated"
    )
    parser.add_argument("--prefix", metavar="PREFIX", default="", help="only objects whose key starts so")
    parser.add_argument(
        "--retire", metavar="KEY", help="exit with 1 if anything depends on this key, or version of one: hr, hr@1"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the counts; raises `ConfigError`."""
    config = load_config(arguments.config)
    try:
        found = asyncio.run(_usages(config, arguments.bucket, arguments.prefix))
    except (S3Error, IntegrityError) as error:
        raise failed(error) from error
    depends = False
    for bucket, usage in found.items():
        for name in usage.names():
            print(f"{bucket}: {name}: {usage.objects[name]} objects, {usage.documents[name]} bucket keys")
        if usage.plain:
            print(f"{bucket}: {usage.plain} objects are not encrypted")
        for key in usage.damaged:
            print(f"{bucket}: `{key}` has a capsule that cannot be read")
        depends = depends or bool(usage.damaged)
        if arguments.retire is not None and usage.depends_on(arguments.retire):
            depends = True
            print(f"{bucket}: depends on {arguments.retire}")
    if not found:
        return Exit.NOTHING
    if arguments.retire is not None and not depends:
        print(f"nothing here depends on {arguments.retire}: it can be taken out of the configuration")
    return Exit.BAD_NEWS if depends else Exit.CLEAN


async def _usages(config: Config, buckets: list[str] | None, prefix: str) -> dict[str, Usage]:
    async with session(config) as opened:
        names = buckets or await sealed_buckets(opened)
        found = {}
        for name in names:
            bound = config.bucket(name).encryption.bind_as or name
            found[name] = await usage_of(opened.depot, config.upstream.state, name, bound, prefix)
        return found


COMMAND = Command(
    "keys usage",
    "count what is stored under which key",
    configure,
    run,
    "Count the bucket keys and objects under each version of each key, with one HEAD for each object. Only current "
    "versions of objects are seen: in versioned buckets older ones keep their keys.",
)

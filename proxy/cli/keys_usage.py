"""`s3warden keys usage`: what still names which key."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.key_reports import add_report_option, as_json, as_table, on_screen, write_reports
from proxy.cli.stored import failed, labels_of, sealed_buckets
from proxy.config import Config, load_config
from proxy.errors import IntegrityError, S3Error
from proxy.server.rotation.session import session
from proxy.server.rotation.usage import Usage, usage_of

_ALWAYS = ("objects", "bucket keys")


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
    add_report_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the counts; raises `ConfigError`."""
    config = load_config(arguments.config)
    try:
        found = asyncio.run(_usages(config, arguments.bucket, arguments.prefix))
    except (S3Error, IntegrityError) as error:
        raise failed(error) from error
    labels = () if arguments.retire is None else labels_of(config, arguments.retire)
    renderers = {
        "text": lambda: _text(found),
        "json": lambda: as_json({"buckets": [_row(bucket, usage) for bucket, usage in found.items()]}),
        "markdown": lambda: _markdown(found),
    }
    if on_screen(arguments.output) != "text" or found:
        write_reports(arguments.output, renderers)
    depending = [bucket for bucket, usage in found.items() if usage.damaged or usage.dependents(labels)]
    if arguments.retire is not None and on_screen(arguments.output) == "text":
        for bucket in depending:
            print(f"{bucket}: depends on {arguments.retire}")
        if found and not depending:
            print(f"nothing here depends on {arguments.retire}: `keys retire` takes it out of the configuration")
    if not found:
        return Exit.NOTHING
    return Exit.BAD_NEWS if depending else Exit.CLEAN


def _text(found: Mapping[str, Usage]) -> str:
    lines = []
    for bucket, usage in found.items():
        for name in usage.names():
            shown = (what for what in usage.counters if usage.counters[what][name] or what in _ALWAYS)
            lines.append(f"{bucket}: {name}: " + ", ".join(f"{usage.counters[what][name]} {what}" for what in shown))
        if usage.plain:
            lines.append(f"{bucket}: {usage.plain} objects are not encrypted")
        if usage.customers:
            lines.append(f"{bucket}: {usage.customers} objects are encrypted with keys of clients (SSE-C)")
        lines += [f"{bucket}: `{key}` has a capsule that cannot be read: {why}" for key, why in usage.damaged.items()]
    return "\n".join(lines)


def _row(bucket: str, usage: Usage) -> dict[str, object]:
    keys = {name: {what: counter[name] for what, counter in usage.counters.items()} for name in usage.names()}
    counts = {"not encrypted": usage.plain, "keys of clients": usage.customers}
    return {"bucket": bucket, "keys": keys, **counts, "damaged": usage.damaged}


def _markdown(found: Mapping[str, Usage]) -> str:
    head = ("Bucket", "Key", *(what.capitalize() for what in Usage().counters))
    rows = [
        (bucket, name, *(counter[name] for counter in usage.counters.values()))
        for bucket, usage in found.items()
        for name in usage.names()
    ]
    return as_table(head, rows)


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
    "Count what is under each version of each key: objects and older versions, with one HEAD each, bucket keys, "
    "and multipart uploads under way.",
)

"""`s3warden keys rewrap`: bucket keys and objects under the keys of today, bodies untouched."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.stored import failed
from proxy.config import Config, load_config
from proxy.errors import ConfigError, IntegrityError, S3Error
from proxy.server.rotation.rewrap import Result, Rewrapper
from proxy.server.rotation.session import Session, session
from proxy.server.rotation.usage import documents

PROGRESS_SECONDS = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `keys rewrap`."""
    parser.add_argument("--config", metavar="FILE", required=True, help="the configuration")
    parser.add_argument("--bucket", metavar="NAME", required=True, help="the bucket")
    parser.add_argument("--prefix", metavar="PREFIX", default="", help="only objects whose key starts so")
    parser.add_argument(
        "--to", metavar="KEY", help="the key to wrap under; by default each keeps its own, newest version"
    )
    parser.add_argument(
        "--only",
        choices=("bucket-keys", "objects"),
        help="bucket keys (takes seconds) or objects; default both",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument(
        "--alone",
        action="store_true",
        help="nobody else writes to the bucket: go on with a store that does not check conditions of copies",
    )
    parser.add_argument("--rate", metavar="NUMBER", type=float, help="objects a second, at most")
    parser.add_argument("--parallel", metavar="NUMBER", type=int, default=8, help="objects at once (default 8)")
    parser.add_argument("--start-after", metavar="KEY", default="", help="go on after this object")


def run(arguments: argparse.Namespace) -> int:
    """Do the work and report it; raises `ConfigError`."""
    config = load_config(arguments.config)
    try:
        tally = asyncio.run(_rewrap(config, arguments))
    except (S3Error, IntegrityError) as error:
        raise failed(error) from error
    what = "would be rewrapped" if arguments.dry_run else "rewrapped"
    print(
        f"{tally['rewrapped']} {what}, {tally['current']} current, {tally['plain']} not encrypted, "
        f"{tally['changed'] + tally['gone']} changed meanwhile, {tally['failed']} failed"
    )
    if tally["failed"] or tally["changed"]:
        return Exit.BAD_NEWS
    return Exit.CLEAN if tally else Exit.NOTHING


async def _rewrap(config: Config, arguments: argparse.Namespace) -> Counter[str]:
    async with session(config) as opened:
        target = None if arguments.to is None else opened.ring.find(arguments.to)
        rewrapper = Rewrapper(opened, target=target, dry_run=arguments.dry_run)
        run = _Run(arguments)
        if arguments.only != "objects":
            bound = config.bucket(arguments.bucket).encryption.bind_as or arguments.bucket
            async for name, document in documents(opened.depot, config.upstream.state, bound):
                run.note(await rewrapper.document(arguments.bucket, name, document))
        if arguments.only != "bucket-keys":
            if not arguments.alone and not arguments.dry_run:
                await _refuse_careless(opened, arguments.bucket)
            await _objects(opened, rewrapper, arguments, run)
        return run.tally


async def _refuse_careless(opened: Session, bucket: str) -> None:
    """Refuse to copy objects on a store that would let an old capsule replace one that was written meanwhile."""
    state = opened.config.upstream.state
    if not await opened.depot.checks_conditions(bucket, f"{state.prefix}probe-{opened.entropy.random(8).hex()}"):
        message = (
            "this store does not check x-amz-copy-source-if-match: an object that is written meanwhile would be lost"
        )
        remedy = "make sure that nobody writes to the bucket, and add --alone; or --only bucket-keys"
        raise ConfigError([opened.config.source.diagnostic(("upstream",), message, help=remedy)])


async def _objects(opened: Session, rewrapper: Rewrapper, arguments: argparse.Namespace, run: _Run) -> None:
    places = asyncio.Semaphore(max(1, arguments.parallel))

    async def one(key: str) -> None:
        async with places:
            await run.pace()
            run.note(await rewrapper.object(arguments.bucket, key))

    prefix = opened.config.upstream.state.prefix
    async for page in opened.depot.pages(arguments.bucket, arguments.prefix, arguments.start_after):
        keys = [key for key in page if not key.startswith(prefix)]
        await asyncio.gather(*(one(key) for key in keys))
        if keys:
            run.progress(keys[-1])


class _Run:
    """Counts what was done, says so now and then, and keeps to the rate."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.tally: Counter[str] = Counter()
        self._interval = 1 / arguments.rate if arguments.rate else 0.0
        self._next = time.monotonic()
        self._told = time.monotonic()

    async def pace(self) -> None:
        """Wait until the next object's turn."""
        now = time.monotonic()
        wait = self._next - now
        self._next = max(now, self._next) + self._interval
        if wait > 0:
            await asyncio.sleep(wait)

    def note(self, result: Result) -> None:
        """Count one object or document."""
        self.tally[result.outcome] += 1
        if result.outcome in ("failed", "changed"):
            print(f"{result.key}: {result.outcome} {result.problem}".rstrip())

    def progress(self, key: str) -> None:
        """Say how far it is, from time to time: what `--start-after` takes."""
        if time.monotonic() - self._told > PROGRESS_SECONDS:
            self._told = time.monotonic()
            print(f"s3warden: {sum(self.tally.values())} done, up to {key!r}", file=sys.stderr)


COMMAND = Command(
    "keys rewrap",
    "wrap bucket keys and objects under the keys of today",
    configure,
    run,
    "Write the bucket keys, and the capsules of objects, anew under the newest version of their key, or under another "
    "key. No body is read, and what is done already is left alone, so a run that broke off is started again. In a "
    "versioned bucket each rewrapped object is a new version.",
)

"""`s3warden keys rewrap`: bucket keys and objects under the keys of today, bodies untouched."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from proxy.cli.amounts import rate
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.key_reports import add_report_option, as_json, as_table, on_screen, write_reports
from proxy.cli.stored import failed
from proxy.config import Config, load_config
from proxy.errors import ConfigError, IntegrityError, S3Error
from proxy.server.rotation.conditions import NO_GUARD, find_guard
from proxy.server.rotation.depot import USUAL, Guard
from proxy.server.rotation.progress import Progress, Task, resume
from proxy.server.rotation.rewrap import Result, Rewrapper
from proxy.server.rotation.run import Scope, rewrap_documents, rewrap_objects
from proxy.server.rotation.session import Session, session

PROGRESS_SECONDS = 5.0
MAX_TOLD = 10_000
"""Objects that a report names one by one."""
_TOLD = frozenset({"failed", "changed", "older", "archived"})
_MEANINGS = {
    "rewrapped": "rewrapped",
    "current": "current",
    "plain": "not encrypted",
    "changed": "changed meanwhile",
    "failed": "failed",
    "older": "older versions that keep an older key",
    "archived": "archived: restore them first",
    "customer": "under keys of clients (SSE-C)",
}
_ALWAYS = ("rewrapped", "current", "plain", "changed", "failed")


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
    parser.add_argument("--rate", metavar="NUMBER", type=rate, help="objects a second, at most")
    parser.add_argument("--parallel", metavar="NUMBER", type=int, default=8, help="objects at once (default 8)")
    parser.add_argument("--start-after", metavar="KEY", default="", help="go on after this object")
    parser.add_argument("--progress", metavar="FILE", type=Path, help="keep here how far it is, and go on from there")
    add_report_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do the work and report it; raises `ConfigError`."""
    config = load_config(arguments.config)
    told = _Told(echo=on_screen(arguments.output) == "text")
    try:
        asyncio.run(_rewrap(config, arguments, told))
    except (S3Error, IntegrityError) as error:
        raise failed(error) from error
    renderers = {
        "text": lambda: told.text(arguments),
        "json": lambda: as_json(told.report(arguments)),
        "markdown": lambda: told.markdown(arguments),
    }
    write_reports(arguments.output, renderers)
    if told.tally["failed"] or told.tally["changed"]:
        return Exit.BAD_NEWS
    return Exit.CLEAN if told.tally else Exit.NOTHING


async def _rewrap(config: Config, arguments: argparse.Namespace, told: _Told) -> None:
    async with session(config) as opened:
        target = None if arguments.to is None else opened.ring.find(arguments.to)
        task = Task(arguments.bucket, arguments.prefix, "" if target is None else target.name)
        progress = Progress(task) if arguments.dry_run else resume(arguments.progress, task)
        if arguments.start_after:
            progress.after = (arguments.start_after, "")
        told.begin(progress)
        versioning = await opened.depot.versioning(arguments.bucket)
        guard = USUAL
        if arguments.only != "bucket-keys" and not arguments.dry_run:
            guard = await _guard(opened, arguments, versioning)
        rewrapper = Rewrapper(
            opened, target=target, dry_run=arguments.dry_run, guard=guard, suspended=versioning == "Suspended"
        )
        if arguments.only != "objects":
            await rewrap_documents(opened, rewrapper, arguments.bucket, told.note)
        if arguments.only != "bucket-keys":
            scope = Scope(arguments.bucket, arguments.prefix, versioning != "", arguments.parallel, arguments.rate)
            await rewrap_objects(opened, rewrapper, scope, progress, told.note)


async def _guard(opened: Session, arguments: argparse.Namespace, versioning: str) -> Guard:
    """Find out what the store checks; refuse to copy objects where an old capsule could replace a newer one."""
    state = opened.config.upstream.state
    place = state.bucket or arguments.bucket
    if versioning == "Enabled" and await opened.depot.is_locked(place):
        # A probe would stay for as long as the lock says, and versions need no conditions.
        return NO_GUARD
    guard = await find_guard(opened.depot, place, f"{state.prefix}probe-{opened.entropy.random(8).hex()}")
    if guard.source is None and versioning != "Enabled" and not arguments.alone:
        message = (
            "this store does not check x-amz-copy-source-if-match: an object that is written meanwhile would be lost"
        )
        remedy = "make sure that nobody writes to the bucket, and add --alone; or --only bucket-keys"
        raise ConfigError([opened.config.source.diagnostic(("upstream",), message, help=remedy)])
    return guard


@dataclass(slots=True)
class _Told:
    """Counts what was done, says so now and then, and reports it."""

    echo: bool
    tally: Counter[str] = field(default_factory=Counter)
    results: list[Result] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)

    def begin(self, progress: Progress) -> None:
        """Count on from an earlier run, but for what it left to be done again."""
        self.tally = Counter({k: v for k, v in progress.tally.items() if k not in ("changed", "failed")})

    def note(self, result: Result) -> None:
        """Count one object or document."""
        self.tally[result.outcome] += 1
        if result.outcome in _TOLD:
            if len(self.results) < MAX_TOLD:
                self.results.append(result)
            if self.echo and (result.outcome != "older" or result.problem):
                print(f"{result.key}: {result.outcome} {result.problem}".rstrip())
        if time.monotonic() - self._since > PROGRESS_SECONDS:
            self._since = time.monotonic()
            print(f"s3warden: {sum(self.tally.values())} done, up to {result.key!r}", file=sys.stderr)

    def text(self, arguments: argparse.Namespace) -> str:
        """Sum up in a line."""
        counts = {**self.tally, "changed": self.tally["changed"] + self.tally["gone"]}
        shown = {what: counts.get(what, 0) for what in _MEANINGS if counts.get(what) or what in _ALWAYS}
        meanings = {**_MEANINGS, **({"rewrapped": "would be rewrapped"} if arguments.dry_run else {})}
        return ", ".join(f"{count} {meanings[what]}" for what, count in shown.items())

    def report(self, arguments: argparse.Namespace) -> dict[str, object]:
        """Return everything, for JSON."""
        counted = sum(self.tally[what] for what in _TOLD)
        return {
            "bucket": arguments.bucket,
            "prefix": arguments.prefix,
            "to": arguments.to,
            "dry_run": arguments.dry_run,
            "counts": dict(sorted(self.tally.items())),
            "objects": [
                {"key": each.key, "version": each.version, "outcome": each.outcome, "problem": each.problem}
                for each in self.results
            ],
            "left_out": max(0, counted - len(self.results)),
        }

    def markdown(self, arguments: argparse.Namespace) -> str:
        """Return tables of counts and of what is not done."""
        counts = as_table(("Outcome", "Objects"), sorted(self.tally.items()))
        rows = [(each.key, each.version, each.outcome, each.problem) for each in self.results]
        told = as_table(("Object", "Version", "Outcome", "Problem"), rows) if rows else ""
        return f"# Rewrap of `{arguments.bucket}`\n\n{counts}\n\n{told}".rstrip()


COMMAND = Command(
    "keys rewrap",
    "wrap bucket keys and objects under the keys of today",
    configure,
    run,
    "Write the bucket keys, and the capsules of objects, anew under the newest version of their key, or under another "
    "key. No body is read, and what is done already is left alone, so a run that broke off is started again. In a "
    "versioned bucket each rewrapped object is a new version, and older ones are reported.",
)

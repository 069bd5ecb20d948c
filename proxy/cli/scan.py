"""`s3warden scan`: how every object of a bucket is protected, and whether that is what was wanted."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from proxy.cli.amounts import rate
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.policy_explain import read_context, usage
from proxy.cli.reports import add_output_option, emit
from proxy.cli.scan_report import STREAMED, ScanReport
from proxy.config import Config
from proxy.diagnostics import Severity
from proxy.errors import ConfigError, IntegrityError, S3Error
from proxy.server.pace import Pace
from proxy.server.rotation.session import Session, session
from proxy.server.rules import Rules, load_rules
from proxy.server.scan.holders import Holders, Registrar
from proxy.server.scan.journal import Journal, Row
from proxy.server.scan.judging import Assessor, Finding, Supposed
from proxy.server.scan.survey import BucketKeys, Listed, Survey

NEVER = "never"
PROGRESS_SECONDS = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `scan`."""
    parser.add_argument("--config", metavar="FILE", required=True, help="the configuration")
    parser.add_argument("--bucket", metavar="NAME", required=True, help="the bucket")
    parser.add_argument("--prefix", metavar="PREFIX", default="", help="only objects whose key starts so")
    parser.add_argument("--versions", action="store_true", help="all versions of objects, not only current ones")
    parser.add_argument(
        "--look-inside",
        action="store_true",
        help="read the first 8 KiB of objects whose metadata says nothing, to find Encryption SDK messages",
    )
    parser.add_argument(
        "--principal",
        metavar="ARN",
        help="who would write the objects: an identity of the configuration, or `anonymous` (default: any identity)",
    )
    parser.add_argument("--source-ip", metavar="IP", default="192.0.2.1", help="where they would write them from")
    parser.add_argument(
        "--context", metavar="KEY=VALUE", action="append", default=[], help="a condition key of such a request"
    )
    parser.add_argument(
        "--fail-on",
        choices=[*(severity.value for severity in Severity), NEVER],
        default=Severity.WARNING.value,
        help="the mildest finding that makes the exit code 1 (default warning)",
    )
    parser.add_argument("--state", metavar="FILE", help="keep what was found here; a scan that broke off goes on")
    parser.add_argument("--rate", metavar="NUMBER", type=rate, help="requests a second, at most")
    parser.add_argument("--parallel", metavar="NUMBER", type=int, default=16, help="requests at once (default 16)")
    add_output_option(parser, STREAMED)


def run(arguments: argparse.Namespace) -> int:
    """Scan and report; raises `ConfigError`."""
    rules = load_rules(Path(arguments.config))
    supposed = _supposed(rules, arguments)
    with tempfile.TemporaryDirectory(prefix="s3warden-scan-") as folder:
        path = Path(arguments.state) if arguments.state is not None else Path(folder, "scan.jsonl")
        with Journal(path, _identity(rules, arguments)) as journal:
            scan = _Scan(rules, arguments, journal, supposed)
            try:
                asyncio.run(scan.run())
            except (S3Error, IntegrityError) as error:
                raise _stopped(rules.config, error, arguments.state) from error
            severity = None if arguments.fail_on == NEVER else Severity(arguments.fail_on)
            report = ScanReport(arguments.bucket, journal.rows, severity)
            emit(report.report(), arguments.output, streamed=report.streamed())
            if not report.objects:
                return Exit.NOTHING
            return Exit.BAD_NEWS if report.failed else Exit.CLEAN


class _Scan:
    """One scan under way."""

    def __init__(self, rules: Rules, arguments: argparse.Namespace, journal: Journal, supposed: Supposed) -> None:
        self._rules = rules
        self._arguments = arguments
        self._journal = journal
        self._assessor = Assessor(rules, arguments.bucket, supposed, time.time())
        self._progress = _Progress(time.monotonic)

    async def run(self) -> None:
        """Look at everything that was not looked at yet; raises `S3Error`."""
        if self._journal.marker is None:
            return
        async with session(self._rules.config) as opened:
            await self._run(opened)

    async def _run(self, opened: Session) -> None:
        arguments, config, start = self._arguments, self._rules.config, self._journal.marker
        survey = Survey(
            opened.depot,
            arguments.bucket,
            versions=arguments.versions,
            look_inside=arguments.look_inside,
            parallel=arguments.parallel,
            pace=Pace(arguments.rate),
        )
        state = config.upstream.state
        bound = config.bucket(arguments.bucket).encryption.bind_as or arguments.bucket
        registrar = Registrar(opened.ring, config.keys.values(), BucketKeys(opened.depot, state, bound))
        own = state.prefix if state.bucket in (None, arguments.bucket) else None
        async for page in survey.pages(arguments.prefix, start):
            # What the proxy keeps for itself is no object of anybody's.
            rows = [each for each in page.rows if own is None or not each.key.startswith(own)]
            found = await asyncio.gather(*(self._look(survey, registrar, each) for each in rows))
            self._journal.add((row for row in found if row is not None), page.marker)
            self._progress.note([row for row in found if row is not None])

    async def _look(self, survey: Survey, registrar: Registrar, listed: Listed) -> Row | None:
        protection = await survey.look(listed)
        if protection is None:
            return None  # deleted meanwhile
        try:
            holders = await registrar.holders(protection)
            findings = self._assessor.assess(listed.key, protection, holders)
        except S3Error as error:
            holders = Holders()
            findings = [Finding("unreadable", Severity.ERROR, f"its bucket key cannot be read: {_words(error)}")]
        return Row(
            listed.key,
            listed.version_id,
            listed.latest,
            listed.size,
            listed.modified,
            protection.kind,
            holders.labels,
            holders.wrapping,
            holders.bucket_key,
            protection.sse,
            tuple(findings),
        )


class _Progress:
    """Says on standard error now and then how far it is."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._told = now()
        self._objects = self._findings = 0

    def note(self, rows: list[Row]) -> None:
        """Count a page."""
        self._objects += len(rows)
        self._findings += sum(len(row.findings) for row in rows)
        if rows and self._now() - self._told > PROGRESS_SECONDS:
            self._told = self._now()
            told = f"{self._objects:,} objects looked at, {self._findings:,} findings, up to {rows[-1].key!r}"
            print(f"s3warden: {told}", file=sys.stderr)


def _identity(rules: Rules, arguments: argparse.Namespace) -> dict[str, object]:
    """Return what makes a scan another one: going on under other rules would mix two answers."""
    names = ("bucket", "prefix", "versions", "look_inside", "principal", "source_ip", "context")
    given = {name: getattr(arguments, name) for name in names}
    settings = hashlib.sha256(repr(rules.config.bucket(arguments.bucket)).encode()).hexdigest()
    keys = [(key.name, key.enabled, [version.id for version in key.versions]) for key in rules.config.keys.values()]
    return {**given, "endpoint": rules.config.upstream.endpoint, "policies": rules.revision, "settings": settings,
            "keys": keys}  # fmt: skip


def _supposed(rules: Rules, arguments: argparse.Namespace) -> Supposed:
    principal = arguments.principal
    known = [caller.identity.arn for caller in rules.callers if caller.identity is not None]
    if principal is not None and principal != "anonymous" and principal not in known:
        raise usage(f"`{principal}` is no identity of the configuration", f"known are {', '.join(known) or 'none'}")
    return Supposed(principal, arguments.source_ip, read_context(arguments.context))


def _stopped(config: Config, error: S3Error | IntegrityError, state: str | None) -> ConfigError:
    text = f"the scan stopped: {_words(error) if isinstance(error, S3Error) else error}"
    remedy = "run the same command again: it goes on where it stopped" if state is not None else ""
    return ConfigError([config.source.diagnostic(("upstream",), text, help=remedy)])


def _words(error: S3Error) -> str:
    return f"{error.code}: {error.detail or error.message}"


COMMAND = Command(
    "scan",
    "find out how the objects of a bucket are protected",
    configure,
    run,
    "Look at every object of a bucket, at the store itself and with one HEAD each: encrypted by the proxy and under "
    "which key, by the store, by a client, or not at all; and whether policies and settings would have it so if it "
    "was written today. Exit codes: 0 nothing at or above --fail-on, 1 such a finding, 2 the store or the "
    "configuration cannot be used, 3 no objects.",
)

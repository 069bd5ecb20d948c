"""`s3warden policy replay LOG --policies NEW`: what would have become of logged requests."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from proxy.access.asking import ask
from proxy.cli.batch import unreadable
from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.policy_explain import existing, usage
from proxy.cli.reports import Report, add_output_option, emit
from proxy.policy.index import PolicyGroup
from proxy.policy.logs import Logged, Skipped, read_log
from proxy.policy.patterns import compile_text
from proxy.policy.replay import Kind, Replayer, Tally, Verdict, summary
from proxy.policy.written import Ask, Asked, Policies, Written, load_mixed

STDIN = "-"
MAX_ROWS = 50
_HEADINGS = ("requests", "verdict", "principal", "action", "because", "for example", "in the log")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `policy replay`."""
    parser.add_argument("logs", metavar="LOG", nargs="+", help="logs (.gz as well), folders with logs, or `-`")
    parser.add_argument(
        "--policies", metavar="NEW", action="append", required=True, help="the candidate policies; repeatable"
    )
    parser.add_argument(
        "--identity",
        metavar="[ARN=]PATH",
        action="append",
        default=[],
        help="identity policies of all callers, or of those whose ARN fits; repeatable",
    )
    parser.add_argument("--resource-account", metavar="ID", help="the buckets' owner (default: the caller's account)")
    parser.add_argument("--allow-more", action="store_true", help="accept requests that would be allowed from now on")
    parser.add_argument("--allow-less", action="store_true", help="accept requests that would be denied from now on")
    add_output_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Replay; 1 when a verdict changes that is not accepted, 3 when nothing could be replayed."""
    policies = load_mixed(existing(arguments.policies))
    if not policies.files:
        print("s3warden: there are no policies to ask", file=sys.stderr)
        return Exit.NOTHING
    replayer = Replayer(policies, _identities(arguments.identity, policies), _asking(arguments.resource_account))
    tally = replayer.replay(_entries(arguments.logs))
    accepted = {Verdict.GAINS: arguments.allow_more, Verdict.LOSES: arguments.allow_less}
    bad = any(tally.verdicts[verdict] and not fine for verdict, fine in accepted.items())
    emit(_report(arguments, policies, tally, bad), arguments.output)
    if not tally.replayed:
        return Exit.NOTHING
    return Exit.BAD_NEWS if bad else Exit.CLEAN


def _asking(account: str | None) -> Callable[[float | None], Ask]:
    def at(time: float | None) -> Ask:
        def one(written: Written) -> tuple[Asked, ...]:
            return ask(replace(written, resource_account=account), time or 0.0)

        return one

    return at


def _identities(given: list[str], policies: Policies) -> Callable[[str], PolicyGroup | None]:
    """Return the look-up from a caller to its policies; identity policies among the candidates are everybody's."""
    rules = []
    for text in given:
        pattern, equals, path = text.rpartition("=")
        if not equals or not pattern.startswith("arn:"):
            pattern, path = "*", text
        rules.append((compile_text(pattern), load_mixed((), existing([path])).identity.files))
    shared = policies.identity.files

    @cache
    def look_up(arn: str) -> PolicyGroup | None:
        found = [file for pattern, files in rules if pattern.matches(arn) for file in files]
        if not found and not shared:
            return None
        return PolicyGroup((*shared, *found), "identity")

    return look_up


def _entries(names: list[str]) -> Iterator[Logged | Skipped]:
    for name in names:
        if name == STDIN:
            yield from read_log(_lines(sys.stdin.buffer.read()), "<stdin>")
            continue
        for path in (
            [Path(name)] if not Path(name).is_dir() else sorted(p for p in Path(name).rglob("*") if p.is_file())
        ):
            try:
                yield from read_log(_lines(path.read_bytes()), str(path))
            except OSError as error:
                raise unreadable(str(path), error) from error


def _lines(raw: bytes) -> Iterator[str]:
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise usage(f"a log cannot be unpacked: {error}", "") from error
    text = raw.decode("utf-8", "replace")
    if text.lstrip()[:1] == "{" and '"Records"' in text[:200] and "\n" in text.strip():
        # A CloudTrail file that was laid out for people.
        try:
            yield json.dumps(json.loads(text))
        except (ValueError, RecursionError):
            yield from text.splitlines()
        return
    yield from text.splitlines()


def _report(arguments: argparse.Namespace, policies: Policies, tally: Tally, bad: bool) -> Report:
    rows = [
        _row(tally, kind, number) for kind, number in tally.kinds.most_common() if kind.verdict is not Verdict.UNKNOWN
    ]
    missing: Counter[str] = Counter()
    for kind, number in tally.kinds.items():
        if kind.verdict is Verdict.UNKNOWN:
            missing.update(dict.fromkeys(kind.reasons, number))
    counts = tally.verdicts
    return Report(
        "policy replay",
        {
            "policy": len(policies.files),
            "statement": sum(len(policy.statements) for policy in policies.files),
            "request": tally.replayed,
        },
        bad,
        body="\n".join(_body(arguments, policies, tally, rows, missing)),
        data={
            "verdicts": summary(tally),
            "changes": [dict(zip(_HEADINGS, row, strict=True)) for row in rows],
            "missing_keys": dict(missing.most_common()),
            "skipped": dict(tally.skipped.most_common()),
        },
        notes=(
            f"{counts[Verdict.SAME]:,} unchanged, {counts[Verdict.LOSES]:,} would be denied, "
            f"{counts[Verdict.GAINS]:,} would be allowed, {counts[Verdict.UNKNOWN]:,} cannot be told",
        ),
    )


def _row(tally: Tally, kind: Kind, number: int) -> tuple[str, ...]:
    resource, place = tally.examples[kind]
    because = ", ".join(kind.reasons) or "nothing allows it"
    return (f"{number:,}", kind.verdict.value, kind.principal, kind.action, because, resource, place)


def _body(
    arguments: argparse.Namespace,
    policies: Policies,
    tally: Tally,
    rows: list[tuple[str, ...]],
    missing: Counter[str],
) -> Iterator[str]:
    if rows:
        lines = [tuple(name.upper() for name in _HEADINGS), *rows[:MAX_ROWS]]
        widths = [max(len(line[place]) for line in lines) for place in range(len(_HEADINGS))]
        for line in lines:
            yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        if len(rows) > MAX_ROWS:
            yield f"and {len(rows) - MAX_ROWS:,} more; --output json has them all"
    if missing:
        yield "what the log does not give, and how many requests hang on it:"
        for key, number in missing.most_common():
            yield f"  {number:,}  {key}"
    for reason, number in tally.skipped.most_common():
        yield f"skipped {number:,}: {reason}"
    if not arguments.identity and not policies.identity.files:
        yield "no identity policies are given: those who were allowed are taken to be allowed by theirs still"


COMMAND = Command(
    "policy replay",
    "find the logged requests whose verdict would change",
    configure,
    run,
    "Ask the requests of a decision log, an S3 server access log or CloudTrail data events of candidate policies. "
    "What hangs on a condition key that the log does not give is counted apart. Exit codes: 0 no verdict changes, 1 "
    "some do (--allow-more, --allow-less accept one direction), 2 usage or unreadable input, 3 nothing to replay.",
)

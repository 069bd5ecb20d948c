"""`s3warden policy lint PATH...`: what is wrong in policies, and how to say it right."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.reports import Case, Problem, Report, RuleText, add_output_option, emit
from proxy.cli.rule import page
from proxy.diagnostics import Diagnostic, Severity, Span, render
from proxy.errors import ConfigError
from proxy.policy.lint import Finding, Linted, lint_text
from proxy.policy.lint.suppress import Baseline, load_baseline, write_baseline
from proxy.policy.store import policy_files
from proxy.yamldoc import MAX_BYTES

STDIN = "-"
NEVER = "never"
_TESTS = (".test.yaml", ".test.yml", ".test.json")


@dataclass(slots=True)
class Sources:
    """Files as they are read: what could not be read is told, and remembered for the exit code."""

    paths: list[str]
    unreadable: bool = False
    _seen: set[str] = field(default_factory=set)

    def read(self) -> Iterator[tuple[str, bytes]]:
        """Yield (name, content) of every policy file."""
        for path in self.paths:
            if path == STDIN:
                yield "<stdin>", sys.stdin.buffer.read(MAX_BYTES + 1)
                continue
            for file in policy_files(path):
                if file.name.endswith(_TESTS):
                    print(f"s3warden: `{file}` is a test of policies, not a policy: skipped", file=sys.stderr)
                elif (real := os.path.realpath(file)) not in self._seen:
                    self._seen.add(real)
                    content = self._content(file)
                    if content is not None:
                        yield str(file), content

    def _content(self, file: Path) -> bytes | None:
        try:
            with file.open("rb") as stream:
                return stream.read(MAX_BYTES + 1)
        except OSError as error:
            self.unreadable = True
            message = f"cannot read the file: {error.strerror}"
            print(render(Diagnostic(Severity.ERROR, "unreadable", message, Span(str(file)))), file=sys.stderr)
            return None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `policy lint`."""
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="policy files, folders with policies, or `-` for standard input"
    )
    parser.add_argument(
        "--fail-on",
        choices=[*(severity.value for severity in Severity), NEVER],
        default=Severity.ERROR.value,
        help="the mildest finding that makes the exit code 1 (default error)",
    )
    parser.add_argument(
        "--kind",
        choices=("bucket", "identity", "key"),
        help="whose policies these are; by default as `bucket:`, folder and content say",
    )
    parser.add_argument(
        "--mapped-key",
        metavar="KEY",
        action="append",
        default=[],
        help="a condition key to which the proxy's configuration gives a value (condition_values); may be repeated",
    )
    parser.add_argument("--baseline", metavar="FILE", help="hide the findings that this file lists")
    parser.add_argument("--write-baseline", metavar="FILE", help="list the present findings in a file, for --baseline")
    add_output_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Lint, report, and return the exit code."""
    baseline = load_baseline(arguments.baseline) if arguments.baseline else None
    sources = Sources(arguments.paths)
    linted = list(_lint(sources, arguments))
    if arguments.write_baseline:
        _save_baseline(arguments.write_baseline, linted)
        return Exit.ERROR if sources.unreadable else Exit.CLEAN if linted else Exit.NOTHING
    report = _report(linted, baseline, arguments.fail_on)
    emit(report, arguments.output)
    if sources.unreadable:
        return Exit.ERROR
    if not linted:
        return Exit.NOTHING
    return Exit.BAD_NEWS if report.failed else Exit.CLEAN


def _lint(sources: Sources, arguments: argparse.Namespace) -> Iterator[Linted]:
    for name, content in sources.read():
        document = lint_text(content, name, arguments.kind, arguments.mapped_key)
        if document.is_goal:
            print(f"s3warden: `{name}` is a goal to prove, not a policy: skipped", file=sys.stderr)
        else:
            yield document


def policy_name(file: str) -> str:
    """Return the name that a baseline and fingerprints know a file by: its path, as seen from here."""
    path = PurePath(file)
    if path.is_absolute():
        path = PurePath(os.path.relpath(path))
    return PurePath(os.path.normpath(path)).as_posix()


def _report(linted: list[Linted], baseline: Baseline | None, fail_on: str) -> Report:
    shown: list[tuple[str, Finding]] = []
    known: list[str] = []
    hidden = 0
    for document in linted:
        name = policy_name(document.file)
        hidden += len(document.suppressed)
        for finding in document.findings:
            print_id = finding.fingerprint(name)
            if baseline is not None and not finding.rule.refused and print_id in baseline.entries:
                known.append(print_id)
            else:
                shown.append((name, finding))
    if baseline is not None:
        stale = baseline.unused(known, (policy_name(document.file) for document in linted))
        shown += [(policy_name(baseline.file), finding) for finding in stale]
    problems = tuple(_problem(name, finding, fail_on) for name, finding in shown)
    notes = [f"{hidden} suppressed"] if hidden else []
    notes += [f"{len(known)} in the baseline"] if known else []
    return Report(
        command="policy lint",
        checked={"policy": len(linted), "statement": sum(document.statements for document in linted)},
        failed=any(problem.failing for problem in problems),
        problems=problems,
        cases=tuple(_clean(linted, {problem.span.file for problem in problems})),
        data={"suppressed": hidden, "baseline": len(known)},
        rules={finding.rule.id: _rule_text(finding) for _, finding in shown},
        notes=tuple(notes),
    )


def _clean(linted: Iterable[Linted], with_problems: set[str]) -> Iterator[Case]:
    """Yield a passed case for each file without findings, so that JUnit shows that it was checked."""
    for document in linted:
        if document.file not in with_problems:
            yield Case(document.file, "policy lint", "passed", "", Span(document.file))


def _problem(name: str, finding: Finding, fail_on: str) -> Problem:
    diagnostic = finding.diagnostic
    return Problem(
        rule=finding.rule.id,
        name=finding.rule.name,
        severity=diagnostic.severity,
        message=diagnostic.message,
        span=diagnostic.span,
        help=diagnostic.help,
        snippet=diagnostic.snippet,
        fingerprint=finding.fingerprint(name),
        failing=fail_on != NEVER and diagnostic.severity.rank <= Severity(fail_on).rank,
        sid=finding.sid,
        pointer=diagnostic.pointer,
    )


def _rule_text(finding: Finding) -> RuleText:
    return RuleText(finding.rule.title, finding.rule.severity, page(finding.rule))


def _save_baseline(file: str, linted: Iterable[Linted]) -> None:
    findings = [(policy_name(document.file), finding) for document in linted for finding in document.findings]
    written = write_baseline(findings)
    try:
        Path(file).write_text(written, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        message = f"cannot write the baseline: {error.strerror}"
        raise ConfigError([Diagnostic(Severity.ERROR, "unwritable-baseline", message, Span(file))]) from error
    left = sum(finding.rule.refused for _, finding in findings)
    note = f", without {left} that the proxy refuses" if left else ""
    print(f"wrote {file}{note}", file=sys.stderr)


COMMAND = Command(
    "policy lint",
    "find what is wrong in policies, and how to say it right",
    configure,
    run,
    "Check policies as the proxy reads them, then for what is surely not meant. Exit codes: 0 no finding at or "
    "above --fail-on, 1 such a finding, 2 usage or an unreadable file, 3 nothing was checked. A finding is hidden "
    "with a comment, `# s3warden: ignore[S3W060] the reason`, or with a baseline file.",
)

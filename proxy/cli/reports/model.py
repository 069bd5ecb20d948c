"""What commands have to tell, whatever the format."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from proxy.diagnostics import Severity, Span

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a place in a file."""

    rule: str
    """A stable id such as `S3W014`."""
    name: str
    """The rule in a few words: `unknown-action`."""
    severity: Severity
    message: str
    span: Span
    help: str = ""
    snippet: str = ""
    fingerprint: str = ""
    """Names the problem apart from its line; empty if it has no lasting name."""
    failing: bool = True
    """Whether it makes the command fail."""
    sid: str = ""
    pointer: str = ""

    @property
    def title(self) -> str:
        """Id and name of the rule."""
        return f"{self.rule} {self.name}".strip()

    @property
    def advice(self) -> str:
        """The message, and the help on a line of its own."""
        return f"{self.message}\nhelp: {self.help}" if self.help else self.message


@dataclass(frozen=True, slots=True)
class Case:
    """One expectation of a suite, such as a request of a policy test."""

    suite: str
    """Mostly the file it stands in."""
    name: str
    outcome: Outcome
    text: str = ""
    """Why it failed, or was skipped; may have several lines."""
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class RuleText:
    """What SARIF says about a rule."""

    title: str
    severity: Severity
    help: str
    """Markdown."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one command."""

    command: str
    """`policy lint`."""
    checked: Mapping[str, int]
    """What was looked at, by singular noun: `{"policy": 7, "statement": 31}`."""
    failed: bool
    """Whether the answer is bad news."""
    problems: tuple[Problem, ...] = ()
    cases: tuple[Case, ...] = ()
    body: str = ""
    """What the text form says between problems and summary, in whole lines."""
    markdown: str = ""
    """The same for the Markdown form; without it, `body` as a block of text."""
    data: Mapping[str, object] = field(default_factory=dict)
    """What the JSON form has besides, under names of the command's own."""
    rules: Mapping[str, RuleText] = field(default_factory=dict)
    """Rule id -> its explanation, for the problems' rules."""
    notes: tuple[str, ...] = ()
    """Counts worth telling in the summary: `3 suppressed`."""

    @property
    def summary(self) -> str:
        """One line: what was looked at and what was found."""
        if not any(self.checked.values()):
            return "nothing was checked"
        looked = ", ".join(_count(number, noun) for noun, number in self.checked.items())
        levels = Counter(problem.severity for problem in self.problems)
        found = [
            _count(levels[severity], severity.value.replace("-", " ")) for severity in Severity if levels[severity]
        ]
        failed = sum(case.outcome == "failed" for case in self.cases)
        found += [f"{failed} failed"] if failed else []
        told = ", ".join((*found, *self.notes))
        return f"checked {looked}" + (f": {told}" if told else "")


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}" + ("es" if noun.endswith(("s", "ch")) else "s")


def by_place(problems: tuple[Problem, ...]) -> list[Problem]:
    """Return problems in the order of the files."""
    return sorted(problems, key=lambda p: (p.span.file, p.span.line, p.span.column, p.rule))


def by_severity(problems: tuple[Problem, ...]) -> list[Problem]:
    """Return the worst problems first, for formats that show only so many."""
    return sorted(problems, key=lambda p: (p.severity.rank, p.span.file, p.span.line, p.span.column))


def visible(text: str) -> str:
    """Escape characters that a terminal or page would act on or hide, line ends and tabs excepted."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char in "\n\t" or not _hidden(char) else _escaped(char) for char in text)


def _hidden(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"

"""Policy tests: requests with the verdict that each must get, and whether it does.

Knows neither how test files are written (`case_files`) nor how results are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import S3Error
from proxy.policy.document import PolicyFile
from proxy.policy.evaluate import Effect
from proxy.policy.written import Answer, Ask, Asked, Policies, Written, judge

REFUSED = "refused"
"""What a case expects of HTTP that the proxy refuses before it asks any policy."""
EXPECTATIONS = ("allow", "deny", "explicit_deny", "implicit_deny", REFUSED)


@dataclass(frozen=True, slots=True)
class Case:
    """One test."""

    name: str
    written: Written
    expect: str
    """One of `EXPECTATIONS`; `deny` is either kind."""
    sid: str | None
    """The statement that must be among those that decide, by Sid or as `#3`."""
    policies: Policies
    """All that decide the request."""
    tested: tuple[PolicyFile, ...]
    """Those of them that the test file is about; the others are only there."""
    span: Span
    snippet: str = ""


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The tests of one file, and the policies it is about."""

    file: str
    cases: tuple[Case, ...]
    tested: tuple[PolicyFile, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case."""

    case: Case
    asked: tuple[Asked, ...]
    answer: Answer | None
    """None for a request that was refused before any policy was asked."""
    problem: str
    """Why it failed; empty when it passed."""

    @property
    def passed(self) -> bool:
        """Whether the request got what was expected."""
        return not self.problem

    @property
    def diagnostic(self) -> Diagnostic:
        """The failure as a finding in the test file."""
        case = self.case
        message = f"`{case.name}`: {self.problem}"
        return Diagnostic(Severity.ERROR, "failed-expectation", message, case.span, snippet=case.snippet)


def run_cases(cases: Iterable[Case], ask: Ask) -> Iterator[Outcome]:
    """Run tests in their order."""
    for case in cases:
        try:
            asked = ask(case.written)
        except S3Error as error:
            yield Outcome(case, (), None, _refusal_problem(case, error))
            continue
        answer = judge(case.policies, asked)
        yield Outcome(case, asked, answer, problem(case, answer))


def problem(case: Case, answer: Answer) -> str:
    """Tell in what way an answer is not the expected one; empty if it is."""
    effect, sids = answer.effect, answer.sids
    got = f"{effect.value}{_by(sids)}"
    if case.expect == REFUSED:
        return f"expected the proxy to refuse it, but policies were asked: {got}"
    if not _fits(case.expect, effect):
        return f"expected {case.expect}, got {got}"
    if case.sid is not None and case.sid not in sids:
        return f"expected `{case.sid}` to decide, got {got}"
    return ""


def _fits(expect: str, effect: Effect) -> bool:
    return effect is not Effect.ALLOW if expect == "deny" else effect.value == expect


def _by(sids: Sequence[str]) -> str:
    return f" by {', '.join(f'`{sid}`' for sid in sids)}" if sids else ""


def _refusal_problem(case: Case, error: S3Error) -> str:
    if case.expect == REFUSED:
        return ""
    return f"expected {case.expect}, but the proxy refuses it before any policy is asked: {error}"

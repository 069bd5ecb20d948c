"""What of a policy its tests exercise: statements, conditions, and the values in conditions.

A statement is exercised when a test's request matches it. A condition is when one test's request fulfils
it in a statement that matches, and another's fails on it where principal, action and resource match: a
condition that is never the reason for anything could as well not be there. A value is when a request's
value fits it, where principal, action and resource match.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from proxy.diagnostics import Diagnostic, Severity
from proxy.policy.cases import Outcome
from proxy.policy.conditions import Condition
from proxy.policy.document import PolicyFile, Statement
from proxy.policy.evaluate import AccessRequest


@dataclass(slots=True)
class _Seen:
    """What was seen of one statement. `met`, `failed` and `fitted` have one entry per condition."""

    statement: Statement
    policy: PolicyFile
    matched: bool = False
    met: list[bool] = field(default_factory=list)
    failed: list[bool] = field(default_factory=list)
    fitted: list[list[bool]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much is exercised, and what is not."""

    statements: tuple[int, int]
    """Exercised, and all."""
    conditions: tuple[int, int]
    values: tuple[int, int]
    missing: tuple[Diagnostic, ...]

    @property
    def percent(self) -> float:
        """Exercised parts of all kinds, of a hundred; 100 when there is nothing to exercise."""
        done, all_parts = (sum(pair[side] for pair in self._pairs()) for side in (0, 1))
        return 100.0 * done / all_parts if all_parts else 100.0

    def _pairs(self) -> tuple[tuple[int, int], ...]:
        return self.statements, self.conditions, self.values


def measure(outcomes: Iterable[Outcome]) -> Coverage:
    """Measure what the requests of tests exercised in the policies they are about; failed tests count as well."""
    seen: dict[str, list[_Seen]] = {}
    for outcome in outcomes:
        tested = {policy.file for policy in outcome.case.tested}
        for policy in outcome.case.tested:
            if policy.file not in seen:
                seen[policy.file] = [_entry(policy, statement) for statement in policy.statements]
        for asked in outcome.asked:
            for group in outcome.case.policies.groups(asked):
                for policy in group.files:
                    if policy.file in tested:
                        _note(seen[policy.file], asked.request)
    return _sum_up([entry for entries in seen.values() for entry in entries])


def _entry(policy: PolicyFile, statement: Statement) -> _Seen:
    count = len(statement.conditions)
    fitted = [[False] * len(condition.tests) for condition in statement.conditions]
    return _Seen(statement, policy, False, [False] * count, [False] * count, fitted)


def _note(entries: Iterable[_Seen], request: AccessRequest) -> None:
    action, context = request.action.lower(), request.context
    for entry in entries:
        statement = entry.statement
        principals = statement.principals
        if not statement.actions.matches(action) or not statement.resources.matches(request.resource, context):
            continue
        if principals is not None and not principals.grade(request.principal):
            continue
        verdicts = [condition.holds(context) for condition in statement.conditions]
        if all(verdicts):
            entry.matched = True
        for place, (condition, holds) in enumerate(zip(statement.conditions, verdicts, strict=True)):
            if not holds:
                entry.failed[place] = True
            elif all(verdicts):
                entry.met[place] = True
            _fit(entry.fitted[place], condition, request, holds)


def _fit(fitted: list[bool], condition: Condition, request: AccessRequest, holds: bool) -> None:
    value = request.context.get(condition.key)
    if condition.operator.family == "Null":
        # Its values are about whether there is a value: with one of them, the verdict says which.
        for place in range(len(fitted)):
            fitted[place] = fitted[place] or holds
        return
    values = () if value is None else (value,) if isinstance(value, str) else value
    for place, test in enumerate(condition.tests):
        if not fitted[place]:
            fitted[place] = any(test(one, request.context) for one in values)


def _sum_up(seen: Sequence[_Seen]) -> Coverage:
    statements, conditions, values = [0, 0], [0, 0], [0, 0]
    missing: list[Diagnostic] = []
    for entry in seen:
        statements[1] += 1
        statements[0] += entry.matched
        if not entry.matched:
            missing.append(_missing(entry, f"no test's request matches {_name(entry.statement)}"))
        for place, condition in enumerate(entry.statement.conditions):
            conditions[1] += 1
            both = entry.met[place] and entry.failed[place]
            conditions[0] += both
            if entry.matched and not both:
                missing.append(_missing(entry, _half(entry, place), condition))
            values[0] += sum(entry.fitted[place])
            values[1] += len(entry.fitted[place])
            if entry.matched:
                missing += [
                    _missing(entry, f"no test's request has the value `{written}` of `{condition.key}`", condition)
                    for written, fits in zip(condition.values, entry.fitted[place], strict=True)
                    if not fits
                ]
    return Coverage(
        (statements[0], statements[1]), (conditions[0], conditions[1]), (values[0], values[1]), tuple(missing)
    )


def _half(entry: _Seen, place: int) -> str:
    condition = entry.statement.conditions[place]
    which = "fulfils" if not entry.met[place] else "fails"
    return f"no test's request {which} the condition `{condition.written}` on `{condition.key}`"


def _name(statement: Statement) -> str:
    return f"`{statement.sid}`" if statement.sid else f"statement {statement.index + 1}"


def _missing(entry: _Seen, message: str, condition: Condition | None = None) -> Diagnostic:
    span = condition.span if condition is not None else entry.statement.span
    return Diagnostic(
        Severity.SUGGESTION, "not-exercised", message, span, snippet=entry.policy.document.line(span.line)
    )

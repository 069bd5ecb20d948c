"""Why a decision is what it is: every statement, and which of its parts did not match.

Nothing is evaluated in another way here: the parts are asked the same questions as on the hot path, only
all of them and without the index, and the decision is combined by the same function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.policy.conditions import Condition
from proxy.policy.document import PolicyFile, Statement
from proxy.policy.evaluate import AccessRequest, Decision, combine
from proxy.policy.index import NO_POLICIES, Match, PolicyGroup
from proxy.policy.principals import Grade
from proxy.policy.variables import ContextValue


@dataclass(frozen=True, slots=True)
class ConditionTrace:
    """One condition, its verdict, and what it looked at."""

    condition: Condition
    holds: bool
    value: ContextValue | None
    """The request's value; None when absent."""
    fitting: tuple[bool, ...]
    """Per policy value: does any request value fit it, negation aside? For coverage of values."""


@dataclass(frozen=True, slots=True)
class StatementTrace:
    """One statement against one request, part by part."""

    statement: Statement
    reported: bool
    """Whether it stands in a `mode: report` policy."""
    grade: Grade
    action: bool
    resource: bool
    conditions: tuple[ConditionTrace, ...]

    @property
    def matched(self) -> bool:
        """Whether the statement applies to the request."""
        return not self.missed

    @property
    def missed(self) -> tuple[str, ...]:
        """What did not match: `principal`, `action`, `resource`, `OPERATOR KEY`. One entry is a near miss."""
        parts = [("principal", bool(self.grade)), ("action", self.action), ("resource", self.resource)]
        parts += [(f"{trace.condition.written} {trace.condition.key}", trace.holds) for trace in self.conditions]
        return tuple(name for name, matched in parts if not matched)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with the trace of every statement, in the order of the files."""

    request: AccessRequest
    decision: Decision
    statements: tuple[StatementTrace, ...]

    @property
    def near_misses(self) -> tuple[StatementTrace, ...]:
        """The statements that failed in one part only."""
        return tuple(trace for trace in self.statements if len(trace.missed) == 1)


def explain(
    request: AccessRequest, resource_policies: PolicyGroup, identity_policies: PolicyGroup = NO_POLICIES
) -> Explanation:
    """Decide as `evaluate.decide` does, and keep what was seen on the way."""
    by_resource = [_trace(request, file, s) for file in resource_policies.files for s in file.statements]
    by_identity = [_trace(request, file, s) for file in identity_policies.files for s in file.statements]
    kind = resource_policies.kind
    decision = combine(request, kind, _matches(by_resource, False), _matches(by_identity, False))
    if resource_policies.trial is not None or identity_policies.trial is not None:
        trial = combine(request, kind, _matches(by_resource, True), _matches(by_identity, True))
        decision = Decision(decision.effect, decision.policy_kind, decision.statements, trial)
    return Explanation(request, decision, (*by_resource, *by_identity))


def _matches(traces: Sequence[StatementTrace], with_reported: bool) -> list[Match]:
    return [
        (place, trace.statement, trace.grade)
        for place, trace in enumerate(traces)
        if trace.matched and (with_reported or not trace.reported)
    ]


def _trace(request: AccessRequest, file: PolicyFile, statement: Statement) -> StatementTrace:
    principals = statement.principals
    return StatementTrace(
        statement,
        file.mode == "report",
        Grade.DIRECT if principals is None else principals.grade(request.principal),
        statement.actions.matches(request.action.lower()),
        statement.resources.matches(request.resource, request.context),
        tuple(_trace_condition(request, condition) for condition in statement.conditions),
    )


def _trace_condition(request: AccessRequest, condition: Condition) -> ConditionTrace:
    value = request.context.get(condition.key)
    values = () if value is None else (value,) if isinstance(value, str) else value
    fitting = tuple(any(test(one, request.context) for one in values) for test in condition.tests)
    return ConditionTrace(condition, condition.holds(request.context), value, fitting)

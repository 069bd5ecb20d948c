"""Do policies keep a goal: is nothing allowed that must never be?

A goal is kept exactly when denying what it describes would change no verdict that is "allow". So it is
proven by comparing the policies with themselves and the goal as one more Deny (`proxy.policy.diff`), over
the same space of requests; each counterexample is a request that the evaluator allows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.policy.clauses import NEW, OLD, ClauseTable, Policies
from proxy.policy.diff import Assumptions, Difference, Evaluator, explore, with_unknown
from proxy.policy.document import Statement
from proxy.policy.evaluate import AccessRequest, Decision, Effect
from proxy.policy.goals import Goal
from proxy.policy.requests import Scope


@dataclass(frozen=True, slots=True)
class Proof:
    """The answer: the goal holds when there is no counterexample and nothing is missing."""

    goal: Goal
    counterexamples: tuple[Difference, ...]
    """Allowed requests (`old`) that the goal forbids; one for each way of being allowed."""
    cells: int
    """How many requests there are that neither the policies nor the goal tell apart."""
    missing: tuple[str, ...]
    """Why the answer is not exhaustive."""

    @property
    def holds(self) -> bool:
        """Whether the goal is proven."""
        return not self.counterexamples and not self.missing


def prove(policies: Policies, goal: Goal, assume: Assumptions | None = None) -> Proof:
    """Look for a request that the policies allow and the goal forbids.

    With bucket policies, only the buckets that they are about are looked at: nobody expects a policy to
    protect another bucket.
    """
    assume = assume or Assumptions()
    full = with_unknown(policies, policies, assume)
    table = ClauseTable()
    table.add_policies(OLD, full)
    table.add_policies(NEW, full)
    for statement in goal.statements:
        table.add(NEW, None, statement)
    evaluator = Evaluator(full)

    def judge(request: AccessRequest, attached: Sequence[str]) -> tuple[Decision, Decision]:
        decision = evaluator.decide(request, attached)
        forbidding = tuple(statement for statement in goal.statements if forbids(statement, request))
        if not forbidding:
            return decision, decision
        return decision, Decision(Effect.EXPLICIT_DENY, "identity", forbidding)

    scoped = dataclasses.replace(assume, access_only=True, scope=_scope(policies, assume.scope))
    found = explore(table, judge, scoped)
    return Proof(goal, found.differences, found.cells, found.missing)


def forbids(statement: Statement, request: AccessRequest) -> bool:
    """Tell whether a statement of a goal is about the request."""
    return (
        statement.actions.matches(request.action.lower())
        and statement.resources.matches(request.resource, request.context)
        and all(condition.holds(request.context) for condition in statement.conditions)
    )


def _scope(policies: Policies, given: Scope) -> Scope:
    files = policies.buckets.files
    if not files:
        return given

    def inside(arn: str, bucket: str | None) -> bool:
        return bucket is not None and given(arn, bucket) and any(file.concerns(bucket) for file in files)

    return inside

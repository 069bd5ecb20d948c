"""A verdict in words: the verdict first, what decided it and where that stands, then the nearest misses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from proxy.policy.evaluate import Decision, Effect
from proxy.policy.explain import ConditionTrace, Explanation, StatementTrace, explain
from proxy.policy.names import find_key
from proxy.policy.variables import ContextValue
from proxy.policy.written import Answer, Asked, Policies

MAX_MISSES = 5
_VERDICTS = {
    Effect.ALLOW: "allowed",
    Effect.EXPLICIT_DENY: "denied by a statement",
    Effect.IMPLICIT_DENY: "denied, because nothing allows it",
}
_NEEDED = {
    "bucket": "the bucket's policy would have to allow it",
    "identity": "an identity policy of the caller would have to allow it",
    "key": "the key's policy would have to allow it",
}


def explain_answer(policies: Policies, answer: Answer) -> str:
    """Explain a whole request: the question that settled it, and what else was asked."""
    settled, _ = answer.deciding
    lines = list(_explanation(explain(settled.request, *policies.groups(settled))))
    others = [asked for asked, _ in answer.decisions if asked is not settled]
    if others:
        lines.append("also asked:")
        lines += [f"  {_effect(asked, answer)} {asked.request.action} on {asked.request.resource}" for asked in others]
    return "\n".join(lines)


def _effect(asked: Asked, answer: Answer) -> str:
    return next(decision.effect.value for one, decision in answer.decisions if one is asked)


def _explanation(found: Explanation) -> Iterator[str]:
    request, decision = found.request, found.decision
    caller = request.principal.arn or "an anonymous caller"
    yield f"{decision.effect.value}: {_VERDICTS[decision.effect]}"
    yield f"  {request.action} on {request.resource} by {caller}"
    traces = {id(trace.statement): trace for trace in found.statements}
    for statement in decision.statements:
        yield f"  decided by {statement.effect} {statement}"
        trace = traces[id(statement)]
        yield from (f"    {_condition(each)}: holds" for each in trace.conditions)
    if decision.effect is Effect.IMPLICIT_DENY:
        yield f"  {_NEEDED[decision.policy_kind]}"
    if decision.reported is not None and decision.reported.effect is not decision.effect:
        names = ", ".join(str(statement) for statement in decision.reported.statements)
        yield f"  with report-mode policies enforced: {decision.reported.effect.value}" + (
            f" by {names}" if names else ""
        )
    misses = nearest(found)
    if misses:
        yield "nearest misses:"
        yield from (f"  {_miss(trace)}" for trace in misses)


def nearest(found: Explanation) -> list[StatementTrace]:
    """Return the statements that came nearest to matching, at most `MAX_MISSES`; hopeless ones are left out."""
    missed = [trace for trace in found.statements if trace.missed and trace.action and _one_of_two(trace)]
    return sorted(missed, key=lambda trace: len(trace.missed))[:MAX_MISSES]


def _one_of_two(trace: StatementTrace) -> bool:
    return trace.resource or len(trace.missed) == 1


def _miss(trace: StatementTrace) -> str:
    statement = trace.statement
    parts = (("principal", bool(trace.grade)), ("action", trace.action), ("resource", trace.resource))
    matched = [name for name, fits in parts if fits and not (name == "principal" and statement.principals is None)]
    failed = [f"did not match {name}" for name, fits in parts if not fits]
    failed += [f"failed condition {_condition(each)}" for each in trace.conditions if not each.holds]
    mode = " (mode: report)" if trace.reported else ""
    return f"{statement.effect} {statement}{mode} matched {_and(matched)}, {', '.join(failed)}"


def _condition(trace: ConditionTrace) -> str:
    condition = trace.condition
    wanted = ", ".join(f"`{value}`" for value in condition.values)
    return f"{condition.written} `{key_name(condition.key)}` {wanted} (got {shown(trace.value)})"


def shown(value: ContextValue | None) -> str:
    """Show a request's value of a key."""
    if value is None:
        return "nothing: the key is absent"
    if isinstance(value, str):
        return f"`{value}`"
    return f"[{', '.join(f'`{one}`' for one in value)}]"


def key_name(key: str) -> str:
    """Return a lower-case key as AWS writes it."""
    known = find_key(key)
    return key if known is None else known.name + key[len(known.name) :]


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words) or "nothing"


def decision_data(answer: Answer) -> dict[str, object]:
    """Return an answer for JSON."""
    return {
        "decision": answer.effect.value,
        "statements": list(answer.sids),
        "questions": list(_questions(answer.decisions)),
    }


def _questions(decisions: Iterable[tuple[Asked, Decision]]) -> Iterator[dict[str, object]]:
    for asked, decision in decisions:
        yield {
            "action": asked.request.action,
            "resource": asked.request.resource,
            "decision": decision.effect.value,
        }

"""Checks of conditions with each other, and with the actions that carry their keys.

Source: Service Authorization Reference, column "Condition keys"; which keys a proxy has values for is in
`proxy.policy.names`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proxy.diagnostics import Diagnostic, Severity
from proxy.policy.lint.actions import ASKED
from proxy.policy.lint.meet import can_be_met, holds_when_missing
from proxy.policy.lint.subject import Check, Clause, Part, Subject
from proxy.policy.names import ACTIONS, Key, expand_action

# Every action has these here when the configuration gives the bucket's tags.
_ALWAYS_CARRIED = frozenset({"s3:BucketTag/"})
# Global keys that only some actions carry.
_PARTLY_GLOBAL = frozenset({"aws:RequestTag/", "aws:TagKeys"})
_SPOOFABLE = {"aws:referer": "Referer", "aws:useragent": "User-Agent"}


def together(subject: Subject) -> Iterator[Diagnostic]:
    """S3W070, S3W071, S3W072: conditions on one key are all to be met."""
    for part in subject.parts:
        for clauses in part.on_key().values():
            if len(clauses) > 1 and all(subject.sound(clause.path) for clause in clauses):
                yield from _together(subject, part, clauses)


def _together(subject: Subject, part: Part, clauses: Sequence[Clause]) -> Iterator[Diagnostic]:
    key = str(clauses[0].path[-1])
    nulls = [clause for clause in clauses if clause.condition.operator.family == "Null"]
    others = [clause for clause in clauses if clause not in nulls]
    wanted = {value.lower() for clause in nulls for value in clause.condition.values}
    if can_be_met([clause.condition for clause in clauses]) is False:
        names = " and ".join(f"`{clause.condition.written}`" for clause in clauses)
        message = f"no request meets {names} on `{key}` together"
        remedy = "all conditions of a statement must hold: for one or the other write two statements"
        yield subject.found("impossible-condition", clauses[-1].path, message, remedy, at_key=True)
    elif wanted == {"true"} and others:
        yield from _hidden(subject, part, key, others)
    elif wanted == {"false"} and any(not holds_when_missing(clause.condition) for clause in others):
        message = f"another condition already fails when `{key}` is missing"
        yield subject.found("redundant-null", nulls[0].path, message, "leave it out", at_key=True)


def _hidden(subject: Subject, part: Part, key: str, others: Sequence[Clause]) -> Iterator[Diagnostic]:
    """`Null: true` with a condition that holds when the key is missing: the other one is never asked."""
    for clause in others:
        written = clause.condition.written
        if part.statement.effect == "Deny":
            message = f"beside `Null: true` this denies no wrong `{key}`, only a missing one"
            remedy = f"remove `Null`: `{written}` alone also denies a missing key; or write two statements"
            yield subject.found("null-hides-condition", clause.path, message, remedy, at_key=True)
        else:
            message = f"beside `Null: true` the condition `{written}` on `{key}` has no effect"
            yield subject.found(
                "null-hides-condition", clause.path, message, "leave it out", at_key=True, severity=Severity.WARNING
            )


def carried(subject: Subject) -> Iterator[Diagnostic]:
    """S3W089, S3W090, S3W091: keys that the statement's actions do not carry, or no request has."""
    for part, clause in subject.sound_clauses():
        key = clause.key
        if key is None:
            continue
        if key.source == "never":
            message = f"`{key.name}` is never present at a proxy"
            remedy = key.about.rstrip(".") if key.about else ""
            yield subject.found("key-never-present", clause.path, message, remedy, at_key=True)
        elif _is_selective(key) and part.statement.actions.names and subject.sound(part.element("Action")):
            yield from _carried(subject, part, clause, key)


def _is_selective(key: Key) -> bool:
    if key.name in _PARTLY_GLOBAL:
        return True
    return key.name.startswith(("s3:", "kms:")) and key.name not in _ALWAYS_CARRIED


def _carried(subject: Subject, part: Part, clause: Clause, key: Key) -> Iterator[Diagnostic]:
    names = part.statement.actions.names
    lacking = [name for name in names if key.name not in ACTIONS[name].keys]
    if not lacking:
        return
    condition = clause.condition
    missing = holds_when_missing(condition)
    effect = "always" if missing else "never"
    if len(lacking) == len(names):
        message = f"no action of the statement carries `{key.name}`, so the condition {effect} holds"
        remedy = "see the table of condition keys per action in AWS's Service Authorization Reference"
        yield subject.found("key-not-carried", clause.path, message, remedy, at_key=True)
        return
    if _needs_other(part, clause) or condition.if_exists:
        return
    # `s3:*` with a positive condition is a way to say "those that have it"; a list of names is not.
    listed = []
    if not part.statement.actions.negated:
        listed = [text for text, _ in part.texts("Action") if expand_action(text) and expand_action(text) <= {*lacking}]
    if missing and part.statement.effect == "Deny" and not listed:
        listed = sorted(ACTIONS[name].name for name in lacking if name in ASKED)
    if listed:
        shown = ", ".join(f"`{name}`" for name in listed[:3]) + (", ..." if len(listed) > 3 else "")
        message = f"{shown}: without `{key.name}`, so that the condition {effect} holds there"
        remedy = "give those actions a statement of their own"
        yield subject.found("key-carried-by-some", clause.path, message, remedy, at_key=True)


def _needs_other(part: Part, clause: Clause) -> bool:
    """Tell whether the key is also asked to be there, which sorts out the actions without it."""
    others = part.on_key()[clause.condition.key]
    return any(
        other is not clause and other.condition.operator.family == "Null" and not other.condition.holds({})
        for other in others
    )


def spoofable(subject: Subject) -> Iterator[Diagnostic]:
    """S3W094: an Allow that rests on what the caller claims."""
    for part, clause in subject.sound_clauses():
        header = _SPOOFABLE.get(clause.condition.key)
        if header and part.statement.effect == "Allow" and not clause.condition.operator.negated:
            message = f"any caller can send any {header} header"
            remedy = "it can keep honest clients out, not others: add a condition on who calls"
            yield subject.found("spoofable-key", clause.path, message, remedy, at_key=True)


CHECKS: tuple[Check, ...] = (together, carried, spoofable)

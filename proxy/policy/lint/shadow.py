"""Checks of statements against each other: said twice, said for nothing, left open beside another.

Statements are found by what they could cover, so that thousands of them are not compared in pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, product

from proxy.diagnostics import Diagnostic
from proxy.policy.lint.cover import covers_principals, covers_resources, covers_statement, said
from proxy.policy.lint.meet import implies
from proxy.policy.lint.subject import Check, Part, Subject
from proxy.policy.names import ACTIONS
from proxy.s3.operations import OPERATIONS

_MANY = "*"
_FEW_ACTIONS = 12  # statements with more are filed under `_MANY`
_MAX_ALIKE = 64  # statements that differ in one condition only are compared in pairs
_MAX_CONDITIONS = 6  # 64 subsets; statements with more are rare, and then simply not compared


class Coverage:
    """Finds the statements that may cover a given one: by condition, start of a resource, principal, action."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._filed: dict[tuple[object, ...], list[Part]] = {}
        self._prefixes: set[str] = set()
        self._common: Counter[str] = Counter()
        for part in parts:
            conditions = frozenset(said(clause.condition) for clause in part.clauses)
            what = _what(part)
            self._common.update(what)
            for prefix in {item.prefix for item in part.statement.resources.items}:
                self._prefixes.add(prefix)
                for who in _who(part):
                    for action in what:
                        self._filed.setdefault((conditions, prefix, who, action), []).append(part)

    def candidates(self, part: Part, action: str = "") -> Iterator[Part]:
        """Yield statements whose conditions are among the part's, and that may cover one resource and caller.

        And one action: `action`, by default the part's own that fewest statements name.
        """
        items = part.statement.resources.items
        conditions = [said(clause.condition) for clause in part.clauses]
        if not items or len(conditions) > _MAX_CONDITIONS:
            return
        prefix, who = items[0].prefix, ("*", *_who(part)[:1])
        rarest = action or min(part.statement.actions.names, key=lambda name: self._common[name], default=_MANY)
        subsets = [frozenset(some) for size in range(len(conditions) + 1) for some in combinations(conditions, size)]
        seen = {id(part)}
        prefixes = [start for end in range(len(prefix) + 1) if (start := prefix[:end]) in self._prefixes]
        for key in product(subsets, prefixes, who, (_MANY, rarest)):
            for other in self._filed.get(key, ()):
                if id(other) not in seen:
                    seen.add(id(other))
                    yield other


def _what(part: Part) -> tuple[str, ...]:
    names = part.statement.actions.names
    return tuple(names) if 0 < len(names) <= _FEW_ACTIONS else (_MANY,)


def _who(part: Part) -> tuple[str, ...]:
    principals = part.statement.principals
    if principals is None or principals.open:
        return ("*",)
    if principals.negated:
        return ("not",)
    return tuple(f"{kind} {value}" for kind, value in principals.written)


def covered(subject: Subject) -> Iterator[Diagnostic]:
    """S3W054, S3W055, S3W056."""
    parts = subject.sound_parts()
    if len(parts) < 2:
        return
    coverage = Coverage(parts)
    for part in parts:
        statement = part.statement
        for other in coverage.candidates(part):
            wide = other.statement
            if wide.effect == "Allow" and statement.effect == "Deny":
                continue
            if not covers_statement(wide, statement):
                continue
            name = f"`{wide.sid}`" if wide.sid else f"the statement on line {wide.span.line}"
            if wide.effect != statement.effect:
                message = f"{name} denies everything that this statement allows"
                remedy = "remove one of them, or except this from the Deny"
                yield subject.found("shadowed-allow", part.path, message, remedy)
                break
            if covers_statement(statement, wide):
                if wide.index < statement.index:
                    yield subject.found("duplicate-statement", part.path, f"{name} says the same", "remove it")
                    break
                continue
            yield subject.found("redundant-statement", part.path, f"{name} covers this statement", "remove it")
            break


def implied(subject: Subject) -> Iterator[Diagnostic]:
    """S3W056: alike but for one condition on the same key, which the other one implies."""
    alike: dict[tuple[object, ...], list[Part]] = {}
    for part in subject.sound_parts():
        statement = part.statement
        if len({clause.condition.key for clause in part.clauses}) == 1:
            who = frozenset(statement.principals.written) if statement.principals else None
            what = frozenset(text.lower() for text in statement.actions.written)
            where = frozenset(item.template.source for item in statement.resources.items)
            negations = (statement.actions.negated, statement.resources.negated, part.element("Principal")[-1])
            key = (statement.effect, part.clauses[0].condition.key, who, what, where, negations)
            alike.setdefault(key, []).append(part)
    for group in alike.values():
        for part in group[:_MAX_ALIKE]:
            for other in group[:_MAX_ALIKE]:
                narrow = [clause.condition for clause in part.clauses]
                wide = [clause.condition for clause in other.clauses]
                if part is not other and implies(narrow, wide) and not implies(wide, narrow):
                    name = f"`{other.statement.sid}`" if other.statement.sid else f"line {other.statement.span.line}"
                    message = f"whatever this statement matches, {name} matches as well"
                    yield subject.found("redundant-statement", part.path, message, "remove it")
                    break


def _variants() -> dict[str, str]:
    found: dict[str, str] = {}
    for operation in OPERATIONS.values():
        if operation.support == "forward":
            for plain, versioned in zip(operation.actions, operation.versioned_actions, strict=False):
                found[plain.lower()] = versioned.lower()
    return found


_VARIANTS = _variants()


def open_versions(subject: Subject) -> Iterator[Diagnostic]:
    """S3W066: a Deny of `s3:GetObject` does not meet GET with a versionId, which is `s3:GetObjectVersion`."""
    denying = [part for part in subject.sound_parts() if part.statement.effect == "Deny"]
    coverage = Coverage(denying)
    for part in denying:
        statement = part.statement
        if statement.actions.negated:
            continue
        for text, path in part.texts("Action"):
            variant = _VARIANTS.get(text.lower())
            if variant is None or variant in statement.actions.names:
                continue
            if any(_also_denies(other, part, variant) for other in coverage.candidates(part, variant)):
                continue
            name = ACTIONS[variant].name
            message = f"a request that names a version asks for `{name}`, which is not denied"
            yield subject.found("version-left-open", path, message, f"add `{name}`")


def _also_denies(other: Part, part: Part, action: str) -> bool:
    wide, narrow = other.statement, part.statement
    return (
        action in wide.actions.names
        and covers_principals(wide.principals, narrow.principals)
        and covers_resources(wide.resources, narrow.resources)
    )


CHECKS: tuple[Check, ...] = (covered, implied, open_versions)

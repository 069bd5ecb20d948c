"""Statements of two sets of policies, cut into clauses that hold when each of their parts holds.

What stands in both sets is one clause on both sides: it can never make their verdicts differ by itself. A
statement becomes several clauses where a part of it is an "or" that has to be told apart: callers named
directly or through their account, and ARNs with a policy variable.

A condition or an ARN with a variable compares two things of one request. It becomes an `Atom`, which may be
true or false as it likes: that allows more requests than there are, so whatever is excluded that way is
really excluded, and what is not must be shown with a request.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from proxy.policy.arns import arn_matcher
from proxy.policy.callers import TIED
from proxy.policy.conditions import Condition
from proxy.policy.document import PolicyFile, Resource, Statement
from proxy.policy.names import find_key
from proxy.policy.patterns import compile_tokens
from proxy.policy.principals import Grade
from proxy.policy.store import PolicySet
from proxy.policy.variables import Context, ContextValue, Template

OLD, NEW = 1, 2
MAX_VARIATIONS = 60
"""Samples of the values of variables, and of what is compared with them, for one difference."""

Named: TypeAlias = "tuple[str, PolicyFile]"
"""An identity policy and the name under which both sides know it."""


@dataclass(frozen=True, slots=True)
class Policies:
    """One side: the policies of buckets and of keys, and identity policies by name.

    Files of the same name on both sides are two versions of one policy: who has the one has the other.
    """

    buckets: PolicySet = field(default_factory=PolicySet)
    identity: tuple[Named, ...] = ()
    keys: PolicySet = field(default_factory=PolicySet)


@dataclass(frozen=True, slots=True)
class Atom:
    """A part with a policy variable: an ARN, or a condition with everything that its verdict depends on."""

    templates: tuple[Template, ...]
    operator: str = ""
    key: str = ""

    @property
    def reads(self) -> frozenset[str]:
        """The lower-case keys of its variables."""
        return frozenset(variable.key for template in self.templates for variable in template.variables)

    @property
    def needs(self) -> frozenset[str]:
        """Those of them without a default."""
        variables = (variable for template in self.templates for variable in template.variables)
        return frozenset(variable.key for variable in variables if variable.default is None)

    def __str__(self) -> str:
        return f"`{self.operator} {self.key}`" if self.key else f"`{self.templates[0].source}`"


@dataclass(frozen=True, slots=True)
class Clause:
    """A conjunction. The parts that vary by themselves are listed; the rest is asked of `statement`."""

    statement: Statement
    policy: str | None
    """The name of the identity policy it stands in; None in a resource's policy."""
    file: PolicyFile | None
    """The file it stands in; None for a goal, which is about everybody everywhere."""
    grade: Grade | None
    """How it must name the caller; None when that does not matter."""
    fits: Callable[[str], bool] = field(compare=False, repr=False)
    """Can the resource, given as an ARN, be one that the clause is about?"""
    atoms: Mapping[Atom, bool] = field(compare=False)
    """What must be true, and what must be false."""
    tied: tuple[Condition, ...]
    """Conditions on keys that follow from the caller."""
    conditions: tuple[Condition, ...]
    """The others, without variables: each looks at one key only."""


@dataclass(slots=True)
class ClauseTable:
    """Clauses, each with a bit of its own, and the sides they stand on."""

    clauses: list[Clause] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)
    _places: dict[object, int] = field(default_factory=dict)

    def add(self, side: int, file: PolicyFile | None, statement: Statement, policy: str | None = None) -> None:
        """Add a statement on one side."""
        meaning = _meaning(file, statement, policy)
        for number, clause in enumerate(_cut(file, statement, policy)):
            place = self._places.setdefault((meaning, number), len(self.clauses))
            if place == len(self.clauses):
                self.clauses.append(clause)
                self.sides.append(0)
            self.sides[place] |= side

    def add_policies(self, side: int, policies: Policies, *, key: bool = False) -> None:
        """Add all statements that decide about buckets, or about keys; those of `mode: report` decide nothing."""
        for file in (policies.keys if key else policies.buckets).files:
            for statement in file.statements if file.mode == "enforce" else ():
                self.add(side, file, statement)
        for name, file in policies.identity:
            for statement in file.statements if file.mode == "enforce" else ():
                self.add(side, file, statement, name)

    def bits(self, holds: Callable[[Clause], bool]) -> int:
        """Return the set of clauses for which `holds` is true."""
        return sum(1 << place for place, clause in enumerate(self.clauses) if holds(clause))

    def on(self, side: int) -> int:
        """Return the set of clauses that stand on `side`."""
        return sum(1 << place for place, sides in enumerate(self.sides) if sides & side)

    @property
    def changed(self) -> list[Clause]:
        """The clauses that stand on one side only."""
        return [clause for clause, sides in zip(self.clauses, self.sides, strict=True) if sides != OLD | NEW]


def variations(
    atoms: Sequence[Atom], arn: str, context: Context, *, anonymous: bool
) -> Iterator[tuple[str, dict[str, ContextValue]]]:
    """Yield resources and contexts in which variables have values, and what is compared with them is equal or not.

    A sample, at most `MAX_VARIATIONS` of them, for showing what an atom allows for.
    """
    free = sorted({key for atom in atoms for key in atom.reads} - TIED)
    given = [_values_of(key, context.get(key), anonymous) for key in free]
    compared = sorted({atom.key for atom in atoms if atom.key} - TIED)
    for values in itertools.islice(itertools.product(*given), MAX_VARIATIONS):
        bound = _with(context, dict(zip(free, values, strict=True)))
        arns = [arn, *(text for atom in atoms if not atom.key for text in _spelled(atom, bound))]
        options = [
            [bound.get(key), None, *(text for atom in atoms if atom.key == key for text in _spelled(atom, bound))]
            for key in compared
        ]
        for place in arns:
            for chosen in itertools.islice(itertools.product(*options), MAX_VARIATIONS):
                yield place, _with(bound, dict(zip(compared, chosen, strict=True)))


def _values_of(key: str, given: ContextValue | None, anonymous: bool) -> list[ContextValue | None]:
    known = find_key(key)
    if anonymous and known is not None and known.source == "identity":
        return [given]
    return list(dict.fromkeys((given, "alice", "x", None)))


def _with(context: Context, values: Mapping[str, ContextValue | None]) -> dict[str, ContextValue]:
    full = {**context, **values}
    return {key: value for key, value in full.items() if value is not None}


def _spelled(atom: Atom, context: Context) -> Iterator[str]:
    """Yield texts that fit the templates of an atom, an `x` standing for each wildcard."""
    for template in atom.templates:
        tokens = template.bind(context)
        if tokens is not None:
            yield "".join(token if isinstance(token, str) else "x" for token in tokens)


def _meaning(file: PolicyFile | None, statement: Statement, policy: str | None) -> object:
    """Return what two statements have in common that cannot differ in any verdict."""
    principals = statement.principals
    who = None if principals is None else (principals.negated, principals.everyone, principals.names)
    resources = statement.resources
    conditions = frozenset(
        (c.operator.name, c.quantifier, c.if_exists, c.key, frozenset(c.templates)) for c in statement.conditions
    )
    return (
        file is None,
        statement.kind,
        statement.effect,
        policy,
        who,
        principals and principals.accounts,
        (statement.actions.names, statement.actions.negated, frozenset(statement.actions.written)),
        (resources.negated, frozenset(item.template for item in resources.items)),
        conditions,
        _buckets(file, statement),
    )


def _buckets(file: PolicyFile | None, statement: Statement) -> object:
    """Return what says for which buckets the file counts, where the statement's own ARNs do not."""
    if file is None or file.kind != "bucket":
        return None
    if file.bucket is not None:
        return file.bucket.tokens
    if not statement.resources.negated:
        return None
    return frozenset(item.template for other in file.statements for item in other.resources.items)


def _cut(file: PolicyFile | None, statement: Statement, policy: str | None) -> Iterator[Clause]:
    atoms: dict[Atom, bool] = {}
    tied: list[Condition] = []
    conditions: list[Condition] = []
    for condition in statement.conditions:
        if condition.reads != {condition.key}:
            written = f"{condition.quantifier.value}:{condition.operator.name}{'IfExists' * condition.if_exists}"
            atoms[Atom(condition.templates, written.lstrip(":"), condition.key)] = True
        else:
            (tied if condition.key in TIED else conditions).append(condition)
    for fits, more in _resource_parts(statement):
        for grade in _grades(statement):
            everything = {**atoms, **more}
            yield Clause(statement, policy, file, grade, fits, everything, tuple(tied), tuple(conditions))


def _resource_parts(statement: Statement) -> Iterator[tuple[Callable[[str], bool], dict[Atom, bool]]]:
    resources = statement.resources
    plain = [item for item in resources.items if not item.template.variables]
    varying = [item for item in resources.items if item.template.variables]
    if resources.negated:
        yield (lambda text: not _any_fits(plain, text)), {Atom((item.template,)): False for item in varying}
        return
    if plain:
        yield (lambda text: _any_fits(plain, text)), {}
    for item in varying:
        yield arn_matcher(compile_tokens(item.template.widest).tokens), {Atom((item.template,)): True}


def _any_fits(items: Sequence[Resource], text: str) -> bool:
    return any(item.test(text, {}) for item in items)


def _grades(statement: Statement) -> Iterable[Grade | None]:
    principals = statement.principals
    if statement.effect == "Deny" or principals is None:
        return (None,)
    return (Grade.DIRECT, Grade.ACCOUNT) if principals.accounts and not principals.everyone else (Grade.DIRECT,)

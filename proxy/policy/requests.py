"""The space of requests that a set of clauses can tell apart: callers, actions, resources, and axes.

An axis is something about a request that varies by itself: a condition key, whether the caller has an
identity policy, the truth of an `Atom`. For each representative the space knows which clauses it leaves.

More requests are allowed for than there are: keys of one request are taken to vary independently of each
other and, unless only `possible` requests are asked for, of the action. An action is always paired with the
kind of resource that it is about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import and_
from typing import TypeAlias

from proxy.policy.callers import TIED, Caller, find_callers
from proxy.policy.cells import ANYTHING, Class, Line, Step, arn_line, find_cells, text_line, wildcard_line
from proxy.policy.clauses import Atom, Clause, ClauseTable
from proxy.policy.names import ACTIONS, find_key
from proxy.policy.patterns import compile_tokens
from proxy.policy.search import Dimension, Relation
from proxy.policy.space import Space, key_space
from proxy.policy.variables import ContextValue

Axis: TypeAlias = "Space | Atom | str"
"""A condition key, an atom, or the name of an identity policy that a caller may have."""

Scope: TypeAlias = "Callable[[str, str | None], bool]"
"""`scope(arn, bucket)`: is the resource one to look at? The bucket is None where there is none."""

_PARTITION = re.compile(r"arn:(aws[a-z-]*):")
_ONE, _SEGMENT = Step(Class.ANY), (Step(Class.NO_SLASH), Step(Class.NO_SLASH, True))
_FIELD = (Step(Class.NO_COLON), Step(Class.NO_COLON, True))
# Every action carries these here when the bucket has tags: see docs/reference/condition-keys.md.
_BUCKET_TAGS = ("aws:ResourceTag/", "s3:BucketTag/")
_UNSIGNED = frozenset({"s3:authtype", "s3:signatureversion", "s3:signatureage"})


@dataclass(frozen=True, slots=True)
class CallerClass:
    """Callers that no clause tells apart, by one of them."""

    caller: Caller
    labels: tuple[str, ...]
    """All of them."""
    relation: Relation
    mask: int
    closed: int
    """The axes on which such a caller does not vary, as bits; `mask` has taken them into account."""


@dataclass(frozen=True, slots=True)
class ActionClass:
    """Actions that no clause tells apart."""

    names: tuple[str, ...]
    kinds: frozenset[str]
    mask: int
    closed: int


@dataclass(frozen=True, slots=True)
class ResourceClass:
    """Resources that no clause tells apart, by one of them."""

    arn: str
    kind: str
    bucket: str | None
    mask: int


@dataclass(frozen=True, slots=True)
class RequestSpace:
    """Everything that varies, and why it may not be everything."""

    callers: tuple[CallerClass, ...]
    actions: tuple[ActionClass, ...]
    resources: tuple[ResourceClass, ...]
    axes: tuple[Axis, ...]
    dimensions: tuple[Dimension, ...]
    missing: tuple[str, ...]
    reads: frozenset[str]
    """The lower-case keys that any clause looks at."""

    @property
    def cells(self) -> int:
        """How many requests there are that no clause tells apart: the whole product."""
        heads = sum(1 for action in self.actions for resource in self.resources if resource.kind in action.kinds)
        return reduce(lambda product, dimension: product * len(dimension.masks), self.dimensions, heads) * len(
            self.callers
        )


def request_space(table: ClauseTable, *, key: bool, possible: bool, scope: Scope) -> RequestSpace:
    """Find the space of the clauses in `table`; `key` for the policies of KMS keys."""
    axes = tuple(_axes(table, possible))
    dimensions = tuple(_dimension(table, axis) for axis in axes)
    tied = [condition for clause in table.clauses for condition in clause.tied]
    elements = [clause.statement.principals for clause in table.clauses if clause.statement.principals is not None]
    found = find_callers(dict.fromkeys(elements), dict.fromkeys(tied))
    resources, missing = _resources(table, key, scope)
    missing = [*found.missing, *missing, *(text for axis in axes if isinstance(axis, Space) for text in axis.missing)]
    return RequestSpace(
        _callers(table, axes, found.callers, possible),
        _actions(table, axes, key, possible),
        resources,
        axes,
        dimensions,
        tuple(missing),
        frozenset().union(*(clause.statement.reads for clause in table.clauses)),
    )


def _axes(table: ClauseTable, possible: bool) -> Iterator[Axis]:
    yield from dict.fromkeys(clause.policy for clause in table.clauses if clause.policy is not None)
    yield from dict.fromkeys(atom for clause in table.clauses for atom in clause.atoms)
    conditions = list(dict.fromkeys(condition for clause in table.clauses for condition in clause.conditions))
    for name in dict.fromkeys(condition.key for condition in conditions):
        yield key_space(name, [c for c in conditions if c.key == name], possible=possible)


def _dimension(table: ClauseTable, axis: Axis) -> Dimension:
    if isinstance(axis, str):
        without = table.bits(lambda clause: clause.policy != axis)
        everything = table.bits(lambda clause: True)
        return Dimension((without, everything), everything & ~without)
    if isinstance(axis, Atom):
        readers = table.bits(lambda clause: axis in clause.atoms)
        return Dimension(tuple(_atom_mask(table, axis, truth) for truth in (False, True)), readers)
    readers = table.bits(lambda clause: any(condition.key == axis.key for condition in clause.conditions))
    return Dimension(tuple(_key_mask(table, axis.key, value) for value in axis.values), readers)


def _atom_mask(table: ClauseTable, atom: Atom, truth: bool) -> int:
    return table.bits(lambda clause: clause.atoms.get(atom, truth) is truth)


def _key_mask(table: ClauseTable, key: str, value: ContextValue | None) -> int:
    context: Mapping[str, ContextValue] = {} if value is None else {key: value}
    return table.bits(lambda clause: all(c.holds(context) for c in clause.conditions if c.key == key))


def _close(table: ClauseTable, axes: Sequence[Axis], absent: Callable[[str], bool]) -> tuple[int, int]:
    """Return the axes that do not vary when some keys are absent, as bits, and the clauses that this leaves."""
    closed, masks = 0, [table.bits(lambda clause: True)]
    for place, axis in enumerate(axes):
        if isinstance(axis, Space) and absent(axis.key):
            closed |= 1 << place
            masks.append(_key_mask(table, axis.key, None))
        elif isinstance(axis, Atom) and not axis.key and any(absent(key) for key in axis.needs):
            # An ARN with a variable that has no value matches nothing.
            closed |= 1 << place
            masks.append(_atom_mask(table, axis, False))
    return closed, reduce(and_, masks)


def _callers(
    table: ClauseTable, axes: Sequence[Axis], callers: Iterable[Caller], possible: bool
) -> tuple[CallerClass, ...]:
    found: dict[tuple[Relation, int, int], list[Caller]] = {}

    def unsigned(key: str) -> bool:
        known = find_key(key)
        return (known is not None and known.source == "identity") or (possible and key in _UNSIGNED)

    nothing = _close(table, axes, unsigned)
    for caller in callers:
        anonymous = caller.principal.anonymous
        closed, mask = nothing if anonymous else (0, -1)
        mask &= table.bits(partial(_concerns, caller=caller))
        same = caller.principal.account == caller.owner
        relation = Relation.ANONYMOUS if anonymous else Relation.SAME if same else Relation.OTHER
        found.setdefault((relation, mask, closed), []).append(caller)
    return tuple(
        CallerClass(members[0], tuple(dict.fromkeys(member.label for member in members)), *same_to_all)
        for same_to_all, members in found.items()
    )


def _concerns(clause: Clause, caller: Caller) -> bool:
    principals = clause.statement.principals
    if clause.file is None:
        named = True
    elif principals is None:
        named = not caller.principal.anonymous
    else:
        grade = principals.grade(caller.principal)
        named = bool(grade) if clause.grade is None else grade is clause.grade
    return named and all(condition.holds(caller.context) for condition in clause.tied)


def _actions(table: ClauseTable, axes: Sequence[Axis], key: bool, possible: bool) -> tuple[ActionClass, ...]:
    found: dict[tuple[frozenset[str], int, int], list[str]] = {}
    for lower, action in ACTIONS.items():
        if lower.startswith("kms:") is not key:
            continue
        closed, mask = _close(table, axes, partial(_lacks, lower) if possible else _nothing_is_absent)
        mask &= table.bits(partial(_names, action=lower))
        found.setdefault((_kinds(action.resources), mask, closed), []).append(action.name)
    return tuple(ActionClass(tuple(names), kinds, mask, closed) for (kinds, mask, closed), names in found.items())


def _names(clause: Clause, action: str) -> bool:
    return clause.statement.actions.matches(action)


def _nothing_is_absent(key: str) -> bool:
    return False


def _lacks(action: str, key: str) -> bool:
    return not _carries(action, key)


def _carries(action: str, key: str) -> bool:
    """Tell whether the action carries the key: global keys and the proxy's own always."""
    known = find_key(key)
    if known is None or known.name in ACTIONS[action].keys or known.name in _BUCKET_TAGS:
        return True
    # Of the global keys, AWS lists only those that some actions lack.
    return known.name.startswith(("aws:", "s3w:")) and known.name not in ("aws:RequestTag/", "aws:TagKeys")


_KINDS = {"bucket": "bucket", "object": "object", "key": "key"}


def _kinds(resources: frozenset[str]) -> frozenset[str]:
    if not resources:
        return frozenset({"service"})
    known = frozenset(_KINDS[name] for name in resources if name in _KINDS)
    return known or frozenset({"elsewhere"})


def _shapes(partitions: Sequence[str], key: bool) -> dict[Line, str]:
    """Return what ARNs look like, and of which kind they are."""
    shapes: dict[Line, str] = {}
    for partition in partitions:
        bucket = (*text_line(f"arn:{partition}:s3:::"), *_SEGMENT)
        if key:
            head = (*text_line(f"arn:{partition}:kms:"), *_FIELD, Step(":"), *(Step(Class.DIGIT),) * 12)
            shapes[(*head, *text_line(":key/"), _ONE, *ANYTHING)] = "key"
            continue
        shapes[(*bucket, Step("/"), _ONE, *ANYTHING)] = "object"
        shapes[bucket] = "bucket"
        away = (*text_line(f"arn:{partition}:s3:"), *_FIELD, Step(":"), *_FIELD, Step(":"), _ONE, *ANYTHING)
        shapes[away] = "elsewhere"
    return shapes if key else {**shapes, text_line("*"): "service"}


def _resources(table: ClauseTable, key: bool, scope: Scope) -> tuple[tuple[ResourceClass, ...], list[str]]:
    files = list({id(clause.file): clause.file for clause in table.clauses if clause.file is not None}.values())
    templates = [item.template for clause in table.clauses for item in clause.statement.resources.items]
    found = {match for template in templates for match in _PARTITION.findall(template.source)}
    partitions = ["aws", *sorted(found - {"aws"})]
    lines = [line for t in templates if (line := arn_line(compile_tokens(t.widest).tokens)) is not None]
    watched: list[Line] = []
    for file in files:
        if file.kind == "bucket" and file.bucket is not None:
            for partition in partitions:
                head = (*text_line(f"arn:{partition}:s3:::"), *wildcard_line(file.bucket.tokens, Class.NO_SLASH))
                lines += [head, (*head, Step("/"), *ANYTHING)]
        elif file.kind == "bucket" and any(statement.resources.negated for statement in file.statements):
            named = [item.template.widest for statement in file.statements for item in statement.resources.items]
            watched += [wildcard_line(tokens) for tokens in named]
    shapes = _shapes(partitions, key)
    cells = find_cells(lines, list(shapes), watched)
    made: dict[tuple[str, int], ResourceClass] = {}
    for arn in cells.texts:
        kind = _kind_of(arn, key)
        bucket = arn.split(":", 5)[5].split("/")[0] if kind in ("bucket", "object") else None
        if scope(arn, bucket):
            mask = table.bits(partial(_about, arn=arn, bucket=bucket))
            made.setdefault((kind, mask), ResourceClass(arn, kind, bucket, mask))
    missing = [] if cells.complete else ["too many ways to combine the patterns for resources"]
    return tuple(made.values()), missing


def _kind_of(arn: str, key: bool) -> str:
    if arn == "*":
        return "service"
    if key:
        return "key"
    parts = arn.split(":", 5)
    if parts[3] or parts[4]:
        return "elsewhere"
    return "object" if "/" in parts[5] else "bucket"


def _about(clause: Clause, arn: str, bucket: str | None) -> bool:
    file = clause.file
    if file is not None and file.kind == "bucket" and (bucket is None or not file.concerns(bucket)):
        return False
    return clause.fits(arn)


def unusual(action: str, context: Mapping[str, ContextValue]) -> tuple[str, ...]:
    """Return the keys in `context` that never come with `action` at the proxy, by their names."""
    odd = [find_key(key) for key in context if key not in TIED and not _carries(action.lower(), key)]
    odd += [known for key in context if (known := find_key(key)) is not None and known.source == "never"]
    return tuple(dict.fromkeys(known.name for known in odd if known is not None))

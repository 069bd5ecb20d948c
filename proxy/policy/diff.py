"""Which requests get another verdict when one set of policies replaces another.

The space of requests (`proxy.policy.requests`) is searched as a whole (`proxy.policy.search`), across all
statements of all policies that can meet in one request. Every difference is then put to the evaluator that
also decides at run time, with both sets: what it does not confirm is not reported. Whatever could not be
looked at everywhere is in `missing`, and then the answer is not exhaustive.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Protocol, TypeAlias

from proxy import yamldoc
from proxy.policy.clauses import NEW, OLD, Atom, ClauseTable, Policies, variations
from proxy.policy.document import PolicyFile
from proxy.policy.evaluate import AccessRequest, Decision, Effect, decide
from proxy.policy.index import NO_POLICIES, PolicyGroup
from proxy.policy.parse import parse_policy
from proxy.policy.requests import ActionClass, CallerClass, RequestSpace, ResourceClass, Scope, request_space, unusual
from proxy.policy.search import OutOfTimeError, Search, State, roles_of
from proxy.policy.space import Space
from proxy.policy.variables import Context

ANY_POLICY = "any identity policy"
"""The name of the policy that stands for what callers' own policies, which are not given, may allow."""

MAX_STATES = 5000
"""Different starting points of a difference that are put to the evaluator one by one."""

MAX_HEADS = 20
"""Callers, actions and resources tried for each of those."""

_FAMILIAR = {name: place for place, name in enumerate(("s3:PutObject", "s3:GetObject", "s3:ListBucket"))}
_RANK = {Effect.EXPLICIT_DENY: 0, Effect.IMPLICIT_DENY: 1, Effect.ALLOW: 2}


class Change(Enum):
    """What a difference means for the caller."""

    GAINS = "gains"
    LOSES = "loses"
    WEAKER = "weaker"
    """Denied before and after, but no longer explicitly: another policy could allow it now."""
    STRONGER = "stronger"
    """Denied before and after, now explicitly."""

    @property
    def more(self) -> bool:
        """Whether more is allowed than before."""
        return self in (Change.GAINS, Change.WEAKER)


def change_between(old: Effect, new: Effect) -> Change:
    """Name the step between two different verdicts."""
    if Effect.ALLOW in (old, new):
        return Change.GAINS if new is Effect.ALLOW else Change.LOSES
    return Change.WEAKER if _RANK[new] > _RANK[old] else Change.STRONGER


@dataclass(frozen=True, slots=True)
class Difference:
    """Requests whose verdict changes in the same way by the same statements, by one of them."""

    change: Change
    request: AccessRequest
    attached: tuple[str, ...]
    """The identity policies that the caller has in the example, by name."""
    old: Decision
    new: Decision
    callers: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    unusual: tuple[str, ...]
    """Condition keys of the example that never come with its action at the proxy."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer."""

    differences: tuple[Difference, ...]
    cells: int
    """How many requests there are that no statement tells apart: all of them were looked at, if `exhaustive`."""
    missing: tuple[str, ...]
    """Why the answer is not exhaustive."""

    @property
    def exhaustive(self) -> bool:
        """Whether there is no difference but those reported."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is taken for granted about requests that the policies do not say."""

    unknown_identities: bool | None = None
    """Whether callers may have identity policies that are not given, which may allow anything.

    None: exactly when no identity policy is given.
    """
    possible: bool = False
    """Only requests that can reach the proxy: see `requests.request_space`."""
    scope: Scope = field(default=lambda arn, bucket: True, repr=False)
    access_only: bool = False
    """Leave out differences between the two ways of being denied."""
    seconds: float = 60.0


class Judge(Protocol):
    """Decides one request on both sides; `attached` names the caller's identity policies."""

    def __call__(self, request: AccessRequest, attached: Sequence[str]) -> tuple[Decision, Decision]:
        """Return the verdict of the old and of the new side."""


def compare(old: Policies, new: Policies, assume: Assumptions | None = None) -> Comparison:
    """Find every difference between two sets of policies, about buckets and about KMS keys."""
    assume = assume or Assumptions()
    old, new = with_unknown(old, new, assume), with_unknown(new, old, assume)
    found = _compare(old, new, assume, key=False)
    if not (old.keys.files or new.keys.files):
        table = _table(old, new, key=False)
        names = {name for clause in table.changed for name in clause.statement.actions.names}
        left_out = any(name.startswith("kms:") for name in names)
        more = ("actions on KMS keys, which only key policies can allow: give those as well",) if left_out else ()
        return Comparison(found.differences, found.cells, found.missing + more)
    about_keys = _compare(old, new, assume, key=True)
    return Comparison(
        found.differences + about_keys.differences,
        found.cells + about_keys.cells,
        tuple(dict.fromkeys(found.missing + about_keys.missing)),
    )


def with_unknown(policies: Policies, other: Policies, assume: Assumptions) -> Policies:
    """Add what callers' own policies may allow, where that is to be expected."""
    given = bool(policies.identity or other.identity)
    if not (not given if assume.unknown_identities is None else assume.unknown_identities):
        return policies
    return Policies(policies.buckets, (*policies.identity, (ANY_POLICY, any_policy())), policies.keys)


def _compare(old: Policies, new: Policies, assume: Assumptions, *, key: bool) -> Comparison:
    sides = (Evaluator(old, key=key), Evaluator(new, key=key))

    def judge(request: AccessRequest, attached: Sequence[str]) -> tuple[Decision, Decision]:
        return sides[0].decide(request, attached), sides[1].decide(request, attached)

    return explore(_table(old, new, key=key), judge, assume, key=key)


def _table(old: Policies, new: Policies, *, key: bool) -> ClauseTable:
    table = ClauseTable()
    table.add_policies(OLD, old, key=key)
    table.add_policies(NEW, new, key=key)
    return table


@lru_cache(maxsize=1)
def any_policy() -> PolicyFile:
    """Return the identity policy that allows everything, standing for any that a caller may have."""
    text = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    return parse_policy(yamldoc.parse(text, f"<{ANY_POLICY}>"), "identity")


class Evaluator:
    """The evaluator of the run time, with one side's policies."""

    def __init__(self, policies: Policies, *, key: bool = False) -> None:
        self._resource = policies.keys if key else policies.buckets
        self._identity = policies.identity
        self._key = key
        self._groups: dict[tuple[str, ...], PolicyGroup] = {(): NO_POLICIES}

    def decide(self, request: AccessRequest, attached: Sequence[str]) -> Decision:
        """Decide for a caller who has the identity policies `attached`."""
        names = tuple(attached)
        group = self._groups.get(names)
        if group is None:
            group = self._groups[names] = PolicyGroup(file for name, file in self._identity if name in names)
        return decide(request, self._policies_of(request.resource), group)

    def _policies_of(self, arn: str) -> PolicyGroup:
        parts = arn.split(":", 5)
        if self._key:
            return self._resource.everything if self._resource.files else PolicyGroup(kind="key")
        if len(parts) < 6 or parts[3] or parts[4]:
            return NO_POLICIES
        return self._resource.for_bucket(parts[5].split("/")[0])


_Head: TypeAlias = "tuple[CallerClass, ActionClass, ResourceClass]"


def explore(table: ClauseTable, judge: Judge, assume: Assumptions, *, key: bool = False) -> Comparison:
    """Search the space of the clauses in `table`, and put every difference to `judge`."""
    if not table.changed:
        return Comparison((), 0, ())
    space = request_space(table, key=key, possible=assume.possible, scope=assume.scope)
    roles = roles_of(table.clauses, key=key)
    search = Search(roles, space.dimensions, access_only=assume.access_only, seconds=assume.seconds)
    missing = list(space.missing)
    found: dict[object, list[Difference]] = {}
    try:
        for number, (state, members) in enumerate(_heads(table, space, search).items()):
            if number >= MAX_STATES:
                missing.append(f"more than {MAX_STATES} kinds of caller, action and resource with differences")
                break
            for outcome in search.outcomes(state):
                choices = search.choices(state, outcome)
                groups = _groups(space, choices, members)
                shown = [_show(space, judge, choices, heads, Effect.ALLOW in outcome) for heads in groups]
                for difference in shown:
                    if difference is not None:
                        found.setdefault(_reasons(difference), []).append(difference)
                if None in shown or sum(map(len, groups)) < len(members):
                    missing.append(_unshown(space, choices))
    except OutOfTimeError:
        missing.append(f"more combinations than {assume.seconds:g} seconds suffice for")
    differences = sorted((_joined(group) for group in found.values()), key=_by_weight)
    return Comparison(tuple(differences), space.cells, tuple(dict.fromkeys(missing)))


def _heads(table: ClauseTable, space: RequestSpace, search: Search) -> dict[State, list[_Head]]:
    """Return the starting points from which verdicts can differ, each with who does what where."""
    old, new = table.on(OLD), table.on(NEW)
    known: dict[object, State | None] = {}
    found: dict[State, list[_Head]] = {}
    for action, resource in itertools.product(space.actions, space.resources):
        if resource.kind not in action.kinds:
            continue
        mask = action.mask & resource.mask
        if mask & old == mask & new:
            continue
        for caller in space.callers:
            standing, closed = mask & caller.mask, action.closed | caller.closed
            start = (caller.relation, closed, standing)
            if start not in known:
                known[start] = search.start(caller.relation, closed, standing & old, standing & new)
            state = known[start]
            if state is not None:
                found.setdefault(state, []).append((caller, action, resource))
    return found


def _groups(space: RequestSpace, choices: Iterable[int], members: list[_Head]) -> list[list[_Head]]:
    """Put together those for whom one request speaks: all, unless an atom is in it, which clauses cannot tell."""
    return [[head] for head in members[:MAX_HEADS]] if _has_atoms(space, choices) else [members]


def _show(
    space: RequestSpace, judge: Judge, choices: Mapping[int, int], heads: Sequence[_Head], access: bool
) -> Difference | None:
    """Make a request of what was found and let the evaluator confirm it; None when no request shows it."""
    for request, attached in _requests(space, choices, heads):
        old, new = judge(request, attached)
        if old.effect is new.effect or access != (Effect.ALLOW in (old.effect, new.effect)):
            continue
        return Difference(
            change_between(old.effect, new.effect),
            request,
            attached,
            old,
            new,
            tuple(dict.fromkeys(label for head in heads for label in head[0].labels)),
            tuple(dict.fromkeys(name for head in heads for name in head[1].names)),
            tuple(dict.fromkeys(head[2].arn for head in heads)) if len(heads) > 1 else (request.resource,),
            unusual(request.action, request.context),
        )
    return None


def _has_atoms(space: RequestSpace, choices: Iterable[int]) -> bool:
    return any(isinstance(space.axes[place], Atom) for place in choices)


def _reasons(difference: Difference) -> object:
    statements = [
        (decision.effect, tuple((statement.policy, statement.index) for statement in decision.statements))
        for decision in (difference.old, difference.new)
    ]
    return difference.change, *statements


def _requests(
    space: RequestSpace, choices: Mapping[int, int], heads: Sequence[_Head]
) -> Iterator[tuple[AccessRequest, tuple[str, ...]]]:
    """Yield the request that was found; with atoms, requests that may make them true or false."""
    caller, action, _ = heads[0]
    context = {key: value for key, value in caller.caller.context.items() if key in space.reads}
    attached: list[str] = []
    for place, axis in enumerate(space.axes):
        index = choices.get(place, 0)
        if isinstance(axis, Space):
            value = None if (caller.closed | action.closed) >> place & 1 else axis.values[index]
            if value is not None:
                context[axis.key] = value
        elif isinstance(axis, str) and index:
            attached.append(axis)
    name, arn = _plainest(heads, context)
    principal, owner, names = caller.caller.principal, caller.caller.owner, tuple(attached)
    yield AccessRequest(principal, name, arn, owner, context), names
    if _has_atoms(space, choices):
        atoms = [axis for axis in space.axes if isinstance(axis, Atom)]
        for varied, values in variations(atoms, arn, context, anonymous=principal.anonymous):
            yield AccessRequest(principal, name, varied, owner, values), names


def _plainest(heads: Sequence[_Head], context: Context) -> tuple[str, str]:
    """Pick an action and its resource: one that carries the keys of the request, and that everybody knows."""
    options: dict[str, str] = {}
    for caller, action, resource in heads:
        if caller is heads[0][0] and action.closed == heads[0][1].closed:
            for name in action.names:
                options.setdefault(name, resource.arn)
    name = min(options, key=lambda name: (len(unusual(name, context)), _FAMILIAR.get(name, len(_FAMILIAR))))
    return name, options[name]


def _unshown(space: RequestSpace, choices: Mapping[int, int]) -> str:
    atoms = sorted(str(axis) for place in choices if isinstance(axis := space.axes[place], Atom))
    return f"policy variables in {', '.join(atoms)}" if atoms else "a difference that the evaluator does not confirm"


def _joined(group: Sequence[Difference]) -> Difference:
    """Join differences of the same kind into one, with the plainest request as its example."""
    best = min(group, key=lambda one: (len(one.unusual), len(one.request.context), len(one.attached)))
    return Difference(
        best.change,
        best.request,
        best.attached,
        best.old,
        best.new,
        tuple(dict.fromkeys(label for one in group for label in one.callers)),
        tuple(sorted({name for one in group for name in one.actions})),
        tuple(dict.fromkeys(arn for one in group for arn in one.resources)),
        best.unusual,
    )


def _by_weight(difference: Difference) -> tuple[int, int, str]:
    order = list(Change).index(difference.change)
    return order, bool(difference.unusual), difference.request.action

"""Which pairs of verdicts can two sets of policies come to, over all combinations of representatives?

A clause is a statement, or a part of one, that holds when every one of its parts holds; each part looks
at one dimension of the request (a condition key, whether a policy is attached, ...). Choosing a
representative in one dimension can only strike clauses out. So the search walks the dimensions and keeps
nothing but the clauses still standing on each side: paths that leave the same clauses are one path, and as
soon as both sides stand on the same clauses no verdict can differ any more. Nothing is sampled: it is the
whole product, without walking through it.

What a clause is about, and which dimensions there are, is for `proxy.policy.requests` to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from proxy.policy.clauses import Clause
from proxy.policy.evaluate import Effect
from proxy.policy.principals import Grade

Outcome: TypeAlias = tuple[Effect, Effect]
"""The verdicts of both sides."""


class Relation(Enum):
    """How the caller stands to the owner of the resource: which Allow statements suffice."""

    SAME = "same account"
    OTHER = "other account"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing about a request that varies by itself. `masks[i]` are the clauses that representative i leaves."""

    masks: tuple[int, ...]
    readers: int
    """The clauses that look at it."""


@dataclass(frozen=True, slots=True)
class Roles:
    """What clauses do, as sets of bits; a clause that is in none of them grants through the resource's policy."""

    count: int
    deny: int
    identity: int
    """Allow in an identity policy."""
    account: int
    """Allow in the resource's policy that names the caller only through its account."""
    key: bool = False
    """Whether the resource is a KMS key: its policy must always allow."""


def roles_of(clauses: Sequence[Clause], *, key: bool) -> Roles:
    """Say what each clause does."""

    def bits(has_role: Callable[[Clause], bool]) -> int:
        return sum(1 << place for place, clause in enumerate(clauses) if has_role(clause))

    return Roles(
        len(clauses),
        bits(lambda clause: clause.statement.effect == "Deny"),
        bits(lambda clause: clause.statement.effect == "Allow" and clause.policy is not None),
        bits(lambda clause: clause.grade is Grade.ACCOUNT),
        key,
    )


class State(NamedTuple):
    """Where the search is: dimensions still to choose in, as bits, and the clauses that stand on each side."""

    relation: Relation
    open: int
    old: int
    new: int


class OutOfTimeError(Exception):
    """The search took longer than it may."""


_Step: TypeAlias = "tuple[int, int, State] | None"
"""Dimension, representative, and where it leads; None at the end."""


class Search:
    """The search, with everything it has found out: states are shared between starting points."""

    def __init__(
        self, roles: Roles, dimensions: Sequence[Dimension], *, access_only: bool = False, seconds: float = 60.0
    ) -> None:
        self._roles = roles
        self._dimensions = dimensions
        self._access_only = access_only
        self._deadline = time.monotonic() + seconds
        self._known: dict[State, dict[Outcome, _Step]] = {}
        self._settled: dict[int, int] = {}
        base = 1 << roles.count
        # Facts already settled about one side, kept beside its clauses.
        self._explicit, self._granted, self._hopeless = base, base << 1, base << 2
        self._resource, self._direct, self._identity = base << 3, base << 4, base << 5

    def start(self, relation: Relation, closed: int, old: int, new: int) -> State | None:
        """Return the state to search from, or None when no verdict can differ.

        `old` and `new` are the clauses that the caller, the action and the resource leave; in dimensions
        whose bit is in `closed` nothing is chosen, because `old` and `new` have taken them into account.
        """
        every = (1 << len(self._dimensions)) - 1
        return self._reduce(State(relation, every & ~closed, old, new))

    def outcomes(self, state: State) -> Mapping[Outcome, _Step]:
        """Return every pair of different verdicts that can be reached, with the first step to each."""
        known = self._known.get(state)
        if known is not None:
            return known
        if len(self._known) % 256 == 0 and time.monotonic() > self._deadline:
            raise OutOfTimeError
        found: dict[Outcome, _Step] = {}
        if not state.open:
            found[self._verdict(state.old), self._verdict(state.new)] = None
        else:
            place, possible = self._choose(state), self._possible(state)
            for index, then in self._branches(state, place):
                for outcome in self.outcomes(then):
                    found.setdefault(outcome, (place, index, then))
                if len(found) == possible:
                    break
        self._known[state] = found
        return found

    def choices(self, state: State, outcome: Outcome) -> dict[int, int]:
        """Return dimension -> representative for one way to `outcome`; dimensions that do not matter are left out."""
        chosen: dict[int, int] = {}
        while (step := self.outcomes(state)[outcome]) is not None:
            place, index, state = step
            chosen[place] = index
        return chosen

    def _branches(self, state: State, place: int) -> Iterator[tuple[int, State]]:
        standing = state.old | state.new
        seen = set()
        for index, mask in enumerate(self._dimensions[place].masks):
            if mask & standing in seen:
                continue
            seen.add(mask & standing)
            # The facts stand in bits above those of the clauses and survive every choice.
            keep = mask | -(1 << self._roles.count)
            then = self._reduce(State(state.relation, state.open & ~(1 << place), state.old & keep, state.new & keep))
            if then is not None:
                yield index, then

    def _choose(self, state: State) -> int:
        """Pick the dimension that settles something soonest: of a clause that changed and needs few, a Deny first."""
        best: tuple[int, int, int, int, int] | None = None
        changed = state.old ^ state.new
        for bit in _bits((state.old | state.new) & ((1 << self._roles.count) - 1)):
            places = [place for place in _bits(state.open) if self._dimensions[place].readers >> bit & 1]
            if not places:
                continue
            place = min(places, key=lambda place: len(self._dimensions[place].masks))
            rank = (1 - (changed >> bit & 1), len(places), 1 - (self._roles.deny >> bit & 1), bit, place)
            if best is None or rank < best:
                best = rank
        assert best is not None  # noqa: S101  open dimensions have readers: `_reduce` sees to it
        return best[4]

    def _possible(self, state: State) -> int:
        """Return how many pairs of different verdicts there can be from here: no more need to be looked for."""
        old, new = self._reachable(state.old), self._reachable(state.new)
        return len(old) * len(new) - len(old & new)

    def _reachable(self, side: int) -> set[Effect]:
        if side & self._explicit:
            return {Effect.EXPLICIT_DENY}
        found = {Effect.ALLOW} if side & self._granted else {Effect.IMPLICIT_DENY}
        if not side & (self._granted | self._hopeless):
            found.add(Effect.ALLOW)
        if side & self._roles.deny:
            found.add(Effect.IMPLICIT_DENY if self._access_only else Effect.EXPLICIT_DENY)
        return found

    def _reduce(self, state: State) -> State | None:
        """Bring a state to its simplest form; None when both sides will come to the same verdict."""
        settled = self._settled_by(state.open)
        old = self._side(state.relation, state.old, settled)
        new = self._side(state.relation, state.new, settled)
        if old == new:
            return None
        standing, still = old | new, 0
        for place in _bits(state.open):
            if self._dimensions[place].readers & standing:
                still |= 1 << place
        return State(state.relation, still, old, new)

    def _settled_by(self, open_places: int) -> int:
        """Return the clauses that look at no open dimension: those that stand, hold."""
        settled = self._settled.get(open_places)
        if settled is None:
            reading = 0
            for place in _bits(open_places):
                reading |= self._dimensions[place].readers
            settled = self._settled[open_places] = ((1 << self._roles.count) - 1) & ~reading
        return settled

    def _side(self, relation: Relation, clauses: int, settled: int) -> int:
        """Turn clauses that hold into facts, and strike out those that can change nothing any more."""
        roles = self._roles
        denied = self._hopeless if self._access_only else self._explicit
        if clauses & self._explicit or clauses & roles.deny & settled:
            return denied
        facts = clauses & (self._granted | self._hopeless | self._resource | self._direct | self._identity)
        denies = clauses & roles.deny
        if facts & (self._granted | self._hopeless):
            return denies | facts
        allows = clauses & ((1 << roles.count) - 1) & ~roles.deny
        if relation is Relation.ANONYMOUS:
            allows &= ~roles.identity
        facts |= self._facts(allows & settled)
        allows &= ~settled
        if self._suffices(relation, facts):
            return denies | self._granted
        if not self._suffices(relation, facts | self._facts(allows)):
            return self._hopeless if self._access_only else denies | self._hopeless
        return denies | self._strike(relation, allows, facts)

    def _strike(self, relation: Relation, allows: int, facts: int) -> int:
        """Strike out Allow statements, and facts, that cannot make a difference between these accounts."""
        roles = self._roles
        if relation is Relation.SAME and not roles.key:
            return allows & ~roles.account
        if relation is Relation.OTHER:
            facts &= ~self._direct
        if facts & self._identity:
            allows &= ~roles.identity
        if facts & self._resource:
            allows &= roles.identity if relation is Relation.OTHER else ~roles.account
        return allows | facts

    def _facts(self, allows: int) -> int:
        roles = self._roles
        facts = self._identity if allows & roles.identity else 0
        by_resource = allows & ~roles.identity
        if by_resource:
            facts |= self._resource
        if by_resource & ~roles.account:
            facts |= self._direct
        return facts

    def _suffices(self, relation: Relation, facts: int) -> bool:
        """The rule of `evaluate.combine`, in facts."""
        if relation is Relation.ANONYMOUS:
            return bool(facts & self._resource)
        if relation is Relation.OTHER:
            return bool(facts & self._resource and facts & self._identity)
        if facts & self._direct:
            return True
        return bool(facts & self._identity and (facts & self._resource or not self._roles.key))

    def _verdict(self, side: int) -> Effect:
        if side & self._explicit:
            return Effect.EXPLICIT_DENY
        return Effect.ALLOW if side & self._granted else Effect.IMPLICIT_DENY


def _bits(number: int) -> Iterator[int]:
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low

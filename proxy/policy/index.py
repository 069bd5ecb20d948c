"""Finding the statements that match a request without looking at all of them.

Statements are filed per action, then by the literal start of their resource, then by the principals they
name. A look-up visits only prefixes of the requested resource: the sorted list of prefixes has the
property that all of them lie on one chain, from the greatest prefix not above the resource upwards.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from proxy.policy.conditions import Test
from proxy.policy.document import Kind, PolicyFile, Resources, Statement
from proxy.policy.names import ACTIONS
from proxy.policy.principals import Grade, Principal, Principals
from proxy.policy.variables import Context

Match: TypeAlias = "tuple[int, Statement, Grade]"
"""The statement's place among all statements, the statement, and how it names the caller."""

_Entry: TypeAlias = "tuple[Test | None, int, Statement, Principals | None, tuple[Callable[[Context], bool], ...]]"
"""Resource test (None: the prefix says it all), place, statement, principals (None: anybody), conditions."""


class _Node:
    """The entries under one prefix: those any caller may meet, and those filed under a name."""

    __slots__ = ("named", "shared")

    def __init__(self) -> None:
        self.shared: list[_Entry] = []
        self.named: dict[str, list[_Entry]] = {}

    def add(self, entry: _Entry) -> None:
        principals = entry[3]
        if principals is None or principals.negated or principals.everyone:
            self.shared.append(entry)
            return
        for name in principals.names | principals.accounts:
            self.named.setdefault(name, []).append(entry)


class _Table:
    """What is filed for one action. `parents[i]` is the place of the next shorter prefix, or -1."""

    __slots__ = ("nodes", "parents", "prefixes")

    def __init__(self, nodes: dict[str, _Node]) -> None:
        self.prefixes = sorted(nodes)
        self.nodes = [nodes[prefix] for prefix in self.prefixes]
        self.parents: list[int] = []
        for place, prefix in enumerate(self.prefixes):
            parent = place - 1
            while parent >= 0 and not prefix.startswith(self.prefixes[parent]):
                parent = self.parents[parent]
            self.parents.append(parent)


class StatementIndex:
    """An immutable set of statements. Tables are made when an action is first asked for, and kept."""

    __slots__ = ("_tables", "statements")

    def __init__(self, statements: Iterable[Statement]) -> None:
        self.statements = tuple(statements)
        self._tables: dict[str, _Table] = {}

    def matches(self, action: str, resource: str, principal: Principal, context: Context) -> Sequence[Match]:
        """Return the matching statements in their order."""
        table = self._tables.get(action) or self._table(action)
        prefixes = table.prefixes
        found: list[Match] = []
        place = bisect_right(prefixes, resource) - 1
        while place >= 0:
            if resource.startswith(prefixes[place]):
                node = table.nodes[place]
                if node.shared:
                    _collect(node.shared, resource, principal, context, found)
                if node.named:
                    for name in principal.lookup:
                        if name in node.named:
                            _collect(node.named[name], resource, principal, context, found)
            place = table.parents[place]
        if len(found) > 1:
            # A statement can be met through two of its ARNs or of its principals.
            found = list({match[0]: match for match in found}.values())
            found.sort(key=_place)
        return found

    def _table(self, action: str) -> _Table:
        name = action.lower()
        table = self._tables.get(name) or self._build(name)
        # Only known spellings are kept: an index must not grow with what is asked.
        if name in ACTIONS:
            self._tables[name] = table
            if ACTIONS[name].name == action:
                self._tables[action] = table
        return table

    def _build(self, action: str) -> _Table:
        nodes: dict[str, _Node] = {}
        for place, statement in enumerate(self.statements):
            if not statement.actions.matches(action):
                continue
            principals = statement.principals
            if principals is not None and principals.open:
                principals = None
            conditions = tuple(condition.holds for condition in statement.conditions)
            for prefix, test in _filed(statement.resources):
                nodes.setdefault(prefix, _Node()).add((test, place, statement, principals, conditions))
        return _Table(nodes)


def _place(match: Match) -> int:
    return match[0]


def _filed(resources: Resources) -> list[tuple[str, Test | None]]:
    if resources.negated:
        return [("", resources.matches)]
    return [(item.prefix, None if item.whole else item.test) for item in resources.items]


def _collect(
    entries: Iterable[_Entry], resource: str, principal: Principal, context: Context, found: list[Match]
) -> None:
    grade = Grade.DIRECT
    for test, place, statement, principals, conditions in entries:
        if test is not None and not test(resource, context):
            continue
        if principals is None:
            grade = Grade.DIRECT
        else:
            grade = principals.grade(principal)
            if not grade:
                continue
        for holds in conditions:
            if not holds(context):
                break
        else:
            found.append((place, statement, grade))


class PolicyGroup:
    """Policies that are evaluated together: all of a bucket's, of an identity's, or of a key's."""

    __slots__ = ("_keys_read", "enforced", "files", "kind", "trial")

    def __init__(self, files: Iterable[PolicyFile] = (), kind: Kind = "bucket") -> None:
        self.files = tuple(files)
        self.kind = self.files[0].kind if self.files else kind
        """What the policies are attached to; `kind` says it when there are none."""
        self.enforced = StatementIndex(s for file in self.files if file.mode == "enforce" for s in file.statements)
        """The statements that decide."""
        self.trial: StatementIndex | None = None
        """All statements, those of `mode: report` included; None when there are no such."""
        if any(file.mode == "report" for file in self.files):
            self.trial = StatementIndex(s for file in self.files for s in file.statements)
        self._keys_read: dict[str | None, frozenset[str]] = {}

    def keys_read(self, action: str | None = None) -> frozenset[str]:
        """Return the lower-case condition keys that statements about `action` (or any) look at.

        Tag keys come as written, in lower case: `s3:existingobjecttag/class`.
        """
        known = self._keys_read.get(action)
        if known is None:
            name = (action or "").lower()
            statements = (self.trial or self.enforced).statements
            picked = [s.reads for s in statements if action is None or s.actions.matches(name)]
            known = frozenset().union(*picked)
            if action is None or (name in ACTIONS and action in (name, ACTIONS[name].name)):
                self._keys_read[action] = known
        return known


NO_POLICIES = PolicyGroup()

"""One document as the checks see it: its text, its compiled statements, and where every part stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from proxy.diagnostics import Diagnostic, Severity
from proxy.policy.conditions import Condition
from proxy.policy.document import PolicyFile, Statement
from proxy.policy.lint.rules import BY_NAME
from proxy.policy.names import Key, find_key
from proxy.yamldoc import DocPath, Document, Value, pointer


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition of a statement, and where it stands."""

    condition: Condition
    path: DocPath
    """The path of the key, with key and operator as their author wrote them."""
    key: Key | None
    """None for a key of another service."""
    listed: bool
    """Whether its values are a list."""

    def value_path(self, index: int) -> DocPath:
        """Return the path of one of its values."""
        return (*self.path, index) if self.listed else self.path


@dataclass(frozen=True, slots=True)
class Part:
    """One statement with its source."""

    statement: Statement
    raw: dict[str, Value]
    clauses: tuple[Clause, ...]

    @property
    def path(self) -> DocPath:
        """Where the statement stands."""
        return self.statement.path

    def element(self, name: str) -> DocPath:
        """Return the path of `Action` or `NotAction`, whichever is given; likewise for the others."""
        return (*self.path, name if name in self.raw else f"Not{name}")

    def texts(self, name: str) -> list[tuple[str, DocPath]]:
        """Return the texts of an element, or of its Not form, with their paths."""
        path = self.element(name)
        value = self.raw.get(str(path[-1]), [])
        if isinstance(value, str):
            return [(value, path)]
        return [(item, (*path, place)) for place, item in enumerate(value) if isinstance(item, str)]

    def on_key(self) -> dict[str, list[Clause]]:
        """Return the clauses by the key that they are about."""
        found: dict[str, list[Clause]] = {}
        for clause in self.clauses:
            found.setdefault(clause.condition.key, []).append(clause)
        return found


@dataclass(frozen=True, slots=True)
class Subject:
    """A document under lint. `policy` lacks the parts that the parser refused."""

    document: Document
    policy: PolicyFile
    parts: tuple[Part, ...]
    refused: tuple[str, ...]
    """The JSON pointers of what the parser refused."""

    def sound(self, path: DocPath) -> bool:
        """Tell whether the parser had nothing against the element at `path` or anything in it."""
        place = pointer(path)
        return not any(other == place or other.startswith(place + "/") for other in self.refused)

    def sound_parts(self) -> list[Part]:
        """Return the statements that can be judged as a whole."""
        return [part for part in self.parts if not self.refused or self.sound(part.path)]

    def sound_clauses(self) -> Iterator[tuple[Part, Clause]]:
        """Yield the conditions that were read in full."""
        for part in self.parts:
            for clause in part.clauses:
                if not self.refused or self.sound(clause.path):
                    yield part, clause

    def found(
        self,
        rule: str,
        path: DocPath,
        message: str,
        help: str = "",
        *,
        at_key: bool = False,
        severity: Severity | None = None,
    ) -> Diagnostic:
        """Make a finding about the value (or key) at `path`."""
        known = BY_NAME[rule]
        return self.document.diagnostic(
            path, message, rule=known.id, help=help, at_key=at_key, severity=severity or known.severity
        )


Check: TypeAlias = Callable[[Subject], Iterator[Diagnostic]]


def view(policy: PolicyFile, refusals: Sequence[Diagnostic]) -> Subject:
    """Lay a policy out for the checks."""
    document = policy.document
    refused = tuple(dict.fromkeys(finding.pointer for finding in refusals))
    parts = []
    for statement in policy.statements:
        raw = _at(document.data, statement.path)
        if isinstance(raw, dict):
            parts.append(Part(statement, raw, tuple(_clauses(statement, raw))))
    return Subject(document, policy, tuple(parts), refused)


def _clauses(statement: Statement, raw: dict[str, Value]) -> Iterator[Clause]:
    block = raw.get("Condition")
    if not isinstance(block, dict):
        return
    for condition in statement.conditions:
        values = block.get(condition.written)
        for written, value in values.items() if isinstance(values, dict) else ():
            if written.lower() == condition.key:
                path = (*statement.path, "Condition", condition.written, written)
                yield Clause(condition, path, find_key(written), isinstance(value, list))
                break


def _at(value: Value, path: DocPath) -> Value | None:
    for step in path:
        if isinstance(value, dict):
            value = value[str(step)]
        elif isinstance(value, list):
            value = value[int(step)]
    return value

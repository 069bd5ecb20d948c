"""A matrix of requests: every principal with every action on every resource in every context.

    policies: [hr.yaml]
    identity_policies: [allow.yaml]
    resource_account: "123456789012"
    principals: [anonymous, "arn:aws:iam::123456789012:user/alice"]
    actions: [s3:GetObject, s3:PutObject]
    resources: ["arn:aws:s3:::hr/report.pdf"]
    contexts:
      plain: {aws:SecureTransport: "false"}
      tls: {aws:SecureTransport: "true"}

Patterns such as `s3:Get*` stand for all actions that they cover.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from proxy.errors import ConfigError
from proxy.policy.names import ACTIONS, expand_action, suggest_action
from proxy.policy.variables import Context
from proxy.policy.written import ANONYMOUS_NAMES, Answer, Ask, Direct, Policies, Written, judge
from proxy.policy.written_file import Shelf, WrittenFile
from proxy.yamldoc import DocPath, Document, Value

KEYS = ("policies", "identity_policies", "resource_account", "principals", "actions", "resources", "contexts")
MAX_CELLS = 100_000
"""More would be no table that anybody reads."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """What to combine."""

    policies: Policies
    principals: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    contexts: Mapping[str, Context]
    """By name; one empty context without a name when the file has none."""
    resource_account: str | None

    @property
    def size(self) -> int:
        """The number of cells."""
        return len(self.principals) * len(self.actions) * len(self.resources) * len(self.contexts)


@dataclass(frozen=True, slots=True)
class Cell:
    """One request of the matrix and its answer."""

    principal: str
    action: str
    resource: str
    context: str
    """The name of its context."""
    answer: Answer


def simulate(matrix: Matrix, ask: Ask) -> Iterator[Cell]:
    """Decide every cell, in the order of the file."""
    for principal, action, resource, name in product(
        matrix.principals, matrix.actions, matrix.resources, matrix.contexts
    ):
        caller = None if principal in ANONYMOUS_NAMES else principal
        written = Written(caller, Direct(action, resource), matrix.contexts[name], matrix.resource_account)
        yield Cell(principal, action, resource, name, judge(matrix.policies, ask(written)))


def parse_matrix(document: Document, policies: Policies | None = None) -> Matrix:
    """Read a matrix; `policies` replace those that it names. Raises `ConfigError`."""
    reader = _Reader(document, Shelf(), "bad-matrix")
    matrix = reader.read(policies)
    if not reader.findings and matrix.size > MAX_CELLS:
        reader.refuse((), f"the matrix has {matrix.size:,} cells", f"at most {MAX_CELLS:,} are decided; use --batch")
    if reader.findings:
        raise ConfigError(reader.findings)
    return matrix


class _Reader(WrittenFile):
    def read(self, given: Policies | None) -> Matrix:
        data = self.document.data
        if not isinstance(data, dict):
            self.refuse((), "a matrix is a mapping", "start with `policies:`, `principals:`, `actions:`, `resources:`")
            data = {}
        self.known(data, (), KEYS)
        if given is None and "policies" not in data:
            self.refuse((), "no policies are named", "list them under `policies:`, or give --policies")
        policies = given or self.policies(data, None)
        policies = policies.with_identity(self.identity(data, ()) or ())
        actions = tuple(name for text, place in self._texts_of(data, "actions") for name in self._actions(text, place))
        resources = []
        for text, place in self._texts_of(data, "resources"):
            resources.append(text)
            if not text.startswith("arn:") and text != "*":
                self.refuse(place, f"`{text}` is not an ARN", "write `arn:aws:s3:::BUCKET/KEY`")
        return Matrix(
            policies,
            tuple(text for text, _ in self._texts_of(data, "principals")),
            tuple(dict.fromkeys(actions)),
            tuple(resources),
            self._contexts(data),
            self.text(data, "resource_account", ()),
        )

    def _texts_of(self, data: Mapping[str, Value], key: str) -> list[tuple[str, DocPath]]:
        value = data.get(key)
        items = value if isinstance(value, list) else [] if value is None else [value]
        if not items:
            self.refuse((key,) if key in data else (), f"there are no `{key}`", "give at least one")
        found: list[tuple[str, DocPath]] = []
        for number, item in enumerate(items):
            place: DocPath = (key, number) if isinstance(value, list) else (key,)
            if isinstance(item, str):
                found.append((item, place))
            else:
                self.refuse(place, f"`{key}` takes texts", "write one text or a list of texts")
        return found

    def _actions(self, text: str, place: DocPath) -> list[str]:
        if "*" not in text and "?" not in text and not text.lower().startswith(("s3:", "kms:")):
            return [text]
        names = sorted(ACTIONS[name].name for name in expand_action(text))
        if not names:
            service = text.partition(":")[0].lower()
            self.refuse(place, f"`{text}` is no action that is known", suggest_action(text, service))
        return names

    def _contexts(self, data: Mapping[str, Value]) -> dict[str, Context]:
        found: dict[str, Context] = {}
        for name, value in self.mapping(data, "contexts", ()).items():
            if not isinstance(value, dict):
                self.refuse(("contexts", name), "a context is a mapping", "write {KEY: VALUE}")
                continue
            keys = self.context_at(value, ("contexts", name))
            found[name] = {key: given for key, given in keys.items() if given is not None}
        return found or {"": {}}

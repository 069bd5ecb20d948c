"""Goals: requests that must never be allowed, described in the language of policies.

A goal is a YAML file. Each entry under `never` is a set of requests by actions, resources (all, if left out)
and conditions; `${param:NAME}` stands for a parameter whose value is given when the goal is proven. Whether
a set of policies keeps a goal is for `proxy.policy.prove`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from proxy.errors import ConfigError
from proxy.policy.document import VARIABLES_VERSION, Resources, Statement
from proxy.policy.elements import Reading, read_actions, read_conditions, read_resources
from proxy.schemas import load_schema
from proxy.schemas.check import type_scalars, violations
from proxy.yamldoc import DocPath, Document, Value

_PARAMETER = re.compile(r"\$\{param:([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Goal:
    """What must never be allowed."""

    title: str
    description: str
    file: str
    statements: tuple[Statement, ...]
    """As if they denied: a request that one of them matches must not be allowed."""


def is_goal(document: Document) -> bool:
    """Tell whether a document is a goal rather than a policy."""
    return isinstance(document.data, dict) and "never" in document.data


def parse_goal(document: Document, values: Mapping[str, str], mapped_keys: Collection[str] = ()) -> Goal:
    """Compile a goal with the `values` of its parameters; raises `ConfigError` with every mistake in it."""
    _check_shape(document)
    data = document.data
    if not isinstance(data, dict):
        raise AssertionError("the schema asks for a mapping")
    reading = Reading(document, "identity", frozenset(key.lower() for key in mapped_keys), VARIABLES_VERSION)
    declared = data.get("parameters", {})
    known = set(declared) if isinstance(declared, dict) else set()
    for name in sorted(known - set(values)):
        remedy = f"give it on the command line: --set {name}=..."
        reading.refuse(("parameters", name), "missing-value", f"`{name}` has no value", remedy, at_key=True)
    for name in sorted(set(values) - known):
        remedy = f"its parameters are {', '.join(sorted(known))}" if known else "it has no parameters"
        reading.refuse((), "unknown-parameter", f"the goal has no parameter `{name}`", remedy)
    if reading.findings:
        raise ConfigError(reading.findings)
    never = _substituted(reading, data["never"], values, ("never",))
    reading.document = dataclasses.replace(document, data={**data, "never": never})
    listed = enumerate(never) if isinstance(never, list) else [(0, never)]
    statements = tuple(
        _read_statement(reading, item, ("never", index) if isinstance(never, list) else ("never",), index)
        for index, item in listed
        if isinstance(item, dict)
    )
    if reading.findings:
        raise ConfigError(reading.findings)
    return Goal(_text(data.get("goal")), _text(data.get("description")), document.file, statements)


def _check_shape(document: Document) -> None:
    schema = load_schema("goal")
    found = violations(type_scalars(document.data, schema, document.is_plain), schema)
    if found:
        raise ConfigError(document.diagnostic(one.path, one.message, help=one.help, at_key=one.at_key) for one in found)


def _text(value: Value | None) -> str:
    return value if isinstance(value, str) else ""


def _substituted(reading: Reading, value: Value, values: Mapping[str, str], path: DocPath) -> Value:
    """Replace parameters in texts; a value never becomes anything but text."""
    if isinstance(value, dict):
        return {key: _substituted(reading, child, values, (*path, key)) for key, child in value.items()}
    if isinstance(value, list):
        return [_substituted(reading, child, values, (*path, index)) for index, child in enumerate(value)]
    for name in _PARAMETER.findall(value):
        if name not in values:
            reading.refuse(path, "unknown-parameter", f"unknown parameter `{name}`", "declare it under `parameters`")
    return _PARAMETER.sub(lambda match: values.get(match[1], match[0]), value)


def _which(reading: Reading, item: dict[str, Value], path: DocPath, name: str) -> str:
    negated = f"Not{name}"
    if name in item and negated in item:
        message = f"the entry has both `{name}` and `{negated}`"
        reading.refuse((*path, negated), "conflicting-elements", message, "keep one of them", at_key=True)
    return negated if negated in item else name


def _read_statement(reading: Reading, item: dict[str, Value], path: DocPath, index: int) -> Statement:
    action, resource = (_which(reading, item, path, name) for name in ("Action", "Resource"))
    resources: Resources = read_resources(
        reading, item.get(resource, "*"), (*path, resource), negated=resource == "NotResource"
    )
    return Statement(
        policy=reading.document.file,
        kind="identity",
        index=index,
        sid="",
        effect="Deny",
        principals=None,
        actions=read_actions(reading, item.get(action, "*"), (*path, action), negated=action == "NotAction"),
        resources=resources,
        conditions=read_conditions(reading, item.get("Condition", {}), (*path, "Condition")),
        span=reading.document.span(path),
        path=path,
    )

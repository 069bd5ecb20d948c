"""Hold a text-first document against a JSON Schema, with findings a person can act on.

Knows how to read a plain scalar as the number, boolean or null its schema wants, and how to say each
kind of violation with a remedy. Does not know where a value stood: findings carry document paths.

Source: JSON Schema draft-07, https://json-schema.org/draft-07/json-schema-validation
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from proxy.schemas import Schema
from proxy.yamldoc import DocPath, Value

Data: TypeAlias = "str | int | float | bool | list[Data] | dict[str, Data] | None"

SECRET_FORMAT = "s3warden-secret"  # noqa: S105  the name of an annotation, not a secret

_BOOLEANS = {"true": True, "false": False}
_NULLS = frozenset({"null", "~", ""})
_WORDS = {
    "array": "a list",
    "boolean": "`true` or `false`",
    "integer": "a whole number",
    "null": "`null`",
    "number": "a number",
    "object": "a mapping",
    "string": "text",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which the data does not fit; `at_key` points to the key rather than to its value."""

    path: DocPath
    message: str
    help: str = ""
    at_key: bool = False


def type_scalars(value: Value, schema: Schema, is_plain: Callable[[DocPath], bool]) -> Data:
    """Read each unquoted scalar as the type its schema asks for; what does not read stays text."""
    return _typed(value, schema, schema, (), is_plain)


def secret_paths(value: Value, schema: Schema) -> frozenset[DocPath]:
    """Return where secrets stand, and every value under a key nobody knows: that may be one misspelt."""
    return frozenset(_secrets(value, schema, schema, ()))


def violations(data: Data, schema: Schema, hidden: frozenset[DocPath] = frozenset()) -> list[Violation]:
    """Return every violation once; values at `hidden` paths are never quoted."""
    explainer = _Explainer(schema, hidden)
    errors: Iterable[ValidationError] = Draft7Validator(schema).iter_errors(data)
    return list(dict.fromkeys(found for error in errors for found in explainer.explain(error)))


def _typed(value: Value, schema: Schema, root: Schema, path: DocPath, is_plain: Callable[[DocPath], bool]) -> Data:
    schema = _resolve(schema, root)
    if isinstance(value, dict):
        return {k: _typed(v, _member(schema, k), root, (*path, k), is_plain) for k, v in value.items()}
    if isinstance(value, list):
        items = cast("Schema", schema.get("items", {}))
        return [_typed(v, items, root, (*path, i), is_plain) for i, v in enumerate(value)]
    return _scalar(value, _types(schema)) if is_plain(path) else value


def _scalar(text: str, types: tuple[str, ...]) -> Data:
    if "null" in types and text in _NULLS:
        return None
    if "boolean" in types and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    for name, read in (("integer", int), ("number", float)):
        # `1_000` and `Infinity` are Python's reading, not what a YAML author means.
        if name in types and text.isascii() and text.lstrip("+-")[:1].isdigit() and "_" not in text:
            try:
                return read(text)
            except ValueError:
                continue
    return text


def _secrets(value: Value, schema: Schema | None, root: Schema, path: DocPath) -> Iterator[DocPath]:
    known = None if schema is None else _resolve(schema, root)
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _secrets(child, None if known is None else _known_member(known, key), root, (*path, key))
    elif isinstance(value, list):
        items = None if known is None else cast("Schema | None", known.get("items"))
        for index, child in enumerate(value):
            yield from _secrets(child, items, root, (*path, index))
    elif known is None or known.get("format") == SECRET_FORMAT:
        yield path


def _resolve(schema: Schema, root: Schema) -> Schema:
    while isinstance(reference := schema.get("$ref"), str):
        target: object = root
        for step in reference.removeprefix("#/").split("/"):
            target = cast("Schema", target)[step]
        schema = cast("Schema", target)
    return schema


def _known_member(schema: Schema, key: str) -> Schema | None:
    properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
    if key in properties:
        return properties[key]
    rest = schema.get("additionalProperties")
    return cast("Schema", rest) if isinstance(rest, Mapping) else None


def _member(schema: Schema, key: str) -> Schema:
    return _known_member(schema, key) or {}


def _types(schema: Schema) -> tuple[str, ...]:
    types = schema.get("type", ())
    return (types,) if isinstance(types, str) else tuple(cast("list[str]", types))


class _Explainer:
    """Words for what the validator found; it reads the schema again, never the validator's own text."""

    def __init__(self, root: Schema, hidden: frozenset[DocPath]) -> None:
        self.root = root
        self.hidden = hidden

    def explain(self, error: ValidationError) -> list[Violation]:
        """Turn one error of the validator into findings: one for each key it is about."""
        path: DocPath = tuple(error.absolute_path)
        schema = cast("Schema", error.schema)
        if error.validator == "additionalProperties":
            unknown = [key for key in cast("Mapping[str, object]", error.instance) if not _knows(schema, key)]
            return [self._unknown_key(path, key, schema) for key in unknown]
        if error.validator == "required":
            given = cast("Mapping[str, object]", error.instance)
            # One that is there misspelt is reported as that.
            misspelt = {_nearest(key, schema) for key in given if not _knows(schema, key)}
            missing = [key for key in cast("list[str]", error.validator_value) if key not in given.keys() | misspelt]
            return [Violation(path, f"`{key}` is missing", self._example(key, schema)) for key in missing]
        if error.validator == "dependencies":
            return self._lonely_keys(path, error, schema)
        complaint = self._complaint(error, schema, path in self.hidden)
        if "propertyNames" in error.absolute_schema_path:
            return [Violation((*path, str(error.instance)), complaint, at_key=True)]
        return [Violation(path, complaint, _value_help(path, schema))]

    def _complaint(self, error: ValidationError, schema: Schema, is_hidden: bool) -> str:
        keyword = str(error.validator)
        value = "the value" if is_hidden else _written(error.instance)
        if keyword == "type":
            wanted = " or ".join(_WORDS[name] for name in _types(schema))
            return f"expected {wanted}" if is_hidden else f"expected {wanted}, not {value}"
        if keyword == "enum":
            choices = ", ".join(f"`{choice}`" for choice in cast("list[object]", schema["enum"]))
            return f"{value} is not one of {choices}"
        if keyword == "minimum":
            return f"{value} is too small: at least {schema['minimum']}"
        if keyword == "maximum":
            return f"{value} is too large: at most {schema['maximum']}"
        if keyword in ("minLength", "minItems", "minProperties"):
            return "must not be empty"
        if keyword == "uniqueItems":
            return "the same entry is given twice"
        return f"{value} is not {schema.get('title', 'of the right form')}"

    def _unknown_key(self, path: DocPath, key: str, schema: Schema) -> Violation:
        near = _nearest(key, schema)
        known = ", ".join(sorted(cast("Mapping[str, object]", schema.get("properties", {}))))
        remedy = f"did you mean `{near}`?" if near else f"known here: {known}"
        return Violation((*path, key), f"unknown key `{key}`", remedy, at_key=True)

    def _lonely_keys(self, path: DocPath, error: ValidationError, schema: Schema) -> list[Violation]:
        needs = cast("Mapping[str, list[str]]", error.validator_value)
        given = cast("Mapping[str, object]", error.instance)
        return [
            Violation(path, f"`{key}` needs `{other}` beside it", self._example(other, schema))
            for key, others in needs.items()
            if key in given
            for other in others
            if other not in given
        ]

    def _example(self, key: str, schema: Schema) -> str:
        member = _resolve(_known_member(schema, key) or {}, self.root)
        examples = cast("list[object]", member.get("examples", []))
        return f"write for example `{key}: {_yaml(examples[0])}`" if examples else f"add `{key}:`"


def _nearest(key: str, schema: Schema) -> str | None:
    known = cast("Mapping[str, object]", schema.get("properties", {}))
    return next(iter(difflib.get_close_matches(key, known, n=1)), None)


def _knows(schema: Schema, key: str) -> bool:
    return _known_member(schema, key) is not None


def _written(instance: object) -> str:
    if isinstance(instance, dict):
        return "a mapping"
    if isinstance(instance, list):
        return "a list"
    return f"`{'null' if instance is None else instance}`"


def _value_help(path: DocPath, schema: Schema) -> str:
    examples = cast("list[object]", schema.get("examples", []))
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    return f"write for example `{name}: {_yaml(examples[0])}`" if examples and name else ""


def _yaml(value: object) -> str:
    """Write an example in flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    needs_quotes = isinstance(value, str) and (text.isdigit() or text[:1] in "$*&%@`" or "{" in text)
    return f'"{text}"' if needs_quotes else text

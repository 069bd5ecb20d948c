"""From AWS's JSON to policy files in YAML and back, so that nothing is lost on the way.

JSON has no comments, yet people write them (`//`, `#`, `/* */`): they become the `description` of the
YAML. Order, one value or a list of one, and in conditions the difference between `true` and `"true"`
are kept. `to_json(to_yaml(text))` is `text` in canonical form, and canonical texts come back byte by byte.

Source: RFC 8259; https://yaml.org/spec/1.2.2/
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeAlias

from proxy import yamldoc
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError
from proxy.yamldoc import DocPath, Document, Value

Json: TypeAlias = "dict[str, Json] | list[Json] | Literal"


class Literal(str):
    """A JSON scalar as it is written: a text in quotes, a number, `true`, `false`."""

    __slots__ = ()


_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS = frozenset({"true", "false"})
# What every YAML reader takes for text: begins with a letter, and is none of YAML 1.1's words for something else.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?::[A-Za-z0-9_./*-]+)*(?:[A-Za-z0-9_/*])?")
_SPECIAL = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_SCHEMA = "# yaml-language-server: $schema={}\n"
_WIDTH = 100
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


def to_yaml(source: str, file: str = "<text>", *, bucket: str = "", schema: str = "") -> str:
    """Write the JSON policy in `source` as a policy file; raises `ConfigError` for what is no JSON object.

    `bucket` goes into the wrapper, `schema` into a comment for editors.
    """
    text, comments = strip_comments(source)
    data = _parse(text, file)
    if not isinstance(data, dict):
        raise _error(file, 1, 1, "a policy is a JSON object")
    if _SURROGATE.search(json.dumps(data, ensure_ascii=False)):
        raise _error(file, 1, 1, "half a surrogate pair, which is no character")
    lines = [_SCHEMA.format(schema)] if schema else []
    if not (comments or bucket):
        return "".join(lines) + "\n".join(_mapping(data, 0)) + "\n"
    if bucket:
        lines.append(f"bucket: {_scalar(bucket)}\n")
    if comments:
        lines.append(f"description: {_block(comments)}\n")
    return "".join(lines) + "policy:\n" + "\n".join(_mapping(data, 1)) + "\n"


def to_json(document: Document, *, indent: int | None = 4, comments: bool = False) -> str:
    """Write the AWS document in a policy file as JSON, without its wrapper.

    `indent` None puts it on one line; `comments` writes the description above it, in lines that begin with
    `//`, for files that people read: AWS does not take them. Raises `ConfigError` for what is no policy.
    """
    data = document.data
    if not isinstance(data, dict):
        raise ConfigError([document.diagnostic((), "a policy is a mapping", help="start with `Version:`")])
    path: DocPath = ()
    description = data.get("description") if "Statement" not in data else None
    if "Statement" not in data and isinstance(data.get("policy"), dict):
        path = ("policy",)
        data = data["policy"]
    head = ""
    if comments and isinstance(description, str):
        head = "".join(f"// {line}".rstrip() + "\n" for line in description.rstrip("\n").split("\n"))
    return head + _dump(_literal(document, data, path, False), indent, 0) + "\n"


def strip_comments(source: str) -> tuple[str, str]:
    """Return JSON with its comments turned to blanks, so that places stay, and the comments' text."""
    kept: list[str] = []
    found: list[str] = []
    at = 0
    while at < len(source):
        char = source[at]
        if char == '"':
            end = _string_end(source, at)
            kept.append(source[at:end])
        elif char == "#" or source.startswith("//", at):
            end = source.find("\n", at)
            end = len(source) if end < 0 else end
            # One blank after the sign belongs to it.
            found.append(source[at + (1 if char == "#" else 2) : end].removeprefix(" ").rstrip())
            kept.append(" " * (end - at))
        elif source.startswith("/*", at):
            close = source.find("*/", at + 2)
            end = len(source) if close < 0 else close + 2
            inner = source[at + 2 : end if close < 0 else close]
            found += [line.strip().removeprefix("*").strip() for line in inner.strip().splitlines()]
            kept.append(re.sub(r"[^\n]", " ", source[at:end]))
        else:
            end = at + 1
            kept.append(char)
        at = end
    return "".join(kept), "\n".join(found).strip("\n")


def _string_end(source: str, start: int) -> int:
    at = start + 1
    while at < len(source) and source[at] != '"':
        at += 2 if source[at] == "\\" else 1
    return min(at + 1, len(source))


def _parse(text: str, file: str) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=lambda pairs: _object(pairs, file),
            parse_int=Literal,
            parse_float=Literal,
            parse_constant=lambda name: _refuse_constant(name, file),
        )
    except json.JSONDecodeError as error:
        raise _error(file, error.lineno, error.colno, f"not JSON: {error.msg.lower()}") from error
    except RecursionError as error:
        raise _error(file, 1, 1, "nested too deeply") from error


def _object(pairs: list[tuple[str, Any]], file: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _error(file, 1, 1, f"`{name}` is given twice in one object")
        found[name] = value
    return found


def _refuse_constant(name: str, file: str) -> Any:
    raise _error(file, 1, 1, f"`{name}` is not JSON")


def _error(file: str, line: int, column: int, message: str) -> ConfigError:
    return ConfigError([Diagnostic(Severity.ERROR, "invalid-json", message, Span(file, line, column))])


def _mapping(data: dict[str, Any], depth: int) -> list[str]:
    pad = "  " * depth
    lines: list[str] = []
    for name, value in data.items():
        key = f"{pad}{_scalar(name)}:"
        if isinstance(value, dict) and value:
            lines += [key, *_mapping(value, depth + 1)]
        elif isinstance(value, list) and value and not _fits(value, len(key)):
            lines += [key, *_items(value, depth + 1)]
        else:
            lines.append(f"{key} {_inline(value)}")
    return lines


def _items(values: list[Any], depth: int) -> list[str]:
    pad = "  " * depth
    lines: list[str] = []
    for value in values:
        if isinstance(value, dict) and value:
            first, *rest = _mapping(value, depth + 1)
            lines += [f"{pad}- {first.lstrip(' ')}", *rest]
        else:
            lines.append(f"{pad}- {_inline(value)}")
    return lines


def _fits(values: list[Any], used: int) -> bool:
    """Tell whether a list of scalars goes on the line of its key."""
    return not any(isinstance(value, dict | list) for value in values) and used + len(_inline(values)) < _WIDTH


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(name)}: {_inline(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return str(value) if isinstance(value, Literal) else _scalar(value)


def _scalar(text: str) -> str:
    """Write a text so that every YAML reader takes it for this text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _SPECIAL and not text.endswith(":"):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _CONTROL.sub(lambda match: _escape(match[0]), quoted)


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}"


def _block(text: str) -> str:
    lines = text.split("\n")
    if len(lines) == 1 or any(line != line.strip() or _CONTROL.search(line) or "\t" in line for line in lines):
        return _scalar(text)
    return "|-\n" + "\n".join(f"  {line}".rstrip() for line in lines)


def _literal(document: Document, value: Value, path: DocPath, in_condition: bool) -> Json:
    if isinstance(value, dict):
        return {
            name: _literal(document, item, (*path, name), in_condition or name == "Condition")
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_literal(document, item, (*path, number), in_condition) for number, item in enumerate(value)]
    # Only condition values may be bare in AWS's grammar: an account id has to stay a text.
    bare = in_condition and document.is_plain(path) and (value in _WORDS or _NUMBER.fullmatch(value))
    return Literal(value if bare else json.dumps(value, ensure_ascii=False))


def _dump(value: Json, indent: int | None, depth: int) -> str:
    """Write as `json.dumps` does, with scalars as they are."""
    if isinstance(value, str):
        return value
    pieces = (
        [f"{json.dumps(name, ensure_ascii=False)}: {_dump(item, indent, depth + 1)}" for name, item in value.items()]
        if isinstance(value, dict)
        else [_dump(item, indent, depth + 1) for item in value]
    )
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    if not pieces:
        return opening + closing
    if indent is None:
        return opening + ", ".join(pieces) + closing
    pad = " " * (indent * (depth + 1))
    return opening + "\n" + ",\n".join(pad + piece for piece in pieces) + "\n" + " " * (indent * depth) + closing


def canonical(source: str, file: str = "<text>", indent: int | None = 4) -> str:
    """Return JSON in the form that `to_json` writes."""
    return to_json(yamldoc.parse(to_yaml(source, file), file), indent=indent)

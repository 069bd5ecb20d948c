"""YAML and JSON as text-first data with positions.

Every scalar stays the text its author wrote: ``Version: 2012-10-17`` is no date, ``Null`` no null and
account id ``012345670123`` no octal number. Numbers and booleans are parsed by the field that wants
them. What YAML readers disagree about is refused: duplicate keys, anchors and aliases, tags, merge
keys, several documents. Every value knows its line and column.

JSON is read through the same door, since YAML's flow style contains it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import yaml

from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError

Value: TypeAlias = "str | list[Value] | dict[str, Value]"
DocPath: TypeAlias = tuple[str | int, ...]
_Mark: TypeAlias = tuple[int, int, int]
"""Line and column, from 1, and length: there are many, and few are ever shown."""

_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

_QUOTE_HELP = {
    "*": "quote it: a plain `*` starts a YAML alias",
    "&": "quote it: a plain `&` starts a YAML anchor",
    "%": "quote it: a plain `%` starts a YAML directive",
    "`": "quote it: a plain value cannot start with a backtick",
    "@": "quote it: a plain value cannot start with `@`",
}


# libyaml's parser where PyYAML was built with it, else the Python one; both give the same events.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: `data` as text, lists and dicts, and where everything stood."""

    data: Value
    file: str
    text: str
    _marks: Mapping[DocPath, _Mark] = field(repr=False)
    _key_marks: Mapping[DocPath, _Mark] = field(repr=False)
    _plain: frozenset[DocPath] = field(repr=False)

    def span(self, path: DocPath = ()) -> Span:
        """Return where the value at `path` stands, or its nearest ancestor's place."""
        while path and path not in self._marks:
            path = path[:-1]
        return Span(self.file, *self._marks.get(path, ()))

    def key_span(self, path: DocPath) -> Span:
        """Return where the key that names the value at `path` stands; for list items, the item."""
        mark = self._key_marks.get(path)
        return self.span(path) if mark is None else Span(self.file, *mark)

    def is_plain(self, path: DocPath) -> bool:
        """Tell whether the scalar at `path` was written without quotes."""
        return path in self._plain

    def line(self, number: int) -> str:
        """Return a line of the source, counted from 1, without its end; empty if there is none."""
        return _line(self.text, number)

    def part(self, path: DocPath) -> Document:
        """Return the value at `path` as a document of its own, whose places are still those in the file."""
        size = len(path)
        value = self.data
        for step in path:
            if isinstance(value, dict):
                value = value[str(step)]
            elif isinstance(value, list):
                value = value[int(step)]
        return Document(
            value,
            self.file,
            self.text,
            {place[size:]: mark for place, mark in self._marks.items() if place[:size] == path},
            {place[size:]: mark for place, mark in self._key_marks.items() if place[:size] == path},
            frozenset(place[size:] for place in self._plain if place[:size] == path),
        )

    def diagnostic(
        self,
        path: DocPath,
        message: str,
        *,
        rule: str = "invalid-document",
        help: str = "",
        severity: Severity = Severity.ERROR,
        at_key: bool = False,
    ) -> Diagnostic:
        """Make a finding about the value (or key) at `path`, with its source line."""
        span = self.key_span(path) if at_key else self.span(path)
        return Diagnostic(severity, rule, message, span, help, _line(self.text, span.line), pointer(path))


def pointer(path: DocPath) -> str:
    """Write a path as a JSON pointer. Source: RFC 6901."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def load(path: Path | str, *, name: str | None = None) -> Document:
    """Read and parse the file at `path`; raises `ConfigError` with a position, never a bare OSError."""
    label = name or str(path)
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise _error(label, "", Span(label), f"cannot read the file: {error.strerror}") from error
    return parse(raw, label)


def parse(source: str | bytes, file: str = "<text>") -> Document:
    """Parse one YAML or JSON document; raises `ConfigError` naming file, line, column and remedy."""
    text = _decode(source, file)
    builder = _Builder(text, file)
    try:
        data = builder.read_document(yaml.parse(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, file) from error
    return Document(data, file, text, builder.marks, builder.key_marks, frozenset(builder.plain))


def _decode(source: str | bytes, file: str) -> str:
    if len(source) > MAX_BYTES:
        raise _error(file, "", Span(file), f"the file is larger than {MAX_BYTES} bytes")
    text = source if isinstance(source, str) else _utf8(source, file)
    # PyYAML would reject these with a character offset only; find the line ourselves.
    found = _UNREADABLE.search(text)
    if found:
        before = text[: found.start()]
        line_start = max(before.rfind("\n"), before.rfind("\r")) + 1
        span = Span(file, len(before[:line_start].splitlines()) + 1, found.start() - line_start + 1)
        raise _error(file, text, span, f"{_kind(found[0])} U+{ord(found[0]):04X}")
    return text


def _kind(char: str) -> str:
    return "control character" if char < " " else "half a surrogate pair"


def _utf8(source: bytes, file: str) -> str:
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise _error(file, "", Span(file, line), "the file is not UTF-8 text") from error


class _Builder:
    """Turns parser events into plain data and remembers positions."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.marks: dict[DocPath, _Mark] = {}
        self.key_marks: dict[DocPath, _Mark] = {}
        self.plain: set[DocPath] = set()

    def read_document(self, events: Iterator[yaml.Event]) -> Value:
        """Read the only document; an empty file or a second document is refused."""
        data: Value | None = None
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                if data is not None:
                    raise self._error(event, "a second document in one file", "keep one document per file")
                data = self._build(event, events, ())
        if data is None:
            raise _error(self.file, self.text, Span(self.file), "the document is empty")
        return data

    def _build(self, event: yaml.Event, events: Iterator[yaml.Event], path: DocPath) -> Value:
        self._refuse_exotic(event, path)
        self.marks[path] = _mark(event)
        if isinstance(event, yaml.ScalarEvent):
            if _is_plain(event):
                self.plain.add(path)
            return str(event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Value] = []
            while not isinstance(child := next(events), yaml.SequenceEndEvent):
                items.append(self._build(child, events, (*path, len(items))))
            return items
        return self._build_mapping(events, path)

    def _build_mapping(self, events: Iterator[yaml.Event], path: DocPath) -> dict[str, Value]:
        result: dict[str, Value] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            self._refuse_exotic(event, path)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "a mapping key must be text", "quote values that start with `{`, `[` or `${`")
            key = str(event.value)
            if key == "<<" and _is_plain(event):
                raise self._error(event, "merge keys (`<<`) are not supported", "write the keys out")
            if key in result:
                line, _, _ = self.key_marks[(*path, key)]
                raise self._error(event, f"duplicate key `{key}`", f"it is already given on line {line}")
            place = (*path, key)
            self.key_marks[place] = _mark(event)
            result[key] = self._build(next(events), events, place)
        return result

    def _refuse_exotic(self, event: yaml.Event, path: DocPath) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise self._error(
                event, f"the alias `*{event.anchor}` is not supported", "write the value out, or quote it"
            )
        if anchor := getattr(event, "anchor", None):
            raise self._error(event, f"the anchor `&{anchor}` is not supported", "write the value out, or quote it")
        if tag := getattr(event, "tag", None):
            raise self._error(event, f"the tag `{tag}` is not supported", "every value is text here: leave the tag out")
        if len(path) > MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels")

    def _error(self, event: yaml.Event, message: str, help: str = "") -> ConfigError:
        return _error(self.file, self.text, _span(event, self.file), message, help)


def _is_plain(event: yaml.ScalarEvent) -> bool:
    return not event.style  # the C parser says "" where the Python one says None


def _span(event: yaml.Event, file: str) -> Span:
    return Span(file, *_mark(event))


def _mark(event: yaml.Event) -> _Mark:
    start, end = event.start_mark, event.end_mark
    if start is None or end is None:  # only events made by hand have no marks
        return 1, 1, 0
    line, column = start.line, start.column
    return line + 1, column + 1, end.column - column if end.line == line else 0


def _line(text: str, number: int) -> str:
    lines = _lines(text)
    return lines[number - 1] if 0 < number <= len(lines) else ""


@lru_cache(maxsize=4)  # a document with many findings asks for many of its lines
def _lines(text: str) -> list[str]:
    return text.splitlines()


def _error(file: str, text: str, span: Span, message: str, help: str = "") -> ConfigError:
    return ConfigError([Diagnostic(Severity.ERROR, "invalid-yaml", message, span, help, _line(text, span.line))])


def _syntax_error(error: yaml.YAMLError, text: str, file: str) -> ConfigError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return _error(file, text, Span(file), "not readable as YAML")
    span = Span(file, mark.line + 1, mark.column + 1)
    line = _line(text, span.line)
    problem = str(getattr(error, "problem", None) or "not readable as YAML")
    return _error(file, text, span, problem, _syntax_help(line, span.column))


def _syntax_help(line: str, column: int) -> str:
    """Name the remedy for the mistakes people make in policies."""
    value = line.split(": ", 1)[-1].lstrip(" -[")
    if value[:1] in _QUOTE_HELP:
        return _QUOTE_HELP[value[:1]]
    if value.rstrip().endswith(":"):
        return 'quote it: a plain value cannot end with a colon, write "arn:aws:s3:::"'
    if "${" in line:
        return 'quote it: inside [ ] or { } a value with `${` must be in quotes, "arn:aws:s3:::b/${aws:username}/*"'
    if "\t" in line[: max(column, 1)]:
        return "indent with spaces: YAML does not allow tabs there"
    return ""

"""The text of a configuration file, changed in one place at a time: everything else stays as it was written.

Comments, order, quotes and indentation belong to whoever wrote the file, so nothing is written anew that does
not change. Knows YAML in block and flow style, which contains JSON, and nothing about what settings mean.
Source of positions: PyYAML's node marks, which count characters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from proxy import yamldoc
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError
from proxy.yamldoc import DocPath, Value

_Change: TypeAlias = Callable[[Value, str | int], None]


@dataclass(frozen=True, slots=True)
class Draft:
    """A text to be changed. Every change gives a new one, and is checked to have changed that and nothing else."""

    text: str
    file: str

    @property
    def data(self) -> Value:
        """What the text says."""
        return yamldoc.parse(self.text, self.file).data

    def value(self, path: DocPath) -> Value | None:
        """Return the value at `path`, None if there is none."""
        try:
            return _at(self.data, path)
        except (KeyError, IndexError, TypeError):
            return None

    def masked(self, paths: Iterable[DocPath]) -> str:
        """Return the text with the scalars at `paths` hidden."""
        text = self.text
        nodes = [node for path in paths if isinstance(node := self._node(path), yaml.ScalarNode)]
        for node in sorted(nodes, key=lambda node: node.start_mark.index, reverse=True):
            end = "\n" if _is_block_scalar(node) else ""
            text = text[: node.start_mark.index] + "(hidden)" + end + text[_end(node) :]
        return text

    def put(self, path: DocPath, value: Value, instead: str = "") -> Draft:
        """Set an entry of the mapping at `path[:-1]`: in its place if it is there, else as the last one.

        With `instead`, in the place of that entry, which goes.
        """
        name = str(path[-1])
        if self.value(path[:-1]) is None:
            return self.put(path[:-1], {name: value})
        mapping = self._node(path[:-1])
        if not isinstance(mapping, yaml.MappingNode):
            if self.value(path[:-1]) == "":  # `keys:` and nothing behind it
                return self.put(path[:-1], {name: value})
            raise self._refuse(path, "is not a mapping")
        flat = bool(mapping.flow_style)
        indent = " " * (0 if flat else mapping.value[0][0].start_mark.column)
        entry = f"{self._written_key(name)}:{self._laid_out(value, None if flat else indent)}"
        pair = next((pair for pair in mapping.value if pair[0].value == (instead or name)), None)
        if pair is not None:
            start, end = pair[0].start_mark.index, _end(pair[1])
            if _is_block_scalar(pair[1]):
                entry += self._newline
            changed = self._splice(start, end, entry)
        elif flat:
            changed = self._append_flow(mapping, entry)
        else:
            changed = self._insert_line(self._line_end(_end(mapping.value[-1][1])), indent + entry)
        return changed._checked(self, path, lambda holder, key: _set(holder, key, value, instead))

    def put_first(self, path: DocPath, item: Value) -> Draft:
        """Put an item in front of the sequence at `path`, which has items."""
        node = self._node(path)
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self._refuse(path, "is not a sequence")
        if node.flow_style:
            changed = self._splice(node.value[0].start_mark.index, None, self._written(item) + ", ")
        else:
            dash = node.start_mark
            line = " " * dash.column + "- " + self._written(item)
            changed = self._insert_line(dash.index - dash.column, line)
        return changed._checked(self, path, lambda holder, key: _items(holder, key).insert(0, item))

    def put_last(self, path: DocPath, item: Value) -> Draft:
        """Put an item behind the sequence at `path`, which has items."""
        node = self._node(path)
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self._refuse(path, "is not a sequence")
        if node.flow_style:
            changed = self._splice(_end(node.value[-1]), None, ", " + self._written(item))
        else:
            line = " " * node.start_mark.column + "- " + self._written(item)
            changed = self._insert_line(self._line_end(_end(node.value[-1])), line)
        return changed._checked(self, path, lambda holder, key: _items(holder, key).append(item))

    def move_first(self, path: DocPath, index: int) -> Draft:
        """Move an item of the sequence at `path` to its front, as it is written."""
        node = self._node(path)
        if not isinstance(node, yaml.SequenceNode):
            raise self._refuse(path, "is not a sequence")
        item, first = node.value[index], node.value[0]
        if node.flow_style:
            raw = self.text[item.start_mark.index : _end(item)]
            cut = self._cut_flow([(each.start_mark.index, _end(each)) for each in node.value], index)
            changed = cut._splice(first.start_mark.index, None, raw + ", ")
        else:
            start, end = self._item_lines(path, item)
            lines = self.text[start:end] + ("" if self.text[start:end].endswith("\n") else self._newline)
            top, _ = self._item_lines(path, first)
            changed = self._splice(start, end, "")._splice(top, None, lines)

        def move(holder: Value, key: str | int) -> None:
            items = _items(holder, key)
            items.insert(0, items.pop(index))

        return changed._checked(self, path, move)

    def remove(self, path: DocPath) -> Draft:
        """Take out the entry or item at `path`, and the collection that would be empty without it."""
        holder = self._node(path[:-1])
        if isinstance(holder, yaml.MappingNode | yaml.SequenceNode) and len(holder.value) == 1 and len(path) > 1:
            return self.remove(path[:-1])
        if isinstance(holder, yaml.MappingNode):
            index = next(index for index, (key, _) in enumerate(holder.value) if key.value == path[-1])
            spans = [(key.start_mark.index, _end(value)) for key, value in holder.value]
        elif isinstance(holder, yaml.SequenceNode):
            index = int(path[-1])
            spans = [(item.start_mark.index, _end(item)) for item in holder.value]
        else:
            raise self._refuse(path, "is in nothing")
        if holder.flow_style:
            changed = self._cut_flow(spans, index)
        elif isinstance(holder, yaml.SequenceNode):
            changed = self._splice(*self._item_lines(path, holder.value[index]), "")
        else:
            start, end = spans[index]
            start -= holder.value[index][0].start_mark.column
            changed = self._splice(start, self._line_end(end), "")
        return changed._checked(self, path, _delete)

    def _node(self, path: DocPath) -> yaml.Node:
        node = yaml.compose(self.text, Loader=yaml.SafeLoader)
        for step in path:
            if isinstance(node, yaml.MappingNode):
                node = next(value for key, value in node.value if key.value == step)
            elif isinstance(node, yaml.SequenceNode):
                node = node.value[int(step)]
        if node is None:
            raise self._refuse(path, "is not there")
        return node

    @property
    def _is_json(self) -> bool:
        return self.text.lstrip("\ufeff \t\r\n").startswith("{")

    @property
    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def _laid_out(self, value: Value, indent: str | None) -> str:
        """Write the value of an entry: a collection of collections on lines of its own, where the style allows."""
        children = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        if indent is None or not children or not all(isinstance(child, dict | list) for child in children):
            return " " + self._written(value)
        if isinstance(value, dict):
            lines = [f"{self._written_key(key)}: {self._written(child)}" for key, child in value.items()]
        else:
            lines = [f"- {self._written(child)}" for child in children]
        return "".join(f"{self._newline}{indent}  {line}" for line in lines)

    def _written_key(self, name: str) -> str:
        """Write a key as YAML, or with quotes in a file that is JSON."""
        return json.dumps(name) if self._is_json else name

    def _written(self, value: Value) -> str:
        """Write a value in flow style on one line; texts in quotes where they need some."""
        if isinstance(value, dict):
            entries = (f"{self._written_key(key)}: {self._written(child)}" for key, child in value.items())
            return "{" + ", ".join(entries) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(self._written(child) for child in value) + "]"
        bare = value in ("true", "false") or (value in ("aes", "rsa") and not self._is_json)
        return value if bare else json.dumps(value, ensure_ascii=False)

    def _splice(self, start: int, end: int | None, text: str) -> Draft:
        return Draft(self.text[:start] + text + self.text[start if end is None else end :], self.file)

    def _insert_line(self, at: int, line: str) -> Draft:
        before = "" if at == 0 or self.text[at - 1] == "\n" else self._newline
        return self._splice(at, None, before + line + self._newline)

    def _append_flow(self, mapping: yaml.MappingNode, entry: str) -> Draft:
        if not mapping.value:
            return self._splice(mapping.start_mark.index + 1, None, entry)
        return self._splice(_end(mapping.value[-1][1]), None, ", " + entry)

    def _cut_flow(self, spans: Sequence[tuple[int, int]], index: int) -> Draft:
        if index + 1 < len(spans):
            return self._splice(spans[index][0], spans[index + 1][0], "")
        return self._splice(spans[index - 1][1] if index else spans[index][0], spans[index][1], "")

    def _item_lines(self, path: DocPath, item: yaml.Node) -> tuple[int, int]:
        dash = self.text.rfind("-", 0, item.start_mark.index)
        start = self.text.rfind("\n", 0, dash) + 1
        if dash < 0 or self.text[start:dash].strip() or self.text[dash + 1 : item.start_mark.index].strip():
            raise self._refuse(path, "stands in a form that cannot be changed by a command")
        return start, self._line_end(_end(item))

    def _line_end(self, index: int) -> int:
        """Return where the next line starts, or where the text ends."""
        if index and self.text[index - 1] == "\n":
            return index  # behind a block scalar
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1

    def _checked(self, before: Draft, path: DocPath, change: _Change) -> Draft:
        """Return this draft if it says what the one before said, but for the change."""
        # INVARIANT: a change that reads back as anything else is never written, however odd the file's form.
        wanted = before.data
        change(_at(wanted, path[:-1]), path[-1])
        try:
            found = self.data
        except ConfigError:
            found = ""
        if found != wanted:
            raise self._refuse(path, "stands in a form that cannot be changed by a command")
        return self

    def _refuse(self, path: DocPath, reason: str) -> ConfigError:
        name = ".".join(str(step) for step in path)
        finding = Diagnostic(
            Severity.ERROR, "not-editable", f"`{name}` {reason}", Span(self.file), "change the file by hand"
        )
        return ConfigError([finding])


def _at(value: Value, path: DocPath) -> Value:
    for step in path:
        if isinstance(value, dict):
            value = value[str(step)]
        elif isinstance(value, list):
            value = value[int(step)]
        else:
            raise KeyError(step)
    return value


def _end(node: yaml.Node) -> int:
    """Return where a node's own text ends: marks of block collections reach to whatever comes next."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _is_block_scalar(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")


def _set(holder: Value, key: str | int, value: Value, instead: str) -> None:
    if isinstance(holder, dict):
        holder.pop(instead, None)
        holder[str(key)] = value


def _delete(holder: Value, key: str | int) -> None:
    if isinstance(holder, dict):
        del holder[str(key)]
    elif isinstance(holder, list):
        del holder[int(key)]


def _items(holder: Value, key: str | int) -> list[Value]:
    found = _at(holder, (key,))
    return found if isinstance(found, list) else []

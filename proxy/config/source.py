"""The configuration file as a place: findings with a line and a caret, secrets masked.

A finding quotes the line it is about, and a secret may stand on that line.
"""

from __future__ import annotations

import re
from dataclasses import replace

from proxy.config.secrets import masked_line
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.yamldoc import DocPath, Document, Value

_ALIAS_OR_TAG = re.compile(r"`[*&!][^`]*`")
_FIRST_VALUE = re.compile(r"(?::|-)\s.*")


class Source:
    """Makes findings about a document of which some values are secret."""

    __slots__ = ("_document", "_masked")

    def __init__(self, document: Document, secrets: frozenset[DocPath]) -> None:
        self._document = document
        self._masked = tuple(document.span(path) for path in secrets)

    @property
    def file(self) -> str:
        """The file's name as it was given."""
        return self._document.file

    def is_plain(self, path: DocPath) -> bool:
        """Tell whether the scalar at `path` was written without quotes."""
        return self._document.is_plain(path)

    def diagnostic(
        self,
        path: DocPath,
        message: str,
        *,
        help: str = "",
        at_key: bool = False,
        rule: str = "invalid-config",
        severity: Severity = Severity.ERROR,
    ) -> Diagnostic:
        """Make a finding about the value (or key) at `path`; in names of keys, case does not count."""
        path = self._as_written(path)
        found = self._document.diagnostic(path, message, help=help, at_key=at_key, rule=rule, severity=severity)
        return replace(found, snippet=self._mask(found.snippet, found.span.line))

    def _as_written(self, path: DocPath) -> DocPath:
        written: list[str | int] = []
        place: Value = self._document.data
        for step in path:
            if isinstance(place, dict) and isinstance(step, str):
                near = (key for key in place if key.lower() == step.lower())
                key = step if step in place else next(near, step)
                written.append(key)
                place = place.get(key, "")
            else:
                written.append(step)
                place = place[step] if isinstance(place, list) and isinstance(step, int) else ""
        return tuple(written)

    def _mask(self, line: str, number: int) -> str:
        spans = (span for span in self._masked if span.line == number)
        return masked_line(line, ((span.column - 1, _end(span, line)) for span in spans))

    def __repr__(self) -> str:
        return f"Source({self.file})"


def _end(span: Span, line: str) -> int:
    return span.column - 1 + span.length if span.length else len(line)


def without_values(diagnostic: Diagnostic) -> Diagnostic:
    """Strip a finding about text that could not be parsed of everything that may be a value.

    What does not parse has no fields, so nobody can tell which of it is secret.
    """
    snippet, cut = _FIRST_VALUE.subn(lambda match: f"{match[0][0]} ...", diagnostic.snippet, count=1)
    return replace(
        diagnostic,
        message=_ALIAS_OR_TAG.sub("`...`", diagnostic.message),
        snippet=snippet if cut else "",
    )

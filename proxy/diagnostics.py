"""What is wrong with a document a person wrote: where, what, and what to write instead.

One shape serves the configuration loader, the policy parser and the linter, and every report format
is rendered from it. It does not know what the documents mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


class Severity(Enum):
    """The four levels AWS Access Analyzer's ValidatePolicy uses, most severe first."""

    ERROR = "error"
    SECURITY_WARNING = "security-warning"
    WARNING = "warning"
    SUGGESTION = "suggestion"

    @property
    def rank(self) -> int:
        """0 for the most severe; grows as things get milder."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a file. `line` and `column` count from 1; `length` is in characters, 0 if unknown.

    Something without lines, such as a stored object, has line 0.
    """

    file: str
    line: int = 1
    column: int = 1
    length: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. Messages are lower-case without a full stop; what the author wrote is in backticks."""

    severity: Severity
    rule: str
    """A stable id such as `S3W014`, or a short kebab-case word where no rule has a page."""
    message: str
    span: Span
    help: str = ""
    snippet: str = ""
    """The source line itself, without its line end; empty if there is none."""
    pointer: str = field(default="", compare=False)
    """JSON pointer (RFC 6901) of the element within its document; empty for the document itself."""

    def __str__(self) -> str:
        return f"{self.span}: {self.severity.value} {self.rule} {self.message}"


def render(diagnostic: Diagnostic) -> str:
    """Render one finding for a terminal: location line, source line with a caret, help line."""
    lines = [str(diagnostic)]
    if diagnostic.snippet:
        pad = " " * (diagnostic.span.column - 1)
        caret = "^" * max(1, min(diagnostic.span.length, len(diagnostic.snippet) - len(pad)))
        lines += [f"    {diagnostic.snippet}", f"    {pad}{caret}"]
    if diagnostic.help:
        lines.append(f"    help: {diagnostic.help}")
    return "\n".join(lines)


def render_all(diagnostics: Iterable[Diagnostic]) -> str:
    """Render findings in file order, one block each."""
    ordered = sorted(diagnostics, key=lambda d: (d.span.file, d.span.line, d.span.column, d.rule))
    return "\n".join(render(d) for d in ordered)

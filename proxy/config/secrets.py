"""Values that must not be seen, and references to where they are kept.

A value written as `${env:NAME}` or `${file:/path}` is read from there when the configuration is
loaded; one that is not set refuses to start. Knows nothing about what the values are for.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.schemas.check import Violation
from proxy.yamldoc import DocPath, Value

_REFERENCE = re.compile(r"\$\{(env|file):([^{}]+)\}")
_LOOKALIKE = re.compile(r"\$\{(env|file):")
_MISSPELT = re.compile(r"\s*\$\{[^{}]*\}\s*")


class Secret:
    """A text that shows itself only when asked to."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))


@dataclass(frozen=True, slots=True)
class Resolved:
    """A document with its references replaced; `paths` says which values came from elsewhere."""

    data: Value
    paths: frozenset[DocPath]
    violations: tuple[Violation, ...]

    def __repr__(self) -> str:
        return f"Resolved({len(self.paths)} references)"


def resolve(data: Value, environ: Mapping[str, str], folder: Path) -> Resolved:
    """Replace every reference in `data`; file names are relative to `folder`."""
    resolver = _Resolver(environ, folder)
    return Resolved(resolver.replace(data, ()), frozenset(resolver.paths), tuple(resolver.violations))


class _Resolver:
    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self.environ = environ
        self.folder = folder
        self.paths: set[DocPath] = set()
        self.violations: list[Violation] = []

    def replace(self, value: Value, path: DocPath) -> Value:
        if isinstance(value, dict):
            return {key: self.replace(child, (*path, key)) for key, child in value.items()}
        if isinstance(value, list):
            return [self.replace(child, (*path, index)) for index, child in enumerate(value)]
        if not _LOOKALIKE.search(value):
            if _MISSPELT.fullmatch(value):
                # Taken as it is, the secret would be the name of a variable, which everybody can read.
                self._fail(path, "`${...}` without `env:` or `file:`", 'write "${env:NAME}" or "${file:/path}"')
            return value
        match = _REFERENCE.fullmatch(value)
        if match is None:
            self._fail(path, "a reference must be the whole value", 'write "${env:NAME}" or "${file:/path}" alone')
            return value
        text = self._from_environment(path, match[2]) if match[1] == "env" else self._from_file(path, match[2])
        self.paths.add(path)
        if text is not None and _LOOKALIKE.search(text):
            # The schema lets references pass, for editors; what they lead to has to be a value.
            self._fail(path, f"`{value}` leads to another reference", "refer to the value itself")
        return text if text is not None else value

    def _from_environment(self, path: DocPath, name: str) -> str | None:
        text = self.environ.get(name)
        if not text:
            state = "not set" if text is None else "empty"
            self._fail(path, f"the environment variable `{name}` is {state}", f"set it: export {name}=...")
            return None
        return text

    def _from_file(self, path: DocPath, name: str) -> str | None:
        try:
            # Editors and `echo` end a file with a line end that is not part of the secret.
            text = (self.folder / name).read_text("utf-8").rstrip("\r\n")
        except OSError as error:
            self._fail(path, f"cannot read `{name}`: {error.strerror}", "create the file, or correct its name")
            return None
        except UnicodeDecodeError:
            self._fail(path, f"`{name}` is not UTF-8 text", "secrets are text: store binary ones in base64")
            return None
        if not text:
            self._fail(path, f"`{name}` is empty", "write the secret into it")
            return None
        return text

    def _fail(self, path: DocPath, message: str, help: str) -> None:
        self.violations.append(Violation(path, message, help))


def masked_line(line: str, spans: Iterator[tuple[int, int]]) -> str:
    """Return `line` with each (start, end) range of characters, from 0, shown as asterisks."""
    for start, end in spans:
        line = line[:start] + "*" * len(line[start:end]) + line[end:]
    return line

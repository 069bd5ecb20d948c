"""A cursor over checked configuration data: typed values out, findings with positions in.

The schema has already said that the data has the right form, so reading a value cannot fail here; what
can still be wrong is what a value means, and that is reported with `problem`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from proxy.config.secrets import Secret
from proxy.config.source import Source
from proxy.diagnostics import Diagnostic, Severity
from proxy.schemas.check import Data
from proxy.yamldoc import DocPath

Step: TypeAlias = str | int


@dataclass(frozen=True, slots=True)
class Findings:
    """Where findings gather while the file is read; `folder` is what relative paths are relative to."""

    source: Source
    folder: Path
    errors: list[Diagnostic]
    warnings: list[Diagnostic]


class Node:
    """A mapping (or list item) in the configuration."""

    __slots__ = ("findings", "path", "value")

    def __init__(self, value: Data, path: DocPath, findings: Findings) -> None:
        self.value = value
        self.path = path
        self.findings = findings

    def get(self, key: str) -> Data:
        """Return the value of `key`, None where it is absent or null."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def has(self, key: str) -> bool:
        """Tell whether `key` is written at all, be it as null."""
        return isinstance(self.value, dict) and key in self.value

    def is_null(self, key: str) -> bool:
        """Tell whether `key` is written and null, which switches something off."""
        return self.has(key) and self.get(key) is None

    def child(self, key: str) -> Node:
        """Return the mapping at `key`, an empty one where it is absent."""
        return Node(self.get(key) if self.has(key) else {}, (*self.path, key), self.findings)

    def items(self, key: str) -> Iterator[Node]:
        """Yield the items of the list at `key`."""
        value = self.get(key)
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield Node(item, (*self.path, key, index), self.findings)

    def named(self, key: str) -> Iterator[tuple[str, Node]]:
        """Yield the entries of the mapping at `key`."""
        value = self.get(key)
        for name, item in (value if isinstance(value, dict) else {}).items():
            yield name, Node(item, (*self.path, key, name), self.findings)

    def text(self, key: str) -> str | None:
        """Return the text at `key`."""
        value = self.get(key)
        return None if value is None else str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the list of texts at `key`."""
        return tuple(str(item.value) for item in self.items(key))

    def mapping(self, key: str) -> Mapping[str, str] | None:
        """Return the mapping of texts at `key`, None where it is absent."""
        return MappingProxyType({k: str(n.value) for k, n in self.named(key)}) if self.has(key) else None

    def secret(self, key: str) -> Secret | None:
        """Return the secret at `key`."""
        value = self.text(key)
        return None if value is None else Secret(value)

    def scalars(self) -> dict[str, Any]:
        """Return the settings here that are neither mappings nor lists, as the schema typed them."""
        given = self.value if isinstance(self.value, dict) else {}
        return {key: value for key, value in given.items() if not isinstance(value, dict | list)}

    def pick(self, *keys: str) -> dict[str, Any]:
        """Return those of the settings called `keys` that are given, as the schema typed them."""
        return {key: value for key, value in self.scalars().items() if key in keys}

    def location(self, key: str) -> Path | None:
        """Return the path at `key`, made absolute."""
        value = self.text(key)
        return None if value is None else self.findings.folder / value

    def readable_file(self, key: str) -> Path | None:
        """Return the path at `key`; a file that cannot be read is a finding."""
        path = self.location(key)
        if path is not None:
            try:
                path.open("rb").close()
            except OSError as error:
                self.problem(
                    f"cannot read `{self.get(key)}`: {error.strerror}", "paths start at this file's folder", key
                )
        return path

    def existing_paths(self, key: str) -> tuple[Path, ...]:
        """Return the paths in the list at `key`; one that does not exist is a finding."""
        paths = []
        for item in self.items(key):
            paths.append(self.findings.folder / str(item.value))
            if not paths[-1].exists():
                item.problem(f"there is no file or folder `{item.value}`", "paths start at this file's folder")
        return tuple(paths)

    def problem(self, message: str, help: str = "", *keys: Step, at_key: bool = False) -> None:
        """Report what is wrong with this node, or with what stands at `keys` below it."""
        source = self.findings.source
        self.findings.errors.append(source.diagnostic((*self.path, *keys), message, help=help, at_key=at_key))

    def warn(self, message: str, help: str, *keys: Step) -> None:
        """Report what works and is still a mistake most of the time."""
        source = self.findings.source
        self.findings.warnings.append(
            source.diagnostic((*self.path, *keys), message, help=help, rule="config", severity=Severity.WARNING)
        )

"""Imports point down, only the upper rooms touch the network, and nothing grows too large to read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up: a room imports from its own floor and from those below.
FLOORS = (
    ("clock", "config", "diagnostics", "errors", "per_request", "schemas", "yamldoc"),
    ("s3",),
    ("audit", "auth", "envelope", "identity", "policy"),
    ("access", "forward", "payload", "rewrite", "sealing"),
    ("keys",),
    ("server",),
    ("__main__", "cli"),
)
# On one floor, and still strangers to each other: each can be read, and used, without the others.
STRANGERS = frozenset({"audit", "auth", "envelope", "policy"})

NETWORK_ROOMS = frozenset({"__main__", "cli", "keys", "server"})
NETWORK_MODULES = frozenset({"aiohttp", "asyncio", "http", "selectors", "socket", "socketserver", "ssl", "uvloop"})

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}


@dataclass(frozen=True, slots=True)
class Module:
    path: Path
    tree: ast.Module
    lines: int

    @property
    def room(self) -> str:
        return self.path.relative_to(ROOT / "proxy").parts[0].removesuffix(".py")

    @property
    def label(self) -> str:
        return str(self.path.relative_to(ROOT))


def read(path: Path) -> Module:
    text = path.read_text()
    return Module(path, ast.parse(text), text.count("\n"))


MODULES = [read(path) for path in sorted((ROOT / "proxy").rglob("*.py"))]
ROOMED = [module for module in MODULES if module.room != "__init__"]


def imports(module: Module) -> Iterator[tuple[str, int]]:
    """Yield every module that is imported, at the top or inside a function, with its line."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.label}:{node.lineno}: relative import"
            base = node.module or ""
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno


def rooms_imported(module: Module) -> Iterator[tuple[str, int]]:
    for name, line in imports(module):
        parts = name.split(".")
        if parts[0] == "proxy" and len(parts) > 1 and parts[1] in FLOOR_OF:
            yield parts[1], line


def test_every_room_has_its_floor() -> None:
    assert {module.room for module in ROOMED} <= set(FLOOR_OF)


@pytest.mark.parametrize("module", ROOMED, ids=lambda module: module.label)
def test_imports_point_down(module: Module) -> None:
    wrong = [
        f"{module.label}:{line}: {module.room} imports {room}"
        for room, line in rooms_imported(module)
        if FLOOR_OF[room] > FLOOR_OF[module.room] or ({room, module.room} <= STRANGERS and room != module.room)
    ]
    assert not wrong


@pytest.mark.parametrize("module", [m for m in ROOMED if m.room not in NETWORK_ROOMS], ids=lambda module: module.label)
def test_what_decides_does_no_input_and_output(module: Module) -> None:
    wrong = [
        f"{module.label}:{line}: {name}" for name, line in imports(module) if name.split(".")[0] in NETWORK_MODULES
    ]
    assert not wrong


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.label)
def test_files_can_be_read_in_one_sitting(module: Module) -> None:
    assert module.lines <= MAX_FILE_LINES


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.label)
def test_functions_fit_on_a_screen(module: Module) -> None:
    long = [
        f"{module.label}:{node.lineno}: {node.name} has {size} lines"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (size := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert not long


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.label)
def test_every_module_says_what_it_knows(module: Module) -> None:
    assert ast.get_docstring(module.tree)

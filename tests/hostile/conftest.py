"""Proxies under siege, in front of a store that follows a script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.arena import Arena, besieged


@pytest.fixture(scope="session")
def _arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with besieged(tmp_path_factory.mktemp("arena")) as arena:
        yield arena


@pytest.fixture
def arena(_arena: Arena) -> Iterator[Arena]:
    """A proxy with room for slow machines, and a store that behaves until told otherwise."""
    _arena.rest()
    yield _arena
    _arena.assert_well()


@pytest.fixture(scope="session")
def _impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with besieged(tmp_path_factory.mktemp("impatient"), idle_seconds=1.0) as arena:
        yield arena


@pytest.fixture
def impatient(_impatient: Arena) -> Iterator[Arena]:
    """A proxy that waits for nobody longer than a second."""
    _impatient.rest()
    yield _impatient
    _impatient.assert_well()


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Arena]:
    """A proxy that waits for its store as long as a test takes, and has room for 150 requests."""
    with besieged(tmp_path, upstream={"idle_seconds": 60.0}, limits={"in_flight": 150}) as arena:
        yield arena
        arena.assert_well()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path

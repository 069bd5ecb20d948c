"""The limit of open files is raised as far as it may be, and nobody is let in whom there is no socket for."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.config import Config, load_config
from proxy.server.descriptors import SPARE, clients, reserve


class Limits:
    """Stands in for the kernel's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> None:
        self.now = (soft, hard)
        monkeypatch.setattr(resource, "getrlimit", lambda _: self.now)
        monkeypatch.setattr(resource, "setrlimit", self._set)

    def _set(self, _: int, limits: tuple[int, int]) -> None:
        self.now = limits


@pytest.fixture
def config(write_config: Callable[..., Path]) -> Config:
    loaded = load_config(write_config())
    return replace(
        loaded,
        limits=replace(loaded.limits, connections=1000),
        upstream=replace(loaded.upstream, connections=100),
    )


NEEDED = 1000 + 100 + SPARE


def test_a_low_soft_limit_is_raised(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, 256, 100_000)
    reserve(config)
    assert limits.now == (NEEDED, 100_000)
    assert clients(config) == 1000


def test_a_high_soft_limit_is_left_alone(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, 50_000, resource.RLIM_INFINITY)
    reserve(config)
    assert limits.now == (50_000, resource.RLIM_INFINITY)


def test_no_limit_is_enough(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    Limits(monkeypatch, resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    reserve(config)
    assert clients(config) == 1000


def test_a_hard_limit_that_is_too_low_is_told_and_kept_to(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(monkeypatch, 256, 512)
    with caplog.at_level(logging.WARNING):
        reserve(config)
    assert limits.now == (512, 512)
    assert clients(config) == 512 - 100 - SPARE
    assert f"only 512 files may be open, where limits.connections and upstream.connections need {NEEDED}" in caplog.text


def test_somebody_is_always_let_in(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    Limits(monkeypatch, 64, 64)
    assert clients(config) == 1

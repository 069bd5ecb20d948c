"""What is made for every request behaves as a frozen dataclass does, but for assignment, which mypy refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.per_request import per_request


@per_request(frozen=True, slots=True)
class _Pair:
    left: str
    right: tuple[str, ...] = ()


def test_values_compare_and_hash_by_their_fields() -> None:
    assert {_Pair("a"), _Pair("a", ()), replace(_Pair("b"), left="a")} == {_Pair("a")}
    assert _Pair("a") != _Pair("a", ("b",))
    assert repr(_Pair("a")) == "_Pair(left='a', right=())"


def test_values_have_no_other_fields() -> None:
    with pytest.raises(AttributeError):
        setattr(_Pair("a"), "middle", "b")  # noqa: B010 - mypy would refuse the plain form


def test_what_is_not_frozen_is_no_value() -> None:
    with pytest.raises(TypeError, match="frozen"):
        per_request(frozen=False, slots=True)

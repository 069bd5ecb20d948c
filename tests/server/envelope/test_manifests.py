"""What is remembered of multipart objects is bounded, in objects, in parts and in keys."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.manifest import Manifest, PlacedPart
from proxy.envelope.message import OpeningKey
from proxy.server.envelope import manifests as module
from proxy.server.envelope.manifests import Known, Manifests

KEY = cast("OpeningKey", object())


def known(parts: int = 1) -> Known:
    placed = tuple(PlacedPart(number, 1, bytes(32), number, number) for number in range(1, parts + 1))
    manifest = Manifest(parts, parts, placed, parts, tuple(range(parts)))
    return Known("value", cast("Any", SimpleNamespace()), "etag", 1, manifest, ObjectKeys(b"", b"", b""), {})


def filled(*objects: Known) -> Manifests:
    remembered = Manifests(cast("Any", None), cast("Any", None))
    for number, each in enumerate(objects):
        remembered._remember(("bucket", f"key-{number}", ""), each)
    return remembered


def test_keys_of_parts_are_remembered_for_the_objects_that_were_read_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PART_KEYS", 10)
    first, second, third = known(), known(), known()
    remembered = filled(first, second, third)
    for each in (first, second):
        remembered.learn(each, dict.fromkeys(range(5), KEY))
    assert remembered.remembered("bucket", "key-0", "") is first
    remembered.learn(third, {1: KEY})
    assert [len(each.part_keys) for each in (first, second, third)] == [5, 0, 1]
    remembered.learn(third, {1: KEY})
    assert [len(each.part_keys) for each in (first, second, third)] == [5, 0, 1]


def test_not_even_one_object_keeps_more_keys_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PART_KEYS", 10)
    only = known()
    remembered = filled(only)
    for number in range(1000):
        remembered.learn(only, {number: KEY})
        assert len(only.part_keys) <= 10


def test_manifests_of_many_parts_make_room_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PARTS", 25)
    remembered = filled(known(10), known(10), known(10), known(30))
    assert [remembered.remembered("bucket", f"key-{number}", "") is not None for number in range(4)] == [
        False, False, False, True,
    ]  # fmt: skip
    remembered.forget("bucket", "key-3", "")
    assert remembered._parts == 0

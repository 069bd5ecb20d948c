"""Settings of buckets: looked up by name, the most specific pattern first.

An exact name beats every glob; among globs the one with more literal characters wins, then the one
written first. Each setting comes from the most specific entry that gives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

# Names come from requests, most of them for buckets that do not exist: the cache must not grow with them.
_CACHE_SIZE = 4096


@dataclass(frozen=True, slots=True)
class BucketRule:
    """One entry of `buckets`: None where the entry leaves a setting to less specific ones."""

    pattern: str
    owner: str | None = None
    add_headers: Mapping[str, str] | None = None
    remove_headers: frozenset[str] | None = None
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """What holds for one bucket; header names are lower-case."""

    owner: str
    """The 12-digit account that owns the bucket."""
    add_headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    remove_headers: frozenset[str] = frozenset()
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Buckets:
    """The look-up from a bucket's name to its settings."""

    __slots__ = ("_cache", "_default", "_rules")

    def __init__(self, rules: Sequence[BucketRule], owner: str) -> None:
        self._rules = tuple(sorted(rules, key=_generality))
        self._default = BucketSettings(owner)
        self._cache: dict[str, BucketSettings] = {}

    def settings(self, name: str) -> BucketSettings:
        """Return the settings of the bucket called `name`; equal calls give the same object."""
        found = self._cache.get(name)
        if found is None:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            found = self._cache[name] = self._settle(name)
        return found

    def _settle(self, name: str) -> BucketSettings:
        rules = [rule for rule in self._rules if glob_matches(rule.pattern, name)]
        if not rules:
            return self._default
        default = self._default
        return BucketSettings(
            next((r.owner for r in rules if r.owner is not None), default.owner),
            next((r.add_headers for r in rules if r.add_headers is not None), default.add_headers),
            next((r.remove_headers for r in rules if r.remove_headers is not None), default.remove_headers),
            next((r.tags for r in rules if r.tags is not None), default.tags),
        )


def _generality(rule: BucketRule) -> tuple[bool, int]:
    """Return a sort key that puts specific patterns first; Python's sort keeps the order of equals."""
    literal = sum(char not in "*?" for char in rule.pattern)
    return literal != len(rule.pattern), -literal


def glob_matches(pattern: str, name: str) -> bool:
    """Match `*` (any run) and `?` (one character); only the last `*` is ever tried again."""
    at = index = 0
    star, retry = -1, 0
    while index < len(name):
        if at < len(pattern) and pattern[at] == "*":
            star, retry = at, index
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", name[index]):
            at, index = at + 1, index + 1
        elif star >= 0:
            retry += 1
            at, index = star + 1, retry
        else:
            return False
    return not pattern[at:].strip("*")

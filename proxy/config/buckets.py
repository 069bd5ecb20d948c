"""Settings of buckets: looked up by name, the most specific pattern first.

An exact name beats every glob; among globs the one with more literal characters wins, then the one
written first. Each setting comes from the most specific entry that gives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

# Names come from requests, most of them for buckets that do not exist: the cache must not grow with them.
_CACHE_SIZE = 4096


@dataclass(frozen=True, slots=True)
class KekSettings:
    """Whether objects are wrapped by a key of the bucket's own, and how long such a key serves."""

    use: Literal["auto", "always", "never"] = "auto"
    """`auto`: with every key that is not local AES or a short RSA key."""
    max_age_hours: float = 24 * 30
    max_objects: int = 1 << 30
    """AES-GCM with random nonces allows 2^32 messages under one key; this keeps well below."""
    cache_seconds: float = 3600
    """How long an unwrapped key is kept in memory."""
    recovery: str | None = None
    """Name of an RSA key that can open every such key as well, usually with its private half offline."""


@dataclass(frozen=True, slots=True)
class BucketEncryption:
    """Who encrypts what goes into a bucket: the store (`forward`) or the proxy (`envelope`)."""

    mode: Literal["forward", "envelope"] = "forward"
    key: str | None = None
    """Name of the default key."""
    kek: KekSettings = KekSettings()
    read_plaintext: bool = False
    pass_ciphertext: bool = False
    """In mode `forward`: objects that the proxy encrypted pass as they are stored, instead of being refused."""
    list_sizes: Literal["formula", "head"] = "formula"
    bind_as: str | None = None
    """The bucket's name that objects are bound to, for replicas."""
    sse_c: bool = False
    sse_c_over_http: bool = False
    object_api: Literal["checked", "always", "refuse"] = "checked"
    """Where UpdateObjectEncryption is done in mode `envelope`: on stores that check conditions of copies, on all."""
    bucket_api: Literal["refuse", "match", "forward"] = "refuse"
    """What becomes of PutBucketEncryption in mode `envelope`: nothing is taken, what says the same as here, or all
    three calls go to the store."""


@dataclass(frozen=True, slots=True)
class BucketRule:
    """One entry of `buckets`: None where the entry leaves a setting to less specific ones."""

    pattern: str
    owner: str | None = None
    add_headers: Mapping[str, str] | None = None
    remove_headers: frozenset[str] | None = None
    tags: Mapping[str, str] | None = None
    encryption: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """Those fields of `BucketEncryption` that the entry gives."""
    kek: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """Those fields of `KekSettings` that the entry gives."""


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """What holds for one bucket; header names are lower-case."""

    owner: str
    """The 12-digit account that owns the bucket."""
    add_headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    remove_headers: frozenset[str] = frozenset()
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    encryption: BucketEncryption = BucketEncryption()


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
            _encryption(rules),
        )


def _encryption(rules: Sequence[BucketRule]) -> BucketEncryption:
    """Merge setting by setting, the most specific rule last so that it wins."""
    given: dict[str, Any] = {}
    kek: dict[str, Any] = {}
    for rule in reversed(rules):
        given.update(rule.encryption)
        kek.update(rule.kek)
    return BucketEncryption(**given, kek=KekSettings(**kek))


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

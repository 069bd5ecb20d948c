"""Wildcard patterns: `*` is any run of characters, `?` exactly one; matched in linear time.

Patterns are written by policy authors, texts (object keys, header values) by whoever sends requests, so
no pattern may make any text expensive: literal stretches are looked for with `str.find`, stretches
with `?` bit-parallel (Shift-And, Baeza-Yates and Gonnet 1992). Nothing backtracks. One `?` is one
character, not one byte, and `/` is nothing special.

A pattern is made of tokens, so that a literal `*` (from `${*}` or a variable's value) is never mistaken
for a wildcard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias


class Wildcard(Enum):
    """The two tokens that are not literal text."""

    RUN = "*"
    ONE = "?"


Token: TypeAlias = str | Wildcard
"""Literal text of one or more characters, or a wildcard."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern. `matches(text)` tells whether the whole text fits."""

    tokens: tuple[Token, ...]
    prefix: str
    """The literal text before the first wildcard: every matching text starts with it."""
    matches: Callable[[str], bool] = field(compare=False, repr=False)

    @property
    def literal(self) -> str | None:
        """The only text that matches, or None when there are wildcards."""
        return self.prefix if not any(isinstance(token, Wildcard) for token in self.tokens) else None

    @property
    def is_prefix(self) -> bool:
        """Whether the pattern is its prefix followed by anything."""
        return self.tokens[-1:] == (Wildcard.RUN,) and len(self.tokens) == 1 + bool(self.prefix)


def tokenize(text: str) -> tuple[Token, ...]:
    """Read `*` and `?` in `text` as wildcards, everything else as itself."""
    tokens: list[Token] = []
    start = 0
    for position, char in enumerate(text):
        if char in "*?":
            if position > start:
                tokens.append(text[start:position])
            tokens.append(Wildcard(char))
            start = position + 1
    if start < len(text):
        tokens.append(text[start:])
    return tuple(tokens)


def compile_text(text: str) -> Pattern:
    """Compile a text in which `*` and `?` are wildcards."""
    return compile_tokens(tokenize(text))


def compile_tokens(tokens: Iterable[Token]) -> Pattern:
    """Compile tokens; neighbouring literals are joined and neighbouring `*` collapse."""
    merged = _merge(tokens)
    prefix = merged[0] if merged and isinstance(merged[0], str) else ""
    return Pattern(merged, prefix, _matcher(merged, prefix))


def overlap(left: Sequence[Token], right: Sequence[Token]) -> bool:
    """Tell whether some text fits both token sequences."""
    a, b = _spread(left), _spread(right)
    # reachable[j]: the tokens of `a` read so far and b[:j] can have produced the same text.
    reachable = [True] + [False] * len(b)
    for j, token in enumerate(b):
        reachable[j + 1] = reachable[j] and token is Wildcard.RUN
    for mine in a:
        before, reachable = reachable, [False] * (len(b) + 1)
        reachable[0] = before[0] and mine is Wildcard.RUN
        for j, token in enumerate(b):
            if mine is Wildcard.RUN or token is Wildcard.RUN:
                reachable[j + 1] = before[j + 1] or reachable[j] or before[j]
            else:
                same = mine == token or mine is Wildcard.ONE or token is Wildcard.ONE
                reachable[j + 1] = before[j] and same
    return reachable[-1]


def _spread(tokens: Sequence[Token]) -> list[Token]:
    spread: list[Token] = []
    for token in tokens:
        spread.extend([token] if isinstance(token, Wildcard) else token)
    return spread


def _merge(tokens: Iterable[Token]) -> tuple[Token, ...]:
    merged: list[Token] = []
    for token in tokens:
        last = merged[-1] if merged else None
        if isinstance(token, str) and isinstance(last, str):
            merged[-1] = last + token
        elif token and not (token is Wildcard.RUN and last is Wildcard.RUN):
            merged.append(token)
    return tuple(merged)


def _matcher(tokens: tuple[Token, ...], prefix: str) -> Callable[[str], bool]:
    if Wildcard.RUN not in tokens and Wildcard.ONE not in tokens:
        return prefix.__eq__
    if tokens == (Wildcard.RUN,):
        return lambda text: True
    if tokens == (prefix, Wildcard.RUN):
        return lambda text: text.startswith(prefix)
    segments: list[list[Token]] = [[]]
    for token in tokens:
        if token is Wildcard.RUN:
            segments.append([])
        else:
            segments[-1].append(token)
    return _segment_matcher([_segment(segment) for segment in segments])


def _segment_matcher(segments: list[_Segment]) -> Callable[[str], bool]:
    """Match what stands between the `*`: first at the start, last at the end, the others in order.

    Taking the leftmost place for each one in the middle is enough: whatever follows has the most room.
    """
    shortest = sum(segment.length for segment in segments)
    first, last = segments[0], segments[-1]
    if len(segments) == 1:
        return lambda text: len(text) == shortest and first.stands_at(text, 0)
    middle = [segment for segment in segments[1:-1] if segment.length]

    def matches(text: str) -> bool:
        if len(text) < shortest or not first.stands_at(text, 0):
            return False
        end = len(text) - last.length
        if not last.stands_at(text, end):
            return False
        position = first.length
        for segment in middle:
            found = segment.find(text, position, end)
            if found < 0:
                return False
            position = found + segment.length
        return True

    return matches


@dataclass(frozen=True, slots=True)
class _Segment:
    """Literals and `?` without `*`: it always covers `length` characters."""

    length: int
    runs: tuple[tuple[int, str], ...]
    """Literal stretches with their offset."""
    masks: dict[str, int]
    """Per character: the bits of the places where it may stand."""
    anything: int
    """The bits of the places where any character may stand."""

    def stands_at(self, text: str, start: int) -> bool:
        """Tell whether the segment fits at `start`; the caller has checked that there is room."""
        return all(text.startswith(literal, start + offset) for offset, literal in self.runs)

    def find(self, text: str, start: int, end: int) -> int:
        """Return the leftmost place in text[start:end] where the segment fits, or -1."""
        if not self.anything:
            return text.find(self.runs[0][1], start, end)
        state, accept = 0, 1 << (self.length - 1)
        for position in range(start, end):
            state = ((state << 1) | 1) & self.masks.get(text[position], self.anything)
            if state & accept:
                return position - self.length + 1
        return -1


def _segment(tokens: list[Token]) -> _Segment:
    runs: list[tuple[int, str]] = []
    length = anything = 0
    for token in tokens:
        if isinstance(token, str):
            runs.append((length, token))
            length += len(token)
        else:
            anything |= 1 << length
            length += 1
    masks: dict[str, int] = {}
    if anything:
        for offset, literal in runs:
            for place, char in enumerate(literal, offset):
                masks[char] = masks.get(char, anything) | 1 << place
    return _Segment(length, tuple(runs), masks, anything)

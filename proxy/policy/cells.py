"""One text for every way in which texts can be told apart by a set of patterns.

A pattern is a line of steps, each a character or a class of characters, some of them repeated. All
patterns are run side by side over the same text, as bits of one number; a breadth-first walk over the
states that are reached finds, for every satisfiable combination of "fits" and "does not fit", a shortest
text. Two characters that no active step tells apart lead to the same state, so that one of them is enough.

It knows nothing about policies: `proxy.policy.space` says which patterns matter. The bits are those of
Shift-And (Baeza-Yates and Gonnet, "A new approach to text searching", 1992).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from proxy.policy.arns import literal_head, split_arn_tokens
from proxy.policy.patterns import Token, Wildcard, compile_tokens

MAX_STATES = 20_000
"""States walked for one set of patterns before giving up; patterns with many `*` multiply."""

_FRESH = "x0yabcdefghijklmnopqrstuvwz123456789-_.XYABCDEFGHIJKLMNOPQRSTUVWZ"
_DIGITS = "0123456789"


class Class(Enum):
    """A class of characters."""

    ANY = "any"
    NO_COLON = "no colon"
    NO_SLASH = "no slash"
    DIGIT = "digit"


@dataclass(frozen=True, slots=True)
class Step:
    """One character out of `chars`, a text, or out of a class; any number of them when it repeats."""

    chars: str | Class
    repeats: bool = False


Line: TypeAlias = tuple[Step, ...]
"""A pattern. It fits a text when its steps use up the whole text."""

ANYTHING: Line = (Step(Class.ANY, True),)


def text_line(text: str) -> Line:
    """Return the pattern of one text."""
    return tuple(Step(char) for char in text)


def caseless_line(text: str) -> Line:
    """Return the pattern of all texts whose `lower()` is that of `text`; exact for ASCII."""
    return tuple(Step(_variants(char)) for char in text.lower())


def _variants(char: str) -> str:
    # KELVIN SIGN: the only character outside ASCII with a simple lower-case form inside it.
    return "".join(dict.fromkeys([char, *(other for other in (char.upper(), "\u212a") if other.lower() == char)]))


def wildcard_line(tokens: Sequence[Token], run: Class = Class.ANY) -> Line:
    """Return the pattern of wildcard tokens; wildcards stand for characters of `run`."""
    steps: list[Step] = []
    for token in tokens:
        if isinstance(token, Wildcard):
            steps.append(Step(run, token is Wildcard.RUN))
        else:
            steps.extend(text_line(token))
    return tuple(steps)


def arn_line(tokens: tuple[Token, ...]) -> Line | None:
    """Return the pattern of an ARN as `arns.arn_matcher` reads it; None when it fits nothing."""
    if literal_head(tokens):
        return wildcard_line(tokens)
    parts = split_arn_tokens(tokens)
    if parts is None or not compile_tokens(parts[0]).matches("arn"):
        return None
    steps = list(text_line("arn"))
    for part in parts[1:-1]:
        steps += [Step(":"), *wildcard_line(compile_tokens(part).tokens, Class.NO_COLON)]
    return (*steps, Step(":"), *wildcard_line(compile_tokens(parts[-1]).tokens))


@dataclass(frozen=True, slots=True)
class Cells:
    """Texts, one per combination that is satisfiable, and whether these are all combinations."""

    texts: tuple[str, ...]
    complete: bool


def find_cells(
    lines: Iterable[Line], shapes: Sequence[Line] = (ANYTHING,), watched: Iterable[Line] = (), limit: int = MAX_STATES
) -> Cells:
    """Find texts that fit one of `shapes` and differ in which `lines` they fit, or in their shape.

    `watched` patterns tell texts apart in one more way: whether they fit what stands before the first `/`,
    or can still fit once that `/` is read.
    """
    walk = _Walk([*shapes, *dict.fromkeys(lines)], list(dict.fromkeys(watched)), len(shapes))
    return walk.run(limit)


@dataclass(frozen=True, slots=True)
class _Node:
    """A state of the walk: the bits, and what the watched patterns said at the first `/` (-1: not met)."""

    bits: int
    seen: int


class _Walk:
    """All patterns side by side. Bit p of a pattern: the steps before p have used up the text so far."""

    def __init__(self, lines: list[Line], watched: list[Line], shapes: int) -> None:
        self.literal: dict[str, int] = {}
        self.single = dict.fromkeys(Class, 0)
        self.repeated = dict.fromkeys(Class, 0)
        self.loops = self.start = self.accepting = self.shape_bits = 0
        self.watched: list[tuple[int, int]] = []
        base = 0
        for place, line in enumerate([*lines, *watched]):
            end = self._add(line, base)
            span = (1 << (end + 1)) - (1 << base)
            if place >= len(lines):
                self.watched.append((span, 1 << end))
            else:
                self.accepting |= 1 << end
            if place < shapes:
                self.shape_bits |= span
            base = end + 1
        self.start = self._close(self.start)
        self.watched_bits = sum(span for span, _ in self.watched)
        # Characters that a class leaves out are a way to go on of their own.
        self.apart = ["/"] if watched or self._uses(Class.NO_SLASH) else []
        self.apart += [":"] if self._uses(Class.NO_COLON) else []

    def _uses(self, kind: Class) -> bool:
        return bool(self.single[kind] | self.repeated[kind])

    def _add(self, line: Line, base: int) -> int:
        self.start |= 1 << base
        for place, step in enumerate(line, base):
            bit = 1 << place
            if isinstance(step.chars, Class):
                table = self.repeated if step.repeats else self.single
                table[step.chars] |= bit
                self.loops |= bit if step.repeats else 0
            else:
                for char in step.chars:
                    self.literal[char] = self.literal.get(char, 0) | bit
        return base + len(line)

    def _close(self, bits: int) -> int:
        """A repeated step may be passed without using a character."""
        while True:
            closed = bits | (bits & self.loops) << 1
            if closed == bits:
                return bits
            bits = closed

    def _read(self, bits: int, char: str) -> int:
        stay, move = self.repeated[Class.ANY], self.single[Class.ANY] | self.literal.get(char, 0)
        if char != ":":
            stay, move = stay | self.repeated[Class.NO_COLON], move | self.single[Class.NO_COLON]
        if char != "/":
            stay, move = stay | self.repeated[Class.NO_SLASH], move | self.single[Class.NO_SLASH]
        if char in _DIGITS:
            stay, move = stay | self.repeated[Class.DIGIT], move | self.single[Class.DIGIT]
        return self._close(bits & stay | (bits & move) << 1)

    def _chars(self, bits: int) -> list[str]:
        """Return one character for every way to go on from here."""
        chars = [char for char, mask in self.literal.items() if bits & mask]
        fresh = [char for char in _FRESH if char not in chars]
        letter = next((char for char in fresh if char not in _DIGITS), None)
        chars += [letter or next(chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in chars)]
        if self._uses(Class.DIGIT):
            chars += [char for char in fresh if char in _DIGITS][:1]
        chars += [char for char in self.apart if char not in chars]
        # A letter reads better than a slash where both would do.
        return sorted(chars, key="/".__eq__)

    def _see(self, bits: int) -> int:
        after = self._read(bits, "/")
        return sum(1 << n for n, (span, end) in enumerate(self.watched) if bits & end or after & span)

    def run(self, limit: int) -> Cells:
        first = _Node(self.start, -1)
        came: dict[_Node, tuple[_Node, str] | None] = {first: None}
        found: dict[tuple[int, int], _Node] = {}
        queue = deque([first])
        while queue:
            node = queue.popleft()
            if node.bits & self.accepting & self.shape_bits:
                seen = self._see(node.bits) if node.seen < 0 and self.watched else node.seen
                found.setdefault((node.bits & self.accepting, seen), node)
            for char in self._chars(node.bits):
                bits = self._read(node.bits, char)
                if not bits & self.shape_bits:
                    continue
                seen = self._see(node.bits) if char == "/" and node.seen < 0 and self.watched else node.seen
                then = _Node(bits if seen < 0 else bits & ~self.watched_bits, seen)
                if then not in came:
                    if len(came) >= limit:
                        return Cells(tuple(_spell(came, node) for node in found.values()), False)
                    came[then] = (node, char)
                    queue.append(then)
        return Cells(tuple(_spell(came, node) for node in found.values()), True)


def _spell(came: dict[_Node, tuple[_Node, str] | None], node: _Node) -> str:
    chars: list[str] = []
    step = came[node]
    while step is not None:
        node, char = step
        chars.append(char)
        step = came[node]
    return "".join(reversed(chars))

"""Policy variables: `${aws:username}` and `${key, 'default'}` in resources and condition values.

A substituted value is always literal: a `*` in a user's name is no wildcard. `${*}`, `${?}` and `${$}`
stand for those characters themselves. Which keys exist, and in which documents variables work at all,
is for the parser to say.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from proxy.policy.patterns import Token, Wildcard, tokenize

ContextValue: TypeAlias = "str | tuple[str, ...]"
Context: TypeAlias = "Mapping[str, ContextValue]"
"""What is known about a request: lower-case condition key -> its value, or its values."""


class TemplateError(ValueError):
    """A variable is written wrongly. `help` says what to write instead."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.help = help


@dataclass(frozen=True, slots=True)
class Variable:
    """A reference to a condition key (lower-case), with the text to use when the key is absent."""

    key: str
    default: str | None = None


Part: TypeAlias = "Token | Variable"


@dataclass(frozen=True, slots=True)
class Template:
    """A text of a policy, read into literals, wildcards and variables."""

    source: str
    parts: tuple[Part, ...]

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The variables in the order they stand."""
        return tuple(part for part in self.parts if isinstance(part, Variable))

    @property
    def tokens(self) -> tuple[Token, ...] | None:
        """The tokens of a template without variables; None when there are some."""
        tokens = tuple(part for part in self.parts if not isinstance(part, Variable))
        return tokens if len(tokens) == len(self.parts) else None

    @property
    def widest(self) -> tuple[Token, ...]:
        """The tokens with every variable replaced by `*`: whatever the request, nothing else matches."""
        return tuple(Wildcard.RUN if isinstance(part, Variable) else part for part in self.parts)

    def bind(self, context: Context) -> tuple[Token, ...] | None:
        """Substitute the request's values; None when a variable has neither value nor default."""
        tokens: list[Token] = []
        for part in self.parts:
            if isinstance(part, Variable):
                value = _single(context.get(part.key), part.default)
                if value is None:
                    return None
                tokens.append(value)
            else:
                tokens.append(part)
        return tuple(tokens)


def _single(value: ContextValue | None, default: str | None) -> str | None:
    """Only single-valued keys can be substituted; several values count as none."""
    if isinstance(value, tuple):
        value = value[0] if len(value) == 1 else None
    return default if value is None else value


def literal_template(text: str) -> Template:
    """Make a template that is the text itself, without wildcards or variables."""
    return Template(text, (text,) if text else ())


def parse_template(text: str, *, wildcards: bool, variables: bool) -> Template:
    """Read `text`; raises `TemplateError` for a variable that is not well-formed.

    Without `variables` (Version 2008-10-17, or none) `${...}` is literal text.
    """
    parts: list[Part] = []
    position = 0
    while position < len(text):
        opening = text.find("${", position) if variables else -1
        literal = text[position:] if opening < 0 else text[position:opening]
        parts.extend(tokenize(literal) if wildcards else [literal] if literal else [])
        if opening < 0:
            break
        part, position = _read_variable(text, opening)
        parts.append(part)
    return Template(text, tuple(parts))


def _read_variable(text: str, opening: int) -> tuple[Part, int]:
    """Read the variable that opens at `opening`; return it and the place after its `}`."""
    start = opening + 2
    ends = [place for place in (text.find("}", start), text.find(",", start)) if place >= 0]
    if not ends:
        raise TemplateError("a variable is not closed", "end it with `}`, or write `${$}` for a literal `$`")
    end = min(ends)
    name = text[start:end]
    if text[end] == "}" and name in ("*", "?", "$"):
        return name, end + 1
    if not name:
        raise TemplateError("a variable is empty", "name a condition key, such as `${aws:username}`")
    if any(char.isspace() or char in "${" for char in name):
        raise TemplateError(f"`{name}` is not a variable's name", "write the condition key alone: `${aws:username}`")
    if text[end] == "}":
        return Variable(name.lower()), end + 1
    return _read_default(text, name, end + 1)


def _read_default(text: str, name: str, position: int) -> tuple[Part, int]:
    advice = f"write `${{{name}, 'text'}}`, the default in single quotes"
    rest = text[position:]
    body = rest.lstrip(" ")
    if not body.startswith("'") or "'" not in body[1:]:
        raise TemplateError(f"the default of variable `{name}` is not in quotes", advice)
    default, _, tail = body[1:].partition("'")
    closing = tail.lstrip(" ")
    if not closing.startswith("}"):
        raise TemplateError(f"the variable `{name}` is not closed after its default", advice)
    return Variable(name.lower(), default), len(text) - len(closing) + 1

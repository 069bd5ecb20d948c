"""Does one pattern, element or statement cover another? Sound, not complete: True is certain, False is not.

Variables and patterns that only a longer argument could compare count as not covered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from proxy.policy.conditions import Condition
from proxy.policy.document import Actions, Resources, Statement
from proxy.policy.names import expand_action
from proxy.policy.patterns import Token, Wildcard, compile_tokens
from proxy.policy.principals import Principals
from proxy.policy.variables import Template

# Lists that are longer are only searched for equal entries: a file must not make lint slow.
_MAX_COMPARED = 300

# Stands for "any text" of the narrower pattern: only a `*` of the wider one can swallow it.
_T = TypeVar("_T")
_ANY = "\ue000\ue001"
_ONE = "\ue002"


def redundant(
    items: Sequence[_T], covers: Callable[[_T, _T], bool], text: Callable[[_T], str]
) -> Iterator[tuple[int, int]]:
    """Yield (place, place of one that covers it); of two that cover each other only the later one."""
    if len(items) > _MAX_COMPARED:
        first: dict[str, int] = {}
        for place, item in enumerate(items):
            other = first.setdefault(text(item), place)
            if other != place:
                yield place, other
        return
    for place, narrow in enumerate(items):
        for other, wide in enumerate(items):
            if other != place and covers(wide, narrow) and (other < place or not covers(narrow, wide)):
                yield place, other
                break


def covers(wide: Template, narrow: Template) -> bool:
    """Tell whether every text that fits `narrow` fits `wide`."""
    if wide.source == narrow.source:
        return True
    tokens = wide.tokens
    if tokens is None or narrow.tokens is None:
        # A variable may become any text, and so is covered by what covers every text there.
        return tokens is not None and covers_tokens(tokens, narrow.widest)
    return covers_tokens(tokens, narrow.tokens)


def covers_tokens(wide: Sequence[Token], narrow: Sequence[Token]) -> bool:
    """Tell whether every text that fits `narrow` fits `wide`."""
    has_one = Wildcard.ONE in wide
    if has_one and Wildcard.RUN in narrow:
        return False  # `??` would swallow the mark
    text = "".join(t if isinstance(t, str) else _ANY if t is Wildcard.RUN else _ONE for t in narrow)
    return compile_tokens(wide).matches(text)


def covers_resources(wide: Resources, narrow: Resources) -> bool:
    """Tell whether every resource of `narrow` is one of `wide`."""
    if wide.negated or narrow.negated:
        return wide.negated == narrow.negated and _sources(wide) == _sources(narrow)
    if len(wide.items) * len(narrow.items) > _MAX_COMPARED**2:
        return _sources(wide) >= _sources(narrow)
    return all(any(covers_arn(w.template, n.template) for w in wide.items) for n in narrow.items)


def covers_arn(wide: Template, narrow: Template) -> bool:
    """Tell whether every ARN that fits `narrow` fits `wide`: a wildcard never crosses a colon of the head."""
    if wide.source in ("*", narrow.source):
        return True
    left, right = wide.source.split(":", 5), narrow.source.split(":", 5)
    return left[:5] == right[:5] and "*" not in "".join(left[:5]) and covers(wide, narrow)


def _sources(resources: Resources) -> frozenset[str]:
    return frozenset(item.template.source for item in resources.items)


def covers_principals(wide: Principals | None, narrow: Principals | None) -> bool:
    """Tell whether whoever `narrow` names is named by `wide` in the same way."""
    if wide is None or narrow is None:
        return wide is narrow
    if wide.open:
        return True
    if wide.negated != narrow.negated:
        return False
    return set(wide.written) == set(narrow.written) if wide.negated else set(wide.written) >= set(narrow.written)


def said(condition: Condition) -> tuple[str, str, frozenset[str]]:
    """Return what a condition says, so that two that say the same are equal."""
    return condition.written.lower(), condition.key, frozenset(condition.values)


def covers_statement(wide: Statement, narrow: Statement) -> bool:
    """Tell whether every request that `narrow` matches is matched by `wide`, effects aside."""
    return (
        _covers_actions(wide.actions, narrow.actions)
        and covers_principals(wide.principals, narrow.principals)
        and {said(c) for c in wide.conditions} <= {said(c) for c in narrow.conditions}
        and covers_resources(wide.resources, narrow.resources)
    )


def _covers_actions(wide: Actions, narrow: Actions) -> bool:
    if not narrow.names <= wide.names:
        return False
    if narrow.negated or wide.negated:
        # Other services' actions are not in `names`: what is said about them must be the same.
        return narrow.negated == wide.negated or (wide.written == ("*",) and not wide.negated)
    foreign = {text.lower() for text in narrow.written if not expand_action(text)}
    return "*" in wide.written or foreign <= {text.lower() for text in wide.written}

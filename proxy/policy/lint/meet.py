"""Can conditions on one key be met together? Decided by trying values, with the evaluator itself.

For every text, number, date and address that the conditions name, a few values are tried: the value,
its neighbours, something else, the empty text, and no value. Where that is not known to be exhaustive the
answer is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise

from proxy.policy.conditions import Condition, Quantifier
from proxy.policy.patterns import Wildcard
from proxy.policy.values import read_date, read_network, read_number
from proxy.policy.variables import Context

# Longer than any run of `?`, and of characters that nobody writes into a policy.
_OTHER = "\ue000" * 64
_RANGES = ("Numeric", "Date", "IpAddress")


def can_be_met(conditions: Sequence[Condition]) -> bool | None:
    """Tell whether one request value, or none, meets all of `conditions`, which are on one key.

    None when that cannot be decided.
    """
    if any(c.operator.family == "Null" and c.values == ("true",) for c in conditions):
        # Only a missing key, or one without content, gets that far.
        return any(_all_hold(conditions, context) for context in _missing(conditions[0].key))
    if not all(_modelled(condition) for condition in conditions):
        return None
    if any(_all_hold(conditions, context) for context in contexts(conditions)):
        return True
    return False if _exhaustive(conditions) else None


def implies(narrow: Sequence[Condition], wide: Sequence[Condition]) -> bool:
    """Tell whether whatever meets `narrow` surely meets `wide`; all are on one key."""
    both = (*narrow, *wide)
    if not all(c.operator.name in ("StringEquals", "StringNotEquals", "Null") and _modelled(c) for c in both):
        return False
    return all(_all_hold(wide, context) for context in contexts(both) if _all_hold(narrow, context))


def holds_when_missing(condition: Condition) -> bool:
    """Tell whether a request without the key meets the condition."""
    return condition.holds({})


def contexts(conditions: Sequence[Condition]) -> Iterator[Context]:
    """Yield a request context for each value worth trying."""
    key = conditions[0].key
    yield from _missing(key)
    for text in dict.fromkeys(text for condition in conditions for text in _texts(condition)):
        yield {key: text}
    for family, read in (("Numeric", read_number), ("Date", read_date)):
        named = [read(value) for c in conditions if c.operator.family == family for value in c.values]
        for number in _around(sorted({number for number in named if number is not None})):
            yield {key: f"{number:f}"}


def _missing(key: str) -> Iterator[Context]:
    yield {}
    yield {key: ""}
    yield {key: ()}


def _all_hold(conditions: Sequence[Condition], context: Context) -> bool:
    return all(condition.holds(context) for condition in conditions)


def _modelled(condition: Condition) -> bool:
    if condition.operator.family == "Binary" or condition.quantifier is not Quantifier.NONE:
        return False
    return not any(template.variables for template in condition.templates)


def _texts(condition: Condition) -> Iterator[str]:
    yield _OTHER
    if condition.operator.family == "Bool":
        yield from ("true", "false")
    elif condition.operator.family == "IpAddress":
        for value in condition.values:
            yield from _addresses(value)
    elif condition.operator.family in ("String", "Arn"):
        for template in condition.templates:
            for filling in ("", "\ue000", _OTHER):
                text = "".join(
                    part if isinstance(part, str) else filling if part is Wildcard.RUN else "\ue000"
                    for part in template.widest
                )
                yield from (text, text.lower(), text.upper())


def _addresses(cidr: str) -> Iterator[str]:
    network = read_network(cidr)
    if network is None:
        return
    version, number, shift = network
    bits = 32 if version == 4 else 128
    first, last = number << shift, ((number + 1) << shift) - 1
    for address in (first - 1, first, last, last + 1):
        if 0 <= address < 1 << bits:
            yield _written(version, address)


def _written(version: int, number: int) -> str:
    if version == 4:
        return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
    return ":".join(f"{number >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))


def _around(numbers: list[Decimal]) -> Iterator[Decimal]:
    if not numbers:
        return
    yield numbers[0] - 1
    yield numbers[-1] + 1
    yield from numbers
    for low, high in pairwise(numbers):
        yield (low + high) / 2


def _exhaustive(conditions: Sequence[Condition]) -> bool:
    """Tell whether the values tried stand for all values.

    They do when one condition names all values that it accepts; or when at most one accepts endlessly many
    (the others only take away, and the "something else" that is tried avoids what they name); or within
    numbers, dates or addresses, where neighbours are tried.
    """
    positive = [c for c in conditions if not c.operator.negated and c.operator.family != "Null"]
    if any(_finite(condition) for condition in positive):
        return True
    if any("IgnoreCase" in condition.operator.name for condition in positive):
        return False  # not every mixture of cases is tried
    families = {c.operator.family for c in conditions} - {"Null"}
    return len(positive) <= 1 if families <= {"String", "Arn"} else len(families) == 1 and families <= {*_RANGES}


def _finite(condition: Condition) -> bool:
    if condition.if_exists:
        return False
    if condition.operator.name == "StringEquals" or condition.operator.family == "Bool":
        return True
    return condition.operator.wildcards and not any(
        isinstance(part, Wildcard) for template in condition.templates for part in template.parts
    )

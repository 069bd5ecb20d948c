"""Finite representatives of a condition key: every value that a set of conditions can tell apart.

For each key: absent, empty, one text per cell of the patterns that are compared with it, the end points of
numbers, dates and address ranges and something in between and beyond, and for keys with several values
the sets of those. Which cell a value is in is always asked of the conditions themselves; what is known
here is only where to look. What was not looked at everywhere is said in `missing`, never left out.

Conditions with policy variables compare two things of one request; they are not for this module.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

from proxy.policy.cells import Line, arn_line, caseless_line, find_cells, text_line, wildcard_line
from proxy.policy.conditions import Condition
from proxy.policy.names import find_key
from proxy.policy.values import read_address, read_binary, read_date, read_network, read_number
from proxy.policy.variables import ContextValue

Value: TypeAlias = "ContextValue | None"
"""A key's value in a request; None when the key is absent."""

MAX_SETS = 4096
"""Sets of values looked at for one key with several values."""

_TEXT_FAMILIES = frozenset({"String", "Arn", "Bool", "Binary"})
# What the proxy always knows: see `proxy.access.context`.
_ALWAYS = frozenset(
    {
        "aws:securetransport",
        "aws:sourceip",
        "aws:currenttime",
        "aws:epochtime",
        "aws:requestedregion",
        "aws:principaltype",
        "aws:principalisawsservice",
        "aws:viaawsservice",
        "aws:resourceaccount",
        "s3:resourceaccount",
    }
)
# Ordinary values: where one of them is in a cell, it is the better example.
_ORDINARY = {
    "s3:x-amz-server-side-encryption": ("AES256", "aws:kms", "aws:kms:dsse"),
    "s3:x-amz-server-side-encryption-customer-algorithm": ("AES256",),
    "s3:x-amz-acl": ("private", "public-read"),
    "s3:x-amz-storage-class": ("STANDARD", "GLACIER"),
    "s3:object-lock-mode": ("GOVERNANCE", "COMPLIANCE"),
    "s3:object-lock-legal-hold": ("ON", "OFF"),
    "s3:authtype": ("REST-HEADER", "REST-QUERY-STRING", "POST"),
    "s3:signatureversion": ("AWS4-HMAC-SHA256", "AWS"),
    "s3:tlsversion": ("1.3", "1.2"),
}
_MAPPED_V4 = (0xFFFF << 32, (0xFFFF << 32) + (1 << 32) - 1)


@dataclass(frozen=True, slots=True)
class Space:
    """The representatives of one key, most ordinary first; no two are in the same cell."""

    key: str
    values: tuple[Value, ...]
    missing: tuple[str, ...] = ()
    """Why these may not be all cells; empty when they are."""


def key_space(key: str, conditions: Sequence[Condition], *, possible: bool = False) -> Space:
    """Find the representatives of `key` for the conditions on it, which must have no variables.

    With `possible`, only values that the proxy can give the key: none for what never passes a proxy, always
    one for what it always knows, only `true` and `false` for a boolean.
    """
    known = find_key(key)
    if possible and known is not None and known.source == "never":
        return Space(key, (None,))
    singles, missing = _single_values(conditions)
    kind = known.type if known is not None else "String"
    singles = [*(("true", "false") if kind == "Bool" else _ORDINARY.get(key, ())), *singles]
    if possible and kind == "Bool":
        singles = ["true", "false"]  # the proxy spells them in no other way
    elif possible and kind not in ("String", "ARN", "ArrayOfString"):
        singles = [value for value in singles if _READERS[kind](value) is not None]
    values: list[Value] = list(singles)
    if known is not None and known.multivalued:
        sets, all_sets = _value_sets(singles, conditions)
        values = list(sets)
        if not all_sets:
            missing.append(f"more than {MAX_SETS} sets of values of `{key}`")
    # Absent first, so that examples stay small, except where it would be the odd one.
    values = [*values, None] if key in _ALWAYS else [None, *values]
    if possible and key in _ALWAYS:
        values.remove(None)
    return Space(key, _distinct(key, values, conditions), tuple(missing))


_READERS: dict[str, Callable[[str], object]] = {
    "Numeric": read_number,
    "Date": read_date,
    "IPAddress": read_address,
}


def _distinct(key: str, values: Iterable[Value], conditions: Sequence[Condition]) -> tuple[Value, ...]:
    """Keep one value per truth vector: the first."""
    seen: dict[tuple[bool, ...], Value] = {}
    for value in values:
        context: dict[str, ContextValue] = {} if value is None else {key: value}
        seen.setdefault(tuple(condition.holds(context) for condition in conditions), value)
    return tuple(seen.values())


def _single_values(conditions: Sequence[Condition]) -> tuple[list[str], list[str]]:
    """Find values that cover every cell, the empty text included."""
    missing: list[str] = []
    by_family: dict[str, list[Condition]] = {}
    for condition in conditions:
        family = "Text" if condition.operator.family in _TEXT_FAMILIES else condition.operator.family
        by_family.setdefault(family, []).append(condition)
    found: list[str] = []
    by_family.pop("Null", None)
    lines, exact = condition_lines(by_family.pop("Text", ()))
    if not exact:
        missing.append("letters outside ASCII compared without regard to case")
    cells = find_cells(lines)
    if not cells.complete:
        missing.append(f"too many ways to combine the patterns for `{conditions[0].key}`")
    for family, members in by_family.items():
        found += _SCALES[family]([value for condition in members for value in condition.values])
    texts = [text for text in cells.texts if text]
    values = [*found, "other", *texts, ""]
    if by_family and not _covers(values, conditions):
        missing.append(f"`{conditions[0].key}` compared by operators of several types")
    return list(dict.fromkeys(values)), missing


def _covers(values: Sequence[str], conditions: Sequence[Condition]) -> bool:
    """Tell whether cells of several families meet in every combination; trivially for one family."""
    families = {"Text" if c.operator.family in _TEXT_FAMILIES else c.operator.family for c in conditions} - {"Null"}
    combined = 1
    for family in families:
        members = [c for c in conditions if c.operator.family in (_TEXT_FAMILIES if family == "Text" else {family})]
        combined *= len({_fitting(value, members) for value in values if value})
    comparing = [c for c in conditions if c.operator.family != "Null"]
    seen = {_fitting(value, comparing) for value in values if value}
    return len(seen) == combined


def _fitting(value: str, conditions: Iterable[Condition]) -> tuple[bool, ...]:
    return tuple(any(test(value, {}) for test in condition.tests) for condition in conditions)


def condition_lines(conditions: Iterable[Condition]) -> tuple[list[Line], bool]:
    """Return the patterns that conditions compare texts with, and whether they say it exactly."""
    lines: list[Line] = []
    exact = True
    for condition in conditions:
        for template in condition.templates:
            tokens = template.tokens or ()
            plain = "".join(token for token in tokens if isinstance(token, str))
            family, name = condition.operator.family, condition.operator.name
            line: Line | None
            if family == "Bool":
                line = caseless_line(template.source)
            elif family == "Binary":
                line = text_line((read_binary(template.source) or b"").decode("utf-8", "surrogateescape"))
            elif family == "Arn":
                line = arn_line(tokens)
            elif name.endswith("IgnoreCase"):
                line = caseless_line(plain)
                exact = exact and plain.isascii()
            else:
                line = wildcard_line(tokens) if condition.operator.wildcards else text_line(plain)
            if line is not None:
                lines.append(line)
    return lines, exact


def _numbers(values: Iterable[str]) -> list[str]:
    ends = sorted({number for value in values if (number := read_number(value)) is not None})
    return [format(number, "f") for number in _between(ends, Decimal(1))]


def _between(ends: Sequence[Decimal], step: Decimal) -> Iterator[Decimal]:
    """Yield the end points, something between each two, and something beyond both ends."""
    for place, end in enumerate(ends):
        yield end
        if place:
            yield (ends[place - 1] + end) / 2
    if ends:
        yield ends[0] - step
        yield ends[-1] + step


def _dates(values: Iterable[str]) -> list[str]:
    ends = sorted({moment for value in values if (moment := read_date(value)) is not None})
    found = [_date_text(moment) for moment in _between(ends, Decimal(86400))]
    return [text for text in found if text is not None]


def _date_text(moment: Decimal) -> str | None:
    try:
        day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(moment // 1))
    except OverflowError:
        return None  # before the year 1 or after 9999, where no request can be
    fraction = moment % 1
    return day.strftime("%Y-%m-%dT%H:%M:%S").zfill(19) + (f"{fraction:.9f}"[1:] if fraction else "") + "Z"


def _addresses(values: Iterable[str]) -> list[str]:
    """Return one address per elementary range of each version."""
    networks = [network for value in values if (network := read_network(value)) is not None]
    found: list[str] = []
    favourites: list[str] = []
    for version, top, favourite in ((4, 1 << 32, 0xCB007107), (6, 1 << 128, 0x20010DB8 << 96 | 7)):
        starts = {0}
        if version == 6:
            # IPv4-mapped addresses count as IPv4: they are no place to look in.
            starts |= {_MAPPED_V4[0], _MAPPED_V4[1] + 1}
        for own, number, shift in networks:
            if own == version:
                starts |= {number << shift, (number + 1) << shift}
        ordered = sorted(start for start in starts if start < top)
        for start, end in zip(ordered, [*ordered[1:], top], strict=True):
            # A documentation address where one fits, since it is the one for "anywhere else".
            pick = favourite if start <= favourite < end else min(start + 1, end - 1)
            found.append(str(ipaddress.IPv4Address(pick) if version == 4 else ipaddress.IPv6Address(pick)))
            favourites += [found[-1]] if pick == favourite else []
    return list(dict.fromkeys([*favourites, *found]))


_SCALES: dict[str, Callable[[Iterable[str]], list[str]]] = {
    "Numeric": _numbers,
    "Date": _dates,
    "IpAddress": _addresses,
}


def _value_sets(singles: Sequence[str], conditions: Sequence[Condition]) -> tuple[list[tuple[str, ...]], bool]:
    """Find sets of values that cover every cell of sets.

    What a condition makes of a set depends on two things for each condition: does any value fit, do all. Both are
    known for a union when they are known for its parts, so that sets grow value by value until no new
    combination appears.
    """
    fitting = {value: _fitting(value, conditions) for value in singles}
    one_of_each = list({fits: value for value, fits in reversed(fitting.items())}.values())
    found: dict[tuple[tuple[bool, ...], tuple[bool, ...]], tuple[str, ...]] = {}
    queue: list[tuple[str, ...]] = [*((value,) for value in sorted(one_of_each, key=len) if value), ("",)]
    for values in queue:
        some = tuple(any(column) for column in zip(*(fitting[value] for value in values), strict=True))
        every = tuple(all(column) for column in zip(*(fitting[value] for value in values), strict=True))
        # The empty text alone counts as no value at all, which no larger set does.
        if values != ("",):
            if (some, every) in found:
                continue
            if len(found) >= MAX_SETS:
                return [*found.values(), ("",)], False
            found[some, every] = values
        queue.extend((*values, value) for value in one_of_each if value not in values)
    return [*found.values(), ("",)], True

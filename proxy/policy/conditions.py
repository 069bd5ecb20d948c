"""Conditions: the table of operators, set quantifiers, IfExists, and what a missing key means.

A condition is one (operator, key) pair with its values. Positive operators hold when the request's
value fits any of the policy's values, negated ones when it fits none. Everything about missing and
multiple request values is in `_holder`; the operators only compare one value with one value.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import operator as compare
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from proxy.diagnostics import Span
from proxy.policy.arns import arn_matcher
from proxy.policy.patterns import Pattern, Token, compile_tokens
from proxy.policy.values import (
    read_address,
    read_binary,
    read_bool,
    read_date,
    read_network,
    read_number,
)
from proxy.policy.variables import Context, ContextValue, Template

Test: TypeAlias = "Callable[[str, Context], bool]"
"""Does one request value fit? The context is there for policy variables."""


class ConditionValueError(ValueError):
    """A value that its operator cannot read. `help` says what to write instead."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.help = help


class Quantifier(Enum):
    """How several request values are taken."""

    NONE = ""
    ALL = "ForAllValues"
    ANY = "ForAnyValue"


@dataclass(frozen=True, slots=True)
class Operator:
    """A row of the operator table, without quantifier and IfExists."""

    name: str
    family: str
    """String, Numeric, Date, Bool, Binary, IpAddress, Arn or Null."""
    negated: bool
    reader: Callable[[Template], Test]
    """Turns one policy value into a test; raises `ConditionValueError`."""
    variables: bool = False
    """Whether `${...}` is substituted in its values."""
    wildcards: bool = False
    """Whether `*` and `?` are wildcards in its values."""
    many: bool = True
    """Whether several policy values make sense."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled condition. `holds(context)` is its verdict on a request."""

    operator: Operator
    quantifier: Quantifier
    if_exists: bool
    written: str
    """The operator as its author wrote it."""
    key: str
    """Lower-case."""
    templates: tuple[Template, ...]
    span: Span
    holds: Callable[[Context], bool] = field(compare=False, repr=False)
    tests: tuple[Test, ...] = field(compare=False, repr=False)
    """One per policy value, in the positive sense, for those who want to know which value fitted."""

    @property
    def values(self) -> tuple[str, ...]:
        """The policy's values as written."""
        return tuple(template.source for template in self.templates)

    @property
    def reads(self) -> frozenset[str]:
        """The lower-case keys this condition looks at, those of variables included."""
        used = (variable.key for template in self.templates for variable in template.variables)
        return frozenset((self.key, *used))


def compile_condition(
    operator: Operator,
    quantifier: Quantifier,
    if_exists: bool,
    key: str,
    templates: Sequence[Template],
    *,
    written: str,
    span: Span,
) -> Condition:
    """Compile one condition; raises `ConditionValueError` for a value that the operator cannot read."""
    tests = tuple(operator.reader(template) for template in templates)
    if operator.family == "Null":
        holds = _null_holder(key, [template.source for template in templates])
    else:
        holds = _holder(key, _any_of(operator, templates, tests), operator.negated, quantifier, if_exists)
    return Condition(operator, quantifier, if_exists, written, key, tuple(templates), span, holds, tests)


def _any_of(operator: Operator, templates: Sequence[Template], tests: Sequence[Test]) -> Test:
    """Combine the tests of all policy values; plain string sets become one look-up."""
    if operator.reader is _string_equals and not any(template.variables for template in templates):
        texts = frozenset(_literal(template.tokens) for template in templates)
        return lambda value, context: value in texts
    if len(tests) == 1:
        return tests[0]
    return lambda value, context: any(test(value, context) for test in tests)


def is_null(value: ContextValue | None) -> bool:
    """Tell whether a key counts as missing for `Null` and the set operators.

    An empty set does, and so does an empty text: AWS calls it a null dataset.
    """
    return value is None or value in ((), "", ("",))


def _null_holder(key: str, texts: Sequence[str]) -> Callable[[Context], bool]:
    wanted = frozenset(read_bool(text) for text in texts)
    return lambda context: is_null(context.get(key)) in wanted


def _holder(key: str, test: Test, negated: bool, quantifier: Quantifier, if_exists: bool) -> Callable[[Context], bool]:
    """Close over everything known at load; `negated` turns each comparison round, not the whole."""

    def plain(context: Context) -> bool:
        value = context.get(key)
        if isinstance(value, str):
            return test(value, context) is not negated
        if not value:
            return if_exists or negated
        # Several values without a set operator: the request "has" the value if any of them is it.
        return any(test(one, context) for one in value) is not negated

    def for_all(context: Context) -> bool:
        value = context.get(key)
        if value is None or is_null(value):
            return True
        if isinstance(value, str):
            return test(value, context) is not negated
        return all(test(one, context) is not negated for one in value)

    def for_any(context: Context) -> bool:
        value = context.get(key)
        if value is None or is_null(value):
            return False  # IfExists changes nothing here
        if isinstance(value, str):
            return test(value, context) is not negated
        return any(test(one, context) is not negated for one in value)

    return {Quantifier.NONE: plain, Quantifier.ALL: for_all, Quantifier.ANY: for_any}[quantifier]


def _text(template: Template) -> str:
    """The text of a value in which neither wildcards nor variables mean anything."""
    return template.source


def _literal(tokens: tuple[Token, ...] | None) -> str | None:
    return None if tokens is None else "".join(token for token in tokens if isinstance(token, str))


def _string_equals(template: Template) -> Test:
    if not template.variables:
        wanted = _literal(template.tokens)
        return lambda value, context: value == wanted
    return lambda value, context: value == _literal(template.bind(context))


def _string_equals_ignore_case(template: Template) -> Test:
    # str.lower is simple folding; casefold would make "ß" equal "ss".
    if not template.variables:
        wanted = (_literal(template.tokens) or "").lower()
        return lambda value, context: value.lower() == wanted

    def test(value: str, context: Context) -> bool:
        bound = _literal(template.bind(context))
        return bound is not None and value.lower() == bound.lower()

    return test


def _string_like(template: Template) -> Test:
    tokens = template.tokens
    if tokens is not None:
        matches = compile_tokens(tokens).matches
        return lambda value, context: matches(value)

    def test(value: str, context: Context) -> bool:
        bound = template.bind(context)
        return bound is not None and _bound_pattern(bound).matches(value)

    return test


@lru_cache(maxsize=1024)
def _bound_pattern(tokens: tuple[Token, ...]) -> Pattern:
    return compile_tokens(tokens)


def _numeric(holds: Callable[[Decimal, Decimal], bool]) -> Callable[[Template], Test]:
    def read(template: Template) -> Test:
        wanted = read_number(_text(template))
        if wanted is None:
            raise ConditionValueError(
                f"`{_text(template)}` is not a number", "write an integer or a decimal such as `1.2`"
            )

        def test(value: str, context: Context) -> bool:
            number = read_number(value)
            return number is not None and holds(number, wanted)

        return test

    return read


def _date(holds: Callable[[Decimal, Decimal], bool]) -> Callable[[Template], Test]:
    def read(template: Template) -> Test:
        wanted = read_date(_text(template))
        if wanted is None:
            raise ConditionValueError(
                f"`{_text(template)}` is not a date", "write `2026-01-31T00:00:00Z` or seconds since 1970"
            )

        def test(value: str, context: Context) -> bool:
            moment = read_date(value)
            return moment is not None and holds(moment, wanted)

        return test

    return read


def _bool(template: Template) -> Test:
    wanted = read_bool(_text(template))
    if wanted is None:
        raise ConditionValueError(
            f"`{_text(template)}` is not a boolean", "write `true` or `false`; policy variables do not work here"
        )
    return lambda value, context: read_bool(value) is wanted


def _binary_equals(template: Template) -> Test:
    wanted = read_binary(_text(template))
    if wanted is None:
        raise ConditionValueError(f"`{_text(template)}` is not base64", "write the bytes in base64 with its padding")
    return lambda value, context: value.encode("utf-8", "surrogateescape") == wanted


def _ip_address(template: Template) -> Test:
    network = read_network(_text(template))
    if network is None:
        raise ConditionValueError(
            f"`{_text(template)}` is not an address range", "write CIDR such as `10.0.0.0/8` or `2001:db8::/32`"
        )
    version, number, shift = network

    def test(value: str, context: Context) -> bool:
        address = read_address(value)
        return address is not None and address[0] == version and address[1] >> shift == number

    return test


def _arn_like(template: Template) -> Test:
    tokens = template.tokens
    if tokens is not None:
        matches = arn_matcher(tokens)
        return lambda value, context: matches(value)

    def test(value: str, context: Context) -> bool:
        bound = template.bind(context)
        return bound is not None and arn_matcher(bound)(value)

    return test


def _null(template: Template) -> Test:
    wanted = read_bool(_text(template))
    if wanted is None:
        raise ConditionValueError(
            f"`{_text(template)}` is not a boolean", "write `true` (the key is missing) or `false`"
        )
    return lambda value, context: is_null(value) is wanted


def _rows() -> list[Operator]:
    rows = [
        Operator("Bool", "Bool", False, _bool, many=False),
        Operator("BinaryEquals", "Binary", False, _binary_equals),
        Operator("Null", "Null", False, _null),
    ]
    for negated in (False, True):
        no = "Not" if negated else ""
        rows += [
            Operator(f"String{no}Equals", "String", negated, _string_equals, variables=True),
            Operator(f"String{no}EqualsIgnoreCase", "String", negated, _string_equals_ignore_case, variables=True),
            Operator(f"String{no}Like", "String", negated, _string_like, variables=True, wildcards=True),
            Operator(f"Arn{no}Equals", "Arn", negated, _arn_like, variables=True, wildcards=True),
            Operator(f"Arn{no}Like", "Arn", negated, _arn_like, variables=True, wildcards=True),
            Operator(f"{no}IpAddress", "IpAddress", negated, _ip_address),
        ]
    for family, reader in (("Numeric", _numeric), ("Date", _date)):
        rows += [
            Operator(f"{family}Equals", family, False, reader(compare.eq)),
            Operator(f"{family}NotEquals", family, True, reader(compare.eq)),
            Operator(f"{family}LessThan", family, False, reader(compare.lt)),
            Operator(f"{family}LessThanEquals", family, False, reader(compare.le)),
            Operator(f"{family}GreaterThan", family, False, reader(compare.gt)),
            Operator(f"{family}GreaterThanEquals", family, False, reader(compare.ge)),
        ]
    return rows


OPERATORS: Mapping[str, Operator] = MappingProxyType({row.name.lower(): row for row in _rows()})
"""Lower-case name -> operator: AWS takes operator names in any case."""


def find_operator(text: str) -> tuple[Operator, Quantifier, bool] | None:
    """Read an operator as written, such as `ForAnyValue:StringLikeIfExists`; None when unknown.

    There is no `NullIfExists`: asking whether a key is missing only if it is there makes no sense.
    """
    prefix, colon, name = text.lower().rpartition(":")
    quantifiers = {quantifier.value.lower(): quantifier for quantifier in Quantifier}
    if prefix not in quantifiers or bool(colon) is not bool(prefix):
        return None
    if_exists = name.endswith("ifexists")
    row = OPERATORS.get(name.removesuffix("ifexists"))
    if row is None or (if_exists and row.family == "Null"):
        return None
    return row, quantifiers[prefix], if_exists


def operator_names() -> list[str]:
    """Return every spelling in AWS's own case, for schemas, completion and did-you-mean."""
    single = [row.name + suffix for row in OPERATORS.values() for suffix in ("", "IfExists")]
    single.remove("NullIfExists")
    return [f"{quantifier.value}:{name}".lstrip(":") for quantifier in Quantifier for name in single]

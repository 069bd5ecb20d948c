"""Checks of operators and values: right type, right form, right set operator.

Source: IAM User Guide "Condition operators" and "Multivalued context keys".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import partial

from proxy.diagnostics import Diagnostic
from proxy.policy.conditions import Condition, Quantifier
from proxy.policy.lint.cover import covers, redundant
from proxy.policy.lint.statements import is_everything
from proxy.policy.lint.subject import Check, Clause, Subject
from proxy.policy.lint.vocabulary import (
    ACCEPTED,
    KMS_KEY_ID,
    LITERAL_STARS,
    complaint,
    could_be_arn,
    could_be_key_arn,
)
from proxy.policy.names import Key
from proxy.policy.values import read_date, read_network, read_number
from proxy.policy.variables import Template

# Type of key -> families of operators that are for it; the first one is what to write.
_FAMILIES = {
    "String": ("String",),
    "ArrayOfString": ("String", "Arn"),
    "ARN": ("Arn", "String"),
    "Bool": ("Bool", "String"),
    "Numeric": ("Numeric",),
    "Date": ("Date",),
    "IPAddress": ("IpAddress",),
}
# Keys whose text is sometimes of another type than AWS's table says.
_ALSO = {"aws:epochtime": ("Numeric",), "aws:currenttime": (), "s3:tlsversion": ()}
_KEY_ARNS = (KMS_KEY_ID, "s3w:envelopekeyid")


def types(subject: Subject) -> Iterator[Diagnostic]:
    """S3W080, S3W081: operator and key are of different types."""
    for _, clause in subject.sound_clauses():
        condition, key = clause.condition, clause.key
        family = condition.operator.family
        if key is None or family in ("Null", "Binary"):
            continue
        wanted = _FAMILIES[key.type]
        if family in wanted or family in _ALSO.get(condition.key, ()):
            continue
        name = f"`{condition.written}`"
        if _never_fits(key, condition):
            message = f"{name} can read no value of `{key.name}`, which is a {key.type}"
            yield subject.found("type-never-fits", clause.path, message, _type_help(clause, key), at_key=True)
        elif not key.is_family:
            message = f"{name} is not for `{key.name}`, which is a {key.type}"
            yield subject.found("type-mismatch", clause.path, message, _type_help(clause, key), at_key=True)


def _never_fits(key: Key, condition: Condition) -> bool:
    """Headers with a fixed vocabulary are no booleans, numbers, dates, addresses or ARNs."""
    return condition.key in ACCEPTED or (key.type == "ARN" and condition.operator.family != "String")


def _type_help(clause: Clause, key: Key) -> str:
    if clause.condition.operator.family == "Bool" and key.type in ("String", "ARN"):
        return "to ask whether the header is there, write `Null`: `true` means that it is missing"
    return f"use a {_FAMILIES[key.type][0]} operator"


def values(subject: Subject) -> Iterator[Diagnostic]:
    """S3W074, S3W075, S3W082, S3W083: values that nothing can equal."""
    for _, clause in subject.sound_clauses():
        for place, template in enumerate(clause.condition.templates):
            yield from _value(subject, clause, template, place)


def _value(subject: Subject, clause: Clause, template: Template, place: int) -> Iterator[Diagnostic]:
    condition = clause.condition
    family, path, shown = condition.operator.family, clause.value_path(place), template.source
    if _has_idle_wildcard(condition, template):
        like = condition.operator.name.replace("EqualsIgnoreCase", "Like").replace("Equals", "Like")
        message = f"`{shown}` is compared literally by `{condition.written}`"
        yield subject.found("wildcard-without-like", path, message, f"use `{like}`, or write `${{*}}` for a plain `*`")
    elif condition.key in _KEY_ARNS and family in ("String", "Arn"):
        if not could_be_key_arn(template):
            remedy = "write `arn:aws:kms:REGION:ACCOUNT:key/ID`: requests are compared by key ARN, whatever they name"
            yield subject.found("not-a-key-arn", path, f"`{shown}` is not the ARN of a KMS key", remedy)
    elif family == "Arn" and not could_be_arn(template):
        remedy = "an ARN has six parts: `arn:aws:iam::123456789012:user/alice`; `*` alone is none of them"
        yield subject.found("not-an-arn", path, f"`{shown}` is not an ARN", remedy)
    elif wrong := complaint(clause, template):
        yield subject.found("unaccepted-value", path, *wrong)


def _has_idle_wildcard(condition: Condition, template: Template) -> bool:
    if condition.operator.family != "String" or condition.operator.wildcards or condition.key in LITERAL_STARS:
        return False
    text = template.source.replace("${*}", "").replace("${?}", "")
    return "*" in text or "?" in text


def sets(subject: Subject) -> Iterator[Diagnostic]:
    """S3W076, S3W077, S3W078, S3W079."""
    for part, clause in subject.sound_clauses():
        condition, key = clause.condition, clause.key
        name, quantifier = f"`{condition.written}`", condition.quantifier
        if key is None:
            continue
        if condition.operator.family == "Null":
            if quantifier is not Quantifier.NONE:
                message = f"{name} means the same as `Null`"
                yield subject.found("null-with-set-operator", clause.path[:-1], message, "write `Null`", at_key=True)
        elif quantifier is Quantifier.NONE:
            if key.multivalued:
                message = f"`{key.name}` can have several values, and {name} does not say how to take them"
                remedy = f"write `ForAnyValue:{condition.written}` or `ForAllValues:{condition.written}`"
                yield subject.found("missing-set-operator", clause.path, message, remedy, at_key=True)
        elif not key.multivalued:
            message = f"`{key.name}` has a single value"
            remedy = f"write `{condition.written.partition(':')[2]}`"
            yield subject.found("set-operator-on-single-value", clause.path, message, remedy, at_key=True)
        elif quantifier is Quantifier.ALL and part.statement.effect == "Allow" and not _required(part.on_key(), clause):
            message = f"{name} also holds for a request without `{key.name}`"
            remedy = f'add "Null": {{{clause.path[-1]}: "false"}} to the statement'
            yield subject.found("for-all-values-allow", clause.path, message, remedy, at_key=True)


def _required(on_key: dict[str, list[Clause]], clause: Clause) -> bool:
    """Tell whether another condition on the key fails when the key is missing."""
    return any(not other.condition.holds({}) for other in on_key[clause.condition.key])


def if_exists(subject: Subject) -> Iterator[Diagnostic]:
    """S3W073: a negated operator already holds when the key is missing."""
    for part, clause in subject.sound_clauses():
        condition = clause.condition
        if condition.if_exists and condition.operator.negated and condition.quantifier is Quantifier.NONE:
            plain = condition.written[: -len("IfExists")]
            key = clause.path[-1]
            if part.statement.effect == "Deny":
                message = f"`{condition.written}` also denies requests without `{key}`, as `{plain}` does"
                remedy = f'to let those through, write `{plain}` and add "Null": {{{key}: "false"}} to the statement'
            else:
                message = f"`{condition.written}` means the same as `{plain}`"
                remedy = f"write `{plain}`"
            yield subject.found("if-exists-negated", clause.path[:-1], message, remedy, at_key=True)


def addresses(subject: Subject) -> Iterator[Diagnostic]:
    """S3W086, S3W087."""
    for _, clause in subject.sound_clauses():
        if clause.condition.operator.family != "IpAddress":
            continue
        for place, text in enumerate(clause.condition.values):
            path = clause.value_path(place)
            if is_everything(text):
                yield subject.found("any-address", path, f"`{text}` contains every address", "name a smaller range")
            elif better := _canonical(text):
                message = f"`{text}` has bits set beyond its prefix, which are ignored"
                yield subject.found("host-bits-set", path, message, f"write `{better}`")


def _canonical(text: str) -> str:
    """Write a range without ignored bits; empty when it has none, or is not in a plain form."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return ""
    given = ipaddress.ip_address(text.partition("/")[0])
    return str(network) if given != network.network_address else ""


def redundant_values(subject: Subject) -> Iterator[Diagnostic]:
    """S3W088, S3W095: values that change nothing beside others."""
    for _, clause in subject.sound_clauses():
        templates = clause.condition.templates
        if len(templates) < 2:
            continue
        if clause.condition.operator.family == "Null":
            message = "with both `true` and `false` the condition always holds"
            if len(set(clause.condition.values)) > 1:
                yield subject.found("several-booleans", clause.path, message, "keep one of them", at_key=True)
            continue
        covers_value = partial(_covers_value, clause.condition)
        for place, other in redundant(templates, covers_value, lambda template: template.source):
            message = f"`{templates[other].source}` covers `{templates[place].source}`"
            yield subject.found("redundant-value", clause.value_path(place), message, "leave it out")


def _covers_value(condition: Condition, wide: Template, narrow: Template) -> bool:
    if wide.source == narrow.source:
        return True
    if condition.operator.family == "IpAddress":
        outer, inner = read_network(wide.source), read_network(narrow.source)
        if outer is None or inner is None or outer[0] != inner[0] or outer[2] < inner[2]:
            return False
        return inner[1] >> (outer[2] - inner[2]) == outer[1]
    if condition.operator.family in ("Numeric", "Date"):
        return _reaches_further(condition, wide.source, narrow.source)
    return condition.operator.name in ("StringLike", "StringNotLike") and covers(wide, narrow)


def _reaches_further(condition: Condition, wide: str, narrow: str) -> bool:
    """Of several bounds only the farthest one counts."""
    read = read_number if condition.operator.family == "Numeric" else read_date
    outer, inner = read(wide), read(narrow)
    if outer is None or inner is None:
        return False
    if "LessThan" in condition.operator.name:
        return inner <= outer
    return inner >= outer if "GreaterThan" in condition.operator.name else inner == outer


CHECKS: tuple[Check, ...] = (types, values, sets, if_exists, addresses, redundant_values)

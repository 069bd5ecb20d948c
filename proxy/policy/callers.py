"""Finite representatives of callers: everybody whom a set of policies can tell apart, and on whose bucket.

Everybody who is named; of each account and role that is named, somebody who is not; somebody of another
account; nobody at all. What a caller is brings some condition keys with it (`aws:PrincipalArn` and its
like), so these are part of a caller here and never vary on their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from proxy.policy.cells import ANYTHING, Class, Line, Step, find_cells, text_line, wildcard_line
from proxy.policy.conditions import Condition
from proxy.policy.patterns import Wildcard
from proxy.policy.principals import Principal, Principals
from proxy.policy.space import condition_lines
from proxy.policy.variables import ContextValue

TIED = frozenset(
    {
        "aws:principalarn",
        "aws:principalaccount",
        "aws:principaltype",
        "aws:resourceaccount",
        "s3:resourceaccount",
    }
)
"""Keys that follow from who calls and who owns the bucket."""

_ACCOUNT = re.compile(r"(?<![0-9])[0-9]{12}(?![0-9])")
_PARTITION = re.compile(r"arn:(aws[a-z-]*):")
_DIGITS = (Step(Class.DIGIT),) * 12
_TYPES = {"user": "User", "role": "AssumedRole", "root": "Account", "federated-user": "FederatedUser"}
OTHER_ACCOUNT = "999999999999"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who calls, the account that owns the bucket, and the keys that follow from both."""

    principal: Principal
    owner: str
    context: Mapping[str, ContextValue] = field(repr=False)
    named: bool = True
    """Whether a policy names this caller; otherwise it stands for others of its kind."""

    @property
    def label(self) -> str:
        """Who it is, for people."""
        principal = self.principal
        if principal.anonymous:
            return "anonymous"
        where = "same account as the bucket" if principal.account == self.owner else "another account"
        name = principal.arn or principal.service or principal.federated
        return f"{name if self.named else 'others'} ({where})"


@dataclass(frozen=True, slots=True)
class Callers:
    """The representatives, and why they may not be all."""

    callers: tuple[Caller, ...]
    missing: tuple[str, ...] = ()


def find_callers(principals: Iterable[Principals], conditions: Iterable[Condition]) -> Callers:
    """Find representatives for what `Principal` elements and conditions on `TIED` keys, without variables, say."""
    elements = tuple(principals)
    by_key: dict[str, list[Condition]] = {key: [] for key in TIED}
    for condition in conditions:
        by_key[condition.key].append(condition)
    missing: list[str] = []
    if any(c.operator.family not in ("String", "Arn", "Null") for found in by_key.values() for c in found):
        missing.append("the caller or the owner compared as something else than a text")
    arns, complete = _arns(elements, by_key)
    if not complete:
        missing.append("too many ways to combine the patterns for `aws:PrincipalArn`")
    owners = _accounts([*by_key["aws:resourceaccount"], *by_key["s3:resourceaccount"]])
    found = [
        Caller(principal, owner, _keys(principal, arn, owner), _is_named(principal, arn, elements))
        for principal, arn in _principals(elements, arns)
        for owner in _owners(principal, owners)
    ]
    return Callers(tuple(found), tuple(missing))


def _is_named(principal: Principal, arn: str, elements: Iterable[Principals]) -> bool:
    written = {value for element in elements for _, value in element.written}
    return principal.arn is None or not written.isdisjoint((principal.arn, arn))


def _owners(principal: Principal, accounts: Sequence[str]) -> Iterator[str]:
    """Yield the caller's own account, then others: being of the owner's account is what matters."""
    own = principal.account
    if own is not None:
        yield own
    others = [account for account in accounts if account != own]
    yield from others or ["111122223333" if own == OTHER_ACCOUNT else OTHER_ACCOUNT]


def _accounts(conditions: Sequence[Condition]) -> tuple[str, ...]:
    lines, _ = condition_lines(condition for condition in conditions if condition.operator.family != "Null")
    if not lines:
        return ()
    first = find_cells(lines, [_DIGITS]).texts
    # A second one of each cell, for callers whose own account is the first.
    return find_cells([*lines, *map(text_line, first)], [_DIGITS]).texts


def _keys(principal: Principal, arn: str, owner: str) -> dict[str, ContextValue]:
    keys: dict[str, ContextValue] = {"aws:resourceaccount": owner, "s3:resourceaccount": owner}
    if principal.anonymous:
        return {**keys, "aws:principaltype": "Anonymous"}
    if not arn:
        return keys
    return {
        **keys,
        "aws:principalarn": arn,
        "aws:principalaccount": principal.account or "",
        "aws:principaltype": _TYPES[arn.split(":", 5)[5].split("/")[0]],
    }


def _principals(elements: Sequence[Principals], arns: Sequence[str]) -> Iterator[tuple[Principal, str]]:
    """Yield everybody with the value of `aws:PrincipalArn`: nobody first, then users, root and sessions."""
    yield Principal(), ""
    written = [pair for element in elements for pair in element.written]
    sessions = {value for _, value in written if ":assumed-role/" in value}
    found: dict[tuple[str, str], None] = {}
    for arn in [*arns, *(value for _, value in written if ":federated-user/" in value)]:
        if ":role/" not in arn:
            found[arn, arn] = None
            continue
        # Nobody calls as a role, only as a session of it; aws:PrincipalArn is the role's ARN then.
        partition, account, name = arn.split(":")[1], arn.split(":")[4], arn.rpartition("/")[2]
        prefix = f"arn:{partition}:sts::{account}:assumed-role/{name}/"
        named = sorted(session for session in sessions if session.startswith(prefix))
        found.update(dict.fromkeys((session, arn) for session in [*named, prefix + _unused(prefix, sessions)]))
    canonical = sorted({value for kind, value in written if kind == "CanonicalUser"})
    for caller, arn in found:
        for identifier in (None, *canonical):
            yield Principal(caller, canonical_user=identifier), arn
    for kind, value in written:
        if kind == "Service":
            yield Principal(service=value), ""
        elif kind == "Federated":
            yield Principal(federated=value), ""


def _unused(prefix: str, taken: set[str]) -> str:
    name = "session"
    while prefix + name in taken:
        name += "-x"
    return name


def _arns(elements: Sequence[Principals], by_key: Mapping[str, list[Condition]]) -> tuple[list[str], bool]:
    """Find ARNs of users, roles and accounts: those that are named, and one for every other cell."""
    written = {value for element in elements for kind, value in element.written if kind == "AWS"} - {"*"}
    compared = [c for key in ("aws:principalarn", "aws:principalaccount") for c in by_key[key]]
    texts = [*written, *(value for condition in compared for value in condition.values)]
    partitions = sorted({match for text in texts for match in _PARTITION.findall(text)} | {"aws"})
    accounts = sorted({match for text in texts for match in _ACCOUNT.findall(text)} or {"123456789012"})
    lines, _ = condition_lines(c for c in by_key["aws:principalarn"] if c.operator.family in ("String", "Arn"))
    lines += [text_line(value) for value in written]
    for value in written:
        if ":role/" in value:
            # A role's name is unique in its account whatever its path: see `proxy.policy.principals`.
            head, _, name = value.partition(":role/")
            lines.append(wildcard_line((f"{head}:role/", Wildcard.RUN, f"/{name.rpartition('/')[2]}")))
            lines.append(text_line(f"{head}:role/{name.rpartition('/')[2]}"))
        if ":assumed-role/" in value:
            role = value.replace(":sts:", ":iam:").replace(":assumed-role/", ":role/").rpartition("/")[0]
            lines.append(text_line(role))
    # The owner's account counts here too: a caller may be of it.
    whose = ("aws:principalaccount", "aws:resourceaccount", "s3:resourceaccount")
    account_lines, _ = condition_lines(c for key in whose for c in by_key[key] if c.operator.family == "String")
    account_lines += [text_line(account) for account in accounts]
    shapes: list[Line] = []
    for partition in partitions:
        start = text_line(f"arn:{partition}:iam::")
        lines += [(*start, *digits, Step(":"), *ANYTHING) for digits in account_lines]
        last = Step(Class.NO_SLASH)
        shapes += [
            (*start, *_DIGITS, *text_line(":user/"), *ANYTHING, last),
            (*start, *_DIGITS, *text_line(":role/"), *ANYTHING, last),
            (*start, *_DIGITS, *text_line(":root")),
        ]
    cells = find_cells(lines, shapes)
    return sorted(cells.texts, key=lambda arn: (arn not in written, ":root" in arn, ":role/" in arn, arn)), (
        cells.complete
    )

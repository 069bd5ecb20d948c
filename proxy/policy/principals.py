"""Who is calling, and whom a statement names.

An account (`123456789012` or its `:root`) stands for delegation to that account's own policies, which is
weaker than naming the caller; `Grade` keeps the two apart. A role's ARN matches every session of the
role.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

_ACCOUNT = re.compile(r"[0-9]{12}")
_ARN = re.compile(r"arn:aws[a-z-]*:(iam|sts)::([0-9]{12}):([a-z-]+)(/.+)?", re.DOTALL)
_UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,}")
_CANONICAL = re.compile(r"[0-9a-f]{64}")
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")

TYPES = ("AWS", "CanonicalUser", "Federated", "Service")


class PrincipalError(ValueError):
    """A principal that cannot be named like this. `help` says what to write instead."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.help = help


class Grade(IntEnum):
    """How a statement names the caller."""

    NONE = 0
    ACCOUNT = 1
    """Through its account: the account's identity policies must allow as well."""
    DIRECT = 2
    """By its own ARN, its role's, or `*`."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller. All fields None is an anonymous caller, which only `*` matches.

    `arn` may be any other name, for tests and simulations; such a caller, too, is matched only by `*`.
    Build it once per identity, not per request.
    """

    arn: str | None = None
    account: str | None = None
    canonical_user: str | None = None
    service: str | None = None
    federated: str | None = None
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """What statements can call this caller directly."""
    accounts: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """What statements can call the caller's account."""
    lookup: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Both together: under these an index finds the statements that may name the caller."""
    is_session: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names, accounts, session = [], [], False
        match = _ARN.fullmatch(self.arn or "")
        if match:
            names.append(match[0])
            if self.account is None:
                object.__setattr__(self, "account", match[2])
            accounts.append(self.account or match[2])
            if match[3] == "root":
                names.append(_root(match[2]))
            if match[3] == "assumed-role":
                session = True
                names.append(_role(match[2], (match[4] or "").split("/")[1]))
        if self.canonical_user and self.arn:
            accounts.append(_tagged("CanonicalUser", self.canonical_user))
        if self.service:
            names.append(_tagged("Service", self.service))
        if self.federated:
            names.append(_tagged("Federated", self.federated))
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "accounts", tuple(accounts))
        object.__setattr__(self, "lookup", (*names, *accounts))
        object.__setattr__(self, "is_session", session)

    @property
    def anonymous(self) -> bool:
        """Whether nobody signed the request."""
        return self.arn is None and self.service is None and self.federated is None


ANONYMOUS = Principal()


@dataclass(frozen=True, slots=True)
class Principals:
    """A compiled Principal or NotPrincipal element."""

    written: tuple[tuple[str, str], ...]
    """(type, value) as the author wrote them; `*` alone is (`AWS`, `*`)."""
    negated: bool
    everyone: bool
    names: frozenset[str]
    accounts: frozenset[str]
    whole: frozenset[str]
    """Those of `accounts` of which nobody is named alone."""

    @property
    def open(self) -> bool:
        """Whether the element matches every caller, so that nothing needs to be looked up."""
        return self.everyone and not self.negated

    def grade(self, caller: Principal) -> Grade:
        """Tell how the element names the caller; NotPrincipal names everybody it does not list."""
        if self.negated:
            return Grade.NONE if self._excepts(caller) else Grade.DIRECT
        return self._listed(caller)

    def _listed(self, caller: Principal) -> Grade:
        if self.everyone or not self.names.isdisjoint(caller.names):
            return Grade.DIRECT
        return Grade.NONE if self.accounts.isdisjoint(caller.accounts) else Grade.ACCOUNT

    def _excepts(self, caller: Principal) -> bool:
        if caller.is_session and not self.everyone:
            # AWS: session, role and account must all be listed, or the session is still denied.
            return self.names.issuperset(caller.names) and not self.accounts.isdisjoint(caller.accounts)
        # AWS: an account beside a user of it excepts nobody else. It is listed because some services look for it first.
        return self._listed(caller) is Grade.DIRECT or not self.whole.isdisjoint(caller.accounts)


def compile_principals(written: Sequence[tuple[str, str]], *, negated: bool) -> Principals:
    """Compile (type, value) pairs that `check_principal` accepted."""
    names: set[str] = set()
    accounts: set[str] = set()
    everyone = False
    for kind, value in written:
        if kind == "CanonicalUser":
            accounts.add(_tagged(kind, value))
        elif kind != "AWS":
            names.add(_tagged(kind, value))
        elif value == "*":
            everyone = True
        else:
            _add_aws(value, names, accounts)
    named = {match[2] for kind, value in written if kind == "AWS" and (match := _ARN.fullmatch(value)) and match[4]}
    return Principals(
        tuple(written), negated, everyone, frozenset(names), frozenset(accounts), frozenset(accounts - named)
    )


def _add_aws(value: str, names: set[str], accounts: set[str]) -> None:
    match = _ARN.fullmatch(value)
    if match is None:
        if _ACCOUNT.fullmatch(value):
            accounts.add(value)
            names.add(_root(value))
        else:
            names.add(value)  # a unique id, which stands for a deleted user or role
    elif match[3] == "root":
        accounts.add(match[2])
        names.add(_root(match[2]))
    else:
        names.add(value)
        if match[3] == "role":
            names.add(_role(match[2], value.rpartition("/")[2]))


def check_principal(kind: str, value: str) -> None:
    """Raise `PrincipalError` when `value` is no principal of type `kind`, one of `TYPES`."""
    if kind == "AWS":
        _check_aws(value)
    elif kind == "CanonicalUser" and not _CANONICAL.fullmatch(value):
        raise PrincipalError(f"`{value}` is not a canonical user id", "it has 64 hexadecimal digits")
    elif kind == "Service" and not _SERVICE.fullmatch(value):
        raise PrincipalError(f"`{value}` is not a service principal", "write a name such as `logging.s3.amazonaws.com`")
    elif kind == "Federated" and (not value or "*" in value or "?" in value):
        raise PrincipalError(f"`{value}` is not a federated principal", "write the ARN or the name of the provider")


def _check_aws(value: str) -> None:
    if value == "*" or _ACCOUNT.fullmatch(value) or _UNIQUE_ID.fullmatch(value):
        return
    if "*" in value or "?" in value:
        raise PrincipalError(
            f"`{value}` has a wildcard inside a principal",
            'write "*" and compare `aws:PrincipalArn` with ArnLike in a Condition',
        )
    match = _ARN.fullmatch(value)
    if match is None or not _known_arn(match):
        raise PrincipalError(
            f"`{value}` is not a principal",
            "write an account id of 12 digits or an ARN such as `arn:aws:iam::123456789012:user/alice`",
        )


def _known_arn(match: re.Match[str]) -> bool:
    service, kind, rest = match[1], match[3], (match[4] or "")[1:]
    if service == "iam":
        return rest == "" if kind == "root" else kind in ("user", "role") and bool(rest) and not rest.endswith("/")
    if kind == "assumed-role":
        role, _, session = rest.partition("/")
        return bool(role and session) and "/" not in session
    return kind == "federated-user" and bool(rest)


# Keys of our own into `names`; the blank keeps them apart from ARNs and account ids.
def _role(account: str, name: str) -> str:
    return f"role {account} {name}"  # a role's name is unique in its account: its path does not matter


def _root(account: str) -> str:
    return f"root {account}"


def _tagged(kind: str, value: str) -> str:
    return f"{kind} {value}"

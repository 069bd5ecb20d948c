"""Yesterday's requests against tomorrow's policies: which verdicts change, and for whom.

A statement whose conditions read keys that the log does not give may match or not. Where the verdict hangs
on such a statement nothing is claimed: the request is counted as unknown, with the keys that are missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from proxy import yamldoc
from proxy.errors import S3Error
from proxy.policy.document import Statement
from proxy.policy.evaluate import AccessRequest, combine
from proxy.policy.index import Match, PolicyGroup
from proxy.policy.logs import Logged, Skipped
from proxy.policy.names import ACTIONS, find_key
from proxy.policy.parse import parse_policy
from proxy.policy.principals import Grade
from proxy.policy.written import Ask, Asked, Policies

IDENTITY = "the caller's own policies"
"""What is missing where nobody gave the identity policies."""
# What stands for them meanwhile.
_ASSUMED = parse_policy(
    yamldoc.parse('Statement: {Effect: Allow, Action: "*", Resource: "*"}', "(assumed)"), "identity"
).statements[0]
# Whoever turns a log's line into a request fills these in, for lack of knowledge.
_INVENTED = frozenset(
    {
        "aws:requestedregion",
        "aws:securetransport",
        "aws:sourceip",
        "s3:authtype",
        "s3:signatureage",
        "s3:signatureversion",
        "s3:tlsversion",
        "s3:x-amz-content-sha256",
    }
)


class Verdict(Enum):
    """What becomes of a request."""

    SAME = "same"
    LOSES = "would be denied"
    GAINS = "would be allowed"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests that change in the same way, for the same caller and reason."""

    verdict: Verdict
    principal: str
    action: str
    reasons: tuple[str, ...]
    """The statements that decide, or for `UNKNOWN` the keys that are missing."""


@dataclass(slots=True)
class Tally:
    """What was counted."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    kinds: Counter[Kind] = field(default_factory=Counter)
    examples: dict[Kind, tuple[str, str]] = field(default_factory=dict)
    """One resource, and its place in the log."""
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def replayed(self) -> int:
        """The number of requests that were asked again."""
        return sum(self.verdicts.values())


@dataclass(frozen=True, slots=True)
class Replayer:
    """Candidate policies. `identity` gives a caller's own ones; None when nobody knows them."""

    policies: Policies
    identity: Callable[[str], PolicyGroup | None]
    ask: Callable[[float | None], Ask]

    def replay(self, entries: Iterable[Logged | Skipped]) -> Tally:
        """Ask all requests again and count."""
        tally = Tally()
        for entry in entries:
            if isinstance(entry, Skipped):
                tally.skipped[entry.reason] += 1
                continue
            try:
                asked = [one for written in entry.requests for one in self.ask(entry.time)(written)]
            except S3Error as error:
                tally.skipped[f"the proxy refuses it before any policy is asked ({error.code})"] += 1
                continue
            kind, settled = self._judge(entry, asked)
            tally.verdicts[kind.verdict] += 1
            if kind.verdict is not Verdict.SAME:
                tally.kinds[kind] += 1
                tally.examples.setdefault(kind, (settled.request.resource, entry.place))
        return tally

    def _judge(self, entry: Logged, asked: Sequence[Asked]) -> tuple[Kind, Asked]:
        ranges = [(one, self._range(one, entry)) for one in asked]
        denied = next((pair for pair in ranges if pair[1].allowed is False), None)
        unsure = next((pair for pair in ranges if pair[1].allowed is None), None)
        one, found = denied or unsure or ranges[0]
        caller = one.request.principal.arn or "anonymous"
        if found.allowed is None:
            verdict = Verdict.UNKNOWN
        elif found.allowed is entry.allowed:
            verdict = Verdict.SAME
        else:
            verdict = Verdict.GAINS if found.allowed else Verdict.LOSES
        return Kind(verdict, caller, one.request.action, found.reasons), one

    def _range(self, asked: Asked, entry: Logged) -> _Range:
        request = asked.request
        resource, _ = self.policies.groups(asked)
        by_resource = _split(resource, request, entry.known)
        identity = None if request.principal.anonymous else self.identity(request.principal.arn or "")
        by_identity = _Split() if identity is None else _split(identity, request, entry.known)
        if identity is None and not request.principal.anonymous:
            # Without them: what was allowed is taken to be allowed by them still, of the rest nobody knows.
            (by_identity.sure if entry.allowed else by_identity.maybe).append((0, _ASSUMED, Grade.DIRECT))
            by_identity.missing.update(() if entry.allowed else (IDENTITY,))
        best = combine(request, resource.kind, by_resource.at_best(), by_identity.at_best())
        worst = combine(request, resource.kind, by_resource.at_worst(), by_identity.at_worst())
        if best.allowed is not worst.allowed:
            return _Range(None, tuple(sorted(by_resource.missing | by_identity.missing)))
        names = (s.sid or f"#{s.index + 1}" for s in worst.statements if s is not _ASSUMED)
        return _Range(worst.allowed, tuple(dict.fromkeys(names)))


@dataclass(frozen=True, slots=True)
class _Range:
    allowed: bool | None
    reasons: tuple[str, ...]


@dataclass(slots=True)
class _Split:
    """The statements that match, those that may, and the keys on which that depends."""

    sure: list[Match] = field(default_factory=list)
    maybe: list[Match] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)

    def at_best(self) -> list[Match]:
        return [*self.sure, *(match for match in self.maybe if match[1].effect == "Allow")]

    def at_worst(self) -> list[Match]:
        return [*self.sure, *(match for match in self.maybe if match[1].effect == "Deny")]


def _split(group: PolicyGroup, request: AccessRequest, known: frozenset[str]) -> _Split:
    found = _Split()
    action = request.action.lower()
    for place, statement in enumerate(group.enforced.statements):
        if not statement.actions.matches(action):
            continue
        principals = statement.principals
        grade = Grade.DIRECT if principals is None else principals.grade(request.principal)
        if not grade:
            continue
        missing = _missing(statement, request, known)
        if missing is None:
            continue
        (found.maybe if missing else found.sure).append((place, statement, grade))
        found.missing |= missing
    return found


def _missing(statement: Statement, request: AccessRequest, known: frozenset[str]) -> set[str] | None:
    """Return the keys whose value would settle whether the statement matches; None when it does not anyhow."""
    missing: set[str] = set()
    variables = {v.key for item in statement.resources.items for v in item.template.variables}
    unknown = {key for key in variables if _unknown(key, request, known)}
    if unknown:
        missing |= unknown
    elif not statement.resources.matches(request.resource, request.context):
        return None
    for condition in statement.conditions:
        unknown = {key for key in condition.reads if _unknown(key, request, known)}
        if unknown:
            missing |= unknown
        elif not condition.holds(request.context):
            return None
    return missing


def _unknown(key: str, request: AccessRequest, known: frozenset[str]) -> bool:
    """Tell whether a request of this action could have a value for the key that the log does not give."""
    if key in known or (key in request.context and key not in _INVENTED):
        return False
    found = find_key(key)
    action = ACTIONS.get(request.action.lower())
    if found is None or action is None:
        return True
    if found.source == "never":
        return False
    return not key.startswith("s3:") or found.name in action.keys


def summary(tally: Tally) -> Mapping[str, int]:
    """Return the counts by name, for reports."""
    return {verdict.name.lower(): tally.verdicts[verdict] for verdict in Verdict}

"""A request as a person, a test or a log writes it down, and the verdict that policies have on it.

It is written in one of two forms: as the question itself (action and resource), or as HTTP, which is
several questions. Turning HTTP into questions takes the table of operations, which is not known here:
that is the port `Ask`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from proxy import yamldoc
from proxy.diagnostics import Diagnostic
from proxy.errors import ConfigError
from proxy.policy.document import Kind, PolicyFile
from proxy.policy.evaluate import AccessRequest, Decision, Effect, decide
from proxy.policy.goals import is_goal
from proxy.policy.index import NO_POLICIES, PolicyGroup
from proxy.policy.names import MAPPED_KEYS
from proxy.policy.parse import guess_kind, parse_policy
from proxy.policy.store import PolicySet, policy_files
from proxy.policy.variables import Context

ANONYMOUS_NAMES = frozenset({"*", "anonymous"})
_NOTHING: Mapping[str, str] = MappingProxyType({})
_S3_ARN_PARTS = 6


@dataclass(frozen=True, slots=True)
class Direct:
    """One action on one resource."""

    action: str
    resource: str


@dataclass(frozen=True, slots=True)
class Http:
    """A raw request."""

    method: str
    target: str
    """Path and query as they stand in the request line, percent-encoded."""
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    form: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """The fields of an upload form, lower-case."""
    tls: str | None = "1.3"
    """The version of TLS, None for plain HTTP."""
    source_ip: str = "192.0.2.1"
    source_tagged: bool = False
    """Whether the source of a copy has tags."""


@dataclass(frozen=True, slots=True)
class Written:
    """Who asks for what."""

    principal: str | None
    """An ARN or any other name; None is an anonymous caller."""
    what: Direct | Http
    context: Context = field(default_factory=lambda: _NOTHING)
    """Condition keys, lower-case, beside those that follow from the rest."""
    resource_account: str | None = None
    """The owner of the bucket; None for the caller's account."""

    def __str__(self) -> str:
        if isinstance(self.what, Direct):
            return f"{self.what.action} on {self.what.resource} by {self.principal or 'anonymous'}"
        return f"{self.what.method} {self.what.target} by {self.principal or 'anonymous'}"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, ready to be decided, and the bucket whose policies speak; None when no bucket's do."""

    request: AccessRequest
    bucket: str | None


Ask: TypeAlias = Callable[[Written], tuple[Asked, ...]]
"""Turns a written request into its questions; raises `S3Error` for one that the proxy refuses by itself."""


def bucket_of(resource: str) -> str | None:
    """Return the bucket that an ARN names; None for `*`, other services, and all buckets together."""
    parts = resource.split(":", _S3_ARN_PARTS - 1)
    if len(parts) < _S3_ARN_PARTS or parts[2] != "s3":
        return None
    name = parts[5].partition("/")[0]
    return None if name in ("", "*") else name


@dataclass(frozen=True, slots=True)
class Policies:
    """All that decides a request: policies of buckets, of keys, and of whoever asks."""

    buckets: PolicySet
    identity: PolicyGroup = NO_POLICIES
    keys: PolicyGroup = NO_POLICIES

    def groups(self, asked: Asked) -> tuple[PolicyGroup, PolicyGroup]:
        """Return the policies of the resource and those of the caller; an anonymous one has none."""
        identity = NO_POLICIES if asked.request.principal.anonymous else self.identity
        if asked.bucket is not None:
            return self.buckets.for_bucket(asked.bucket), identity
        return (self.keys if asked.request.action.lower().startswith("kms:") else NO_POLICIES), identity

    @property
    def files(self) -> tuple[PolicyFile, ...]:
        """All documents."""
        return (*self.buckets.files, *self.identity.files, *self.keys.files)

    def with_identity(self, files: Sequence[PolicyFile]) -> Policies:
        """Return the same with more policies of the caller's."""
        return Policies(self.buckets, PolicyGroup((*self.identity.files, *files), "identity"), self.keys)


@dataclass(frozen=True, slots=True)
class Answer:
    """What policies say to a whole request: each question with its decision."""

    decisions: tuple[tuple[Asked, Decision], ...]

    @property
    def deciding(self) -> tuple[Asked, Decision]:
        """The question that settled it: the first one denied, else the first."""
        return next((pair for pair in self.decisions if not pair[1].allowed), self.decisions[0])

    @property
    def effect(self) -> Effect:
        """Everything must be allowed."""
        return self.deciding[1].effect

    @property
    def allowed(self) -> bool:
        """Whether the request may go on."""
        return self.effect is Effect.ALLOW

    @property
    def sids(self) -> tuple[str, ...]:
        """The statements that decided, by Sid or as `#3`; of an allowed request, those of all questions."""
        decisions = [decision for _, decision in self.decisions] if self.allowed else [self.deciding[1]]
        return tuple(dict.fromkeys(s.sid or f"#{s.index + 1}" for d in decisions for s in d.statements))


def judge(policies: Policies, asked: Sequence[Asked]) -> Answer:
    """Decide all questions of a request."""
    return Answer(tuple((one, decide(one.request, *policies.groups(one))) for one in asked))


def load_mixed(paths: Iterable[Path | str], identity: Iterable[Path | str] = ()) -> Policies:
    """Load policies of all kinds, told apart by what they say; `identity` are the caller's in any case.

    Goals that lie among them are left out. Keys that a proxy cannot know are accepted, since whoever writes a
    request down gives its context. Raises one `ConfigError` with the mistakes of all files.
    """
    found: dict[Kind, list[PolicyFile]] = {"bucket": [], "identity": [], "key": []}
    findings: list[Diagnostic] = []
    kinds: list[tuple[Path | str, Kind | None]] = [
        *((path, None) for path in paths),
        *((p, "identity") for p in identity),
    ]
    for path, kind in kinds:
        for file in policy_files(path):
            try:
                document = yamldoc.load(file)
                if is_goal(document):
                    continue
                policy = parse_policy(document, kind or guess_kind(document), MAPPED_KEYS)
                found[policy.kind].append(policy)
            except ConfigError as error:
                findings.extend(error.diagnostics)
    if findings:
        raise ConfigError(findings)
    return Policies(
        PolicySet(found["bucket"]), PolicyGroup(found["identity"], "identity"), PolicyGroup(found["key"], "key")
    )


def load_one(file: Path, kind: Kind | None = None) -> PolicyFile:
    """Load one policy; of the kind it looks like, unless `kind` says it."""
    document = yamldoc.load(file)
    return parse_policy(document, kind or guess_kind(document), MAPPED_KEYS)

"""All that requests are judged by, loaded from disk as one immutable whole.

A request takes the rules in force once and finishes on them, however often they are replaced meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from proxy.access.context import AccessSettings
from proxy.access.questions import reads_existing_tags
from proxy.access.upload_context import INHERITED
from proxy.auth.claim import AuthSettings
from proxy.auth.credential import Credential
from proxy.config import Config, load_config
from proxy.diagnostics import Diagnostic
from proxy.errors import ConfigError
from proxy.identity import Identities, Identity
from proxy.policy.document import Kind, PolicyFile, Statement
from proxy.policy.index import NO_POLICIES, PolicyGroup
from proxy.policy.principals import Principal
from proxy.policy.store import PolicySet, load_policies
from proxy.s3.address import Domains
from proxy.server.audit import DecidingStatement


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, ready for the policy engine."""

    identity: Identity | None
    principal: Principal
    policies: PolicyGroup


ANONYMOUS_CALLER = Caller(None, Principal(), NO_POLICIES)


class StatementLabels:
    """How the decision log names statements: made once for each, and not by its hash, which covers all of it."""

    def __init__(self) -> None:
        self._labels: dict[int, tuple[Statement, DecidingStatement]] = {}

    def of(self, statement: Statement) -> DecidingStatement:
        """Return the label of a statement of these rules."""
        known = self._labels.get(id(statement))
        if known is None:
            place = f"{statement.span.file}:{statement.span.line}"
            label = DecidingStatement(statement.sid or f"#{statement.index + 1}", statement.kind, place)
            # The statement is kept with its label, so that no other can come to have its id.
            known = self._labels[id(statement)] = (statement, label)
        return known[1]


@dataclass(frozen=True, slots=True)
class Rules:
    """Configuration, identities and policies that belong together."""

    config: Config
    revision: str
    """SHA-256 over all policies in force."""
    identities: Identities
    bucket_policies: PolicySet
    access: AccessSettings
    auth: AuthSettings
    domains: Domains
    reads_existing_tags: bool
    """Whether any policy asks about the tags of stored objects."""
    key_policies: Mapping[str, PolicyGroup]
    """By name of the key, of keys that have one."""
    _identities_read_encryption: bool
    _callers: Mapping[str, Caller] = field(repr=False)
    labels: StatementLabels = field(default_factory=StatementLabels, repr=False)

    @property
    def policies(self) -> tuple[PolicyFile, ...]:
        """All policies, each once: of buckets, of identities, of keys."""
        groups = (*(caller.policies for caller in self._callers.values()), *self.key_policies.values())
        files = (*self.bucket_policies.files, *(file for group in groups for file in group.files))
        return tuple({file.file: file for file in files}.values())

    @property
    def callers(self) -> tuple[Caller, ...]:
        """All identities of the configuration."""
        return tuple(self._callers.values())

    def reads_encryption(self, bucket: str) -> bool:
        """Tell whether any policy in play looks at what S3 takes at the creation of an upload only.

        Whose identity policies count is open: anybody may send the parts.
        """
        keys = self.bucket_policies.for_bucket(bucket).keys_read("s3:PutObject")
        return self._identities_read_encryption or not keys.isdisjoint(INHERITED)

    def keeps_uploads(self, bucket: str) -> bool:
        """Tell whether uploads to a bucket may have a context beside them.

        With keys configured any bucket may have been in envelope mode when an upload began.
        """
        return bool(self.config.keys) or self.reads_encryption(bucket)

    def credential(self, access_key_id: str) -> Credential | None:
        """Look up what an access key id is signed with."""
        return self.identities.credential(access_key_id)

    def caller(self, access_key_id: str | None) -> Caller:
        """Return whom a verified access key belongs to; None is the anonymous caller."""
        if access_key_id is None:
            return ANONYMOUS_CALLER
        identity = self.identities.owner(access_key_id)
        return ANONYMOUS_CALLER if identity is None else self._callers[identity.arn]


def load_rules(path: Path, environ: Mapping[str, str] | None = None) -> Rules:
    """Load a configuration and everything it names; one `ConfigError` has the mistakes of all policies."""
    config = load_config(path) if environ is None else load_config(path, environ)
    identities = Identities(config.identities)
    mapped = tuple(config.condition_values)
    findings: list[Diagnostic] = []
    bucket_policies = _load(config.policies, "bucket", mapped, findings)
    sets: dict[tuple[Path, ...], PolicySet] = {}
    for identity in identities.all:
        if identity.policies not in sets:
            sets[identity.policies] = _load(identity.policies, "identity", mapped, findings)
    key_sets = {
        key.name: _load((key.policy,), "key", mapped, findings)
        for key in config.keys.values()
        if key.policy is not None
    }
    if findings:
        raise ConfigError(findings)
    callers = {
        identity.arn: Caller(identity, Principal(identity.arn, identity.account), sets[identity.policies].everything)
        for identity in identities.all
    }
    everything = [bucket_policies, *sets.values(), *key_sets.values()]
    revision = PolicySet(file for each in everything for file in each.files).revision
    return Rules(
        config,
        revision,
        identities,
        bucket_policies,
        AccessSettings.of(config, config.kms_aliases),
        AuthSettings(config.auth.sigv2, config.auth.strict_region, config.upstream.region),
        Domains.of(config.listen.domains),
        any(reads_existing_tags(each.keys_read()) for each in everything),
        MappingProxyType({name: policies.everything for name, policies in key_sets.items()}),
        any(not each.keys_read("s3:PutObject").isdisjoint(INHERITED) for each in sets.values()),
        callers,
    )


def _load(paths: tuple[Path, ...], kind: Kind, mapped: tuple[str, ...], findings: list[Diagnostic]) -> PolicySet:
    try:
        return load_policies(paths, kind, mapped)
    except ConfigError as error:
        findings.extend(error.diagnostics)
        return PolicySet()

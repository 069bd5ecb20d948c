"""Access key id -> who that is: principal, account, tags, and which policies are theirs.

Knows the identities that the configuration lists; does not verify signatures and does not evaluate
policies. An identity names its policies by path: compiled ones are the policy store's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from proxy.auth.credential import Credential
from proxy.config import AccessKey, IdentitySettings


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller whose signature was verified. Anonymous callers have no `Identity`."""

    arn: str
    """What it calls as: a user's, root's, federated user's or role session's ARN."""
    principal_arn: str
    """The value of aws:PrincipalArn: of a session, its role's ARN."""
    account: str
    principal_type: str
    """The value of aws:PrincipalType: Account, User, AssumedRole or FederatedUser."""
    user_name: str | None
    """The value of aws:username; None for everybody but users."""
    user_id: str
    """The value of aws:userid."""
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    policies: tuple[Path, ...] = ()
    upstream: Credential | None = None
    """The identity's own credential towards the store, None for the proxy's."""


class Identities:
    """The table of everybody who may sign requests; immutable."""

    __slots__ = ("_by_key", "all")

    def __init__(self, settings: Iterable[IdentitySettings] = ()) -> None:
        by_key: dict[str, tuple[Credential, Identity]] = {}
        identities = []
        for entry in settings:
            identity = _identity(entry)
            identities.append(identity)
            for key in entry.access_keys:
                by_key[key.id] = (credential_of(key), identity)
        self._by_key = by_key
        self.all: tuple[Identity, ...] = tuple(identities)

    def lookup(self, access_key_id: str) -> tuple[Credential, Identity] | None:
        """Return the credential and the owner of `access_key_id`, None when nobody has it."""
        return self._by_key.get(access_key_id)

    def credential(self, access_key_id: str) -> Credential | None:
        """Return the credential of `access_key_id`: the `CredentialLookup` that verification asks."""
        found = self._by_key.get(access_key_id)
        return found[0] if found is not None else None

    def owner(self, access_key_id: str) -> Identity | None:
        """Return whom `access_key_id` belongs to."""
        found = self._by_key.get(access_key_id)
        return found[1] if found is not None else None

    def __repr__(self) -> str:
        return f"Identities({len(self.all)} with {len(self._by_key)} access keys)"


def credential_of(key: AccessKey) -> Credential:
    """Return the credential that a configured access key is."""
    token = key.session_token.reveal() if key.session_token is not None else None
    return Credential(key.id, key.secret.reveal(), token, key.expires)


def _identity(entry: IdentitySettings) -> Identity:
    principal = entry.principal
    return Identity(
        principal.arn,
        principal.principal_arn,
        principal.account,
        principal.principal_type,
        principal.user_name,
        principal.user_id,
        entry.tags,
        entry.policies,
        credential_of(entry.upstream) if entry.upstream is not None else None,
    )

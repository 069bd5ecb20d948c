"""Condition keys that every request has: who, from where, when, how signed, on whose bucket.

The mapping is made once per request and bucket and shared by its questions. Keys are lower-case, as
policies are compiled. A key that has no value is absent, never empty.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from proxy.access.connection import Connection
from proxy.access.kms import KmsNames
from proxy.auth.claim import Claim
from proxy.config.buckets import BucketSettings
from proxy.config.keys import AwsKms, partition_of
from proxy.config.model import Config
from proxy.errors import ConfigError
from proxy.identity import Identity
from proxy.policy.names import find_key, suggest_key
from proxy.s3.headers import Headers

ContextValue: TypeAlias = str | tuple[str, ...]
Context: TypeAlias = Mapping[str, ContextValue]

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html "principal key values":
# an anonymous caller has a type and nothing else.
_ANONYMOUS: Mapping[str, ContextValue] = MappingProxyType(
    {"aws:principaltype": "Anonymous", "aws:principalisawsservice": "false", "aws:viaawsservice": "false"}
)


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """What questions need from the configuration; one per loaded configuration."""

    bucket: Callable[[str], BucketSettings]
    owner: str
    """The account that owns what belongs to no bucket."""
    region: str
    kms: KmsNames
    partition: str = "aws"
    condition_values: Context = field(default_factory=lambda: MappingProxyType({}))
    _principals: dict[str, tuple[Identity, Mapping[str, ContextValue]]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, config: Config, kms_aliases: Mapping[str, str] = MappingProxyType({})) -> AccessSettings:
        """Take what is needed from a loaded configuration.

        Raises `ConfigError` when `condition_values` gives a key that is not the configuration's to give.
        """
        region = config.upstream.region
        partition = partition_of(region)
        kept = {key.backend.key_arn: key.arn for key in config.keys.values() if isinstance(key.backend, AwsKms)}
        kms = KmsNames(region, config.owner, partition, kms_aliases, kept)
        return cls(config.bucket, config.owner, region, kms, partition, _given_values(config))

    def principal(self, identity: Identity | None) -> Mapping[str, ContextValue]:
        """Return the keys about the caller, and those that the configuration gives everybody."""
        arn = identity.arn if identity is not None else ""
        known = self._principals.get(arn)
        if known is not None and (identity is None or known[0] is identity):
            return known[1]
        keys = {**self.condition_values, **(principal_keys(identity) if identity is not None else _ANONYMOUS)}
        # Bounded by the number of identities in the configuration. An identity that stands in for another of
        # the same ARN (a reload) replaces it.
        self._principals[arn] = (identity or _NOBODY, keys)
        return keys


_NOBODY = Identity("", "", "", "Anonymous", None, "")


def _given_values(config: Config) -> Context:
    """Return the keys that the configuration gives everybody, which may only be those nobody else can fill."""
    values: dict[str, ContextValue] = {}
    findings = []
    for name, value in config.condition_values.items():
        key, path = find_key(name), ("condition_values", name)
        if key is None:
            findings.append(config.source.diagnostic(path, f"`{name}` is no condition key", help=suggest_key(name)))
        elif key.source != "mapped":
            message = f"the value of `{key.name}` is not the configuration's to give"
            findings.append(config.source.diagnostic(path, message, help=f"leave it out: {key.about}"))
        elif not isinstance(value, str) and not key.multivalued:
            remedy = "write one text instead of a list"
            findings.append(config.source.diagnostic(path, f"`{key.name}` has one value", help=remedy))
        else:
            values[name] = (value,) if key.multivalued and isinstance(value, str) else value
    if findings:
        raise ConfigError(findings)
    return MappingProxyType(values)


def principal_keys(identity: Identity) -> dict[str, ContextValue]:
    """Return the keys about a signed caller."""
    keys: dict[str, ContextValue] = {
        "aws:principalarn": identity.principal_arn,
        "aws:principalaccount": identity.account,
        "aws:principaltype": identity.principal_type,
        "aws:principalisawsservice": "false",
        "aws:viaawsservice": "false",
    }
    if identity.user_id:
        keys["aws:userid"] = identity.user_id
    if identity.user_name is not None:
        keys["aws:username"] = identity.user_name
    for name, value in identity.tags.items():
        keys[f"aws:principaltag/{name.lower()}"] = value
    return keys


def request_keys(
    claim: Claim,
    identity: Identity | None,
    connection: Connection,
    headers: Headers,
    settings: AccessSettings,
    now: float,
) -> dict[str, ContextValue]:
    """Return the keys that do not depend on what the request is about."""
    second = int(now)
    keys: dict[str, ContextValue] = {
        **settings.principal(identity),
        "aws:sourceip": connection.source_ip,
        "aws:securetransport": "true" if connection.secure else "false",
        "aws:currenttime": _iso(second),
        "aws:epochtime": str(second),
        "aws:requestedregion": claim.region or settings.region,
    }
    if connection.tls_version is not None:
        keys["s3:tlsversion"] = connection.tls_version
    agent = headers.get("user-agent")
    if agent is not None:
        keys["aws:useragent"] = text_of(agent)
    referer = headers.get("referer")
    if referer is not None:
        keys["aws:referer"] = text_of(referer)
    if claim.kind is not None:
        keys["s3:authtype"] = claim.kind
    if claim.signature_version is not None:
        keys["s3:signatureversion"] = claim.signature_version
    if claim.signed_at is not None:
        # A clock that is a little ahead must not make an age that is no number of milliseconds.
        keys["s3:signatureage"] = str(max(0, int((now - claim.signed_at) * 1000)))
    payload = claim.payload.text or headers.get("x-amz-content-sha256")
    if payload is not None and claim.kind != "POST":
        keys["s3:x-amz-content-sha256"] = payload
    return keys


def add_bucket_keys(keys: dict[str, ContextValue], account: str, tags: Mapping[str, str]) -> None:
    """Add what is known about the bucket a question is about."""
    keys["aws:resourceaccount"] = account
    keys["s3:resourceaccount"] = account
    for name, value in tags.items():
        keys[f"aws:resourcetag/{name.lower()}"] = value
        keys[f"s3:buckettag/{name.lower()}"] = value


def text_of(header: str) -> str:
    """Read a header value as the UTF-8 it mostly is; it was decoded as latin-1, which loses nothing."""
    return header if header.isascii() else header.encode("latin-1").decode("utf-8", "surrogateescape")


@lru_cache(maxsize=4)
def _iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""The configuration as frozen values: what each setting is, and its default.

Knows no file and no syntax: `proxy.config.load` makes these values, and a test holds the defaults and
the names here against the JSON Schema. Paths are absolute, header names lower-case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from proxy.config.buckets import Buckets, BucketSettings
from proxy.config.keys import KeySettings
from proxy.config.principals import PrincipalArn
from proxy.config.secrets import Secret
from proxy.config.source import Source
from proxy.diagnostics import Diagnostic

Network: TypeAlias = IPv4Network | IPv6Network
ConditionValue: TypeAlias = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The certificate that clients see."""

    cert: Path
    key: Path
    min_version: Literal["1.2", "1.3"] = "1.2"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where S3 clients connect to."""

    host: str = "127.0.0.1"
    port: int = 9000
    domains: tuple[str, ...] = ()
    """Base domains of virtual-host style, lower-case, without port."""
    public_hosts: tuple[str, ...] = ()
    """Further values of Host that a client may have signed, where something in front rewrites it."""
    workers: int = 1
    backlog: int = 1024
    tls: ServerTls | None = None


@dataclass(frozen=True, slots=True)
class Admin:
    """The second listener: health, metrics, reload."""

    host: str = "127.0.0.1"
    port: int = 9001
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what clients can make the proxy hold."""

    in_flight: int = 512
    connections: int = 4096
    header_bytes: int = 65536
    xml_bytes: int = 4194304
    idle_seconds: float = 60
    drain_seconds: float = 30


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """How strictly signatures are read."""

    sigv2: bool = True
    strict_region: bool = False


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key pair, of a client or towards the upstream; `expires` is in seconds since the epoch."""

    id: str
    secret: Secret
    session_token: Secret | None = None
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """Whom the proxy trusts to be the upstream; `ca` None means the system's authorities."""

    ca: Path | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class State:
    """Where the proxy keeps what belongs to unfinished uploads; `bucket` None means each bucket itself."""

    bucket: str | None = None
    prefix: str = ".s3w/"


@dataclass(frozen=True, slots=True)
class Upstream:
    """The store behind the proxy. `credentials` None means the AWS credential chain."""

    endpoint: str
    """Scheme, host and, if given, port; no path and no slash at the end."""
    region: str = "us-east-1"
    addressing: Literal["path", "virtual"] = "path"
    credentials: AccessKey | None = None
    tls: UpstreamTls = UpstreamTls()
    payload: Literal["checksums", "unsigned", "signed-chunks"] = "checksums"
    keys: Literal["cleaned", "literal"] = "cleaned"
    lacks: tuple[str, ...] = ()
    """Sub-resources that the store does not know; requests on them are not forwarded."""
    connections: int = 256
    connect_seconds: float = 5
    idle_seconds: float = 60
    state: State = State()


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """A principal, the keys that prove it, and what it may do."""

    principal: PrincipalArn
    access_keys: tuple[AccessKey, ...]
    policies: tuple[Path, ...] = ()
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    upstream: AccessKey | None = None


@dataclass(frozen=True, slots=True)
class DecisionLog:
    """Where decisions are written as JSON lines; `path` None means standard output."""

    path: Path | None = None
    when_full: Literal["block", "drop-and-count"] = "drop-and-count"


@dataclass(frozen=True, slots=True)
class Audit:
    """Where the use of keys is recorded, and what happens when it cannot be; one of `path` and `store` is given."""

    path: Path | None = None
    store: Path | None = None
    secret: tuple[Secret, ...] = ()
    """The first writes, all read; none is a chain without a secret."""
    when_full: Literal["block", "drop-and-count"] = "block"
    timeout_seconds: float = 5
    queue: int = 10000
    rotate_bytes: int = 134217728
    sync: bool = False


@dataclass(frozen=True, slots=True)
class Log:
    """The log for the person who runs the proxy; it goes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything one configuration file says, checked."""

    path: Path
    owner: str
    upstream: Upstream
    buckets: Buckets = field(repr=False)
    source: Source = field(repr=False)
    """The file, to say where in it something stands: `source.diagnostic(("listen", "port"), ...)`."""
    listen: Listen = Listen()
    admin: Admin | None = Admin()
    trusted_proxies: tuple[Network, ...] = ()
    limits: Limits = Limits()
    auth: AuthSettings = AuthSettings()
    identities: tuple[IdentitySettings, ...] = ()
    policies: tuple[Path, ...] = ()
    condition_values: Mapping[str, ConditionValue] = field(default_factory=lambda: MappingProxyType({}))
    """Condition keys that a proxy cannot know, lower-case, and their values here."""
    kms_aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """`alias/NAME` -> the ARN of the key it stands for, those of `keys` included."""
    keys: Mapping[str, KeySettings] = field(default_factory=lambda: MappingProxyType({}))
    """Master keys by name."""
    state_secret: tuple[Secret, ...] = ()
    """Seal the state of unfinished uploads: the first writes, all read."""
    bucket_policy_api: Literal["refuse", "forward"] = "refuse"
    decision_log: DecisionLog | None = DecisionLog()
    audit: Audit | None = None
    log: Log = Log()
    warnings: tuple[Diagnostic, ...] = ()

    def bucket(self, name: str) -> BucketSettings:
        """Return the settings of the bucket called `name`."""
        return self.buckets.settings(name)

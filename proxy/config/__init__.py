"""What the proxy is told to do: a frozen `Config` from one file and the environment.

`load_config(path)` is the door. Policies are named here and parsed elsewhere; identities are listed here
and looked up in `proxy.identity`.
"""

from __future__ import annotations

from proxy.config.buckets import BucketEncryption, BucketRule, Buckets, BucketSettings, KekSettings
from proxy.config.keys import AwsKms, KeySettings, KeyVersion, Pkcs11, Vault
from proxy.config.load import load_config, read_config
from proxy.config.model import (
    AccessKey,
    Admin,
    Audit,
    AuthSettings,
    ConditionValue,
    Config,
    DecisionLog,
    IdentitySettings,
    Limits,
    Listen,
    Log,
    Network,
    ServerTls,
    State,
    Upstream,
    UpstreamTls,
)
from proxy.config.principals import PrincipalArn, parse_principal
from proxy.config.secrets import Secret

__all__ = [
    "AccessKey",
    "Admin",
    "Audit",
    "AuthSettings",
    "AwsKms",
    "BucketEncryption",
    "BucketRule",
    "BucketSettings",
    "Buckets",
    "ConditionValue",
    "Config",
    "DecisionLog",
    "IdentitySettings",
    "KekSettings",
    "KeySettings",
    "KeyVersion",
    "Limits",
    "Listen",
    "Log",
    "Network",
    "Pkcs11",
    "PrincipalArn",
    "Secret",
    "ServerTls",
    "State",
    "Upstream",
    "UpstreamTls",
    "Vault",
    "load_config",
    "parse_principal",
    "read_config",
]

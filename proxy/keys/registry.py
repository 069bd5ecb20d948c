"""From the configuration to a ring of keys: which class serves which type.

The libraries of key services are extras: each is imported when a key needs it, and its absence is a
finding about that key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.config import AwsKms, Config, KeySettings, Pkcs11, Vault
from proxy.envelope.entropy import Entropy, SystemEntropy
from proxy.errors import ConfigError
from proxy.keys.guard import GuardedKey
from proxy.keys.local import LARGE_RSA_BITS, LocalRsaKey, local_key
from proxy.keys.ring import KeyRing, MasterKey
from proxy.keys.service import KeyOp, KeyResult, KeyService, Observer, Provider

if TYPE_CHECKING:
    from proxy.keys.aws_kms import AwsKmsKey
    from proxy.keys.pkcs11 import Pkcs11Key
    from proxy.keys.vault import VaultKey

_EXTRAS = {"aws-kms": "aws", "vault": "vault", "pkcs11": "pkcs11"}


def ignore(provider: Provider, op: KeyOp, result: KeyResult) -> None:
    """Observe nothing, for commands and tests."""


def build_ring(config: Config, observe: Observer = ignore, entropy: Entropy | None = None) -> KeyRing:
    """Build every key of the configuration; nothing is asked over the network yet.

    Raises `ConfigError` for keys whose library is not installed.
    """
    entropy = entropy or SystemEntropy()
    keys, findings = [], []
    for settings in config.keys.values():
        try:
            service = _service(settings, observe, entropy)
        except ImportError as error:
            message = f"a key of type `{settings.type}` needs the package {error.name}"
            remedy = f'install it: pip install "s3warden[{_EXTRAS[settings.type]}]"'
            findings.append(config.source.diagnostic(("keys", settings.name, "type"), message, help=remedy))
        else:
            keys.append(_master(settings, service, observe))
    if findings:
        raise ConfigError(findings)
    return KeyRing(keys, config.keys)


def _master(settings: KeySettings, service: KeyService, observe: Observer) -> MasterKey:
    wants_kek = service.is_remote or (isinstance(service, LocalRsaKey) and service.bits >= LARGE_RSA_BITS)
    return MasterKey(
        settings.name, settings.arn, settings.aliases, settings.enabled, settings.policy, wants_kek, service, observe
    )


def _service(settings: KeySettings, observe: Observer, entropy: Entropy) -> KeyService:
    if settings.backend is None:
        return local_key(settings, entropy)
    return GuardedKey(settings.name, remote_service(settings, entropy), settings.timeout_seconds, observe)


def remote_service(settings: KeySettings, entropy: Entropy) -> AwsKmsKey | VaultKey | Pkcs11Key:
    """Build the service of a key that lives elsewhere, without a guard; raises `ImportError`."""
    name, seconds, backend = settings.name, settings.timeout_seconds, settings.backend
    if isinstance(backend, AwsKms):
        from proxy.keys.aws_kms import AwsKmsKey

        return AwsKmsKey(name, backend, seconds)
    if isinstance(backend, Vault):
        from proxy.keys.vault import VaultKey

        return VaultKey(name, backend, seconds)
    if isinstance(backend, Pkcs11):
        from proxy.keys.pkcs11 import Pkcs11Key

        return Pkcs11Key(name, backend, [(version.id, version.label or name) for version in settings.versions], entropy)
    raise AssertionError(f"a key of type `{settings.type}` has no service")

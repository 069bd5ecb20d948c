"""From the configuration to a ring of keys: which class serves which type.

The libraries of key services are extras: each is imported when a key needs it, and its absence is a
finding about that key.
"""

from __future__ import annotations

from proxy.config import Config, KeySettings
from proxy.envelope.entropy import Entropy, SystemEntropy
from proxy.keys.local import LARGE_RSA_BITS, LocalRsaKey, local_key
from proxy.keys.ring import KeyRing, MasterKey
from proxy.keys.service import KeyOp, KeyResult, KeyService, Observer, Provider


def ignore(provider: Provider, op: KeyOp, result: KeyResult) -> None:
    """Observe nothing, for commands and tests."""


def build_ring(config: Config, observe: Observer = ignore, entropy: Entropy | None = None) -> KeyRing:
    """Build every key of the configuration; nothing is asked over the network yet.

    Raises `ConfigError` for a key that cannot be built here.
    """
    entropy = entropy or SystemEntropy()
    keys = [_master(settings, _service(settings, entropy), observe) for settings in config.keys.values()]
    return KeyRing(keys, config.keys)


def _master(settings: KeySettings, service: KeyService, observe: Observer) -> MasterKey:
    wants_kek = service.is_remote or (isinstance(service, LocalRsaKey) and service.bits >= LARGE_RSA_BITS)
    return MasterKey(
        settings.name, settings.arn, settings.aliases, settings.enabled, settings.policy, wants_kek, service, observe
    )


def _service(settings: KeySettings, entropy: Entropy) -> KeyService:
    return local_key(settings, entropy)

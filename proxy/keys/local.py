"""Master keys whose material is in the configuration: AES and RSA.

They make the Encryption SDK's raw AES and raw RSA EDKs, in the namespace `s3w` and with the key name
`<name>@<version>`, so the SDK's own raw keyrings open what is written here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import rsa

from proxy.config import KeySettings
from proxy.config.keys import aes_material, rsa_pair
from proxy.envelope.context import Context
from proxy.envelope.entropy import Entropy
from proxy.envelope.keyring import PROVIDER, AesKeyring, Edk, RsaKeyring, aes_info_prefix
from proxy.keys.service import Provider

SLOW_RSA_BITS = 3072
"""From this size on a private operation takes milliseconds: it goes to a thread."""
LARGE_RSA_BITS = 4096
"""From this size on what the key wraps is too long for the metadata of every object."""


def version_name(key: str, version: str) -> str:
    """Return the key name that EDKs carry. Names contain no `@`, so it can be taken apart again."""
    return f"{key}@{version}"


class LocalAesKey:
    """An AES-256 key with all its versions."""

    provider: Provider = "local"
    is_remote = False
    can_unwrap = True

    def __init__(self, name: str, versions: Sequence[tuple[str, bytes]], entropy: Entropy) -> None:
        self.name = name
        keyrings = [AesKeyring(PROVIDER, version_name(name, each), key, entropy) for each, key in versions]
        self._writer = keyrings[0]
        self._by_prefix = {aes_info_prefix(keyring.name): keyring for keyring in keyrings}

    def names(self, edk: Edk) -> bool:
        """Tell whether a version that is here wrapped `edk`."""
        return self._keyring(edk) is not None

    async def wrap(self, data_key: bytes, context: Context) -> Edk:
        """Wrap with the first version."""
        return self._writer.wrap(data_key, context)

    async def unwrap(self, edk: Edk, context: Context) -> bytes | None:
        """Unwrap with the version that `edk` names; raises `IntegrityError` edk."""
        keyring = self._keyring(edk)
        return keyring.unwrap(edk, context) if keyring is not None else None

    async def check(self) -> str | None:
        """Nothing can be wrong: the material was checked when it was loaded."""
        return None

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _keyring(self, edk: Edk) -> AesKeyring | None:
        if edk.provider_id != PROVIDER:
            return None
        return next((each for prefix, each in self._by_prefix.items() if edk.key_info.startswith(prefix)), None)

    def __repr__(self) -> str:
        return f"LocalAesKey({self.name!r})"


class LocalRsaKey:
    """An RSA key with all its versions; those without a private half only write."""

    provider: Provider = "local"
    is_remote = False

    def __init__(self, name: str, versions: Sequence[tuple[str, rsa.RSAPublicKey, rsa.RSAPrivateKey | None]]) -> None:
        self.name = name
        keyrings = [
            RsaKeyring(PROVIDER, version_name(name, each), public, private) for each, public, private in versions
        ]
        self._writer = keyrings[0]
        self._by_info = {keyring.name.encode(): keyring for keyring in keyrings}
        self._slow = {
            version_name(name, each).encode() for each, public, _ in versions if public.key_size >= SLOW_RSA_BITS
        }
        self.bits = versions[0][1].key_size
        """Size of the modulus of the version that writes."""
        self.can_unwrap = any(private is not None for _, _, private in versions)

    def names(self, edk: Edk) -> bool:
        """Tell whether a version that is here wrapped `edk`, be it that it cannot unwrap it."""
        return edk.provider_id == PROVIDER and edk.key_info in self._by_info

    async def wrap(self, data_key: bytes, context: Context) -> Edk:
        """Wrap with the first version's public key; the header tag binds the context, RSA does not."""
        return self._writer.wrap(data_key, context)

    async def unwrap(self, edk: Edk, context: Context) -> bytes | None:
        """Unwrap with the version that `edk` names; None without its private half."""
        keyring = self._by_info.get(edk.key_info) if edk.provider_id == PROVIDER else None
        if keyring is None:
            return None
        if edk.key_info in self._slow:
            return await asyncio.to_thread(keyring.unwrap, edk, context)
        return keyring.unwrap(edk, context)

    async def check(self) -> str | None:
        """Nothing can be wrong: the keys were checked when they were loaded."""
        return None

    async def close(self) -> None:
        """There is nothing to let go of."""

    def __repr__(self) -> str:
        return f"LocalRsaKey({self.name!r})"


def local_key(settings: KeySettings, entropy: Entropy) -> LocalAesKey | LocalRsaKey:
    """Build a key from its settings, which the configuration has checked."""
    if settings.type == "rsa":
        pairs = [(version.id, *rsa_pair(version)) for version in settings.versions]
        return LocalRsaKey(settings.name, pairs)
    materials = [(each.id, aes_material(each.material.reveal())) for each in settings.versions if each.material]
    return LocalAesKey(settings.name, materials, entropy)

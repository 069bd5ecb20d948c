"""The desk for keys whose material is in the configuration."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence

from proxy.config import Config
from proxy.config.keys import aes_material, rsa_pair
from proxy.envelope.capsule import Capsule
from proxy.envelope.context import EMPTY, Context
from proxy.envelope.entropy import Entropy
from proxy.envelope.keyring import PROVIDER, AesKeyring, Edk, Keyring, RsaKeyring, unwrap_any
from proxy.errors import S3Error
from proxy.s3.headers import Headers
from proxy.sealing import SSE
from proxy.server.envelope.keys import Fields, Place, Wish
from proxy.server.exchange import Exchange

_CONTEXT = f"{SSE}-context"
_KEY_ID = f"{SSE}-aws-kms-key-id"
_CUSTOMER = f"{SSE}-customer-"


class LocalDesk:
    """AES and RSA keys; the keyrings of a configuration are made once."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._config: Config | None = None
        self._rings: dict[str, list[Keyring]] = {}

    def wish(self, exchange: Exchange, place: Place, headers: Headers) -> Wish:
        """Read the SSE headers of a request that makes an object."""
        config = exchange.rules.config
        default = config.bucket(place.bucket).encryption.key or ""
        if any(name.startswith(_CUSTOMER) for name in headers.names()):
            raise S3Error("NotImplemented", "Keys of clients are not taken.", {"Header": f"{_CUSTOMER}algorithm"})
        mode = headers.get(SSE)
        if mode in (None, "AES256"):
            return Wish(default, EMPTY, [(SSE, "AES256")])
        if mode != "aws:kms":
            raise S3Error("NotImplemented", extras={"Header": SSE})
        named = headers.get(_KEY_ID)
        if named is None:
            key = config.keys[default]
        else:
            arn = exchange.rules.access.kms.key_arn(named)
            found = [each for each in config.keys.values() if each.arn == arn]
            if not found:
                raise S3Error("KMS.NotFoundException")
            key = found[0]
        if not key.enabled:
            raise S3Error("KMS.DisabledException")
        return Wish(key.name, _client_context(headers.get(_CONTEXT)), [(SSE, "aws:kms"), (_KEY_ID, key.arn)])

    async def wrap(
        self, exchange: Exchange, place: Place, wish: Wish, data_key: bytes, context: Context
    ) -> Sequence[Edk]:
        """Wrap under the key's first version."""
        return [self._keyrings(exchange.rules.config)[wish.key][0].wrap(data_key, context)]

    async def unwrap(self, exchange: Exchange, place: Place, capsule: Capsule, headers: Headers) -> bytes:
        """Unwrap with whichever key the capsule names."""
        rings = [ring for each in self._keyrings(exchange.rules.config).values() for ring in each]
        return unwrap_any(capsule.edks, rings, capsule.context(place.arn))

    def describe(self, exchange: Exchange, place: Place, capsule: Capsule) -> Fields:
        """Return what AWS would say of an object under the bucket's default key, or under another one."""
        config = exchange.rules.config
        default = config.bucket(place.bucket).encryption.key
        for key in config.keys.values():
            if key.name != default and capsule.edks[0].key_info.startswith(f"{key.name}@".encode()):
                return [(SSE, "aws:kms"), (_KEY_ID, key.arn)]
        return [(SSE, "AES256")]

    def can_open(self, exchange: Exchange, wish: Wish) -> bool:
        """Tell whether there is a private half, where the key has halves."""
        version = exchange.rules.config.keys[wish.key].versions[0]
        return version.material is not None or version.private is not None

    def _keyrings(self, config: Config) -> dict[str, list[Keyring]]:
        if config is not self._config:
            self._rings = {name: _rings(config, name, self._entropy) for name in config.keys}
            self._config = config
        return self._rings


def _rings(config: Config, name: str, entropy: Entropy) -> list[Keyring]:
    rings: list[Keyring] = []
    for version in config.keys[name].versions:
        edk_name = f"{name}@{version.id}"
        if version.material is not None:
            rings.append(AesKeyring(PROVIDER, edk_name, aes_material(version.material.reveal()), entropy))
        elif version.public is not None or version.private is not None:
            rings.append(RsaKeyring(PROVIDER, edk_name, *rsa_pair(version)))
    return rings


def _client_context(text: str | None) -> Context:
    if text is None:
        return EMPTY
    try:
        pairs = json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        pairs = None
    if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
        raise S3Error("InvalidArgument", "The encryption context must be base64 of a JSON object of texts.")
    return pairs

"""What the tests of keys share: settings of keys, and a service that does as it is told."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from proxy.config import KeySettings, KeyVersion, Secret
from proxy.config.keys import KeyType, key_arn
from proxy.envelope.context import Context
from proxy.envelope.keyring import Edk
from proxy.keys.service import KeyOp, KeyResult, Provider

REGION, OWNER = "eu-central-1", "123456789012"
DATA_KEY = bytes(range(32))
CONTEXT = {"aws:s3:arn": "arn:aws:s3:::bucket/key"}


@cache
def rsa_key(bits: int, serial: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def material(byte: int) -> Secret:
    return Secret(base64.b64encode(bytes([byte]) * 32).decode())


def settings(name: str, type: KeyType, *versions: KeyVersion, **more: object) -> KeySettings:
    return KeySettings(name, type, key_arn(name, REGION, OWNER), versions, **more)


def aes(name: str, *bytes_: int, **more: object) -> KeySettings:
    """Settings of an AES key whose versions are named after their bytes, the writing one first."""
    return settings(name, "aes", *(KeyVersion(str(byte), material(byte)) for byte in bytes_), **more)


def rsa_settings(name: str, bits: int = 2048, *, can_read: bool = True) -> KeySettings:
    key = rsa_key(bits)
    private = Secret(private_pem(key)) if can_read else None
    return settings(name, "rsa", KeyVersion("1", public=Secret(public_pem(key)), private=private))


@dataclass
class Observed:
    """Remembers what an observer was told."""

    seen: list[tuple[Provider, KeyOp, KeyResult]] = field(default_factory=list)

    def __call__(self, provider: Provider, op: KeyOp, result: KeyResult) -> None:
        self.seen.append((provider, op, result))


@dataclass
class FakeService:
    """A remote key that does as it is told. `act` runs before every call and may raise or wait."""

    name: str = "fake"
    act: Callable[[], object] = lambda: None
    calls: int = 0
    closed: bool = False
    provider: Provider = "vault"
    is_remote: bool = True
    can_unwrap: bool = True

    def names(self, edk: Edk) -> bool:
        return edk.key_info == self.name.encode()

    async def _call(self) -> None:
        self.calls += 1
        waiting = self.act()
        if waiting is not None:
            await waiting

    async def wrap(self, data_key: bytes, context: Context) -> Edk:
        await self._call()
        return Edk("fake", self.name.encode(), bytes(reversed(data_key)))

    async def unwrap(self, edk: Edk, context: Context) -> bytes | None:
        await self._call()
        return bytes(reversed(edk.ciphertext))

    async def check(self) -> str | None:
        await self._call()
        return None

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def observed() -> Observed:
    return Observed()

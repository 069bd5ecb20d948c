"""Master keys as the configuration describes them: frozen values, and what key material must look like.

Knows no key service. Material stays a `Secret` until somebody builds a key from it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from proxy.config.secrets import Secret

KeyType: TypeAlias = Literal["aes", "rsa", "aws-kms", "vault", "pkcs11"]

AES_KEY_SIZE = 32
MIN_RSA_BITS = 2048
"""NIST SP 800-131A disallows shorter moduli."""
FIRST_VERSION = "1"
"""The version of a key whose material stands in the key itself."""


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One version of a key; which fields there are depends on the key's type."""

    id: str
    material: Secret | None = None
    """`aes`: the key in base64."""
    public: Secret | None = None
    """`rsa`: PEM. No secret in itself, but it may come from where secrets come from."""
    private: Secret | None = None
    """`rsa`: PEM; None makes the version write-only."""
    label: str | None = None
    """`pkcs11`: the label of the key object in the token."""


@dataclass(frozen=True, slots=True)
class AwsKms:
    """A key of AWS KMS. `credentials` None means the AWS credential chain."""

    key_arn: str
    endpoint: str | None = None
    access_key_id: str | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None

    @property
    def region(self) -> str:
        """The region that the key's ARN names."""
        return self.key_arn.split(":")[3]


@dataclass(frozen=True, slots=True)
class Vault:
    """A key of a transit engine of HashiCorp Vault or OpenBao."""

    address: str
    token: Secret
    key_name: str
    mount: str = "transit"
    namespace: str | None = None
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Pkcs11:
    """Where a token is: the module to load, the token's label and the PIN to log in with."""

    module: Path
    token_label: str
    pin: Secret


KeyBackend: TypeAlias = AwsKms | Vault | Pkcs11


@dataclass(frozen=True, slots=True)
class KeySettings:
    """A master key. The first of `versions` writes, all read."""

    name: str
    type: KeyType
    arn: str
    """`arn:aws:kms:<region>:<owner>:key/<name>`: what policies and SSE headers call it."""
    versions: tuple[KeyVersion, ...] = ()
    aliases: tuple[str, ...] = ()
    """`alias/NAME`, each of one key only."""
    enabled: bool = True
    policy: Path | None = None
    """Who may use the key for what; None lets everybody who may access the object."""
    backend: KeyBackend | None = None
    """None for keys whose material is in the configuration."""
    timeout_seconds: float = 5


def partition_of(region: str) -> str:
    """Return the ARN partition that a region belongs to."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def key_arn(name: str, region: str, owner: str) -> str:
    """Name a configured key as KMS names its own."""
    return f"arn:{partition_of(region)}:kms:{region}:{owner}:key/{name}"


def aes_material(text: str) -> bytes:
    """Return the key that `text` is in base64; raises `ValueError` with the reason, never with the text."""
    try:
        material = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the material is not base64") from None
    if len(material) != AES_KEY_SIZE:
        raise ValueError(f"the material has {len(material)} bytes instead of {AES_KEY_SIZE}")
    return material


def rsa_public(text: str) -> rsa.RSAPublicKey:
    """Return the RSA public key that `text` is in PEM; raises `ValueError` with the reason."""
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("the public key is not PEM that can be read") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("the public key is not an RSA key")
    _refuse_weak(key.key_size)
    return key


def rsa_private(text: str) -> rsa.RSAPrivateKey:
    """Return the RSA private key that `text` is in PEM; raises `ValueError` with the reason."""
    try:
        key = load_pem_private_key(text.encode(), None)
    except TypeError:
        raise ValueError("the private key is protected by a pass phrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("the private key is not PEM that can be read") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the private key is not an RSA key")
    _refuse_weak(key.key_size)
    return key


def rsa_pair(version: KeyVersion) -> tuple[rsa.RSAPublicKey, rsa.RSAPrivateKey | None]:
    """Return the keys of a version of an RSA key; raises `ValueError` when they do not belong together."""
    private = rsa_private(version.private.reveal()) if version.private is not None else None
    public = rsa_public(version.public.reveal()) if version.public is not None else None
    if private is None:
        if public is None:
            raise ValueError("neither `public` nor `private` is given")
        return public, None
    derived = private.public_key()
    if public is not None and public.public_numbers() != derived.public_numbers():
        raise ValueError("the public key does not belong to the private key")
    return derived, private


def _refuse_weak(bits: int) -> None:
    if bits < MIN_RSA_BITS:
        raise ValueError(f"the key has {bits} bits: at least {MIN_RSA_BITS} are needed")

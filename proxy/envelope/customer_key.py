"""Keys that clients send with their requests (SSE-C): read from header fields, and wrapping data keys.

Such a key exists for the length of one request. What is stored is the data key wrapped under it, and
nothing from which the key could be told or recognised: whether a key is the right one shows by
unwrapping, which takes the same time whatever the key is.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-s3-c-encryption.html
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import md5
from typing import NoReturn

from proxy.envelope.context import Context
from proxy.envelope.entropy import Entropy
from proxy.envelope.keyring import KEY_SIZE, AesKeyring, Edk
from proxy.errors import IntegrityError, S3Error
from proxy.s3.headers import Headers

PROVIDER = "s3w-sse-c"
NAME = "sse-c"
"""What stands for every key of a client: in capsules, in the trail of key use, in reports."""

OF_OBJECT = "x-amz-server-side-encryption-customer-"
"""How the fields begin that are about the object that a request reads or writes."""
OF_SOURCE = "x-amz-copy-source-server-side-encryption-customer-"
"""How those begin that are about the source of a copy."""
OWN_FIELDS = frozenset(f"{OF_OBJECT}{part}" for part in ("algorithm", "key", "key-md5"))
FIELDS = OWN_FIELDS | frozenset(f"{OF_SOURCE}{part}" for part in ("algorithm", "key", "key-md5"))

_ALGORITHM = "AES256"
_DEMAND = "Requests specifying Server Side Encryption with Customer provided keys must provide"


@dataclass(frozen=True, slots=True, eq=False)
class CustomerKey:
    """The key of one request. It cannot be compared: compare what it opens."""

    key: bytes = field(repr=False)
    md5: str = field(repr=False)
    """Base64, as answers repeat it to the client that sent it."""

    @property
    def answer(self) -> list[tuple[str, str]]:
        """The fields with which S3 confirms its use."""
        return [(f"{OF_OBJECT}algorithm", _ALGORITHM), (f"{OF_OBJECT}key-MD5", self.md5)]

    def wrap(self, data_key: bytes, context: Context, entropy: Entropy) -> Edk:
        """Wrap a data key, bound to `context`."""
        return AesKeyring(PROVIDER, NAME, self.key, entropy).wrap(data_key, context)

    def unwrap(self, edk: Edk, context: Context, entropy: Entropy) -> bytes | None:
        """Return the data key; None when this is not the key, or what it wrapped was changed."""
        try:
            return AesKeyring(PROVIDER, NAME, self.key, entropy).unwrap(edk, context)
        except IntegrityError:
            return None


def parse_customer_key(headers: Headers, prefix: str = OF_OBJECT) -> CustomerKey | None:
    """Read the three fields that bring a key, None when there is none of them.

    Raises `S3Error` InvalidArgument for a key that is not whole, as S3 does.
    """
    names = [f"{prefix}{part}" for part in ("algorithm", "key", "key-md5")]
    algorithm, text, digest = (headers.get(name) for name in names)
    if algorithm is None and text is None and digest is None:
        return None
    if algorithm != _ALGORITHM:
        _refuse(names[0], f"{_DEMAND} a valid encryption algorithm.")
    if text is None:
        _refuse(names[1], f"{_DEMAND} an appropriate secret key.")
    if digest is None:
        _refuse(names[2], f"{_DEMAND} the client calculated MD5 of the secret key.")
    key = _decode(text)
    if key is None or len(key) != KEY_SIZE:
        _refuse(names[1], "The secret key was invalid for the specified algorithm.")
    computed = md5(key, usedforsecurity=False).digest()
    if not hmac.compare_digest(_decode(digest) or b"", computed):
        _refuse(names[2], "The calculated MD5 hash of the key did not match the hash that was provided.")
    return CustomerKey(key, base64.b64encode(computed).decode("ascii"))


def customer_edk(edks: Sequence[Edk]) -> Edk | None:
    """Return what a client's key wrapped in a capsule, None for a capsule under keys of the proxy's.

    Raises `IntegrityError` edk for a capsule that claims to be both: no proxy writes one.
    """
    found = [edk for edk in edks if edk.provider_id == PROVIDER]
    if not found:
        return None
    if len(edks) != 1:
        raise IntegrityError("edk", "the capsule names a client's key beside another one")
    return found[0]


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _refuse(name: str, message: str) -> NoReturn:
    raise S3Error("InvalidArgument", message, {"ArgumentName": name})

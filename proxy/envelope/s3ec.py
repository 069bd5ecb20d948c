"""Objects that an Amazon S3 Encryption Client stored: formats V2 and V3, recognised by their metadata.

Such an object carries one tag at its very end, so it is held in memory, up to a bound, until the tag is
verified; ranges of it cannot be served. V1 objects are recognised and refused: CBC without a tag could
only be read by releasing plaintext nobody verified.

Source: https://github.com/aws/amazon-s3-encryption-client-java (specification/s3-encryption)
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.envelope.context import ARN_NAME, EMPTY, Context
from proxy.envelope.frames import Buffer
from proxy.envelope.keyring import KEY_SIZE, NONCE_SIZE, TAG_SIZE, Edk
from proxy.envelope.metadata import decode_value
from proxy.errors import IntegrityError
from proxy.s3.headers import Headers

MAX_OBJECT = 64 * 2**20
"""What is held in memory at most until the one tag of an object can be checked."""

KMS_WRAP = "kms+context"
"""How KMS wraps data keys of the client: under the encryption context that the object names."""

_CLIENT_FIELDS = b"x-amz-meta-x-amz-"
_KEY_V1, _KEY_V2, _KEY_V3 = "x-amz-key", "x-amz-key-v2", "x-amz-3"
_COMMITTED_V3 = frozenset({"x-amz-c", "x-amz-d", "x-amz-i"})
_GCM_V2 = "AES/GCM/NoPadding"
_GCM_V3 = "115"
_SUITE_V3 = b"\x00\x73"
_ID_SIZE = 28
_NONCE_V3 = b"\x01" * NONCE_SIZE
_ALGORITHM_PAIR = "aws:x-amz-cek-alg"
_WRAPS_V3: Mapping[str, str] = MappingProxyType({"02": "AES/GCM", "12": KMS_WRAP, "22": "RSA-OAEP-SHA1"})
# The client's own choice; SHA-1 within OAEP is not known to be weak.
_OAEP_SHA1 = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303 - theirs


@dataclass(frozen=True, slots=True)
class ClientObject:
    """What the metadata of a client-side encrypted object says."""

    version: int
    """2 or 3."""
    wrap: str
    """`kms+context`, `AES/GCM` or `RSA-OAEP-SHA1`."""
    wrapped_key: bytes
    context: Context
    """The KMS encryption context for `kms+context`, otherwise the material description.

    Nothing authenticates a material description, so it never says which object this is: key policies go by that."""
    content_algorithm: str
    nonce: bytes
    message_id: bytes = field(default=b"")
    commitment: bytes = field(default=b"")


def is_client_encrypted(metadata: Mapping[str, str]) -> bool:
    """Tell whether user metadata (names without `x-amz-meta-`) is that of any S3 Encryption Client.

    A V3 object whose data key lies in an instruction file shows by its commitment. One of V2 shows by nothing.
    """
    return _KEY_V1 in metadata or _KEY_V2 in metadata or _KEY_V3 in metadata or metadata.keys() >= _COMMITTED_V3


def shown_size(metadata: Mapping[str, str], stored: int) -> int:
    """Return the size of an object without our mark as clients see it: that of the plaintext, where it shows."""
    return max(0, stored - TAG_SIZE) if is_client_encrypted(metadata) else stored


def need_client_object(metadata: Mapping[str, str]) -> ClientObject:
    """Read the metadata of a client-encrypted object; raises `IntegrityError` s3ec as `parse_client_object`."""
    client_object = parse_client_object(metadata)
    if client_object is None:
        raise _refused("the object names no encrypted data key")
    return client_object


def without_client_fields(headers: Headers) -> Headers:
    """Take out what would make a client decrypt again what was decrypted here."""
    return Headers(pair for pair in headers.raw if not pair[0].lower().startswith(_CLIENT_FIELDS))


def kms_edk(client_object: ClientObject, key_arn: str) -> Edk:
    """Return the wrapped key as one of the Encryption SDK's, as if it named a key of KMS: it names none."""
    return Edk("aws-kms", key_arn.encode(), client_object.wrapped_key)


def parse_client_object(metadata: Mapping[str, str]) -> ClientObject | None:
    """Read user metadata (names without `x-amz-meta-`); None when it names no encrypted data key.

    Raises `IntegrityError` s3ec for V1, for several formats at once and for anything missing or odd.
    """
    present = [name for name in (_KEY_V1, _KEY_V2, _KEY_V3) if name in metadata]
    if not present:
        return None
    if len(present) > 1:
        raise _refused("the object claims several formats of the S3 Encryption Client")
    if present == [_KEY_V1]:
        raise _refused("the object was encrypted without authentication (S3 Encryption Client V1)")
    client_object = _parse_v2(metadata) if present == [_KEY_V2] else _parse_v3(metadata)
    if client_object.wrap == KMS_WRAP and client_object.context.get(_ALGORITHM_PAIR) != (
        client_object.content_algorithm
    ):
        raise _refused("the key was wrapped for another content algorithm")
    if client_object.wrap != KMS_WRAP:
        said = {name: value for name, value in client_object.context.items() if name.lower() != ARN_NAME}
        client_object = replace(client_object, context=MappingProxyType(said))
    return client_object


def unwrap_with_aes(client_object: ClientObject, key: bytes) -> bytes:
    """Unwrap the data key of an `AES/GCM` object; raises `IntegrityError` edk."""
    wrapped = client_object.wrapped_key
    try:
        if client_object.wrap != "AES/GCM" or len(wrapped) <= NONCE_SIZE + TAG_SIZE:
            raise InvalidTag
        # The content algorithm is authenticated with the key, so it cannot be swapped for another.
        aad = client_object.content_algorithm.encode()
        return AESGCM(key).decrypt(wrapped[:NONCE_SIZE], wrapped[NONCE_SIZE:], aad)
    except InvalidTag:
        raise IntegrityError("edk", "the data key of the S3 Encryption Client object does not open") from None


def unwrap_with_rsa(client_object: ClientObject, key: rsa.RSAPrivateKey) -> bytes:
    """Unwrap the data key of an `RSA-OAEP-SHA1` object; raises `IntegrityError` edk.

    What is wrapped is a length byte, the data key, and the name of the content algorithm.
    """
    try:
        if client_object.wrap != "RSA-OAEP-SHA1":
            raise ValueError
        plaintext = key.decrypt(client_object.wrapped_key, _OAEP_SHA1)
        expected = bytes([KEY_SIZE]), client_object.content_algorithm.encode()
        if (plaintext[:1], plaintext[1 + KEY_SIZE :]) != expected:
            raise ValueError
    except ValueError:
        raise IntegrityError("edk", "the data key of the S3 Encryption Client object does not open") from None
    return plaintext[1 : 1 + KEY_SIZE]


class ClientObjectOpener:
    """Holds a whole object back until its tag is verified."""

    __slots__ = ("_aad", "_aead", "_limit", "_nonce", "_stored")

    def __init__(self, client_object: ClientObject, data_key: bytes, *, limit: int = MAX_OBJECT) -> None:
        """Raises `IntegrityError` s3ec when the data key is not the one committed to."""
        if len(data_key) != KEY_SIZE:
            raise _refused("the data key has another length")
        self._aad = b""
        if client_object.version == 3:
            data_key = _derive_v3(client_object, data_key)
            self._aad = _SUITE_V3
        self._aead = AESGCM(data_key)
        self._nonce = client_object.nonce
        self._stored = bytearray()
        self._limit = limit

    def feed(self, stored: Buffer) -> None:
        """Take more of the stored object; raises `IntegrityError` s3ec above the bound."""
        if len(self._stored) + len(stored) > self._limit:
            raise _refused("the object is larger than can be held back until it is verified")
        self._stored += stored

    def finish(self) -> bytes:
        """Return the plaintext of the whole object; raises `IntegrityError` s3ec."""
        try:
            return self._aead.decrypt(self._nonce, bytes(self._stored), self._aad)
        except InvalidTag:
            raise _refused("the object does not verify") from None


def _parse_v2(metadata: Mapping[str, str]) -> ClientObject:
    algorithm = _need(metadata, "x-amz-cek-alg")
    nonce = decode_value(_need(metadata, "x-amz-iv"))
    if algorithm != _GCM_V2 or len(nonce) != NONCE_SIZE or metadata.get("x-amz-tag-len", "128") != "128":
        raise _refused("the content algorithm is not authenticated, or unknown")
    wrap = _need(metadata, "x-amz-wrap-alg")
    if wrap not in _WRAPS_V3.values():
        raise _refused("the key is wrapped in an unknown or legacy way")
    wrapped = decode_value(_need(metadata, _KEY_V2))
    return ClientObject(2, wrap, wrapped, _pairs(metadata.get("x-amz-matdesc")), algorithm, nonce)


def _parse_v3(metadata: Mapping[str, str]) -> ClientObject:
    algorithm = _need(metadata, "x-amz-c")
    wrap = _WRAPS_V3.get(_need(metadata, "x-amz-w"))
    if algorithm != _GCM_V3 or wrap is None:
        raise _refused("the content algorithm or the way the key is wrapped is unknown or legacy")
    message_id, commitment = decode_value(_need(metadata, "x-amz-i")), decode_value(_need(metadata, "x-amz-d"))
    if len(message_id) != _ID_SIZE or len(commitment) != _ID_SIZE:
        raise _refused("message id or commitment has another length")
    context = _pairs(metadata.get("x-amz-t" if wrap == KMS_WRAP else "x-amz-m"))
    wrapped = decode_value(_need(metadata, _KEY_V3))
    return ClientObject(3, wrap, wrapped, context, algorithm, _NONCE_V3, message_id, commitment)


def _derive_v3(client_object: ClientObject, data_key: bytes) -> bytes:
    extracted = hmac.digest(client_object.message_id, data_key, "sha512")
    key = hmac.digest(extracted, _SUITE_V3 + b"DERIVEKEY\x01", "sha512")
    commitment = hmac.digest(extracted, _SUITE_V3 + b"COMMITKEY\x01", "sha512")
    if not hmac.compare_digest(commitment[:_ID_SIZE], client_object.commitment):
        raise _refused("the object was not written with this data key")
    return key[:KEY_SIZE]


def _pairs(text: str | None) -> Context:
    if text is None:
        return EMPTY
    try:
        pairs = json.loads(text, object_pairs_hook=_once)
        if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
            raise _refused("the material description is not a map of texts")
        "".join([*pairs, *pairs.values()]).encode()
    except (ValueError, RecursionError):
        raise _refused("the material description is not JSON, names something twice, or is no text") from None
    return MappingProxyType(pairs)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError  # readers would disagree about its value
    return found


def _need(metadata: Mapping[str, str], name: str) -> str:
    value = metadata.get(name)
    if value is None:
        raise _refused(f"the metadata lacks `{name}`")
    return value


def _refused(message: str) -> IntegrityError:
    return IntegrityError("s3ec", message)

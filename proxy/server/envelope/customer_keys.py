"""Keys that clients send (SSE-C), as requests bring them: where they are taken, and what is said of them.

Reads and writes are told apart as AWS does: whether new objects may be encrypted so is the bucket's setting,
and what is there can be read by whoever has its key. A key never travels in the clear, on either side of the
proxy, unless the bucket says that it may.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/blocking-unblocking-s3-c-encryption-gpb.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.config import BucketEncryption
from proxy.envelope.context import Context
from proxy.envelope.customer_key import FIELDS, OF_OBJECT, OF_SOURCE, CustomerKey, parse_customer_key
from proxy.envelope.entropy import Entropy
from proxy.envelope.keyring import Edk
from proxy.errors import S3Error
from proxy.keys.rules import CONTEXT, KEY_ID
from proxy.rewrite import MAKES_OBJECT
from proxy.s3.copy_source import parse_copy_source
from proxy.s3.headers import Headers
from proxy.s3.request import S3Request
from proxy.sealing import SSE
from proxy.server.exchange import Exchange

_INSECURE = (
    "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection."
)


@dataclass(frozen=True, slots=True)
class CustomerWish:
    """A new object that is to be encrypted under the key that its request brings."""

    key: CustomerKey

    @property
    def answer(self) -> list[tuple[str, str]]:
        """The fields with which S3 confirms it."""
        return self.key.answer


@dataclass(frozen=True, slots=True)
class Words:
    """What is said where request and object do not fit together: code and message of an `S3Error`."""

    missing: tuple[str, str]
    """The object is under a client's key, and the request brings none."""
    wrong: tuple[str, str]
    idle: tuple[str, str]
    """The request brings a key, and the object is under none of a client's."""


OF_READING = Words(
    (
        "InvalidRequest",
        "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to "
        "retrieve the object.",
    ),
    ("AccessDenied", ""),
    ("InvalidRequest", "The encryption parameters are not applicable to this object."),
)
OF_UPLOAD = Words(
    (
        "InvalidRequest",
        "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate "
        "encryption parameters.",
    ),
    ("InvalidRequest", "The provided encryption parameters did not match the ones used originally."),
    (
        "InvalidRequest",
        "The multipart upload initiate did not request encryption. Please resend the request without sending "
        "encryption parameters.",
    ),
)


def admit_customer_keys(exchange: Exchange, request: S3Request, *, sealed_upload: bool) -> None:
    """Check the keys that a request brings before anything is done with them.

    `sealed_upload` says that it continues an upload that the proxy encrypts, whatever the bucket's mode is now.
    Raises `S3Error` InvalidArgument for one that is not whole, InvalidRequest for one that came or would go on
    without TLS, AccessDenied where the bucket takes none for new objects.
    """
    headers = request.headers
    if headers.names().isdisjoint(FIELDS):
        return
    if _brings(headers, OF_OBJECT):
        encryption = exchange.rules.config.bucket(request.bucket or "").encryption
        sealed = sealed_upload or encryption.mode == "envelope"
        _admit(exchange, headers, OF_OBJECT, encryption, sealed=sealed)
        if request.operation.name in MAKES_OBJECT:
            _refuse_two_kinds(headers)
            if sealed and not encryption.sse_c:
                message = "This bucket takes no objects that are encrypted with keys of clients (SSE-C)."
                raise S3Error("AccessDenied", message)
    if _brings(headers, OF_SOURCE):
        source = parse_copy_source(headers.get("x-amz-copy-source") or "")
        encryption = exchange.rules.config.bucket(source.bucket).encryption
        _admit(exchange, headers, OF_SOURCE, encryption, sealed=encryption.mode == "envelope")


def key_of(headers: Headers, *, source: bool) -> CustomerKey | None:
    """Return the key that a request brings for its object, or for the source of its copy."""
    return parse_customer_key(headers, OF_SOURCE if source else OF_OBJECT)


def refuse_idle_key(headers: Headers, *, source: bool = False, words: Words = OF_READING) -> None:
    """Raise `S3Error` InvalidRequest for a key that is sent for an object which none of a client's opens."""
    if _brings(headers, OF_SOURCE if source else OF_OBJECT):
        raise S3Error(*words.idle)


def required_key(headers: Headers, *, source: bool = False, words: Words = OF_READING) -> CustomerKey:
    """Return the key that a request brings for an object under a client's; raises `S3Error` where it brings none."""
    key = key_of(headers, source=source)
    if key is None:
        raise S3Error(*words.missing)
    return key


async def unwrap_with(
    key: CustomerKey, edk: Edk, context: Context, entropy: Entropy, words: Words = OF_READING
) -> bytes:
    """Return the data key of a capsule under a client's key; raises `S3Error` where it is under another."""
    data_key = key.unwrap(edk, context, entropy)
    if data_key is None:
        raise S3Error(*words.wrong, detail="the client's key does not open the object")
    return data_key


def confirmed(exchange: Exchange) -> list[tuple[str, str]]:
    """Return the fields that confirm the key of a request that succeeded; none where it brought none."""
    if exchange.completed is None:
        return []
    key = parse_customer_key(exchange.completed.request.headers)
    return [] if key is None else key.answer


def for_the_store(headers: Headers, *, source: bool = False) -> Mapping[str, str]:
    """Return the fields of a key for a request on an object that the store itself encrypts under it."""
    prefix = OF_SOURCE if source else OF_OBJECT
    found = ((part, headers.get(prefix + part)) for part in ("algorithm", "key", "key-md5"))
    return {OF_OBJECT + part: value for part, value in found if value is not None}


def _brings(headers: Headers, prefix: str) -> bool:
    return any(prefix + part in headers for part in ("algorithm", "key", "key-md5"))


def _admit(exchange: Exchange, headers: Headers, prefix: str, encryption: BucketEncryption, *, sealed: bool) -> None:
    if not encryption.sse_c_over_http:
        if not exchange.connection.secure:
            raise S3Error("InvalidRequest", _INSECURE)
        if not sealed and not exchange.rules.config.upstream.endpoint.lower().startswith("https:"):
            raise S3Error("InvalidRequest", _INSECURE, detail="the key would go to the store without TLS")
    if sealed:
        parse_customer_key(headers, prefix)


def _refuse_two_kinds(headers: Headers) -> None:
    """Refuse fields of SSE-S3 and SSE-KMS: policies would go by a key that encrypts nothing."""
    for name in (SSE, KEY_ID, CONTEXT):
        value = headers.get(name)
        if value is not None:
            message = "Server Side Encryption with Customer provided key is incompatible with the encryption method "
            raise S3Error("InvalidArgument", f"{message}specified", {"ArgumentName": name, "ArgumentValue": value})

"""Which key a write is encrypted under: what the client's SSE headers say, or what the bucket has.

Decided on the request as it will be sent, after header rules completed it. SSE-C is not about a key
of ours and not read here.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-kms-encryption.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NoReturn

from proxy.config import BucketEncryption
from proxy.envelope.context import EMPTY, Context, check_client_context
from proxy.errors import S3Error
from proxy.keys.ring import KeyRing, MasterKey
from proxy.s3.headers import Headers

ALGORITHM = "x-amz-server-side-encryption"
KEY_ID = "x-amz-server-side-encryption-aws-kms-key-id"
CONTEXT = "x-amz-server-side-encryption-context"
BUCKET_KEY = "x-amz-server-side-encryption-bucket-key-enabled"
SSE_HEADERS = (ALGORITHM, KEY_ID, CONTEXT, BUCKET_KEY)

MAX_CONTEXT_HEADER = 8192


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """The key of one write, and how the answer speaks of it."""

    key: MasterKey
    is_kms: bool
    """The client asked for `aws:kms`; otherwise the answer says `AES256`."""
    context: Context = field(default_factory=lambda: EMPTY)
    """The client's encryption context pairs."""
    uses_kek: bool = False
    """Whether a key of the bucket's own stands in between."""
    _context_header: str | None = field(default=None, repr=False)

    @property
    def answer_headers(self) -> Mapping[str, str]:
        """Return the header fields of the answer that say how the object is encrypted."""
        if not self.is_kms:
            return _AES256
        headers = {ALGORITHM: "aws:kms", KEY_ID: self.key.arn}
        if self.uses_kek:
            headers[BUCKET_KEY] = "true"
        if self._context_header is not None:
            headers[CONTEXT] = self._context_header
        return headers


_AES256: Mapping[str, str] = MappingProxyType({ALGORITHM: "AES256"})


def choose_key(ring: KeyRing, encryption: BucketEncryption, headers: Headers) -> KeyChoice:
    """Return the key for a write into a bucket with these settings.

    Raises `S3Error` with the codes that AWS gives: InvalidArgument, KMS.NotFoundException,
    KMS.DisabledException, NotImplemented for `aws:kms:dsse`; InternalError for a bucket without a key.
    """
    algorithm = headers.get(ALGORITHM)
    if algorithm == "aws:kms:dsse":
        raise S3Error("NotImplemented", "Dual-layer encryption (aws:kms:dsse) is not implemented.")
    if algorithm not in (None, "AES256", "aws:kms"):
        _refuse("The encryption method specified is not supported", ALGORITHM, algorithm)
    is_kms = algorithm == "aws:kms"
    for name in (KEY_ID, CONTEXT):
        if not is_kms and (value := headers.get(name)) is not None:
            message = (
                "Server Side Encryption with AWS KMS managed key requires HTTP header "
                "x-amz-server-side-encryption : aws:kms"
            )
            _refuse(message, ALGORITHM, algorithm or "") if name == KEY_ID else _refuse(message, name, value)
    named = headers.get(KEY_ID)
    key = default_key(ring, encryption) if named is None else ring.find(named)
    key.refuse_disabled()
    context_header = headers.get(CONTEXT)
    context = EMPTY if context_header is None else read_context(context_header)
    through_kek = uses_kek(key, encryption, headers.get(BUCKET_KEY))
    return KeyChoice(key, is_kms, context, through_kek, context_header)


def read_context(header: str) -> Context:
    """Read an encryption context: base64 of a JSON object of texts; raises `S3Error` InvalidArgument."""
    try:
        if len(header) > MAX_CONTEXT_HEADER:
            raise ValueError
        pairs = json.loads(base64.b64decode(header, validate=True), object_pairs_hook=_pairs)
        if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
            raise ValueError
    except (ValueError, binascii.Error, RecursionError):
        message = (
            f"The header '{CONTEXT}' shall be Base64-encoded UTF-8 string holding JSON which represents a "
            "string-string map"
        )
        _refuse(message, CONTEXT, header[:MAX_CONTEXT_HEADER])
    check_client_context(pairs)
    return MappingProxyType(pairs)


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError  # a name given twice: readers would disagree about its value
    return found


def default_key(ring: KeyRing, encryption: BucketEncryption) -> MasterKey:
    """Return the key of a bucket in envelope mode; raises `S3Error` InternalError for one without."""
    key = None if encryption.key is None else ring.named(encryption.key)
    if key is None:
        # The configuration refuses this wherever it can tell; never store without a key all the same.
        raise S3Error("InternalError", detail="the bucket is declared encrypted and has no key")
    return key


def uses_kek(key: MasterKey, encryption: BucketEncryption, bucket_key: str | None) -> bool:
    """Tell whether a bucket key stands in between; `bucket_key` is the client's wish, if it has one."""
    if bucket_key not in (None, "true", "false"):
        _refuse("The header must be true or false.", BUCKET_KEY, bucket_key)
    if encryption.kek.use != "auto":
        return encryption.kek.use == "always"
    return key.wants_kek if bucket_key is None else bucket_key == "true"


def _refuse(message: str, name: str, value: str) -> NoReturn:
    raise S3Error("InvalidArgument", message, {"ArgumentName": name, "ArgumentValue": value})

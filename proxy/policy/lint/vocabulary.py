"""What S3 accepts as the value of a condition key, and how a comparison with anything else is told.

Sources: botocore 1.44 (enumerations of the S3 model), S3 User Guide "Bucket policy examples using condition
keys", IAM User Guide "AWS global condition context keys".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from proxy.policy.arns import split_arn_tokens
from proxy.policy.lint.subject import Clause
from proxy.policy.names import did_you_mean
from proxy.policy.patterns import Wildcard, compile_tokens, overlap, tokenize
from proxy.policy.variables import Template

SSE = "s3:x-amz-server-side-encryption"
KMS_KEY_ID = "s3:x-amz-server-side-encryption-aws-kms-key-id"

ACCEPTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        SSE: ("AES256", "aws:kms", "aws:kms:dsse", "aws:fsx", "aws:backup"),
        "s3:x-amz-server-side-encryption-customer-algorithm": ("AES256",),
        "s3:x-amz-acl": (
            "private",
            "public-read",
            "public-read-write",
            "authenticated-read",
            "aws-exec-read",
            "bucket-owner-read",
            "bucket-owner-full-control",
            "log-delivery-write",
        ),
        "s3:x-amz-storage-class": (
            "STANDARD",
            "REDUCED_REDUNDANCY",
            "STANDARD_IA",
            "ONEZONE_IA",
            "INTELLIGENT_TIERING",
            "GLACIER",
            "DEEP_ARCHIVE",
            "OUTPOSTS",
            "GLACIER_IR",
            "SNOW",
            "EXPRESS_ONEZONE",
            "FSX_OPENZFS",
            "FSX_ONTAP",
            "AWS_BACKUP_WARM",
            "AWS_BACKUP_LOW_COST_WARM",
        ),
        "s3:x-amz-metadata-directive": ("COPY", "REPLACE"),
        "s3:x-amz-object-ownership": ("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced"),
        "s3:x-amz-bucket-namespace": ("account-regional", "global"),
        "s3:object-lock-mode": ("GOVERNANCE", "COMPLIANCE"),
        "s3:object-lock-legal-hold": ("ON", "OFF"),
        "s3:authtype": ("REST-HEADER", "REST-QUERY-STRING", "POST"),
        "s3:signatureversion": ("AWS", "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        "aws:principaltype": ("Account", "User", "FederatedUser", "AssumedRole", "Anonymous"),
    }
)
"""Lower-case key -> everything that a request can have there."""

_SHAPES: Mapping[str, tuple[re.Pattern[str], str]] = MappingProxyType(
    {
        "s3:resourceaccount": (re.compile(r"[0-9]{12}"), "an account id has 12 digits"),
        "aws:resourceaccount": (re.compile(r"[0-9]{12}"), "an account id has 12 digits"),
        "aws:principalaccount": (re.compile(r"[0-9]{12}"), "an account id has 12 digits"),
        "s3:x-amz-content-sha256": (
            re.compile(r"[0-9a-f]{64}|UNSIGNED-PAYLOAD|STREAMING-(?:AWS4-|UNSIGNED-)[A-Z0-9-]+"),
            "it is a SHA-256 in lower-case hexadecimal, `UNSIGNED-PAYLOAD` or `STREAMING-...`",
        ),
        "s3:x-amz-copy-source": (
            re.compile(r"[^/].*", re.DOTALL),
            "it is `bucket/key`, without a leading slash",
        ),
    }
)
# In these a `*` is a value that clients send.
LITERAL_STARS = frozenset({"s3:if-match", "s3:if-none-match", "s3:delimiter", "s3:prefix", "s3:x-amz-copy-source"})

MAX_ARN = 2048  # characters; AWS's longest limit for any ARN
_KEY_ARN = tokenize("arn:aws*:kms:?*:?*:key/?*")
_KEY_ARN_PARTS = tuple(tokenize(part) for part in ("arn", "aws*", "kms", "?*", "?*", "key/?*"))


def complaint(clause: Clause, template: Template) -> tuple[str, str] | None:
    """Say why no request can have this value under its key: (message, remedy); None when one can."""
    condition = clause.condition
    if condition.operator.family != "String" or template.variables:
        return None
    # `s3:RequestObjectTag/x` and other keys that the author completes have values of his own.
    key = condition.key
    fold = "IgnoreCase" in condition.operator.name
    shown = template.source
    if key in ACCEPTED:
        accepted = ACCEPTED[key]
        if _fits_any(template, accepted, fold=fold):
            return None
        remedy = did_you_mean(shown.strip("*?"), accepted) or _list(accepted)
        return f"`{shown}` is no value of `{_name(clause)}`", remedy
    if key in _SHAPES and not any(isinstance(part, Wildcard) for part in template.parts):
        shape, remedy = _SHAPES[key]
        if not shape.fullmatch(shown.lower() if fold else shown):
            return f"`{shown}` is no value of `{_name(clause)}`", remedy
    return None


def _name(clause: Clause) -> str:
    return clause.key.name if clause.key else clause.condition.key


def _list(accepted: tuple[str, ...]) -> str:
    return "one of " + ", ".join(f"`{value}`" for value in accepted)


def _fits_any(template: Template, accepted: tuple[str, ...], *, fold: bool) -> bool:
    tokens = [part.lower() if fold and isinstance(part, str) else part for part in template.widest]
    matches = compile_tokens(tokens).matches
    return any(matches(value.lower() if fold else value) for value in accepted)


def could_be_key_arn(template: Template) -> bool:
    """Tell whether a value can equal the ARN of a KMS key."""
    if len(template.source) > MAX_ARN:
        return False
    parts = split_arn_tokens(template.widest)
    if parts is None:
        return overlap(template.widest, _KEY_ARN)
    return all(overlap(part, wanted) for part, wanted in zip(parts, _KEY_ARN_PARTS, strict=True))


def could_be_arn(template: Template) -> bool:
    """Tell whether a value has the six parts of an ARN."""
    if len(template.source) > MAX_ARN:
        return False
    if template.variables and template.widest[:1] == (Wildcard.RUN,):
        return True  # `${...}` may stand for a whole ARN
    tokens = template.widest
    return split_arn_tokens(tokens) is not None and overlap(tokens, tokenize("arn:*"))

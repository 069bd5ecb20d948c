"""The request as it will be sent: the header rules of a bucket, applied to what the client asked for.

This comes before the decision, so that policies judge what the store will be told, and a rule can
remedy an upload instead of having it refused. `S3Request.head` stays as it was received, for the log.

A rule touches a header only where S3 takes that header: `x-amz-server-side-encryption` belongs to
PutObject, CopyObject, CreateMultipartUpload and form uploads, never to UploadPart or GetObject. Headers
are added to requests that make an object or a bucket; they are removed wherever they are optional,
except that a call which only sets an ACL keeps the headers that say which. Removal comes first: a name
in both lists is forced to the rule's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from proxy.access.kms import KEY_ID_HEADER, KmsNames
from proxy.auth.claim import Claim
from proxy.config.buckets import BucketSettings
from proxy.errors import S3Error
from proxy.per_request import per_request
from proxy.s3.head import parse_query
from proxy.s3.headers import Headers
from proxy.s3.operation import COMMON_HEADERS, Operation
from proxy.s3.operations import OPERATIONS
from proxy.s3.request import S3Request

MAKES_OBJECT = frozenset({"PutObject", "CopyObject", "CreateMultipartUpload", "PostObject"})
_ADDS_TO = MAKES_OBJECT | {"CreateBucket"}
# Taking the ACL out of these would leave a call that says nothing.
_KEEPS_ALL = frozenset({"PutObjectAcl", "PutBucketAcl"})
# Headers of HTTP itself that S3 stores with an object. Content-Encoding is not among them: it may carry
# aws-chunked framing, which belongs to the body.
STORED_HEADERS = frozenset({"cache-control", "content-disposition", "content-language", "content-type", "expires"})
_METADATA = "x-amz-meta-"

_SSE = "x-amz-server-side-encryption"
_SSE_C = "x-amz-server-side-encryption-customer-"
# Only meaningful, and only accepted by S3, with an `aws:kms...` value of x-amz-server-side-encryption.
_KMS_ONLY = frozenset({f"{_SSE}-aws-kms-key-id", f"{_SSE}-context", f"{_SSE}-bucket-key-enabled"})
_NO_ALIASES = KmsNames("", "")
_HIDDEN = "(not shown)"


class UnknownAliasError(S3Error):
    """A request named an alias that no key here has, where the proxy encrypts."""

    def __init__(self, alias: str) -> None:
        super().__init__("KMS.NotFoundException", f"Alias {alias} is not found.")
        self.alias = alias
        """The alias or its ARN, as the client or a rule of the bucket wrote it."""


@per_request(frozen=True, slots=True)
class Completed:
    """`request` is what will be judged and sent; its `head` still is what the client sent."""

    request: S3Request
    added: Mapping[str, str]
    """Headers that a rule of the bucket added, and a key's ARN that took the place of an alias."""
    removed: Mapping[str, str]
    """Headers that were taken away, with the client's value."""


_NOTHING: Mapping[str, str] = MappingProxyType({})


def complete(
    request: S3Request, claim: Claim, settings: BucketSettings | None, kms: KmsNames = _NO_ALIASES
) -> Completed:
    """Return the request as it will be sent. `settings` are those of its bucket, None without a bucket.

    An alias of a KMS key gives way to the key's ARN: the store must not resolve it to another key than the
    one that is judged. So does, where the proxy encrypts, the ARN by which another place knows a key. Raises
    `S3Error` InvalidArgument for an alias that `kms` does not resolve, or `UnknownAliasError` where the proxy
    encrypts; without `kms` that is every alias.
    """
    if claim.plus_is_space:
        request = _read_plus_as_space(request)
    headers = request.headers
    removed, added = _NOTHING, _NOTHING
    if settings is not None and (settings.add_headers or settings.remove_headers):
        removed = _removals(request.operation, headers, settings.remove_headers)
        headers = _changed(headers, removed, _NOTHING)
        added = _additions(request.operation, headers, settings.add_headers)
        headers = _changed(headers, _NOTHING, added)
    named = headers.get(KEY_ID_HEADER)
    if named is not None:
        key = _without_alias(named, settings, kms)
        if key != named:
            headers = _changed(headers, {KEY_ID_HEADER: named}, {KEY_ID_HEADER: key})
            if KEY_ID_HEADER in request.headers:
                removed = {KEY_ID_HEADER: named, **removed}
            added = {**added, KEY_ID_HEADER: key}
    if removed or added:
        request = replace(request, headers=headers)
    return Completed(request, added, removed)


def _without_alias(name: str, settings: BucketSettings | None, kms: KmsNames) -> str:
    if settings is None or settings.encryption.mode != "envelope":
        return kms.without_alias(name)
    try:
        return kms.own_name(name)
    except S3Error:
        # Nobody behind the proxy is asked: an alias that no key here has is none.
        raise UnknownAliasError(name) from None


def _changed(headers: Headers, removed: Mapping[str, str], added: Mapping[str, str]) -> Headers:
    if not removed and not added:
        return headers
    kept = (pair for pair in headers.raw if pair[0].decode("latin-1").lower() not in removed)
    return Headers((*kept, *((name.encode("latin-1"), text.encode()) for name, text in added.items())))


def _read_plus_as_space(request: S3Request) -> S3Request:
    """Read the query as the client meant it when it signed, and send it on unmistakably."""
    query_string = request.head.query_string.replace("+", "%20")
    query = parse_query(query_string)
    parameters = MappingProxyType({name: value for name, value in query if name in request.parameters})
    head = replace(request.head, query_string=query_string, query=query)
    return replace(request, head=head, parameters=parameters)


def _takes(operation: Operation, name: str) -> bool:
    if operation.name in MAKES_OBJECT:
        # The fields of a form are the headers of a PutObject.
        taken = OPERATIONS["PutObject"].headers if operation.name == "PostObject" else operation.headers
        return name in taken or name in STORED_HEADERS or name.startswith(_METADATA)
    return name in operation.headers


def _removals(operation: Operation, headers: Headers, names: frozenset[str]) -> Mapping[str, str]:
    if operation.name in _KEEPS_ALL:
        return _NOTHING
    return {
        name: _HIDDEN if name.startswith(_SSE_C) else headers.joined(name) or ""
        for name in names
        if name in headers
        and _takes(operation, name)
        and name not in COMMON_HEADERS
        and name not in operation.required_headers
    }


def _additions(operation: Operation, headers: Headers, rules: Mapping[str, str]) -> Mapping[str, str]:
    if operation.name not in _ADDS_TO:
        return _NOTHING
    added: dict[str, str] = {}
    own_keys = any(name.startswith(_SSE_C) for name in headers.names())
    sets_acl = any(_is_acl(name) for name in headers.names())
    encryption = headers.joined(_SSE) or rules.get(_SSE, "")
    for name, value in rules.items():
        if name in headers or name in COMMON_HEADERS or not _takes(operation, name):
            continue
        if name == _SSE or name in _KMS_ONLY:
            # S3 refuses a request that names two ways to encrypt; the client's own choice goes to the policies.
            if own_keys or (name in _KMS_ONLY and not encryption.startswith("aws:kms")):
                continue
        elif _is_acl(name) and sets_acl:
            continue  # S3 takes a canned ACL or grants, not both
        added[name] = value
    return added


def _is_acl(name: str) -> bool:
    return name == "x-amz-acl" or name.startswith("x-amz-grant-")

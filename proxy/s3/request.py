"""Which operation a request asks for. Everything that is not understood whole is refused.

A proxy that guessed would let a store do something other than what its policies were asked about.
So: one sub-resource at most, every query key and every `x-amz-*` header known to the operation, and
nothing that has one value sent twice. `x-id` is a decoration of SDKs and ignored.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from proxy.errors import S3Error
from proxy.per_request import per_request
from proxy.s3.address import Address, Domains, parse_address
from proxy.s3.head import RequestHead
from proxy.s3.headers import Headers, shown
from proxy.s3.operation import HEADER_FAMILIES, LIST_HEADERS, Operation, Scope
from proxy.s3.operations import BY_WIRE_FORM, HEADER_NAMES, OPERATIONS, QUERY_NAMES, SELECTORS

# Belong to the signature in the query; some clients differ in letter case.
_SIGNATURE_QUERY = frozenset(
    {
        "awsaccesskeyid",
        "expires",
        "signature",
        "x-amz-algorithm",
        "x-amz-content-sha256",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-region-set",
        "x-amz-security-token",
        "x-amz-signature",
        "x-amz-signedheaders",
    }
)
# Besides x-amz-*, botocore moves these two headers into a presigned query (`HmacV1QueryAuth`).
_HOISTED_PLAIN = frozenset({"content-md5", "content-type"})
# A checksum in a query was computed over nothing when the URL was presigned; S3 does not check it there, so
# none takes effect. These three say how, and carry no value to check.
_IGNORED_WHEN_HOISTED = ("x-amz-checksum-", "x-amz-sdk-checksum-algorithm", "x-amz-user-agent")
_EFFECTIVE_WHEN_HOISTED = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"})
# A decoded value becomes a header field: nothing may end it early. RFC 9110 5.5 and 5.6.2.
_NOT_IN_VALUES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_SINGLE_PLAIN = frozenset(
    {
        "authorization",
        "content-disposition",
        "content-language",
        "content-length",
        "content-md5",
        "content-type",
        "expires",
        "host",
        "if-modified-since",
        "if-range",
        "if-unmodified-since",
        "origin",
        "range",
    }
)
# What SDKs send with nearly every request. Only a short cut: a request with no other headers needs no look at each.
_USUAL_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "range",
        "transfer-encoding",
        "user-agent",
        "x-amz-checksum-crc32",
        "x-amz-checksum-mode",
    }
)
_EXPECTED_HEADERS = {name: _USUAL_HEADERS | operation.headers for name, operation in OPERATIONS.items()}
_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})
_OBJECT_LAMBDA_PATH = "/WriteGetObjectResponse"


@per_request(frozen=True, slots=True)
class S3Request:
    """A request whose operation, bucket and key are known; not yet authenticated."""

    head: RequestHead
    address: Address
    operation: Operation
    headers: Headers
    """The headers in effect: those received and those that a presigned URL carries in its query."""
    parameters: Mapping[str, str]
    """The query as far as it has a meaning for S3, decoded once: no signature, no `x-id`."""

    @property
    def bucket(self) -> str | None:
        """The bucket addressed, None for the service."""
        return self.address.bucket

    @property
    def key(self) -> str | None:
        """The key addressed, decoded; None for a bucket or the service."""
        return self.address.key

    @property
    def version_id(self) -> str | None:
        """The `versionId` asked for; None if there is none."""
        return self.parameters.get("versionId")


def recognise(head: RequestHead, domains: Domains) -> S3Request:
    """Name the operation of a request.

    Raises `S3Error`: NotImplemented for what is unknown or refused, InvalidArgument for what is
    ambiguous, MethodNotAllowed for a method the resource does not have, and those of `parse_address`.
    """
    request = identify(head, domains)
    if request.operation.support == "refuse":
        raise S3Error("NotImplemented", f"{request.operation.name} is not supported.")
    return request


def identify(head: RequestHead, domains: Domains) -> S3Request:
    """Do what `recognise` does, but name operations that are known and not supported too.

    Those are returned unchecked: nothing but their name is of use.
    """
    if head.path == _OBJECT_LAMBDA_PATH and head.method == "POST":
        return S3Request(
            head, Address("path", None, None), OPERATIONS["WriteGetObjectResponse"], head.headers, _NO_PARAMETERS
        )
    address = parse_address(head, domains)
    headers = head.headers
    if head.method == "OPTIONS":
        return S3Request(head, address, _preflight(headers), headers, _NO_PARAMETERS)
    if len(headers.raw) != len(headers.names()):
        _refuse_repeated(headers)
    parameters = _NO_PARAMETERS
    if head.query:
        parameters, hoisted = _sort_query(head.query)
        if hoisted:
            headers = _with_hoisted(headers, hoisted)
    operation = _find(head.method, address, parameters, headers)
    if operation.support == "refuse":
        return S3Request(head, address, operation, headers, parameters)
    if parameters:
        _check_parameters(operation, parameters)
    if not _EXPECTED_HEADERS[operation.name].issuperset(headers.names()):
        for name in headers.names():
            if name not in operation.headers and name.startswith("x-amz-"):
                _check_header(operation, name, headers)
    return S3Request(head, address, operation, headers, parameters)


def _preflight(headers: Headers) -> Operation:
    """CORS preflights have no other form; a browser repeats the query of the request to come."""
    operation = OPERATIONS["CorsPreflight"]
    for name in operation.required_headers:
        if headers.get(name) is None:
            raise S3Error("BadRequest", f"Insufficient information. {name.title()} request header needed.")
    return operation


def _find(method: str, address: Address, parameters: Mapping[str, str], headers: Headers) -> Operation:
    scope: Scope = "service" if address.bucket is None else "bucket" if address.key is None else "object"
    selector = _selector(parameters) if parameters else ""
    rows = BY_WIRE_FORM.get((method, scope, selector))
    if rows is None:
        if selector and not any(form[1:] == (scope, selector) for form in BY_WIRE_FORM):
            raise _unknown_parameter(selector, parameters[selector], f"a {scope}")
        raise S3Error("MethodNotAllowed", extras={"Method": method, "ResourceType": (selector or scope).upper()})
    present = headers.names()
    for operation in rows:  # hot: loops instead of all(), which would make two generators per row
        for name in operation.required_query:
            if name not in parameters:
                break
        else:
            for name in operation.required_headers:
                if name not in present:
                    break
            else:
                if operation.body == "form":
                    _check_form(headers)
                return operation
    missing = rows[-1]
    if not selector:
        raise S3Error("MethodNotAllowed", extras={"Method": method, "ResourceType": scope.upper()})
    for name in missing.required_headers:
        if name not in present:
            raise S3Error("InvalidRequest", f"Missing required header for this request: {name}")
    raise S3Error("InvalidArgument", f"{missing.name} needs the query parameters {', '.join(missing.required_query)}.")


def _selector(parameters: Mapping[str, str]) -> str:
    """Return the one key that selects the operation; two of them contradict each other."""
    found = ""
    for name in parameters:
        if name in SELECTORS:
            if found:
                raise S3Error(
                    "InvalidArgument",
                    f"Conflicting query string parameters: {found}, {name}",
                    {"ArgumentName": "ResourceType", "ArgumentValue": name},
                )
            found = name
    return found


def _sort_query(query: Iterable[tuple[str, str]]) -> tuple[dict[str, str], dict[str, str]]:
    """Split into what S3 acts on and what stands for a header; drop the signature and decorations."""
    parameters: dict[str, str] = {}
    hoisted: dict[str, str] = {}
    presigned = False
    seen = set()
    for name, value in query:
        folded = name.lower()
        # `prefix` and `Prefix` are different keys to S3, but never different x-amz-* keys to every store.
        unique = folded if folded.startswith("x-amz-") else name
        if unique in seen:
            raise S3Error(
                "InvalidArgument",
                f"The query parameter {name} must be sent only once.",
                {"ArgumentName": name, "ArgumentValue": shown(folded, value)},
            )
        seen.add(unique)
        if folded in _SIGNATURE_QUERY:
            presigned = presigned or folded in ("signature", "x-amz-signature")
        elif folded.startswith("x-amz-") or folded in _HOISTED_PLAIN:
            hoisted[folded] = value
        elif name != "x-id":
            parameters[name] = value
    if hoisted and not presigned:
        name, value = next(iter(hoisted.items()))
        raise _unknown_parameter(name, value, "a request that is not presigned")
    return parameters, hoisted


def _with_hoisted(headers: Headers, hoisted: Mapping[str, str]) -> Headers:
    """Add headers from a presigned query; what arrives in both places must agree."""
    added = []
    for name, value in hoisted.items():
        if name.startswith(_IGNORED_WHEN_HOISTED) and name not in _EFFECTIVE_WHEN_HOISTED:
            continue
        if not _HEADER_NAME.fullmatch(name) or _NOT_IN_VALUES.search(value):
            raise _bad_value(name, value)
        raw = value.encode("utf-8", "surrogateescape")
        sent = headers.get(name)
        if sent is None:
            added.append((name.encode("ascii"), raw))
        elif sent.encode("latin-1") != raw:
            raise S3Error(
                "InvalidArgument",
                f"The header {name} differs from the query parameter of the same name.",
                {"ArgumentName": name, "ArgumentValue": shown(name, sent)},
            )
    return Headers((*headers.raw, *added)) if added else headers


def _check_parameters(operation: Operation, parameters: Mapping[str, str]) -> None:
    accepted = operation.query
    for name, value in parameters.items():
        if name not in accepted:
            raise _unknown_parameter(name, value, operation.name)
        if not value.isascii() and not _is_utf8(value):
            raise S3Error("InvalidURI", extras={"URI": name})
    if operation.subresource and parameters[operation.subresource]:
        raise _bad_value(operation.subresource, parameters[operation.subresource])
    for name, value in operation.fixed_query:
        if parameters.get(name) != value:
            raise _bad_value(name, parameters.get(name, ""))
    for name in operation.required_query:
        # An empty uploadId is no upload to some stores, which would make another operation of it.
        if not parameters[name]:
            raise _bad_value(name, "")


def _check_header(operation: Operation, name: str, headers: Headers) -> None:
    if name.startswith(HEADER_FAMILIES):
        return
    if name in HEADER_NAMES:
        raise S3Error(
            "InvalidArgument",
            f"{name} header is not supported for this operation.",
            {"ArgumentName": name, "ArgumentValue": shown(name, headers.get(name) or "")},
            detail=operation.name,
        )
    raise S3Error("NotImplemented", extras={"Header": name})


def _check_form(headers: Headers) -> None:
    if not (headers.get("content-type") or "").lower().startswith("multipart/form-data"):
        raise S3Error("RequestIsNotMultiPartContent")


def _refuse_repeated(headers: Headers) -> None:
    """Refuse a second value for what has one: policy and store might each read another."""
    for name in headers.names():
        if name in _SINGLE_PLAIN or (
            name.startswith("x-amz-") and name not in LIST_HEADERS and not name.startswith("x-amz-meta-")
        ):
            headers.get(name)


def _unknown_parameter(name: str, value: str, where: str) -> S3Error:
    if name in QUERY_NAMES:
        return S3Error(
            "InvalidArgument",
            f"The query parameter {name} is not accepted by {where}.",
            {"ArgumentName": name, "ArgumentValue": shown(name, value)},
        )
    return S3Error(
        "NotImplemented",
        f"The query parameter {name} is not known to {where}.",
        {"ArgumentName": name, "ArgumentValue": shown(name.lower(), value)},
    )


def _bad_value(name: str, value: str) -> S3Error:
    return S3Error(
        "InvalidArgument",
        f"Invalid value for the query parameter {name}.",
        {"ArgumentName": name, "ArgumentValue": shown(name, value)},
    )


def _is_utf8(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True

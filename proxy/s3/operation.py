"""The shape of a row in the table of S3 operations, and what every row has in common.

The rows themselves are in `operations`. Knows nothing about requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Scope = Literal["service", "bucket", "object"]
Body = Literal["none", "stream", "xml", "json", "form"]
Answer = Literal["empty", "xml", "json", "stream"]
Support = Literal["forward", "refuse"]
Resource = Literal["*", "bucket", "object"]


@dataclass(frozen=True, slots=True)
class ExtraAction:
    """An action needed besides the main ones when the request carries one of `headers` or `element`."""

    action: str
    headers: tuple[str, ...] = ()
    """Any of these present makes the action necessary, unless its value is `false`."""
    element: str = ""
    """Name of a child of the XML body's root that makes the action necessary."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One row. Header names are lower-case, query names as S3 spells them."""

    name: str
    method: str
    scope: Scope
    subresource: str
    """The query key that selects this row (`acl`), without a value; empty if there is none."""
    fixed_query: tuple[tuple[str, str], ...]
    """Query pairs with a prescribed value, such as `list-type=2`."""
    required_query: tuple[str, ...]
    optional_query: tuple[str, ...]
    required_headers: tuple[str, ...]
    headers: frozenset[str]
    """Every `x-amz-*` request header this operation takes, besides the families of `HEADER_FAMILIES`."""
    resource: Resource
    """What its main actions are judged on; differs from the scope for DeleteObjects and form uploads."""
    actions: tuple[str, ...]
    versioned_actions: tuple[str, ...]
    """Asked instead of `actions` when a versionId is given; empty if there is no such variant."""
    source_actions: tuple[str, ...]
    """Asked on the object named by x-amz-copy-source."""
    versioned_source_actions: tuple[str, ...]
    extra_actions: tuple[ExtraAction, ...]
    object_creation: bool | None
    """The value of `s3:ObjectCreationOperation`; None if the key does not apply."""
    body: Body
    answer: Answer
    support: Support
    checksum_required: bool
    """S3 demands Content-MD5 or an x-amz-checksum-* with the body."""
    late_errors: bool
    """S3 may answer 200 at once and report an error in the body later."""
    alias_of: str
    """The row that a deprecated name with the same wire form resolves to; empty if this is the row."""
    query: frozenset[str]
    """All query names this row takes."""

    @property
    def copies(self) -> bool:
        """Tell whether the request names a source object."""
        return bool(self.source_actions)


# Sent by SDKs with any request: authentication, framing and diagnostics, plus the two that S3 defines for
# nearly every operation. x-amz-api-version comes from the AWS SDK for C++, x-amz-cf-id from CloudFront, and
# x-amz-te from the AWS SDK for Java.
COMMON_HEADERS = frozenset(
    {
        "x-amz-api-version",
        "x-amz-cf-id",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-expected-bucket-owner",
        "x-amz-request-payer",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-security-token",
        "x-amz-te",
        "x-amz-trailer",
        "x-amz-user-agent",
    }
)
# Their members are open-ended: user metadata, and checksum algorithms that S3 keeps adding.
# Not in any row and so refused: x-amz-object-lock-event-hold* (no IAM action is published for it) and
# x-amz-write-offset-bytes (appending belongs to directory buckets).
HEADER_FAMILIES = ("x-amz-meta-", "x-amz-checksum-")
# These are lists, and some SDKs send one field per item.
LIST_HEADERS = frozenset({"x-amz-object-attributes", "x-amz-optional-object-attributes"})

_BODY: Mapping[str, Body] = {"PUT": "xml", "POST": "xml"}
_ANSWER: Mapping[str, Answer] = {"GET": "xml"}


def _names(actions: str) -> tuple[str, ...]:
    return tuple(action if ":" in action else f"s3:{action}" for action in actions.split())


def row(
    name: str,
    method: str,
    scope: Scope,
    query: str = "",
    actions: str = "",
    *,
    required: str = "",
    optional: str = "",
    headers: str = "",
    required_headers: str = "",
    versioned: str = "",
    source: bool = False,
    extra: tuple[ExtraAction, ...] = (),
    creation: bool | None = None,
    body: Body | None = None,
    answer: Answer | None = None,
    resource: Resource | None = None,
    support: Support = "forward",
    digest: bool = False,
    late_errors: bool = False,
    alias_of: str = "",
) -> Operation:
    """Make a row; `query` is the sub-resource followed by pairs with a fixed value."""
    pieces = query.split()
    fixed = tuple((left, right) for left, _, right in (piece.partition("=") for piece in pieces if "=" in piece))
    subresource = next((piece for piece in pieces if "=" not in piece), "")
    accepted = {subresource, *(left for left, _ in fixed), *required.split(), *optional.split()} - {""}
    taken = {header for header in f"{headers} {required_headers}".split() if header.startswith("x-amz-")}
    return Operation(
        name=name,
        method=method,
        scope=scope,
        subresource=subresource,
        fixed_query=fixed,
        required_query=tuple(required.split()),
        optional_query=tuple(optional.split()),
        required_headers=tuple(required_headers.split()),
        headers=COMMON_HEADERS | taken,
        resource=resource or ("*" if scope == "service" else scope),
        actions=_names(actions),
        versioned_actions=_names(versioned),
        source_actions=("s3:GetObject",) if source else (),
        versioned_source_actions=("s3:GetObjectVersion",) if source else (),
        extra_actions=extra,
        object_creation=creation,
        body=body or _BODY.get(method, "none"),
        answer=answer or _ANSWER.get(method, "empty"),
        support=support,
        checksum_required=digest,
        late_errors=late_errors,
        alias_of=alias_of,
        query=frozenset(accepted),
    )

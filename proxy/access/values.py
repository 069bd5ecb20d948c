"""Condition keys that belong to what a request does: its headers, query, form fields and XML body.

Every value carries the name under which actions support it, and a question keeps those that its action
carries. Headers are those in effect (`S3Request.headers`): sent as such, hidden in a presigned query, or
added by a rule of the bucket. A header counts only where the operation takes it.

A value is refused, rather than passed on, when policies and a store could read it differently.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html#amazons3-policy-keys
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

from proxy.access.body_facts import BodyFacts
from proxy.access.context import AccessSettings, ContextValue, text_of
from proxy.access.kms import KEY_ID_HEADER
from proxy.access.support import CARRIED
from proxy.access.upload_context import INHERITED, UploadContext
from proxy.errors import S3Error
from proxy.s3.copy_source import CopySource
from proxy.s3.operation import Operation
from proxy.s3.operations import OPERATIONS
from proxy.s3.request import S3Request
from proxy.s3.tagging import Tags, parse_tagging_header


class Value(NamedTuple):
    """A condition value: `supported_as` is the key's name in the reference, without a family's rest."""

    supported_as: str
    key: str
    value: ContextValue


SSE_KEY = "s3:x-amz-server-side-encryption"
KMS_KEY = "s3:x-amz-server-side-encryption-aws-kms-key-id"
SSE_C_KEY = "s3:x-amz-server-side-encryption-customer-algorithm"
REQUEST_TAG = "s3:requestobjecttag/"
REQUEST_TAG_KEYS = "s3:requestobjecttagkeys"
NEW_BUCKET_TAG = "aws:requesttag/"
NEW_BUCKET_TAG_KEYS = "aws:tagkeys"
CREATION_KEY = "s3:objectcreationoperation"
MAX_KEYS_DEFAULT = "1000"

HEADER_KEYS: Mapping[str, str] = MappingProxyType(
    {
        name: f"s3:{name}"
        for name in (
            "if-match",
            "if-none-match",
            "x-amz-acl",
            "x-amz-bucket-namespace",
            "x-amz-grant-full-control",
            "x-amz-grant-read",
            "x-amz-grant-read-acp",
            "x-amz-grant-write",
            "x-amz-grant-write-acp",
            "x-amz-metadata-directive",
            "x-amz-object-ownership",
            "x-amz-server-side-encryption",
            "x-amz-server-side-encryption-aws-kms-key-id",
            "x-amz-server-side-encryption-customer-algorithm",
            "x-amz-storage-class",
            "x-amz-website-redirect-location",
        )
    }
)
"""Headers whose value is the value of a key of (nearly) the same name."""

_LISTINGS = frozenset({"ListObjects", "ListObjectsV2", "ListObjectVersions"})
_LOCKS = frozenset(
    {"PutObject", "CopyObject", "CreateMultipartUpload", "PostObject", "PutObjectRetention", "PutObjectLegalHold"}
)
_MAX_DIGITS = len(str(2**31 - 1))

# A store that takes an empty value for none would not encrypt what a policy saw as encrypted.
_NEVER_EMPTY = frozenset({SSE_KEY, KMS_KEY, SSE_C_KEY})
_LOCK_MODE = "x-amz-object-lock-mode"
_RETAIN_UNTIL = "x-amz-object-lock-retain-until-date"
_LEGAL_HOLD = "x-amz-object-lock-legal-hold"
_SECONDS_PER_DAY = 86400


def _headers_of(row: Operation) -> tuple[tuple[str, str], ...]:
    """Return the (header, key) pairs that the operation takes and one of its actions carries."""
    # The fields of an upload form are the headers of a PutObject.
    taken = OPERATIONS["PutObject"].headers if row.name == "PostObject" else row.headers
    actions = (*row.actions, *row.versioned_actions, *(extra.action for extra in row.extra_actions))
    carried = frozenset[str]().union(*(CARRIED.get(action, ()) for action in actions))
    conditional = _takes_conditions(row)
    return tuple(
        (name, key)
        for name, key in HEADER_KEYS.items()
        if key in carried and (conditional if name.startswith("if-") else name in taken)
    )


def _takes_conditions(row: Operation) -> bool:
    """If-Match and If-None-Match of a read are the client's own business; of a write they guard the object."""
    return row.object_creation is True or row.name == "DeleteObject"


HEADERS_OF: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {name: _headers_of(row) for name, row in OPERATIONS.items()}
)
"""Operation -> its headers that are values of condition keys, with the key."""


def request_values(
    request: S3Request,
    facts: BodyFacts,
    upload: UploadContext | None,
    source: CopySource | None,
    settings: AccessSettings,
    now: float,
) -> list[Value]:
    """Return the values of all keys about what the request does.

    Raises `S3Error` InvalidArgument for a value that cannot be what it says: a date, a number, an alias
    that is not resolved.
    """
    operation = request.operation
    values: list[Value] = []
    if operation.object_creation is not None:
        values.append(Value(CREATION_KEY, CREATION_KEY, "true" if operation.object_creation else "false"))
    _add_headers(values, request, settings)
    if operation.name in _LOCKS:
        _add_lock(values, request, facts, now)
    _add_tags(values, request, facts)
    if request.parameters:
        _add_version(values, request.parameters)
    if operation.name in _LISTINGS:
        _add_listing(values, request.parameters)
    if source is not None:
        values.append(_same("s3:x-amz-copy-source", f"{source.bucket}/{source.key}"))
    if facts.location is not None:
        values.append(_same("s3:locationconstraint", facts.location))
    if facts.encryption is not None:
        values.append(_same(SSE_KEY, facts.encryption))
    if facts.kms_key is not None:
        values.append(_same(KMS_KEY, settings.kms.key_arn(facts.kms_key)))
    if upload is not None:
        own = {value.key for value in values}
        values += [
            _same(key, upload.conditions[key]) for key in INHERITED if key in upload.conditions and key not in own
        ]
    return values


def _same(key: str, value: ContextValue) -> Value:
    return Value(key, key, value)


def _add_headers(values: list[Value], request: S3Request, settings: AccessSettings) -> None:
    headers, names = request.headers, request.headers.names()
    for name, key in HEADERS_OF[request.operation.name]:
        if name not in names:
            continue
        # Lists of conditions may come in several fields; everything else with one value was refused before.
        sent = (headers.joined(name) if name.startswith("if-") else headers.get(name)) or ""
        if key in _NEVER_EMPTY and not sent:
            raise _bad_value(name, sent)
        text = text_of(sent)
        values.append(Value(key, key, settings.kms.key_arn(text) if name == KEY_ID_HEADER else text))


def _add_lock(values: list[Value], request: S3Request, facts: BodyFacts, now: float) -> None:
    headers = request.headers
    mode = facts.lock_mode if facts.lock_mode is not None else headers.get(_LOCK_MODE)
    until = facts.retain_until if facts.retain_until is not None else headers.get(_RETAIN_UNTIL)
    hold = facts.legal_hold if facts.legal_hold is not None else headers.get(_LEGAL_HOLD)
    if mode is not None:
        values.append(_same("s3:object-lock-mode", mode))
    if hold is not None:
        values.append(_same("s3:object-lock-legal-hold", hold))
    if until is not None:
        moment = _moment(until)
        values.append(_same("s3:object-lock-retain-until-date", _iso(moment)))
        # Clients count days from when they send: a part of a day left is a day that remains.
        days = -int((now - moment.timestamp()) // _SECONDS_PER_DAY)
        values.append(_same("s3:object-lock-remaining-retention-days", str(days)))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise S3Error(
            "InvalidArgument",
            "The retain until date must be provided in ISO 8601 format",
            {"ArgumentName": _RETAIN_UNTIL, "ArgumentValue": text[:64]},
        ) from None


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _add_tags(values: list[Value], request: S3Request, facts: BodyFacts) -> None:
    if facts.bucket_tags is not None:
        _add_family(values, NEW_BUCKET_TAG, NEW_BUCKET_TAG_KEYS, facts.bucket_tags)
    tags = facts.object_tags
    if tags is None and request.operation.object_creation is not None:
        header = request.headers.get("x-amz-tagging")
        if header is not None:
            tags = parse_tagging_header(header)
    if tags is not None:
        _add_family(values, REQUEST_TAG, REQUEST_TAG_KEYS, tags)


def _add_family(values: list[Value], family: str, names: str, tags: Tags) -> None:
    values.append(_same(names, tuple(name for name, _ in tags)))
    values += [Value(family, key, value) for key, value in tag_keys(family, tags).items()]


def tag_keys(family: str, tags: Tags) -> dict[str, str]:
    """Return one condition key for each tag; raises `S3Error` InvalidArgument when two would be one.

    Condition keys do not know letter case and S3's tags do: of `Class` and `class` a policy could only
    see one, and whoever sends both would choose which.
    """
    keys = {family + name.lower(): value for name, value in tags}
    if len(keys) != len(tags):
        raise S3Error("InvalidArgument", "Tags whose keys differ only in letter case cannot be told apart by policies.")
    return keys


def _add_version(values: list[Value], parameters: Mapping[str, str]) -> None:
    version = parameters.get("versionId")
    if version is None:
        return
    if not version:
        # A store may take it for the current version, which is another permission.
        raise S3Error(
            "InvalidArgument",
            "Version id cannot be the empty string",
            {"ArgumentName": "versionId", "ArgumentValue": ""},
        )
    values.append(_same("s3:versionid", version))


def _add_listing(values: list[Value], parameters: Mapping[str, str]) -> None:
    for name in ("prefix", "delimiter"):
        if name in parameters:
            values.append(_same(f"s3:{name}", parameters[name]))
    count = parameters.get("max-keys") or MAX_KEYS_DEFAULT
    if not (count.isascii() and count.isdigit() and len(count) <= _MAX_DIGITS):
        raise S3Error(
            "InvalidArgument",
            "Provided max-keys not an integer or within integer range",
            {"ArgumentName": "max-keys", "ArgumentValue": count[:32]},
        )
    values.append(_same("s3:max-keys", count))


def _bad_value(name: str, value: str) -> S3Error:
    return S3Error(
        "InvalidArgument", f"The value of {name} is not valid.", {"ArgumentName": name, "ArgumentValue": value}
    )

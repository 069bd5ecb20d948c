"""Checks of the guards that people put on buckets: TLS, encryption, payload integrity, headers of uploads.

A guard is asked, with the evaluator, about the requests that are known to slip past such guards.

Sources: S3 User Guide "Security best practices", "Bucket policy examples using condition keys",
"UpdateObjectEncryption".
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.diagnostics import Diagnostic
from proxy.policy.document import Resource
from proxy.policy.lint.actions import action_kinds, resource_kinds
from proxy.policy.lint.cover import covers_arn, covers_principals, covers_resources
from proxy.policy.lint.subject import Check, Part, Subject
from proxy.policy.lint.vocabulary import KMS_KEY_ID, SSE
from proxy.policy.variables import Context, parse_template

_TLS = "aws:securetransport"
_TLS_VERSION = "s3:tlsversion"
_PUT = "s3:putobject"
_UPDATE = "s3:updateobjectencryption"
_SHA256 = "s3:x-amz-content-sha256"
_UNSIGNED = ("UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
_OTHER_KEY = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000"
_ONLY_AT_CREATION = (
    "s3:x-amz-acl",
    "s3:x-amz-grant-",
    "s3:x-amz-storage-class",
    "s3:x-amz-website-redirect-location",
    "s3:requestobjecttag",
    "s3:object-lock-",
    "s3:if-none-match",
)
_CREATION = "s3:objectcreationoperation"


def _denying(subject: Subject) -> list[Part]:
    return [part for part in subject.sound_parts() if part.statement.effect == "Deny"]


def _holds(part: Part, context: Context) -> bool:
    return all(clause.condition.holds(context) for clause in part.clauses)


def _denies_plain_http(part: Part) -> bool:
    """Tell whether plain HTTP, and nothing but that, meets all conditions."""
    keys = {clause.condition.key for clause in part.clauses}
    return keys == {_TLS} and _holds(part, {_TLS: "false"}) and not _holds(part, {_TLS: "true"})


def tls(subject: Subject) -> Iterator[Diagnostic]:
    """S3W084: `BUCKET/*` without `BUCKET` leaves listings open, and the other way round."""
    if subject.policy.kind != "bucket":
        return
    guards = [part for part in _denying(subject) if _denies_plain_http(part) and not part.statement.resources.negated]
    offered = [item for part in guards for item in part.statement.resources.items]
    for part in guards:
        kinds = frozenset().union(*(action_kinds(name) for name in part.statement.actions.names))
        for item, (text, path) in zip(part.statement.resources.items, part.texts("Resource"), strict=True):
            missing = _other_half(item, text)
            if missing and (("object" if missing.endswith("/*") else "bucket") in kinds):
                wanted = parse_template(missing, wildcards=True, variables=False)
                if not any(covers_arn(other.template, wanted) for other in offered):
                    what = "objects" if missing.endswith("/*") else "listings and the bucket's settings"
                    message = f"plain HTTP is denied on `{text}` only: {what} are left open"
                    yield subject.found("tls-deny-misses-bucket", path, message, f"add `{missing}`")


def _other_half(item: Resource, text: str) -> str:
    kinds = resource_kinds(item)
    if kinds == {"bucket"}:
        return f"{text}/*"
    return text[:-2] if kinds == {"object"} and text.endswith("/*") and text.count("/") == 1 else ""


def tls_version(subject: Subject) -> Iterator[Diagnostic]:
    """S3W085: the key is missing on plain HTTP, so that a comparison with it denies nothing there."""
    denying = _denying(subject)
    guards = [part for part in denying if _denies_plain_http(part)]
    for part in denying:
        keys = {clause.condition.key for clause in part.clauses}
        if keys != {_TLS_VERSION} or not _holds(part, {_TLS_VERSION: "1.0"}) or _holds(part, {_TLS: "false"}):
            continue
        guarded = any(
            part.statement.actions.names <= other.statement.actions.names and _same_scope(other, part)
            for other in guards
        )
        if not guarded:
            message = "plain HTTP has no TLS version, and is not denied"
            remedy = 'add a statement that denies Bool: {aws:SecureTransport: "false"}'
            clause = next(iter(part.clauses))
            yield subject.found("tls-version-without-tls", clause.path, message, remedy, at_key=True)


def encryption(subject: Subject) -> Iterator[Diagnostic]:
    """S3W092: what an upload may not choose, UpdateObjectEncryption can set afterwards."""
    denying = _denying(subject)
    guards = [part for part in denying if _guards_update(part)]
    for part in denying:
        names = part.statement.actions.names
        keys = {clause.condition.key for clause in part.clauses}
        if _PUT not in names or _UPDATE in names or keys.isdisjoint((SSE, KMS_KEY_ID)):
            continue
        if not any(_denies_update(part, sse) for sse in ("aws:kms", "aws:kms:dsse")):
            continue
        if not any(_same_scope(other, part) for other in guards):
            message = "`s3:UpdateObjectEncryption` sets afterwards what this denies to uploads"
            clause = next(clause for clause in part.clauses if clause.condition.key in (SSE, KMS_KEY_ID))
            remedy = "add `s3:UpdateObjectEncryption` to the actions, or deny it in a statement of its own"
            yield subject.found("encryption-guard-open", clause.path, message, remedy, at_key=True)


def _denies_update(part: Part, sse: str) -> bool:
    context = {SSE: sse, KMS_KEY_ID: _OTHER_KEY}
    return all(c.condition.holds(context) for c in part.clauses if c.condition.key.startswith(SSE))


def _guards_update(part: Part) -> bool:
    keys = {clause.condition.key for clause in part.clauses}
    return _UPDATE in part.statement.actions.names and (not keys or not keys.isdisjoint((SSE, KMS_KEY_ID)))


def _same_scope(wide: Part, narrow: Part) -> bool:
    """Tell whether a statement is about all callers and resources of another one."""
    return covers_principals(wide.statement.principals, narrow.statement.principals) and covers_resources(
        wide.statement.resources, narrow.statement.resources
    )


def unsigned_payload(subject: Subject) -> Iterator[Diagnostic]:
    """S3W093: SDKs send STREAMING-UNSIGNED-PAYLOAD-TRAILER over TLS, not UNSIGNED-PAYLOAD."""
    for part, clause in subject.sound_clauses():
        condition = clause.condition
        if condition.key != _SHA256 or part.statement.effect != "Deny" or condition.operator.family == "Null":
            continue
        denied = [value for value in _UNSIGNED if condition.holds({_SHA256: value})]
        if len(denied) == 1:
            open_one = next(value for value in _UNSIGNED if value not in denied)
            message = f"`{denied[0]}` is denied and `{open_one}` is not"
            remedy = f"add `{open_one}`: neither is covered by the signature"
            yield subject.found("unsigned-payload-open", clause.path, message, remedy, at_key=True)


def parts_denied(subject: Subject) -> Iterator[Diagnostic]:
    """S3W096: parts and completion carry none of the headers that CreateMultipartUpload takes."""
    for part in _denying(subject):
        keys = {clause.condition.key for clause in part.clauses}
        about = {key for key in keys if key.startswith(_ONLY_AT_CREATION)}
        if _PUT not in part.statement.actions.names or not about or keys - about - {_CREATION}:
            continue
        # Completion takes If-None-Match again, and nothing else of these.
        asked_again = about <= {"s3:if-none-match"}
        if _holds(part, {_CREATION: "false"}) or (not asked_again and _holds(part, {_CREATION: "true"})):
            clause = next(clause for clause in part.clauses if clause.condition.key in about)
            name = clause.path[-1]
            message = f"no part of a multipart upload has `{name}`: all of them are denied"
            remedy = f'add "Null": {{{name}: "false"}}, to deny a wrong value and not a missing one'
            if asked_again:
                remedy = 'add Bool: {s3:ObjectCreationOperation: "true"}'
            yield subject.found("parts-denied", clause.path, message, remedy, at_key=True)


CHECKS: tuple[Check, ...] = (tls, tls_version, encryption, unsigned_payload, parts_denied)

"""From a request to everything that policies must be asked about it.

One request is several questions: version variants of actions, extra actions for tags, ACLs and locks,
the source of a copy under the source bucket's policies, every key of a batch delete. All of them must be
allowed, except that a batch delete goes on without the keys that are not.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html "permissions"
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from proxy.access.body_facts import NEEDS_BODY, NO_FACTS, BodyFacts
from proxy.access.connection import Connection
from proxy.access.context import AccessSettings, Context, ContextValue, add_bucket_keys, request_keys
from proxy.access.support import CARRIED, EXISTING_TAG, LACKING
from proxy.access.upload_context import UploadContext
from proxy.access.values import MAX_KEYS_DEFAULT, Value, request_values, tag_keys
from proxy.auth.claim import Claim
from proxy.errors import S3Error
from proxy.identity import Identity
from proxy.per_request import per_request
from proxy.s3.copy_source import CopySource, parse_copy_source
from proxy.s3.operation import ExtraAction
from proxy.s3.request import S3Request
from proxy.s3.tagging import Tags

_NO_KEYS: Mapping[str, str] = MappingProxyType({})
# `false` in these is the same as not sending them; in any other header it is a value like others.
_SWITCHES = frozenset({"x-amz-bypass-governance-retention", "x-amz-bucket-object-lock-enabled"})
# No policy of the bucket can speak about these: there is no bucket, or not yet.
_BEFORE_THE_BUCKET = frozenset({"ListBuckets", "CreateBucket"})


@per_request(frozen=True, slots=True)
class Target:
    """The object whose tags, or whose deletion, a question is about."""

    bucket: str
    key: str
    version_id: str | None = None


@per_request(frozen=True, slots=True)
class Question:
    """May the caller do `action` on `resource`? Everything a policy can look at."""

    action: str
    resource: str
    """The ARN; `arn:aws:s3:::*` for what belongs to no bucket."""
    bucket: str | None
    """The bucket whose policies speak; None when only identity policies do."""
    resource_account: str
    context: Context
    target: Target | None = None
    """The object it is about; None for buckets."""
    entry: int | None = None
    """Which entry of a batch delete it belongs to, from 0."""
    if_source_tagged: bool = False
    """Only has to be allowed when the source of the copy has tags, which would be copied too."""


@per_request(frozen=True, slots=True)
class Asking:
    """What is common to the questions of one request."""

    settings: AccessSettings
    keys: Mapping[str, ContextValue]
    caller_account: str | None

    def base(self, bucket: str | None) -> tuple[str, dict[str, ContextValue]]:
        """Return the owner of a bucket and the context every question about it starts from.

        A list of buckets belongs to the account of whoever asks for it.
        """
        keys = dict(self.keys)
        if bucket is None:
            account = self.caller_account or self.settings.owner
            add_bucket_keys(keys, account, _NO_KEYS)
            return account, keys
        found = self.settings.bucket(bucket)
        add_bucket_keys(keys, found.owner, found.tags)
        return found.owner, keys

    def arn(self, bucket: str | None, key: str | None = None) -> str:
        """Return the ARN of a bucket, an object, or everything."""
        name = "*" if bucket is None else bucket if key is None else f"{bucket}/{key}"
        return f"arn:{self.settings.partition}:s3:::{name}"


def questions(
    request: S3Request,
    claim: Claim,
    identity: Identity | None,
    connection: Connection,
    settings: AccessSettings,
    now: float,
    *,
    facts: BodyFacts | None = None,
    upload: UploadContext | None = None,
    own: Mapping[str, str] = _NO_KEYS,
) -> tuple[Question, ...]:
    """Return all questions about a completed request; none for a CORS preflight.

    `facts` come from the XML body and must be there where `body_facts.NEEDS_BODY` names the operation, `upload` is
    the context of the upload that a part or a completion belongs to, `own` has the keys of the proxy itself
    (lower-case, `s3w:envelope`). Raises `S3Error` for an operation without a row of actions, and for values that
    policies and a store could read differently; ValueError for a body that was not read.
    """
    operation = request.operation
    if operation.name == "CorsPreflight":
        return ()
    if operation.support == "refuse" or not operation.actions:
        raise S3Error("NotImplemented", f"{operation.name} is not supported.")
    if facts is None:
        if operation.name in NEEDS_BODY:
            raise ValueError(f"the body of {operation.name} has to be read before the decision")
        facts = NO_FACTS
    keys = request_keys(claim, identity, connection, request.head.headers, settings, now)
    asking = Asking(settings, keys, None if identity is None else identity.account)
    source = parse_copy_source(request.headers.get("x-amz-copy-source") or "") if operation.copies else None
    values = request_values(request, facts, upload, source, settings, now)
    if facts.deletes is not None:
        return _batch(request, facts, asking, values)
    found = _main(request, facts, asking, values, own)
    return found if source is None else (*found, *_copy(request, source, asking, values))


def bucket_questions(
    action: str,
    buckets: Iterable[str],
    request: S3Request,
    claim: Claim,
    identity: Identity | None,
    connection: Connection,
    settings: AccessSettings,
    now: float,
) -> Iterator[Question]:
    """Ask about buckets beside what a request asks: which ones to show, or whether to admit a missing key.

    With `s3:ListBucket` each is the question of a listing without parameters.
    """
    keys = request_keys(claim, identity, connection, request.head.headers, settings, now)
    asking = Asking(settings, keys, None if identity is None else identity.account)
    values = [Value("s3:max-keys", "s3:max-keys", MAX_KEYS_DEFAULT)]
    for bucket in buckets:
        account, base = asking.base(bucket)
        yield Question(action, asking.arn(bucket), bucket, account, _context(action, base, values))


def _main(
    request: S3Request, facts: BodyFacts, asking: Asking, values: list[Value], own: Mapping[str, str]
) -> tuple[Question, ...]:
    operation = request.operation
    bucket = request.bucket
    key = request.key if operation.resource == "object" else None
    if operation.resource == "object" and key is None:
        raise S3Error("InvalidRequest", "The request names no object.", detail=operation.name)
    version = request.version_id
    actions = operation.versioned_actions if version is not None and operation.versioned_actions else operation.actions
    target = None if key is None or bucket is None else Target(bucket, key, version)
    account, base = asking.base(bucket)
    base.update(own)
    resource = asking.arn(bucket if operation.resource != "*" else None, key)
    policies_of = None if operation.name in _BEFORE_THE_BUCKET else bucket
    if operation.extra_actions:
        extras = [extra.action for extra in operation.extra_actions if _is_needed(extra, request, facts)]
        actions = (*actions, *extras)
    return tuple(
        Question(action, resource, policies_of, account, _context(action, base, values), target) for action in actions
    )


def _is_needed(extra: ExtraAction, request: S3Request, facts: BodyFacts) -> bool:
    headers, names = request.headers, request.headers.names()
    for name in extra.headers:
        if name in names and not (name in _SWITCHES and (headers.get(name) or "").lower() == "false"):
            return True
    return bool(extra.element) and extra.element in facts.elements


def _batch(request: S3Request, facts: BodyFacts, asking: Asking, values: list[Value]) -> tuple[Question, ...]:
    """Ask for every entry of a batch delete, with the version and condition that the entry gives."""
    operation, bucket = request.operation, request.bucket
    if bucket is None or facts.deletes is None:
        raise S3Error("InvalidRequest", "The request names no bucket.", detail=operation.name)
    extras = [extra.action for extra in operation.extra_actions if _is_needed(extra, request, facts)]
    account, base = asking.base(bucket)
    found = []
    for entry, delete in enumerate(facts.deletes.deletions):
        own = list(values)
        actions = operation.actions
        if delete.version_id is not None:
            actions = operation.versioned_actions
            own.append(Value("s3:versionid", "s3:versionid", delete.version_id))
        own += [Value("s3:if-match", "s3:if-match", text) for name, text in delete.conditions if name == "ETag"]
        target = Target(bucket, delete.key, delete.version_id)
        found += [
            Question(
                action, asking.arn(bucket, delete.key), bucket, account, _context(action, base, own), target, entry
            )
            for action in (*actions, *extras)
        ]
    return tuple(found)


def _copy(request: S3Request, source: CopySource, asking: Asking, values: list[Value]) -> tuple[Question, ...]:
    """Ask about the source of a copy, and about the tags that would come along."""
    operation = request.operation
    account, base = asking.base(source.bucket)
    target = Target(source.bucket, source.key, source.version_id)
    resource = asking.arn(source.bucket, source.key)
    versioned = source.version_id is not None
    own = [Value("s3:versionid", "s3:versionid", source.version_id)] if source.version_id is not None else []
    actions = operation.versioned_source_actions if versioned else operation.source_actions
    found = [
        Question(action, resource, source.bucket, account, _context(action, base, own), target) for action in actions
    ]
    if operation.name == "CopyObject" and request.headers.get("x-amz-tagging-directive") != "REPLACE":
        read = "s3:GetObjectVersionTagging" if versioned else "s3:GetObjectTagging"
        context = _context(read, base, own)
        found.append(Question(read, resource, source.bucket, account, context, target, if_source_tagged=True))
        write = "s3:PutObjectTagging"
        bucket, key = request.bucket or "", request.key or ""
        account, base = asking.base(bucket)
        context = _context(write, base, values)
        resource, target = asking.arn(bucket, key), Target(bucket, key)
        found.append(Question(write, resource, bucket, account, context, target, if_source_tagged=True))
    return tuple(found)


def _context(action: str, base: Context, values: list[Value]) -> Context:
    """Return `base` with those values that `action` carries; `base` itself when there are none."""
    carried = CARRIED[action]
    own = {value.key: value.value for value in values if value.supported_as in carried}
    lacking = LACKING.get(action)
    if lacking is not None:
        base = {key: value for key, value in base.items() if key not in lacking}
    return {**base, **own} if own else base


def reads_existing_tags(keys_read: Collection[str]) -> bool:
    """Tell whether a set of lower-case condition keys has one about the tags of stored objects."""
    return any(key.startswith(EXISTING_TAG) for key in keys_read)


def needs_existing_tags(keys_read: Collection[str], question: Question) -> bool:
    """Tell whether the tags of `question.target` must be looked up before it is decided.

    `keys_read` are the lower-case condition keys that the policies in play read.
    """
    return question.target is not None and EXISTING_TAG in CARRIED[question.action] and reads_existing_tags(keys_read)


def with_existing_tags(question: Question, tags: Tags) -> Question:
    """Return `question` with the tags that its target was found to have.

    When they cannot be looked up, the request must be refused: absent keys would read as an object without tags.
    """
    return replace(question, context={**question.context, **tag_keys(EXISTING_TAG, tags)})

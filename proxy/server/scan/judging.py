"""Is an object protected as its bucket wants it? Its settings are compared, and its policies asked.

Policies speak about requests and not about objects, so they are asked about the request that would write
the object again as it is found: a PutObject with its encryption, by any of the callers in question, over
TLS. What they cannot be asked about is left open: conditions on tags of the stored object see none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from urllib.parse import quote

from proxy.access.cleaned import judged_cleaned
from proxy.access.connection import Connection
from proxy.access.context import Context
from proxy.access.key_questions import decide_key, key_question
from proxy.access.questions import Question, questions
from proxy.auth.claim import ANONYMOUS, Claim
from proxy.config import KeySettings
from proxy.diagnostics import Severity
from proxy.envelope.context import object_arn
from proxy.errors import S3Error
from proxy.policy.evaluate import AccessRequest, Decision, Effect, decide
from proxy.policy.index import NO_POLICIES
from proxy.s3.address import Domains
from proxy.s3.head import parse_head
from proxy.s3.headers import Headers
from proxy.s3.request import recognise
from proxy.server.rules import Caller, Rules
from proxy.server.scan.holders import Holders
from proxy.server.scan.protection import Protection

SSE = "x-amz-server-side-encryption"
SSE_KEY = f"{SSE}-aws-kms-key-id"
SSE_C = f"{SSE}-customer-algorithm"
_NO_DOMAINS = Domains.of(())
_NOTHING: Mapping[str, str] = MappingProxyType({})
_CLIENT_SIDE = frozenset({"s3ec-v1", "s3ec-v2", "s3ec-v3", "esdk"})
_KEY_CONDITION = f"s3:{SSE_KEY}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about an object that is not as it should be; `rule` is one of `RULES`."""

    rule: str
    severity: Severity
    message: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Supposed:
    """What is assumed about the requests that policies are asked about."""

    principal: str | None = None
    """The ARN of an identity, or `anonymous`; None for every identity of the configuration."""
    source_ip: str = "192.0.2.1"
    context: Context = field(default_factory=lambda: MappingProxyType({}))
    """Condition keys, lower-case, in place of what would follow from the request."""


@dataclass(frozen=True, slots=True)
class _Write:
    """One way to write an object: header fields, and the key of the proxy's that encrypts it."""

    fields: Mapping[str, str]
    own: Mapping[str, str]
    key: KeySettings | None = None


class Assessor:
    """Compares objects of one bucket with what the configuration and the policies say."""

    def __init__(self, rules: Rules, bucket: str, supposed: Supposed, now: float) -> None:
        self._rules = rules
        self._bucket = bucket
        self._settings = rules.config.bucket(bucket)
        self._supposed = supposed
        self._now = now
        self._callers = _callers(rules, supposed.principal)
        self._key_arns = _key_arns(rules, bucket)

    def assess(self, key: str, protection: Protection, holders: Holders) -> list[Finding]:
        """Return what is wrong with an object, the most severe first."""
        if protection.kind == "unknown":
            return [Finding("unreadable", Severity.ERROR, protection.detail)]
        if protection.kind == "damaged":
            message = f"its envelope cannot be read: {protection.detail}"
            return [
                Finding("damaged-envelope", Severity.ERROR, message, "restore it from a copy: reading it is refused")
            ]
        found = [*self._by_settings(protection), *_by_keys(protection, holders)]
        refused = self._by_policy(key, protection, holders)
        found += [refused] if refused is not None else []
        return sorted(found, key=lambda each: each.severity.rank)

    def _by_settings(self, protection: Protection) -> Iterator[Finding]:
        encryption, kind = self._settings.encryption, protection.kind
        if encryption.mode == "envelope" and kind != "envelope":
            is_bound = kind == "esdk" and protection.named.startswith(
                object_arn(encryption.bind_as or self._bucket, "")
            )
            if encryption.read_plaintext or is_bound:
                message = (
                    f"the bucket is encrypted by the proxy, and this object ({kind}) is not; it is served all the same"
                )
                yield Finding("not-enveloped", Severity.SUGGESTION, message, "copy it onto itself through the proxy")
            else:
                message = (
                    f"the bucket is encrypted by the proxy, and this object ({kind}) is not: reading it is refused"
                )
                yield Finding("not-enveloped", Severity.ERROR, message, "write it anew through the proxy")
        if encryption.mode == "forward" and kind == "envelope":
            message = "it was encrypted by the proxy, and its bucket is in mode forward: clients cannot read it"
            yield Finding("envelope-in-forward-bucket", Severity.ERROR, message, "set the bucket to mode envelope")
        if kind == "s3ec-v1":
            message = "it was encrypted without authentication (S3 Encryption Client V1): changes would not show"
            remedy = "write it anew with a current client, or through the proxy"
            yield Finding("unauthenticated", Severity.SECURITY_WARNING, message, remedy)
        elif kind in _CLIENT_SIDE and protection.detail:
            yield Finding("odd-client-encryption", Severity.WARNING, protection.detail)
        if kind == "none" and encryption.mode == "forward":
            yield Finding("not-encrypted", Severity.SUGGESTION, "nothing shows that it is encrypted")
        wanted = self._settings.add_headers.get(SSE)
        if wanted is not None and encryption.mode == "forward" and protection.sse != wanted and kind != "sse-c":
            message = f"header rules of the bucket ask for {SSE} `{wanted}`; it has `{protection.sse or 'none'}`"
            yield Finding("not-as-header-rules", Severity.WARNING, message, "copy it onto itself through the proxy")

    def _by_policy(self, key: str, protection: Protection, holders: Holders) -> Finding | None:
        ways = list(self._ways(protection, holders))
        if not ways:
            return None  # its key is not known here, which is told already
        refused = self._refusal(key, ways)
        if refused is None:
            return None
        if self._refusal(key, self._any_way()) is not None:
            message = "nobody in question may write this object now, however it is encrypted"
            remedy = "say with --principal and --context who writes here, and from where"
            return Finding("not-writable", Severity.SUGGESTION, message, remedy)
        reasons = ", ".join(str(each) for each in refused.statements)
        if refused.effect is Effect.EXPLICIT_DENY:
            message = f"policies deny writing it with this protection ({_words(protection, holders)}): {reasons}"
            return Finding("denied-by-policy", Severity.ERROR, message, "write it anew as the policies want it")
        message = f"no policy allows writing it with this protection ({_words(protection, holders)})"
        return Finding("not-allowed-by-policy", Severity.WARNING, message, "write it anew as the policies want it")

    def _refusal(self, key: str, ways: Iterable[_Write]) -> Decision | None:
        """Return None when any caller may write the object in any of these ways, else the worst refusal."""
        worst: Decision | None = None
        for way in ways:
            for caller in self._callers:
                refused = self._ask(key, way, caller)
                if refused is None:
                    return None
                if worst is None or refused.effect is Effect.EXPLICIT_DENY:
                    worst = refused
        return worst

    def _ask(self, key: str, way: _Write, caller: Caller) -> Decision | None:
        """Put all questions about one request; return the first refusal."""
        rules, supposed = self._rules, self._supposed
        path = f"/{self._bucket}/{quote(key, safe='/', errors='surrogateescape')}"
        try:
            request = recognise(parse_head("PUT", path, Headers.of(way.fields.items())), _NO_DOMAINS)
            asked: Sequence[Question] = questions(
                request, _claim(rules, caller, self._now), caller.identity, Connection(supposed.source_ip, True, "1.3"),
                rules.access, self._now, own=way.own,
            )  # fmt: skip
        except S3Error:
            # Such a request is refused before policies are asked.
            return Decision(Effect.IMPLICIT_DENY, "bucket")
        if rules.config.upstream.keys == "cleaned":
            asked = judged_cleaned(tuple(asked))
        asked = [replace(each, context={**each.context, **supposed.context}) for each in asked]
        for question in asked:
            decision = self._decide(question, caller)
            if not decision.allowed:
                return decision
        return None if way.key is None else self._ask_key(key, way.key, caller, asked[0])

    def _decide(self, question: Question, caller: Caller) -> Decision:
        request = AccessRequest(
            caller.principal, question.action, question.resource, question.resource_account, question.context
        )
        bucket = question.bucket
        group = NO_POLICIES if bucket is None else self._rules.bucket_policies.for_bucket(bucket)
        return decide(request, group, caller.policies)

    def _ask_key(self, key: str, master: KeySettings, caller: Caller, asked: Question) -> Decision | None:
        bound = self._settings.encryption.bind_as or self._bucket
        account = caller.identity.account if caller.identity is not None else None
        question = key_question(
            "kms:GenerateDataKey", master.arn, asked, {"aws:s3:arn": object_arn(bound, key)}, account
        )
        policy = self._rules.key_policies.get(master.name)
        decision = decide_key(question, caller.principal, policy, caller.policies)
        return None if decision.allowed else decision

    def _ways(self, protection: Protection, holders: Holders) -> Iterator[_Write]:
        """Yield the requests that end in such an object."""
        kind = protection.kind
        if kind == "envelope":
            for name in holders.names:
                master = self._rules.config.keys.get(name)
                if master is not None:
                    yield from self._through_proxy(master)
            if holders.customer:
                yield _Write({SSE_C: "AES256"}, {"s3w:envelope": "true"})
            return
        own = {"s3w:envelope": "false"}
        if kind in _CLIENT_SIDE:
            own["s3w:clientsideencrypted"] = "true"
        if kind == "sse-c":
            yield _Write({SSE_C: "AES256"}, own)
        elif protection.sse:
            yield _Write({SSE: protection.sse, **({SSE_KEY: protection.sse_key} if protection.sse_key else {})}, own)
        else:
            yield _Write(_NOTHING, own)

    def _through_proxy(self, master: KeySettings) -> Iterator[_Write]:
        own = {"s3w:envelope": "true", "s3w:envelopekeyid": master.arn}
        yield _Write({SSE: "aws:kms", SSE_KEY: master.arn}, own, master)
        if master.name == self._settings.encryption.key:
            yield from (_Write(fields, own, master) for fields in (_NOTHING, {SSE: "AES256"}, {SSE: "aws:kms"}))

    def _any_way(self) -> Iterator[_Write]:
        """Yield a request for every protection that policies here could want."""
        if self._settings.encryption.mode == "envelope":
            for master in self._rules.config.keys.values():
                yield from self._through_proxy(master)
            return
        own = {"s3w:envelope": "false"}
        for fields in (_NOTHING, {SSE: "AES256"}, {SSE: "aws:kms"}, {SSE: "aws:kms:dsse"}, {SSE_C: "AES256"}):
            yield _Write(fields, own)
            yield _Write(fields, {**own, "s3w:clientsideencrypted": "true"})
        for arn in self._key_arns:
            yield _Write({SSE: "aws:kms", SSE_KEY: arn}, own)
            yield _Write({SSE: "aws:kms:dsse", SSE_KEY: arn}, own)


def _by_keys(protection: Protection, holders: Holders) -> Iterator[Finding]:
    if protection.kind != "envelope":
        return
    if holders.lost:
        message = f"the bucket key that wrapped its key is gone: `{holders.lost}`"
        yield Finding("unknown-key", Severity.ERROR, message, "restore it: without it the object cannot be read")
    elif not holders.names and not holders.customer:
        message = (
            f"none of the configured keys wrapped its key, but {', '.join(f'`{name}`' for name in holders.labels)}"
        )
        yield Finding("unknown-key", Severity.ERROR, message, "put the key back into the configuration")
    for name in holders.disabled:
        yield Finding("disabled-key", Severity.WARNING, f"the key `{name}` is disabled: reading the object is refused")
    for label in holders.outdated:
        message = f"it is under `{label}`, which is not the key's newest version"
        yield Finding("older-key-version", Severity.SUGGESTION, message, "run `s3warden keys rewrap`")


def _words(protection: Protection, holders: Holders) -> str:
    if protection.kind == "envelope":
        return f"envelope under {', '.join(holders.labels)}"
    return f"{protection.kind} under {protection.sse_key}" if protection.sse_key else protection.kind


def _callers(rules: Rules, principal: str | None) -> tuple[Caller, ...]:
    if principal is None:
        return rules.callers
    if principal == "anonymous":
        return (rules.caller(None),)
    return tuple(each for each in rules.callers if each.identity is not None and each.identity.arn == principal)


def _claim(rules: Rules, caller: Caller, now: float) -> Claim:
    if caller.identity is None:
        return ANONYMOUS
    return Claim("REST-HEADER", "AWS4-HMAC-SHA256", region=rules.access.region, signed_at=now)


def _key_arns(rules: Rules, bucket: str) -> tuple[str, ...]:
    """Return the keys that policies in play compare with, as far as they are written out."""
    groups = [rules.bucket_policies.for_bucket(bucket), *(caller.policies for caller in rules.callers)]
    conditions = (
        condition
        for group in groups
        for file in group.files
        for statement in file.statements
        for condition in statement.conditions
        if condition.key == _KEY_CONDITION
    )
    return tuple(dict.fromkeys(value for condition in conditions for value in condition.values))

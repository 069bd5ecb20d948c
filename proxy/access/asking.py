"""From a request that somebody wrote down to the questions that the proxy would ask about it.

Raw HTTP goes the way of live requests: through the table of operations and the same questions. What a
live request would bring besides (a signature, an address, a clock) is taken from what is written, or is
the most ordinary one. Buckets are addressed in the path, and header rules of a configuration are not
applied.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from proxy.access.body_facts import NEEDS_BODY, body_facts
from proxy.access.connection import Connection
from proxy.access.context import AccessSettings, principal_keys
from proxy.access.form import form_upload
from proxy.access.kms import KmsNames
from proxy.access.questions import Question, questions
from proxy.auth.claim import ANONYMOUS, Claim, SignatureVersion
from proxy.config import BucketSettings, PrincipalArn, parse_principal
from proxy.errors import S3Error
from proxy.identity import Identity
from proxy.policy.evaluate import AccessRequest
from proxy.policy.principals import Principal
from proxy.policy.variables import ContextValue
from proxy.policy.written import Asked, Direct, Http, Written, bucket_of
from proxy.s3.address import Domains
from proxy.s3.head import RequestHead, parse_head
from proxy.s3.headers import Headers
from proxy.s3.request import S3Request, recognise

REGION = "us-east-1"
DEFAULT_ACCOUNT = "123456789012"
"""Owns the bucket when neither the caller nor the writer says who does."""

_V4: SignatureVersion = "AWS4-HMAC-SHA256"
_NO_DOMAINS = Domains.of(())
# What a request line carries as it is; blanks and letters beyond ASCII are encoded for the writer.
_TARGET_CHARACTERS = "".join(chr(code) for code in range(0x21, 0x7F))


def ask(written: Written, now: float) -> tuple[Asked, ...]:
    """Return the questions; raises `S3Error` for HTTP that the proxy refuses before it asks policies.

    `now` is the time of the request, in seconds since 1970.
    """
    principal, identity, keys = _caller(written.principal)
    account = written.resource_account or principal.account or DEFAULT_ACCOUNT
    if isinstance(written.what, Direct):
        context = {**keys, "aws:resourceaccount": account, "s3:resourceaccount": account, **written.context}
        request = AccessRequest(principal, written.what.action, written.what.resource, account, context)
        return (Asked(request, bucket_of(written.what.resource)),)
    found = []
    for question in _of_http(written.what, identity, account, now):
        if question.if_source_tagged and not written.what.source_tagged:
            continue
        context = {**question.context, **written.context}
        request = AccessRequest(principal, question.action, question.resource, question.resource_account, context)
        found.append(Asked(request, question.bucket))
    if not found:
        raise S3Error("NotImplemented", "No policy is asked about this request.")
    return tuple(found)


@lru_cache(maxsize=1024)
def _caller(name: str | None) -> tuple[Principal, Identity | None, dict[str, ContextValue]]:
    """Return the caller; of a role, one session. A name that is no ARN has no keys and no account."""
    if name is None:
        return Principal(), None, {"aws:principaltype": "Anonymous"}
    try:
        known = parse_principal(name)
    except ValueError:
        return Principal(name), _identity(PrincipalArn(name, name, "", "User", None, "")), {}
    identity = _identity(known)
    return Principal(known.arn, known.account), identity, principal_keys(identity)


def _identity(known: PrincipalArn) -> Identity:
    return Identity(known.arn, known.principal_arn, known.account, known.principal_type, known.user_name, known.user_id)


def _of_http(http: Http, identity: Identity | None, account: str, now: float) -> tuple[Question, ...]:
    head = _head(http)
    request = recognise(head, _NO_DOMAINS)
    claim = _claim(request, identity, now)
    if request.operation.body == "form":
        request = form_upload(request, http.form)
    if request.operation.name in NEEDS_BODY and not http.body and request.operation.name != "CreateBucket":
        raise S3Error("InvalidRequest", f"{request.operation.name} is judged by its body: give one.")
    facts = body_facts(request.operation.name, http.body.encode("utf-8", "surrogateescape"))
    connection = Connection(http.source_ip, http.tls is not None, http.tls)
    settings = AccessSettings(lambda name: BucketSettings(account), account, REGION, KmsNames(REGION, account))
    return questions(request, claim, identity, connection, settings, now, facts=facts)


def _head(http: Http) -> RequestHead:
    try:
        headers = Headers(
            (name.encode("ascii"), value.encode("utf-8", "surrogateescape")) for name, value in http.headers
        )
    except UnicodeEncodeError:
        raise S3Error("InvalidArgument", "The name of a header has letters beyond ASCII.") from None
    return parse_head(
        http.method.upper(), quote(http.target, safe=_TARGET_CHARACTERS, errors="surrogateescape"), headers
    )


def _claim(request: S3Request, identity: Identity | None, now: float) -> Claim:
    """Tell how it is signed: as its query or its Authorization say, else with Signature Version 4 in headers."""
    if identity is None:
        return ANONYMOUS
    head = request.head
    if request.operation.body == "form":
        return Claim("POST", _V4, region=REGION, signed_at=now)
    names = {name.lower() for name, _ in head.query}
    if "x-amz-signature" in names:
        return Claim("REST-QUERY-STRING", _V4, region=REGION, signed_at=now)
    if "signature" in names:
        return Claim("REST-QUERY-STRING", "AWS")
    if (head.headers.get("authorization") or "").startswith("AWS "):
        return Claim("REST-HEADER", "AWS")
    return Claim("REST-HEADER", _V4, region=REGION, signed_at=now)

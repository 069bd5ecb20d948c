"""The way in: from what aiohttp read to a request that is recognised and bounded.

aiohttp's parser has refused what is no HTTP by now; this refuses HTTP that S3 has no use for and that two
readers could understand in two ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from aiohttp import web

from proxy.access.body_facts import NO_FACTS, BodyFacts
from proxy.access.cleaned import clean_key, is_unclean
from proxy.access.connection import Connection
from proxy.access.form import form_upload
from proxy.access.questions import Question
from proxy.auth.claim import ANONYMOUS, Claim
from proxy.auth.post_form import FormClaim, authenticate_form
from proxy.auth.post_policy import check_size
from proxy.auth.verify import authenticate
from proxy.errors import S3Error
from proxy.per_request import per_request
from proxy.s3.checksums import Buffer
from proxy.s3.form import FormParser, PostForm
from proxy.s3.head import RequestHead, parse_head
from proxy.s3.headers import Headers
from proxy.s3.request import S3Request
from proxy.s3.state import is_reserved
from proxy.server.body import BodyMachine, ClientBody
from proxy.server.rules import Rules

STREAMS = frozenset({"stream", "form"})
"""Kinds of body that are never held whole."""

_BUCKET_POLICY = frozenset({"GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy", "GetBucketPolicyStatus"})


def receive(http: web.BaseRequest, rules: Rules) -> RequestHead:
    """Return the head of a request as it was received.

    Raises `S3Error` RequestHeaderSectionTooLarge, or NotImplemented for a framing that is not plain chunked
    and for a protocol switch.
    """
    raw = http.raw_headers
    size = len(http.raw_path) + sum(map(len, chain.from_iterable(raw))) + 4 * len(raw)
    limit = rules.config.limits.header_bytes
    if size > limit:
        raise S3Error("RequestHeaderSectionTooLarge", extras={"MaxSizeAllowed": str(limit)}, close=True)
    headers = Headers(raw)
    encoding = headers.joined("transfer-encoding")
    if encoding is not None and encoding.strip().lower() != "chunked":
        # `gzip, chunked` would hand on compressed bytes as if they were the object.
        detail = f"a transfer coding that is not chunked alone: {encoding}"
        raise S3Error("NotImplemented", extras={"Header": "Transfer-Encoding"}, close=True, detail=detail)
    if "upgrade" in headers:
        raise S3Error("NotImplemented", extras={"Header": "Upgrade"}, close=True, detail="a switch of protocols")
    if http.method == "CONNECT":
        # What follows is meant for somebody else, not for us as a request.
        raise S3Error("MethodNotAllowed", close=True, detail="a tunnel was asked for")
    return parse_head(http.method, http.raw_path, headers)


@dataclass(slots=True)
class FormUpload:
    """A browser's form, read up to the beginning of its file."""

    parser: FormParser
    form: PostForm
    pieces: list[bytes]
    """The file's bytes that arrived together with the fields."""
    claim: FormClaim | None = None
    """What its signature and policy say; known after `verify`."""

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields in effect, lower-case, with `${filename}` filled in."""
        return self.form.fields if self.claim is None else self.claim.fields

    def length(self) -> int:
        """Return the exact length of the file; raises `S3Error` where it is unknown or not allowed."""
        if self.form.file_length is None:
            raise S3Error("MissingContentLength", close=True)
        if self.claim is not None:
            check_size(self.form.file_length, self.claim.content_length_range)
        return self.form.file_length


@per_request(frozen=True, slots=True)
class Authenticated:
    """A request whose sender is known. A form has become the upload it asks for."""

    request: S3Request
    claim: Claim
    form: FormUpload | None = None


@per_request(frozen=True, slots=True)
class Asked:
    """An authenticated request as it will be sent, with what policies need of its body."""

    request: S3Request
    claim: Claim
    content: bytes = b""
    """The verified body where it is held whole."""
    facts: BodyFacts = NO_FACTS
    form: FormUpload | None = None


async def read_form(body: ClientBody, request: S3Request) -> FormUpload:
    """Read a form's fields; raises `S3Error` for what is no form, or one whose fields are too large."""
    headers = request.head.headers
    length = headers.get("content-length")
    parser = FormParser(headers.get("content-type"), int(length) if length is not None else None)
    pieces: list[bytes] = []
    while parser.form is None:
        data = await body.read()
        if not data:
            parser.finish()
            raise S3Error("IncorrectNumberOfFilesInPostRequest", close=True)
        pieces += parser.feed(data)
    return FormUpload(parser, parser.form, pieces)


def verify(
    rules: Rules, connection: Connection, request: S3Request, form: FormUpload | None, now: float
) -> Authenticated:
    """Verify whatever signature a request carries; raises `S3Error`."""
    if request.operation.name == "CorsPreflight":
        # A browser sends these by itself and cannot sign them; there is nothing to ask a policy.
        return Authenticated(request, ANONYMOUS)
    if form is not None:
        form.claim = authenticate_form(
            request.head,
            request.bucket or "",
            form.form.fields,
            form.form.file_name,
            rules.credential,
            rules.auth,
            now,
        )
        return Authenticated(form_upload(request, form.fields), form.claim.claim, form)
    hosts: Sequence[str] = rules.config.listen.public_hosts
    if connection.forwarded_host is not None:
        hosts = (*hosts, connection.forwarded_host)
    claim = authenticate(request.head, request.address, rules.credential, rules.auth, now, hosts)
    if claim.access_key_id is None:
        _refuse_overrides(request)
    return Authenticated(request, claim)


def _refuse_overrides(request: S3Request) -> None:
    """Let nobody relabel a public object: what strangers may choose, such as its type, browsers act upon.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, "Overriding response header values".
    """
    for name, value in request.parameters.items():
        if name.startswith("response-"):
            raise S3Error(
                "InvalidRequest",
                "Request specific response headers cannot be used for anonymous GET requests.",
                {"ArgumentName": name, "ArgumentValue": value},
            )


def refuse_lacking(request: S3Request, rules: Rules) -> None:
    """Refuse requests on sub-resources that the store is said not to know: it would act on the object itself."""
    subresource = request.operation.subresource
    if subresource and subresource in rules.config.upstream.lacks and not _is_answered_here(request, rules):
        raise S3Error("NotImplemented", f"The store behind this proxy has no {subresource}.")


def _is_answered_here(request: S3Request, rules: Rules) -> bool:
    """Tell whether the store is not asked: the proxy itself encrypts the bucket."""
    if request.operation.subresource != "encryption" or request.bucket is None:
        return False
    encryption = rules.config.bucket(request.bucket).encryption
    return encryption.mode == "envelope" and (request.key is not None or encryption.bucket_api != "forward")


def refuse_bucket_policies(request: S3Request, rules: Rules) -> None:
    """Refuse calls on the store's own bucket policies, unless they are to be forwarded."""
    if request.operation.name in _BUCKET_POLICY and rules.config.bucket_policy_api == "refuse":
        raise S3Error("AccessDenied", "Bucket policies are kept in files on this proxy, not in the bucket.")


def refuse_reserved(asked: Iterable[Question], rules: Rules) -> None:
    """Refuse requests that would touch what the proxy keeps for itself on the store."""
    prefix = rules.config.upstream.state.prefix
    for question in asked:
        target = question.target
        if target is None:
            continue
        key = target.key
        if is_reserved(key, prefix) or (is_unclean(key) and is_reserved(clean_key(key), prefix)):
            raise S3Error("AccessDenied", f"Keys that begin with {prefix} are reserved.")


class FormFile:
    """Takes the file out of a form on its way to the machine that checks and frames it."""

    def __init__(self, upload: FormUpload, machine: BodyMachine) -> None:
        self._parser = upload.parser
        self._first = upload.pieces
        self._machine = machine

    def feed(self, data: Buffer) -> list[Buffer]:
        """Take bytes of the form, return what may go upstream."""
        first, self._first = self._first, []
        return [out for piece in (*first, *self._parser.feed(data)) for out in self._machine.feed(piece)]

    def finish(self) -> list[Buffer]:
        """Check that the form ended well, and the file's own checks."""
        self._parser.finish()
        ready = [out for piece in self._first for out in self._machine.feed(piece)]
        return ready + self._machine.finish()

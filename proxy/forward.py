"""From an authorised request to the one that goes to the store: target, headers, signature.

Everything is written anew from what was recognised and judged. The client's spelling of a path, its
signature, its framing and its connection stay behind; what the policies saw is what the store gets.

Nothing is sent from here. `Prepared` is what the upstream port takes, and `AuthorizedRequest` is the only
thing of a client's that becomes one, so a request that nobody authorised cannot be sent by mistake.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from urllib.parse import quote

from proxy.access.verdict import Authorized
from proxy.auth.chunks import ChunkSigner
from proxy.auth.claim import Claim
from proxy.auth.credential import Credential
from proxy.auth.sign import sign_v4
from proxy.identity import Identity
from proxy.payload import Framing
from proxy.per_request import per_request
from proxy.s3.checksums import EMPTY_SHA256, Buffer
from proxy.s3.forwarding import upstream_headers, upstream_path, upstream_query
from proxy.s3.request import S3Request

Body = bytes | AsyncIterator[Buffer]


def _no_body(signer: ChunkSigner | None) -> Body:
    return b""


@per_request(frozen=True, slots=True)
class AuthorizedRequest:
    """A completed request, who made it, and the verdict that lets it pass."""

    request: S3Request
    claim: Claim
    identity: Identity | None
    verdict: Authorized


@per_request(frozen=True, slots=True)
class Prepared:
    """A request ready for the wire: signed, with every header it will carry.

    `target` is the encoded path and query. `body` is bytes when it is in memory, or an iterator that
    yields the pieces of an upload whose Content-Length is in `headers`.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: Body


@dataclass(frozen=True, slots=True)
class Route:
    """How the store is addressed: its authority (host and port), its region and its style."""

    authority: str
    region: str
    virtual_host: bool = False

    def host(self, bucket: str | None) -> str:
        """Return the value of Host for requests on `bucket`."""
        return f"{bucket}.{self.authority}" if self.virtual_host and bucket is not None else self.authority


@per_request(frozen=True, slots=True)
class Step:
    """One of several requests that an operation of a client's takes. Its fields are lower-case."""

    method: str
    bucket: str
    key: str
    query: tuple[tuple[str, str], ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    payload_hash: str = EMPTY_SHA256
    make_body: Callable[[ChunkSigner | None], Body] = _no_body


@dataclass(frozen=True, slots=True)
class Forwarder:
    """Prepares requests for one store. `credential` returns the proxy's own key as it is now."""

    route: Route
    credential: Callable[[], Credential]

    def prepare(
        self,
        authorized: AuthorizedRequest,
        framing: Framing,
        make_body: Callable[[ChunkSigner | None], Body],
        now: float,
    ) -> Prepared:
        """Prepare a client's request; `make_body` is given what signs chunks, if the framing wants that.

        Signed with the identity's own upstream credential where it has one. A CORS preflight carries no
        signature: its answer is the same for everybody.
        """
        request, route = authorized.request, self.route
        fields = upstream_headers(request.headers)
        for name in framing.drop & fields.keys():
            del fields[name]
        fields.update(framing.headers)
        fields["host"] = route.host(request.bucket)
        # A form is stored by a PutObject: the store could not check the client's own signature over its fields.
        method = "PUT" if request.operation.name == "PostObject" else request.head.method
        path = upstream_path(request.bucket, request.key, virtual_host=route.virtual_host)
        query = upstream_query(request)
        if request.operation.name == "CorsPreflight":
            return Prepared(method, _target(path, query), tuple(fields.items()), b"")
        own = authorized.identity.upstream if authorized.identity is not None else None
        headers, signer = self._sign(method, path, query, fields, framing.payload_hash, own or self.credential(), now)
        return Prepared(method, _target(path, query), headers, make_body(signer))

    def prepare_step(self, authorized: AuthorizedRequest, step: Step, now: float) -> Prepared:
        """Prepare a request that a client's operation consists of, under the credential of the client.

        Raises ValueError for an object that no question of the verdict was about: only what was judged is touched.
        """
        targets = (answer.question.target for answer in authorized.verdict.answers)
        if not any(each is not None and (each.bucket, each.key) == (step.bucket, step.key) for each in targets):
            raise ValueError(f"{authorized.request.operation.name} was not judged for this object")
        fields = {"accept-encoding": "identity", **step.fields, "host": self.route.host(step.bucket)}
        if step.method in ("PUT", "POST"):
            fields.setdefault("content-length", "0")
        path = upstream_path(step.bucket, step.key, virtual_host=self.route.virtual_host)
        query = _query(step.query)
        own = authorized.identity.upstream if authorized.identity is not None else None
        headers, signer = self._sign(step.method, path, query, fields, step.payload_hash, own or self.credential(), now)
        return Prepared(step.method, _target(path, query), headers, step.make_body(signer))

    def prepare_preflight(self, bucket: str, key: str | None, origin: str, method: str) -> Prepared:
        """Prepare the question whether a page of `origin` may see answers to `method`; it needs no signature."""
        fields = {
            "accept-encoding": "identity",
            "access-control-request-method": method,
            "host": self.route.host(bucket),
            "origin": origin,
        }
        path = upstream_path(bucket, key, virtual_host=self.route.virtual_host)
        return Prepared("OPTIONS", path, tuple(fields.items()), b"")

    def prepare_own(
        self,
        method: str,
        bucket: str | None,
        key: str | None,
        now: float,
        query: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        extra: Mapping[str, str] = MappingProxyType({}),
    ) -> Prepared:
        """Prepare a small request that the proxy makes for itself, under its own credential."""
        fields = {"accept-encoding": "identity", **extra, "host": self.route.host(bucket)}
        if method in ("PUT", "POST"):
            fields["content-length"] = str(len(body))
        path = upstream_path(bucket, key, virtual_host=self.route.virtual_host)
        text = _query(query)
        payload_hash = sha256(body).hexdigest()
        headers, _ = self._sign(method, path, text, fields, payload_hash, self.credential(), now)
        return Prepared(method, _target(path, text), headers, body)

    def _sign(
        self,
        method: str,
        path: str,
        query: str,
        fields: dict[str, str],
        payload_hash: str,
        credential: Credential,
        now: float,
    ) -> tuple[tuple[tuple[str, str], ...], ChunkSigner | None]:
        pairs = tuple(fields.items())
        signed = sign_v4(method, path, query, pairs, payload_hash, credential, self.route.region, now)
        return pairs + signed.headers, signed.chunk_signer


def _query(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)


def _target(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path

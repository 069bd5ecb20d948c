"""The spine: what happens to every request, in this order and in no other.

    receive, authenticate, complete (header rules), authorize, prepare, forward, reply, record

The order of these steps is the security of the proxy, so it is read here and not configured. Each step
takes what only the one before it makes, and lives one call away.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Callable

from aiohttp import web

from proxy.access.body_facts import body_facts
from proxy.access.connection import Connection, resolve
from proxy.access.questions import questions
from proxy.access.verdict import refusals
from proxy.clock import Clock
from proxy.envelope.state import StateSeal
from proxy.errors import IntegrityError, S3Error
from proxy.forward import AuthorizedRequest
from proxy.payload import verify_buffered
from proxy.rewrite import UnknownAliasError, complete
from proxy.s3.deletes import DeleteBatch, without
from proxy.s3.request import S3Request, recognise
from proxy.server.answers import Answers
from proxy.server.audit import AuditSink
from proxy.server.body import ClientBody, Documents
from proxy.server.complaints import Complaints
from proxy.server.cors import cross_origin_fields
from proxy.server.envelope.damage import damaged
from proxy.server.envelope.fields import stored_conditions
from proxy.server.envelope.keys import Capsules
from proxy.server.envelope.sealed import SealedBuckets, proxy_keys
from proxy.server.exchange import CLIENT_GONE, Exchange
from proxy.server.intake import (
    STREAMS,
    Asked,
    Authenticated,
    read_form,
    receive,
    refuse_bucket_policies,
    refuse_lacking,
    refuse_reserved,
    verify,
)
from proxy.server.judge import Judge
from proxy.server.listener import why_gone
from proxy.server.metrics import Metrics
from proxy.server.relay import refuse
from proxy.server.reply import ClientReply, HttpDates
from proxy.server.rules import Rules
from proxy.server.sending import prepare_document, prepare_upload
from proxy.server.store import Store
from proxy.server.uploads import CONTINUES, Uploads
from proxy.server.upstream import UpstreamError

_log = logging.getLogger("s3warden.pipeline")


class Pipeline:
    """Walks requests from the client to the store and back."""

    def __init__(
        self,
        rules: Callable[[], Rules],
        store: Store,
        uploads: Uploads,
        capsules: Capsules,
        seal: Callable[[], StateSeal],
        log: AuditSink,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._store = store
        self._uploads = uploads
        self._judge = Judge(store, metrics)
        self._answers = Answers(uploads, self._judge)
        self._sealed = SealedBuckets(store, capsules, self._answers, uploads, seal, self._damaged)
        self._decisions = log
        self._metrics = metrics
        self._complaints = Complaints(clock)
        self._clock = clock
        self._dates = HttpDates(clock)
        self._documents = Documents()
        self.in_flight = 0
        self.draining = False
        """Set when the process is about to end: clients are told to come back on another connection."""

    async def handle(self, http: web.BaseRequest, socket: Connection) -> web.StreamResponse:
        """Answer one request and record it, whatever happens on the way."""
        rules = self._rules()
        body = ClientBody(http, rules.config.limits.idle_seconds, self._documents)
        exchange = Exchange(http, socket, rules, body, ClientReply(http, self._dates), self._clock.now())
        if self.draining:
            exchange.reply.keep_alive = False
        self.in_flight += 1
        self._metrics.request_started()
        try:
            return await self._answer(exchange)
        finally:
            self.in_flight -= 1
            body.release()
            self._record(exchange)

    async def _answer(self, exchange: Exchange) -> web.StreamResponse:
        """Walk, and turn whatever goes wrong into an answer while there can still be one."""
        try:
            return await self._walk(exchange)
        except S3Error as error:
            problem = error
        except UpstreamError as error:
            problem = S3Error("ServiceUnavailable", headers={"Retry-After": "1"}, detail=str(error))
        except IntegrityError as error:
            problem = self._damaged(exchange, error)
        except (ConnectionError, CancelledError):
            exchange.status = exchange.status or CLIENT_GONE
            exchange.detail = exchange.detail or why_gone(exchange.http)
            raise
        except Exception as error:
            _log.exception("request %s failed", exchange.request_id)
            problem = S3Error("InternalError", detail=f"{type(error).__name__}", close=True)
        if exchange.reply.started:
            exchange.failed(problem)
            exchange.reply.break_off()
            raise ConnectionResetError("the answer could not be finished")
        return await refuse(exchange, problem, await cross_origin_fields(exchange, problem, self._store))

    def _damaged(self, exchange: Exchange, error: IntegrityError) -> S3Error:
        """Count and log a stored object that failed verification."""
        self._metrics.integrity_failed(error.where)
        return damaged(exchange, error)

    async def _walk(self, exchange: Exchange) -> web.StreamResponse:
        request = self._receive(exchange)
        signed = await self._authenticate(exchange, request)
        asked = await self._complete(exchange, signed)
        authorized = await self._authorize(exchange, asked)
        return await self._forward(exchange, asked, authorized)

    def _receive(self, exchange: Exchange) -> S3Request:
        """Admit a request and recognise its operation."""
        rules = exchange.rules
        if self.in_flight > rules.config.limits.in_flight:
            raise S3Error("SlowDown", headers={"Retry-After": "1"}, detail="limits.in_flight is reached")
        if self._decisions.refuses:
            raise S3Error("ServiceUnavailable", headers={"Retry-After": "1"}, detail="decisions cannot be logged")
        head = receive(exchange.http, rules)
        exchange.connection = resolve(exchange.connection, head.headers, rules.config.trusted_proxies)
        request = recognise(head, rules.domains)
        exchange.operation = request.operation.name
        return request

    async def _authenticate(self, exchange: Exchange, request: S3Request) -> Authenticated:
        """Find out who signed it."""
        form = await read_form(exchange.body, request) if request.operation.body == "form" else None
        try:
            signed = verify(exchange.rules, exchange.connection, request, form, exchange.time)
        except S3Error as error:
            self._metrics.auth_failed(error.code)
            raise
        exchange.claim = signed.claim
        exchange.caller = exchange.rules.caller(signed.claim.access_key_id)
        return signed

    async def _complete(self, exchange: Exchange, signed: Authenticated) -> Asked:
        """Apply the header rules of the bucket, and read a body that policies or checks must see whole."""
        rules, bucket = exchange.rules, signed.request.bucket
        settings = None if bucket is None else rules.config.bucket(bucket)
        try:
            exchange.completed = complete(signed.request, signed.claim, settings, rules.access.kms)
        except UnknownAliasError as error:
            await self._sealed.refused(exchange, signed.request, error)
            raise
        request = exchange.completed.request
        if request.operation.body in STREAMS:
            return Asked(request, signed.claim, form=signed.form)
        # Of a body where none belongs, the first piece is enough to say so.
        whole = request.operation.body != "none"
        received = await (exchange.body.read_all(rules.config.limits.xml_bytes) if whole else exchange.body.read())
        content = verify_buffered(request, signed.claim, received)
        return Asked(request, signed.claim, content, body_facts(request.operation.name, content))

    async def _authorize(self, exchange: Exchange, asked: Asked) -> AuthorizedRequest:
        """Ask the policies; raises `S3Error` AccessDenied."""
        rules, request, identity = exchange.rules, asked.request, exchange.caller.identity
        refuse_lacking(request, rules)
        refuse_bucket_policies(request, rules)
        if request.operation.name in CONTINUES and request.bucket and rules.keeps_uploads(request.bucket):
            exchange.upload = await self._uploads.find(
                request.bucket, request.key or "", request.parameters["uploadId"]
            )
        found = questions(
            request,
            asked.claim,
            identity,
            exchange.connection,
            rules.access,
            exchange.time,
            facts=asked.facts,
            upload=exchange.upload,
            own=proxy_keys(rules, request),
        )
        refuse_reserved(found, rules)
        return AuthorizedRequest(request, asked.claim, identity, await self._judge.judge(exchange, found))

    async def _forward(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Send what was authorised, and answer with what comes back."""
        sealed = self._sealed.handler(exchange, asked.request)
        if sealed is not None:
            return await sealed(exchange, asked, authorized)
        if asked.request.operation.body in STREAMS:
            prepared = prepare_upload(exchange, self._store, authorized, asked.form)
            answer = await self._store.send(prepared)
            return await self._answers.reply(exchange, authorized, answer, form=asked.form)
        if asked.facts.deletes is not None:
            return await self._delete(exchange, asked.facts.deletes, authorized)
        prepared = prepare_document(exchange, self._store, authorized, asked.content)
        return await self._answers.reply(exchange, authorized, await self._store.send(prepared))

    async def _delete(
        self, exchange: Exchange, batch: DeleteBatch, authorized: AuthorizedRequest
    ) -> web.StreamResponse:
        """Send a batch delete without the entries that were refused, and answer for all of them."""
        refused = refusals(authorized.verdict, batch, authorized.identity)
        left = without(batch, refused)
        if not left.deletions:
            return await self._answers.reply_refused(exchange, refused)
        if self._sealed.concerns(exchange, authorized.request):
            left = stored_conditions(left)
        # Written anew in any case: a store cannot find other keys in it than those that were judged.
        prepared = prepare_document(exchange, self._store, authorized, left.render(), rewritten=True)
        return await self._answers.reply(exchange, authorized, await self._store.send(prepared), refused)

    def _record(self, exchange: Exchange) -> None:
        record = exchange.record()
        self._decisions.write(record)
        if record.status >= 500 and record.status != 501 and record.detail:
            self._complaints.tell(record.request_id, record.status, record.error or "", record.detail)
        self._metrics.request_finished(
            record.operation,
            record.status,
            record.decision,
            record.duration,
            record.first_byte,
            record.bytes_in,
            record.bytes_out,
        )

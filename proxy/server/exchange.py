"""One request and its answer, from the first byte to the log line.

Collects what each step finds out, so that the decision log, the metrics and the operator's log are written
in one place, whatever way the walk ended.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from time import perf_counter

from aiohttp import web

from proxy.access.connection import Connection
from proxy.access.upload_context import UploadContext
from proxy.access.verdict import Answered
from proxy.auth.claim import Claim
from proxy.errors import S3Error
from proxy.policy.evaluate import Decision
from proxy.rewrite import Completed
from proxy.s3.headers import Headers
from proxy.server.audit import DecidingStatement, DecisionRecord, HeaderChange, ReportedOutcome
from proxy.server.body import ClientBody
from proxy.server.reply import ClientReply
from proxy.server.rules import ANONYMOUS_CALLER, Rules, StatementLabels

UNKNOWN = "unknown"
_STORE_IDS = frozenset({"x-amz-request-id", "x-amzn-requestid", "x-amz-id-2"})
CLIENT_GONE = 499
"""Logged where a client left before its answer; nginx made the number known."""


class Exchange:
    """Mutable by nature: every field is set by the step that learns it."""

    __slots__ = (
        "answers",
        "body",
        "caller",
        "claim",
        "completed",
        "connection",
        "detail",
        "error",
        "first_byte",
        "http",
        "operation",
        "refused",
        "reply",
        "request_id",
        "rules",
        "started",
        "status",
        "time",
        "upload",
        "upstream_id_2",
        "upstream_request_id",
    )

    def __init__(
        self,
        http: web.BaseRequest,
        socket: Connection,
        rules: Rules,
        body: ClientBody,
        reply: ClientReply,
        now: float,
    ) -> None:
        self.http = http
        self.rules = rules
        self.body = body
        self.reply = reply
        self.time = now
        self.started = perf_counter()
        self.request_id = os.urandom(8).hex().upper()
        self.connection = socket
        """The client's connection; seen through trusted proxies once the head was read."""
        self.operation = UNKNOWN
        self.claim: Claim | None = None
        self.caller = ANONYMOUS_CALLER
        self.completed: Completed | None = None
        self.answers: tuple[Answered, ...] = ()
        self.upload: UploadContext | None = None
        """The context of the upload that the request continues."""
        self.refused: dict[int, Answered] = {}
        self.status = 0
        self.error: str | None = None
        self.detail: str | None = None
        self.first_byte: float | None = None
        self.upstream_request_id: str | None = None
        self.upstream_id_2: str | None = None

    @property
    def host_id(self) -> str:
        """The value of x-amz-id-2: support asks for both ids, and clients expect two."""
        return f"s3warden/{self.request_id}"

    def failed(self, error: S3Error) -> None:
        """Note an error that is answered."""
        self.status, self.error = error.status, error.code
        if error.detail:
            self.detail = error.detail

    def answered(self, status: int, upstream: Headers) -> None:
        """Note what the store answered."""
        self.status = status
        if not _STORE_IDS.isdisjoint(upstream.names()):
            self.upstream_request_id = upstream.joined("x-amz-request-id") or upstream.joined("x-amzn-requestid")
            self.upstream_id_2 = upstream.joined("x-amz-id-2")

    def began_to_answer(self) -> None:
        """Note the time at which the head of the answer went out."""
        self.first_byte = perf_counter() - self.started

    @property
    def decision(self) -> str:
        """The verdict in a word, `none` when it did not come so far."""
        if not self.answers:
            return "none"
        decided = next((a for a in self.answers if a.question.entry is None and not a.allowed), self.answers[0])
        if decided.question.entry is not None and len(self.refused) < len({a.question.entry for a in self.answers}):
            return "allow"
        return decided.decision.effect.value

    def record(self) -> DecisionRecord:
        """Make the line of the decision log."""
        identity = self.caller.identity
        answers, labels = self.answers, self.rules.labels
        return DecisionRecord(
            self.time,
            self.request_id,
            self.connection.source_ip,
            identity.arn if identity is not None else None,
            self.claim.access_key_id if self.claim is not None else None,
            self.operation,
            tuple(dict.fromkeys([a.question.action for a in answers])),
            tuple(dict.fromkeys([a.question.resource for a in answers])),
            self.decision,
            _deciding(answers, labels),
            self.rules.revision,
            self.status,
            self.error,
            self.body.received,
            self.reply.sent,
            perf_counter() - self.started,
            self.first_byte,
            tuple([a.question.resource for a in self.refused.values()]),
            _reported(answers, labels),
            _changes(self.completed),
            self.upstream_request_id,
            self.upstream_id_2,
            self.http.headers.get("User-Agent"),
            self.detail,
        )


def _deciding(answers: Sequence[Answered], labels: StatementLabels) -> tuple[DecidingStatement, ...]:
    if len(answers) == 1:
        return tuple([labels.of(each) for each in answers[0].decision.statements])
    found = {id(each): each for answer in answers for each in answer.decision.statements}
    return tuple([labels.of(each) for each in found.values()])


def _reported(answers: Sequence[Answered], labels: StatementLabels) -> tuple[ReportedOutcome, ...]:
    found = []
    for answer in answers:
        reported: Decision | None = answer.decision.reported
        if reported is not None:
            found.append(
                ReportedOutcome(reported.effect.value, tuple([labels.of(each) for each in reported.statements]))
            )
    return tuple(found)


def _changes(completed: Completed | None) -> tuple[HeaderChange, ...]:
    if completed is None or not (completed.added or completed.removed):
        return ()
    names = dict.fromkeys([*completed.removed, *completed.added])
    return tuple([HeaderChange(name, completed.removed.get(name), completed.added.get(name)) for name in names])

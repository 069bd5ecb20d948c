"""A request's line in the log says what was decided, by which statements, and what was changed on the way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest
from aiohttp import web

from proxy.access.connection import Connection
from proxy.access.questions import Question
from proxy.access.verdict import Answered
from proxy.errors import S3Error
from proxy.policy.evaluate import Decision
from proxy.rewrite import Completed
from proxy.s3.headers import Headers
from proxy.server.body import ClientBody
from proxy.server.exchange import Exchange
from proxy.server.judge import decider
from proxy.server.reply import ClientReply
from proxy.server.rules import Rules, load_rules

ACCOUNT = "123456789012"
CONFIG = f"""
upstream:
  endpoint: http://127.0.0.1:1
  credentials: {{access_key_id: AKIAUP, secret_access_key: up-secret}}
owner: "{ACCOUNT}"
identities:
  - arn: arn:aws:iam::{ACCOUNT}:user/alice
    access_keys: [{{id: AKIAALICE, secret: alice-secret}}]
    policies: [alice.yaml]
policies: [bucket.yaml, report.yaml]
"""
ALICE = 'Version: "2012-10-17"\nStatement: {Effect: Allow, Action: "s3:*", Resource: "*"}\n'
BUCKET = """\
Version: "2012-10-17"
Statement:
  - {Sid: Locked, Effect: Deny, Principal: "*", Action: s3:DeleteObject, Resource: "arn:aws:s3:::bucket/locked/*"}
"""
REPORT = """\
mode: report
policy:
  Version: "2012-10-17"
  Statement: {Sid: Soon, Effect: Deny, Principal: "*", Action: s3:DeleteObject, Resource: "arn:aws:s3:::bucket/*"}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    files = {"config": CONFIG, "alice": ALICE, "bucket": BUCKET, "report": REPORT}
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return load_rules(tmp_path / "config.yaml", {})


class Http:
    headers: Mapping[str, str] = MappingProxyType({"User-Agent": "tester"})


class Counted:
    received = 3
    sent = 5


@pytest.fixture
def exchange(rules: Rules) -> Exchange:
    made = Exchange(
        cast("web.BaseRequest", Http()),
        Connection("192.0.2.1", secure=False),
        rules,
        cast("ClientBody", Counted()),
        cast("ClientReply", Counted()),
        1_795_000_000.0,
    )
    made.operation = "DeleteObject"
    made.caller = rules.caller("AKIAALICE")
    return made


def ask(exchange: Exchange, key: str, entry: int | None = None, action: str = "s3:DeleteObject") -> Answered:
    question = Question(action, f"arn:aws:s3:::bucket/{key}", "bucket", ACCOUNT, {}, entry=entry)
    return Answered(question, decider(exchange.rules, exchange.caller)(question))


def test_nothing_was_decided_about_a_request_that_did_not_come_so_far(exchange: Exchange) -> None:
    exchange.failed(S3Error("SignatureDoesNotMatch"))
    record = exchange.record()
    assert (record.decision, record.actions, record.statements) == ("none", (), ())
    assert (record.status, record.error) == (403, "SignatureDoesNotMatch")


def test_a_line_names_caller_action_resource_and_deciding_statement(exchange: Exchange) -> None:
    exchange.answers = (ask(exchange, "locked/a"),)
    record = exchange.record()
    assert record.principal == f"arn:aws:iam::{ACCOUNT}:user/alice"
    assert (record.decision, record.actions) == ("explicit_deny", ("s3:DeleteObject",))
    assert record.resources == ("arn:aws:s3:::bucket/locked/a",)
    [statement] = record.statements
    assert (statement.sid, statement.policy_kind) == ("Locked", "bucket")
    assert statement.place.endswith("bucket.yaml:3")
    assert (record.client, record.user_agent, record.bytes_in, record.bytes_out) == ("192.0.2.1", "tester", 3, 5)


def test_a_statement_without_a_name_is_known_by_its_place(exchange: Exchange) -> None:
    exchange.answers = (ask(exchange, "free"),)
    [statement] = exchange.record().statements
    assert (statement.sid, statement.policy_kind) == ("#1", "identity")
    assert exchange.record().decision == "allow"


def test_a_refusal_counts_for_more_than_what_was_allowed_before_it(exchange: Exchange) -> None:
    exchange.answers = (ask(exchange, "free"), ask(exchange, "locked/a"))
    assert exchange.record().decision == "explicit_deny"
    assert {each.sid for each in exchange.record().statements} == {"#1", "Locked"}


def test_a_batch_is_allowed_while_anything_of_it_is_left(exchange: Exchange) -> None:
    exchange.answers = (ask(exchange, "locked/a", 0), ask(exchange, "free", 1))
    exchange.refused = {0: exchange.answers[0]}
    record = exchange.record()
    assert (record.decision, record.denied_resources) == ("allow", ("arn:aws:s3:::bucket/locked/a",))
    exchange.answers = (ask(exchange, "locked/a", 0), ask(exchange, "locked/b", 1))
    exchange.refused = dict(enumerate(exchange.answers))
    assert exchange.record().decision == "explicit_deny"


def test_what_a_policy_in_report_mode_would_have_said_is_written_beside_the_decision(exchange: Exchange) -> None:
    exchange.answers = (ask(exchange, "free"),)
    record = exchange.record()
    assert record.decision == "allow"
    [reported] = record.reported
    assert (reported.decision, [each.sid for each in reported.statements]) == ("explicit_deny", ["Soon"])


def test_changed_headers_are_named_with_both_values(exchange: Exchange) -> None:
    exchange.completed = Completed(cast("Any", None), {"a": "new", "b": "added"}, {"a": "old", "c": "gone"})
    found = {each.name: (each.received, each.sent) for each in exchange.record().header_changes}
    assert found == {"a": ("old", "new"), "b": (None, "added"), "c": ("gone", None)}
    exchange.completed = Completed(cast("Any", None), {}, {})
    assert exchange.record().header_changes == ()


@pytest.mark.parametrize("name", ["x-amz-request-id", "x-amzn-requestid"])
def test_the_stores_ids_are_kept_for_its_operator(exchange: Exchange, name: str) -> None:
    exchange.answered(404, Headers.of([(name, "THEIRS"), ("x-amz-id-2", "HOST")]))
    record = exchange.record()
    assert (record.status, record.upstream_request_id, record.upstream_id_2) == (404, "THEIRS", "HOST")


def test_a_detail_is_kept_until_a_better_one_comes(exchange: Exchange) -> None:
    exchange.failed(S3Error("InternalError", detail="first"))
    exchange.failed(S3Error("ServiceUnavailable"))
    assert (exchange.record().error, exchange.record().detail) == ("ServiceUnavailable", "first")


def test_every_request_has_an_id_of_its_own(exchange: Exchange, rules: Rules) -> None:
    other = Exchange(exchange.http, exchange.connection, rules, exchange.body, exchange.reply, 0.0)
    assert other.request_id != exchange.request_id
    assert len(other.request_id) == 16
    assert exchange.host_id == f"s3warden/{exchange.request_id}"


def test_decisions_are_made_by_the_same_rules_for_every_question(exchange: Exchange) -> None:
    decision: Decision = ask(exchange, "free").decision
    assert decision.allowed

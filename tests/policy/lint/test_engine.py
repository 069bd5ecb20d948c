"""Lint as a whole: it agrees with the loader, knows places, works on what is broken, and is quick."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import yamldoc
from proxy.errors import ConfigError
from proxy.policy.document import Kind
from proxy.policy.lint import Linted, errors_in, find_rule, lint_text
from proxy.policy.lint.engine import kind_of
from proxy.policy.parse import parse_policy

ROOT = Path(__file__).parents[3]
Lint = Callable[..., Linted]

SSE = "s3:x-amz-server-side-encryption"
KEY_ID = "s3:x-amz-server-side-encryption-aws-kms-key-id"
TLS = {"Bool": {"aws:SecureTransport": "false"}}
ALICE = {"AWS": "arn:aws:iam::123456789012:user/alice"}
OBJECTS = "arn:aws:s3:::b/*"
WRITES = ["s3:PutObject", "s3:UpdateObjectEncryption"]

# Policies that are wrong in ways seen in the wild, and what must be said about each. Other tools miss half.
WRONG: dict[str, tuple[dict[str, object], str]] = {
    "Bool on a header": (
        {"Action": WRITES, "Resource": OBJECTS, "Condition": {"Bool": {SSE: "false"}}},
        "type-never-fits",
    ),
    "key id where an ARN is compared": (
        {"Action": WRITES, "Resource": OBJECTS, "Condition": {"StringNotEquals": {KEY_ID: "1234abcd-12ab"}}},
        "not-a-key-arn",
    ),
    "key alias where an ARN is compared": (
        {
            "Action": WRITES,
            "Resource": OBJECTS,
            "Condition": {"ArnNotEquals": {KEY_ID: "arn:aws:kms:eu-west-1:123456789012:alias/hr"}},
        },
        "not-a-key-arn",
    ),
    "operation for an action": ({"Action": "s3:HeadObject", "Resource": OBJECTS}, "unknown-action"),
    "key of another action": (
        {
            "Effect": "Allow",
            "Principal": ALICE,
            "Action": "s3:GetObject",
            "Resource": OBJECTS,
            "Condition": {"StringLike": {"s3:prefix": "a/*"}},
        },
        "key-not-carried",
    ),
    "Allow with NotPrincipal": ({"Effect": "Allow", "NotPrincipal": ALICE, "Action": "s3:*"}, "allow-not-principal"),
    "impossible AND": (
        {
            "Action": WRITES,
            "Resource": OBJECTS,
            "Condition": {"Null": {SSE: "true"}, "StringNotEquals": {SSE: "aws:kms"}},
        },
        "null-hides-condition",
    ),
    "IfExists on a negated operator": (
        {"Action": WRITES, "Resource": OBJECTS, "Condition": {"StringNotEqualsIfExists": {SSE: "aws:kms"}}},
        "if-exists-negated",
    ),
    "value that S3 never accepts": (
        {"Action": WRITES, "Resource": OBJECTS, "Condition": {"StringNotEquals": {SSE: "AES-256"}}},
        "unaccepted-value",
    ),
    "wildcard under StringNotEquals": (
        {"Action": WRITES, "Resource": OBJECTS, "Condition": {"StringNotEquals": {SSE: "aws:kms*"}}},
        "wildcard-without-like",
    ),
    "ForAllValues without Null": (
        {
            "Effect": "Allow",
            "Principal": ALICE,
            "Action": "s3:PutObject",
            "Resource": OBJECTS,
            "Condition": {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a"]}},
        },
        "for-all-values-allow",
    ),
    "TLS Deny without the bucket": ({"Resource": OBJECTS, "Condition": TLS}, "tls-deny-misses-bucket"),
    "bad CIDR": ({"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/33"}}}, "bad-value"),
    "guard of uploads only": (
        {"Action": "s3:PutObject", "Resource": OBJECTS, "Condition": {"StringNotEquals": {SSE: "aws:kms"}}},
        "encryption-guard-open",
    ),
    "key that a proxy cannot fill": (
        {"Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1a2b3c4d"}}},
        "unknowable-key",
    ),
}
RIGHT: list[dict[str, object]] = [
    {"Sid": "Tls", "Condition": TLS},
    {
        "Sid": "Kms",
        "Action": WRITES,
        "Resource": OBJECTS,
        "Condition": {"StringNotEquals": {SSE: "aws:kms"}, "Null": {SSE: "false"}},
    },
    {
        "Sid": "Key",
        "Action": WRITES,
        "Resource": OBJECTS,
        "Condition": {"StringNotEquals": {KEY_ID: "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab"}},
    },
]


@pytest.mark.parametrize("what", WRONG)
def test_what_other_tools_miss_is_found(found: Callable[..., list[str]], what: str) -> None:
    statement, rule = WRONG[what]
    assert found(statement) == [rule]


def test_what_is_right_is_left_alone(found: Callable[..., list[str]]) -> None:
    assert found(*RIGHT) == []


def test_variables_in_a_policy_of_2008_and_duplicate_keys_are_found(found: Callable[..., list[str]]) -> None:
    own = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "s3:GetObject"}
    own["Resource"] = "arn:aws:s3:::b/${aws:username}/*"
    assert "literal-variable" in found(own, version=None)
    twice = lint_text('{"Version": "2012-10-17", "Version": "2012-10-17", "Statement": []}')
    assert [finding.rule.name for finding in twice.findings] == ["invalid-yaml"]


def test_the_policies_that_ship_are_clean() -> None:
    files = [p for p in (ROOT / "policies").rglob("*.yaml") if not p.name.endswith(".test.yaml")]
    assert len(files) > 10
    for path in files:
        linted = lint_text(path.read_bytes(), str(path.relative_to(ROOT)))
        assert [str(finding.diagnostic) for finding in linted.findings] == [], path


def refusals(text: str, kind: Kind) -> set[tuple[int, int, str]] | None:
    """What the run-time loader says: None when it accepts."""
    try:
        parse_policy(yamldoc.parse(text, "p.yaml"), kind)
    except ConfigError as error:
        return {(d.span.line, d.span.column, d.message) for d in error.diagnostics}
    return None


def refused_errors(text: str, kind: Kind) -> set[tuple[int, int, str]]:
    found = lint_text(text, "p.yaml", kind).findings
    return {(f.span.line, f.span.column, f.diagnostic.message) for f in found if f.rule.refused}


PIECES: dict[str, list[Any]] = {
    "Version": ["2012-10-17", "2008-10-17", "2020-01-01", [], "${aws:username}"],
    "Sid": ["A", "", "a b", []],
    "Effect": ["Allow", "Deny", "allow", {}],
    "Principal": ["*", ALICE, {"AWS": "*"}, {"AWS": []}, {"Nobody": "x"}, "arn:aws:iam::1:user/x", {}],
    "NotPrincipal": [ALICE, {"AWS": "arn:aws:iam::123456789012:user/*"}],
    "Action": ["s3:GetObject", "s3:*", "*", "GetObject", "s3:GetObjct", ["s3:PutObject", "kms:Decrypt"], [], "kms:*"],
    "NotAction": ["s3:GetObject", "s3:Nothing*"],
    "Resource": [
        "*",
        OBJECTS,
        "arn:aws:s3:::b",
        [OBJECTS, "b"],
        "arn:aws:s3:::b/${aws:username}",
        "arn:aws:s3:::b/${",
        [],
    ],
    "NotResource": [OBJECTS],
    "Condition": [
        {},
        TLS,
        [],
        {"Null": {SSE: "true"}, "StringNotEquals": {SSE: "aws:kms"}},
        {"StringEquals": {"s3:nothing": "x"}, "NullIfExists": {SSE: "true"}},
        {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "10.0.0.0/99", []]}},
        {"NumericLessThan": {"s3:TlsVersion": "x"}, "Bool": {"aws:SecureTransport": ["true", "false"]}},
        {"ForAllValues:StringLike": {"s3:RequestObjectTagKeys": ["a*", "b"]}, "DateEquals": {"aws:CurrentTime": "now"}},
        {"ArnLike": {"aws:PrincipalArn": "x"}, "StringLike": {"s3:prefix": "${aws:username}/*", "S3:Prefix": ""}},
    ],
}
STATEMENT = st.fixed_dictionaries(
    {},
    optional={name: st.sampled_from(values) for name, values in PIECES.items() if name != "Version"},
)
DOCUMENT = st.fixed_dictionaries(
    {"Statement": st.lists(STATEMENT, max_size=4) | STATEMENT | st.just("none")},
    optional={"Version": st.sampled_from(PIECES["Version"]), "Id": st.just("x"), "Extra": st.just("y")},
)


@given(DOCUMENT, st.sampled_from(["bucket", "identity", "key"]))
@settings(max_examples=150, deadline=None)
def test_lint_refuses_what_the_loader_refuses_at_the_same_places(document: dict[str, Any], kind: Kind) -> None:
    text = json.dumps(document, indent=1)
    refused = refusals(text, kind)
    assert refused_errors(text, kind) == (refused or set())


@given(DOCUMENT, st.sampled_from(["bucket", "identity", "key"]))
@settings(max_examples=150, deadline=None)
def test_every_finding_has_a_place_within_the_file(document: dict[str, Any], kind: Kind) -> None:
    text = json.dumps(document, indent=1)
    lines = text.splitlines()
    for finding in lint_text(text, "p.json", kind).findings:
        span = finding.span
        assert 1 <= span.line <= len(lines)
        assert 1 <= span.column <= len(lines[span.line - 1]) + 1
        assert finding.diagnostic.snippet == lines[span.line - 1]
        assert find_rule(finding.diagnostic.rule) is finding.rule


YAML_TEXT = st.text(st.sampled_from(list("abAR:{}[]&*!|>'\"#%@`-?,\n \t$0123./\\é\u202e\u0435\0\r")), max_size=200)


@given(YAML_TEXT | st.text(max_size=100))
@settings(max_examples=150, deadline=None)
def test_no_text_is_too_strange_for_lint(text: str) -> None:
    for finding in lint_text(text, "x.yaml").findings:
        assert finding.span.line >= 1
        assert finding.span.column >= 1


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange_for_lint(content: bytes) -> None:
    lint_text(content, "x.yaml")


WHOLE = (ROOT / "policies/buckets/demo.yaml").read_text()


@given(st.integers(0, len(WHOLE)), st.integers(0, 12), st.text(max_size=6))
@settings(max_examples=150, deadline=None)
def test_a_policy_with_a_piece_torn_out_is_told_by_loader_and_lint_alike(start: int, length: int, put: str) -> None:
    text = WHOLE[:start] + put + WHOLE[start + length :]
    assert refused_errors(text, "bucket") == (refusals(text, "bucket") or set())


def test_everything_wrong_is_told_at_once(found: Callable[..., list[str]]) -> None:
    names = found(
        {"Sid": "A", "Action": "s3:GetObjct", "Condition": {"StringNotEqualsIfExists": {SSE: "AES-256"}}},
        {"Sid": "A", "Effect": "deny"},
        {"Sid": "B", "Effect": "Allow", "Action": "s3:GetObject", "Resource": OBJECTS},
    )
    assert {"unknown-action", "if-exists-negated", "unaccepted-value", "duplicate-sid", "bad-effect"} <= set(names)
    assert "public-access" in names


def test_a_part_that_the_parser_refused_is_not_judged_further(found: Callable[..., list[str]]) -> None:
    # Without the misspelt action there would be nothing that carries the key.
    assert found({"Action": "s3:PutObjct", "Resource": OBJECTS, "Condition": {"Null": {SSE: "true"}}}) == [
        "unknown-action"
    ]


def test_a_finding_is_named_by_sid_and_element_not_by_line(lint: Lint) -> None:
    statement: dict[str, object] = {"Sid": "Tls", "Resource": OBJECTS, "Condition": TLS}
    alone = lint(statement).findings[0]
    later = lint({"Sid": "First", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b"}, statement).findings[0]
    assert (alone.sid, alone.place) == ("Tls", "/Resource")
    assert alone.span.line != later.span.line
    assert alone.fingerprint("a.yaml") == later.fingerprint("a.yaml")
    assert alone.fingerprint("a.yaml") != alone.fingerprint("b.yaml")


def test_statements_that_share_a_sid_are_told_apart_by_their_place(lint: Lint) -> None:
    statement: dict[str, object] = {"Sid": "Tls", "Resource": OBJECTS, "Condition": TLS}
    findings = [f for f in lint(statement, statement).findings if f.rule.name == "tls-deny-misses-bucket"]
    assert len({finding.fingerprint("a.yaml") for finding in findings}) == 2


@pytest.mark.parametrize(
    ("file", "text", "kind"),
    [
        ("x.yaml", "bucket: b\npolicy: {}", "bucket"),
        ("policies/identity/x.yaml", "Statement: []", "identity"),
        ("policies/buckets/x.yaml", "Statement: []", "bucket"),
        ("keys/x.yaml", "Statement: []", "key"),
        ("x.yaml", "Statement: {Effect: Allow, Action: s3:GetObject}", "identity"),
        ("x.yaml", 'Statement: {Effect: Allow, Principal: "*", Action: s3:GetObject}', "bucket"),
        ("x.yaml", 'Statement: {Effect: Allow, Principal: "*", Action: kms:Decrypt, Resource: "*"}', "key"),
        ("x.yaml", 'Statement: {Principal: "*", Action: kms:Decrypt, Resource: "arn:aws:s3:::b/*"}', "bucket"),
    ],
)
def test_the_kind_of_a_policy_is_told_by_wrapper_folder_and_content(file: str, text: str, kind: str) -> None:
    assert kind_of(yamldoc.parse(text, file)) == kind


def test_a_goal_is_no_policy() -> None:
    linted = lint_text("goal: x\nnever: []", "policies/goals/x.yaml")
    assert linted.is_goal
    assert linted.findings == ()


def test_a_mapped_key_is_known(found: Callable[..., list[str]]) -> None:
    statement = {"Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1a2b3c4d"}}}
    assert found(statement, mapped=["AWS:sourcevpce"]) == []


def test_errors_that_the_parser_accepts_can_be_asked_for_apart() -> None:
    text = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": OBJECTS}
                | {"Condition": {"StringEquals": {SSE: "AES-256"}}}
            ],
        }
    )
    policy = parse_policy(yamldoc.parse(text, "p.json"), "bucket")
    assert [error.rule for error in errors_in(policy)] == ["S3W074"]
    whole = parse_policy(yamldoc.parse(text.replace("AES-256", "AES256"), "p.json"), "bucket")
    assert errors_in(whole) == []


def test_two_thousand_statements_are_linted_whole() -> None:
    actions = ["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:GetObjectTagging"]
    statements = [
        {
            "Sid": f"S{number}",
            "Effect": "Deny" if number % 3 else "Allow",
            "Principal": "*" if number % 5 else {"AWS": f"arn:aws:iam::123456789012:user/u{number}"},
            "Action": actions[number % 4],
            "Resource": f"arn:aws:s3:::b/{number}/*",
            "Condition": {"Bool": {"aws:SecureTransport": "true"}},
        }
        for number in range(2000)
    ]
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=1)
    assert lint_text(text, "p.json", "bucket").statements == 2000


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("Action", [f"s3:Get*{number}" for number in range(400)]),
        ("Action", ["s3:GetObject"] * 10_000),
        ("Resource", [f"arn:aws:s3:::b/{number}/*" for number in range(10_000)]),
        ("Condition", {"StringLike": {"s3:prefix": [f"{number}*" for number in range(10_000)]}}),
        ("Condition", {"NotIpAddress": {"aws:SourceIp": [f"10.{n // 250}.{n % 250}.0/24" for n in range(10_000)]}}),
        ("Condition", {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::" + "*?:" * 20_000}}),
        ("Condition", {"StringLike": {KEY_ID: "*?" * 40_000}}),
        ("Resource", "arn:aws:s3:::b/" + "*?" * 40_000),
        ("Sid", "a\u0435" * 20_000),
    ],
    ids=lambda value: str(value)[:20],
)
def test_no_file_keeps_lint_from_an_answer(lint: Lint, element: str, value: object) -> None:
    # Comparing everything with everything would take minutes, and run into the time limit of all tests.
    assert lint({element: value}, {element: value, "Effect": "Allow"}).statements == 2

"""What is refused at load, where, and with which remedy; and the shapes that are accepted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import yamldoc
from proxy.errors import ConfigError
from proxy.policy.document import Kind, PolicyFile
from proxy.policy.parse import DOCUMENT, STATEMENT, WRAPPER, guess_kind, minified_size, parse_policy

Make = Callable[..., PolicyFile]

GOOD = """\
bucket: hr-*
mode: report
description: HR data is encrypted
policy:
  Version: 2012-10-17
  Id: hr
  Statement:
    - Sid: Encrypted
      Effect: Deny
      Principal: "*"
      Action: s3:PutObject
      Resource: arn:aws:s3:::hr-*/*
      Condition:
        StringNotEquals: {s3:x-amz-server-side-encryption: aws:kms}
        "Null": {s3:x-amz-server-side-encryption: false}
"""


def read(text: str, kind: Kind = "bucket", mapped: tuple[str, ...] = ()) -> PolicyFile:
    return parse_policy(yamldoc.parse(text, "p.yaml"), kind, mapped)


def findings(text: str, kind: Kind = "bucket") -> list[tuple[int, int, str, str]]:
    with pytest.raises(ConfigError) as caught:
        read(text, kind)
    return [(d.span.line, d.span.column, d.rule, d.help) for d in caught.value.diagnostics]


def test_a_wrapper_says_whose_policy_it_is_and_how_it_counts() -> None:
    policy = read(GOOD)
    assert (policy.mode, policy.description, policy.version, policy.id) == (
        "report",
        "HR data is encrypted",
        "2012-10-17",
        "hr",
    )
    assert policy.concerns("hr-data")
    assert not policy.concerns("sales")
    (statement,) = policy.statements
    assert (statement.sid, statement.effect, statement.span.line) == ("Encrypted", "Deny", 8)
    assert [condition.span.line for condition in statement.conditions] == [14, 15]
    assert str(statement) == "`Encrypted` (p.yaml:8:7)"


def test_a_bare_document_in_json_with_one_statement_object_is_a_policy_too() -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::b"}
    policy = read(json.dumps({"Statement": statement}))
    assert policy.mode == "enforce"
    assert policy.version == "2008-10-17"
    assert policy.statements[0].path == ("Statement",)
    assert str(policy.statements[0]).startswith("statement 1 (")
    assert minified_size(policy) == len(json.dumps({"Statement": statement}, separators=(",", ":")))


def test_every_mistake_of_a_document_is_found_at_once_each_at_its_place() -> None:
    text = GOOD.replace("s3:PutObject", "[s3:PutObjct, s3:HeadObject]")
    text = text.replace("StringNotEquals", "StringNotEqual").replace("hr-*/*", "sales/*").replace("Sid", "Side")
    assert [found[:3] for found in findings(text)] == [
        (8, 7, "unknown-element"),
        (11, 16, "unknown-action"),
        (11, 29, "unknown-action"),
        (12, 17, "foreign-resource"),
        (14, 9, "unknown-operator"),
    ]
    assert [found[3] for found in findings(text)] == [
        "did you mean `Sid`?",
        "did you mean `s3:PutObject`?",
        "`HeadObject` is an API operation, not an action: its permission is `s3:GetObject`",
        "name the bucket given under `bucket`",
        "did you mean `StringNotEquals`?",
    ]


ONE = 'Statement: {Effect: Allow, Principal: "*", Action: "s3:*", Resource: "arn:aws:s3:::b"}\n'
NO_VALUE = ONE.replace("}", ", Condition: {StringEquals: {aws:username: VALUE}}}")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[]", "wrong-type"),
        ("text", "wrong-type"),
        ("{}", "missing-element"),
        ("Statement: []", "missing-element"),
        ("Statement: [text]", "wrong-type"),
        ("Statement: text", "wrong-type"),
        ("statement: {}", "unknown-element"),
        ("Version: 2012-10-18\n" + ONE, "bad-version"),
        ("Version: [a]\n" + ONE, "bad-version"),
        ("Id: [a]\n" + ONE, "wrong-type"),
        ("bucket: b\n" + ONE, "unknown-element"),
        ("bucket: b\nmode: enforce\n", "missing-element"),
        ("mode: audit\npolicy: {" + ONE.strip() + "}", "bad-mode"),
        ("bucket: ''\npolicy: {" + ONE.strip() + "}", "empty-element"),
        ("bucket: [b]\npolicy: {" + ONE.strip() + "}", "wrong-type"),
        ("description: {}\npolicy: {" + ONE.strip() + "}", "wrong-type"),
        (ONE.replace("Allow", "allow"), "bad-effect"),
        (ONE.replace("Effect: Allow, ", ""), "missing-element"),
        (ONE.replace('Principal: "*", ', ""), "missing-element"),
        (ONE.replace('Action: "s3:*", ', ""), "missing-element"),
        (ONE.replace(', Resource: "arn:aws:s3:::b"', ""), "missing-element"),
        (ONE.replace("Principal", 'NotAction: "s3:*", Principal'), "conflicting-elements"),
        (ONE.replace('"*"', "[a]"), "bad-principal"),
        (ONE.replace('"*"', '"arn:aws:iam::123456789012:root"'), "bad-principal"),
        (ONE.replace('"*"', "{}"), "empty-element"),
        (ONE.replace('"*"', '{aws: "*"}'), "bad-principal"),
        (ONE.replace('"*"', "{AWS: []}"), "empty-element"),
        (ONE.replace('"*"', "{AWS: bob}"), "bad-principal"),
        (ONE.replace('"*"', "{AWS: {a: b}}"), "wrong-type"),
        (ONE.replace('"s3:*"', '"s3:????"'), "unknown-action"),
        (ONE.replace('"s3:*"', '"*GetObject"'), "bad-action"),
        (ONE.replace('"s3:*"', '"s3:*Obj??ect*"'), "unknown-action"),
        (ONE.replace('"s3:*"', '"s?:GetObject"'), "bad-action"),
        (ONE.replace('"s3:*"', '"kms:Decrypt"'), "foreign-action"),
        (ONE.replace('"s3:*"', '"s3:${aws:username}"'), "bad-action"),
        (ONE.replace('"s3:*"', "[]"), "empty-element"),
        (ONE.replace("arn:aws:s3:::b", "*"), "bad-resource"),
        (ONE.replace("arn:aws:s3:::b", "b/*"), "bad-resource"),
        (ONE.replace("arn:aws:s3:::b", "arn:aws:s3:::"), "bad-resource"),
        (ONE.replace("arn:aws:s3:::b", "arn:aws:s3:::/b"), "bad-resource"),
        (ONE.replace("arn:aws:s3:::b", "arn:aws:s3:eu::b"), "bad-resource"),
        (ONE.replace("arn:aws:s3:::b", "arn:aws:*:::b"), "bad-resource"),
        (ONE.replace("arn:aws:s3:::b", "arn:other:s3:::b"), "bad-resource"),
        (ONE.replace("arn:aws:s3:::b", "arn:aws:sqs:::b"), "bad-resource"),
        ("Version: 2012-10-17\n" + ONE.replace(":::b", ":::b/${aws:username"), "bad-variable"),
        ("Version: 2012-10-17\n" + ONE.replace(":::b", ":::b/${aws:TagKeys}"), "bad-variable"),
        ("Version: 2012-10-17\n" + ONE.replace(":::b", ":::b/${aws:nobody}"), "unknown-key"),
        ("Version: 2012-10-17\n" + ONE.replace(":::b", ":::b/${aws:SourceVpce}"), "unknowable-key"),
        ("Version: 2012-10-17\n" + ONE.replace(":s3:::b", ":${aws:username}:::b"), "bad-resource"),
        (NO_VALUE.replace("VALUE", "[]"), "empty-element"),
        (NO_VALUE.replace("VALUE", "null"), "wrong-type"),
        (NO_VALUE.replace("VALUE", "~"), "wrong-type"),
        (NO_VALUE.replace("VALUE", "{a: b}"), "wrong-type"),
        (NO_VALUE.replace("aws:username", "aws:user"), "unknown-key"),
        (NO_VALUE.replace("aws:username", "aws:PrincipalTag/"), "unknown-key"),
        (NO_VALUE.replace("aws:username", "aws:SourceVpce"), "unknowable-key"),
        (NO_VALUE.replace("aws:username: VALUE", "aws:username: a, AWS:username: b"), "duplicate-key"),
        (NO_VALUE.replace("{aws:username: VALUE}", "text"), "wrong-type"),
        (ONE.replace("}", ", Condition: text}"), "wrong-type"),
    ],
)
def test_what_is_not_understood_refuses_the_document(text: str, rule: str) -> None:
    assert rule in [found[2] for found in findings(text)]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (ONE, "unknown-element"),
        ("bucket: b\npolicy: {" + ONE.replace('Principal: "*", ', "").strip() + "}", "unknown-element"),
        (ONE.replace('Principal: "*", ', "").replace("s3:*", "s3:Nothing*"), "unknown-action"),
        (ONE.replace('Principal: "*", ', "").replace("s3:*", "kms:Nothing"), "unknown-action"),
    ],
)
def test_what_an_identity_policy_may_not_have(text: str, rule: str) -> None:
    assert rule in [found[2] for found in findings(text, "identity")]


def test_keys_of_other_services_are_let_through_only_where_nothing_else_is_named() -> None:
    text = """Statement:
      Effect: Allow
      Action: [ec2:RunInstances]
      Resource: "*"
      Condition: {StringEquals: {ec2:Region: eu-central-1, aws:SourceVpc: vpc-1}}"""
    assert read(text, "identity").statements[0].actions.names == frozenset()
    assert [found[2] for found in findings(text.replace("[", "[s3:GetObject, "), "identity")] == [
        "unknown-key",
        "unknowable-key",
    ]
    assert "unknown-operator" in [found[2] for found in findings(text.replace("StringEquals", "StringIs"), "identity")]


def test_a_key_that_a_proxy_cannot_know_is_taken_when_its_value_is_configured() -> None:
    text = NO_VALUE.replace("aws:username", "aws:PrincipalOrgID").replace("VALUE", "o-1")
    assert read(text, mapped=("AWS:PrincipalOrgId",)).statements[0].reads == {"aws:principalorgid"}


def test_keys_about_things_that_never_pass_a_proxy_are_simply_absent() -> None:
    assert read(NO_VALUE.replace("aws:username", "s3:DataAccessPointAccount").replace("VALUE", "1"))


def test_a_key_policy_speaks_of_kms_only() -> None:
    text = 'Statement: {Effect: Allow, Principal: "*", Action: ["kms:Decrypt", "kms:ReEncrypt*"], Resource: RESOURCE}'
    assert read(text.replace("RESOURCE", '"*"'), "key").kind == "key"
    assert read(text.replace("RESOURCE", "arn:aws:kms:eu-central-1:123456789012:key/hr"), "key")
    assert [found[2] for found in findings(text.replace("RESOURCE", "arn:aws:s3:::b"), "key")] == ["bad-resource"]
    assert [found[2] for found in findings(ONE, "key")] == ["foreign-action", "bad-resource"]


@pytest.mark.parametrize("name", ["b", "b/*", "*/x", "${aws:username}/x", "?/x"])
def test_a_resource_must_be_able_to_lie_in_the_wrapper_s_bucket(name: str, policy: Make) -> None:
    resource = {"Resource": f"arn:aws:s3:::{name}"}
    assert policy(resource, bucket="b")
    if name.startswith("b"):
        with pytest.raises(ConfigError, match="outside the bucket"):
            policy(resource, bucket="c")


def test_the_revision_is_that_of_the_text() -> None:
    assert read(GOOD).revision == read(GOOD).revision
    assert read(GOOD).revision != read(GOOD + "\n").revision


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (ONE, "bucket"),
        (GOOD, "bucket"),
        (ONE.replace('Principal: "*", ', ""), "identity"),
        (ONE.replace('"s3:*"', '["kms:Decrypt"]'), "key"),
        ("text", "identity"),
    ],
)
def test_what_kind_of_policy_a_lone_file_is(text: str, kind: Kind) -> None:
    assert guess_kind(yamldoc.parse(text)) == kind


_scalars = st.sampled_from(
    ["*", "Allow", "Deny", "s3:*", "arn:aws:s3:::b", "aws:username", "${", "true", "", "2012-10-17"]
)
_names = st.sampled_from([*WRAPPER, *DOCUMENT, *STATEMENT, "StringEquals", "Bool", "Null", "aws:username", "AWS", "x"])
_data: st.SearchStrategy[Any] = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=5), max_leaves=20
)


@given(_data, st.sampled_from(["bucket", "identity", "key"]))
def test_whatever_the_shape_the_answer_is_a_policy_or_findings_with_positions(data: Any, kind: Kind) -> None:
    document = yamldoc.parse(json.dumps(data), "f.json")
    try:
        refused = ()
        parse_policy(document, kind)
    except ConfigError as error:
        refused = error.diagnostics
        if not refused:
            raise
    assert all(found.span.file == "f.json" for found in refused)

"""Every JSON line gets one answer: the verdict that the evaluator has, or what is wrong with the line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import yamldoc
from proxy.policy.batch import Batch
from proxy.policy.evaluate import AccessRequest, decide
from proxy.policy.index import PolicyGroup
from proxy.policy.parse import parse_policy
from proxy.policy.principals import Principal

ACCOUNT, OTHER = "123456789012", "210987654321"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
BOTH = ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    whole = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": BOTH}
    return {"Version": "2012-10-17", "Statement": [{**whole, **statement} for statement in statements]}


ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
NEEDS_TLS = {"Sid": "Tls", "Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": False}}}


def line(given: Any = None, identity: list[Any] | None = None, **request: Any) -> str:
    asked = {"principal": "*", "action": "s3:GetObject", "resource": "arn:aws:s3:::b/k", **request}
    return json.dumps({"policy": given, "identity_policies": identity or [], "request": asked})


def answer(text: str) -> dict[str, Any]:
    (found,) = Batch().answers([text])
    data = json.loads(found)
    assert list(data) == ["decision", "statements", "error"]
    return dict(data)


def decision(text: str) -> str:
    found = answer(text)
    assert found["error"] is None
    return str(found["decision"])


def test_an_answer_names_the_statements_that_decide() -> None:
    both = policy({"Sid": "Open"}, NEEDS_TLS)
    plain = {"aws:SecureTransport": "false"}
    assert answer(line(both)) == {"decision": "allow", "statements": ["Open"], "error": None}
    assert answer(line(both, context=plain)) == {"decision": "explicit_deny", "statements": ["Tls"], "error": None}
    assert answer(line(None)) == {"decision": "implicit_deny", "statements": [], "error": None}
    assert answer(line(policy({})))["statements"] == ["#1"]


def test_a_star_is_anonymous_an_arn_is_a_caller_and_any_other_name_matches_only_the_star() -> None:
    named = policy({"Principal": {"AWS": ALICE}})
    assert decision(line(named, principal=ALICE)) == "allow"
    assert decision(line(named, principal="*")) == "implicit_deny"
    assert decision(line(named, principal="bob")) == "implicit_deny"
    assert decision(line(policy({}), principal="bob", resource_account=ACCOUNT)) == "implicit_deny"
    assert decision(line(policy({}), principal="bob", principal_account=ACCOUNT)) == "allow"
    assert decision(line(policy({}), principal="bob", identity=[ALLOW_ALL])) == "allow"


def test_an_account_that_is_not_given_is_the_caller_s() -> None:
    assert decision(line(None, [ALLOW_ALL], principal=ALICE)) == "allow"
    assert decision(line(None, [ALLOW_ALL], principal=ALICE, resource_account=ACCOUNT)) == "allow"
    assert decision(line(None, [ALLOW_ALL], principal=ALICE, resource_account=OTHER)) == "implicit_deny"
    assert decision(line(policy({}), [ALLOW_ALL], principal=ALICE, resource_account=OTHER)) == "allow"
    assert decision(line(None, [ALLOW_ALL], principal="bob", principal_account=ACCOUNT)) == "allow"


def test_a_delegation_to_the_account_is_not_enough_alone() -> None:
    delegated = policy({"Principal": {"AWS": ACCOUNT}})
    assert decision(line(delegated, principal=ALICE)) == "implicit_deny"
    assert decision(line(delegated, [ALLOW_ALL], principal=ALICE)) == "allow"


def test_the_context_is_taken_as_it_is() -> None:
    absent = policy({"Condition": {"Null": {"aws:PrincipalArn": "true"}}})
    assert decision(line(absent, principal=ALICE)) == "allow"
    many = policy({"Condition": {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}}})
    assert decision(line(many, context={"S3:requestobjecttagkeys": ["a", "b"]})) == "allow"
    assert decision(line(many, context={"s3:RequestObjectTagKeys": ["a", "c"]})) == "implicit_deny"
    number = policy({"Condition": {"NumericEquals": {"s3:max-keys": 10}, "Bool": {"aws:SecureTransport": True}}})
    assert decision(line(number, context={"s3:max-keys": 10.0, "aws:SecureTransport": True})) == "allow"


def test_keys_that_a_proxy_cannot_know_are_fine_where_the_context_is_given() -> None:
    private = policy({"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}})
    assert decision(line(private, context={"aws:SourceVpce": "vpce-1"})) == "allow"


def test_key_policies_are_known_by_their_actions() -> None:
    key = policy({"Action": "kms:*", "Resource": "*", "Principal": {"AWS": ALICE}})
    arn = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1"
    assert decision(line(key, principal=ALICE, action="kms:Decrypt", resource=arn)) == "allow"


def test_characters_that_json_escapes_mean_themselves() -> None:
    emoji = policy({"Resource": "arn:aws:s3:::b/\N{PARTY POPPER}\u00e9"})
    assert decision(line(emoji, resource="arn:aws:s3:::b/\N{PARTY POPPER}\u00e9")) == "allow"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "not JSON: a name in quotes is missing at character 2"),
        ("nonsense", "not a JSON object"),
        ("[]", "not a JSON object"),
        ('{"policy": null}', "there is no `request`"),
        ('{"policy": null, "policy": null}', "`policy` is given twice"),
        ('{"polcy": null, "request": {}}', "unknown member `polcy`"),
        ('{"request": {}} {}', "more than one JSON object in a line"),
        ('{"request": {"principal": NaN}}', "`NaN` is not JSON"),
        ('{"request": []}', "`request` is not an object"),
        ('{"request": {}}', "the request has no `principal`"),
        ('{"request": {"principal": "*", "action": "s3:GetObject"}}', "the request has no `resource`"),
        ('{"policy": "x", "request": {}}', "a policy is an object"),
        ('{"policy": {}, "request": {}}', "there is no `Statement`"),
        ('{"identity_policies": {}, "request": {}}', "`identity_policies` is not a list"),
        ('{"identity_policies": [1], "request": {}}', "a policy is an object"),
        (line(policy({"Effect": "allow"})), "`allow` is not an effect"),
        (line(policy({"Action": "s3:GetObjct"})), "unknown action `s3:GetObjct`"),
        (line(principal=1), "`principal` is an ARN, `*` for anonymous, or another name"),
        (line(action=1), "`action` and `resource` are texts"),
        (line(principal_account=1), "`principal_account` and `resource_account` are texts"),
        (line(context=[]), "`context` is not an object"),
        (line(context={"a": {}}), "the value of `a` is neither a text nor a list of texts"),
        (line(context={"a": [None]}), "the value of `a` is neither a text nor a list of texts"),
        (line(context={"a:b": "1", "A:B": "2"}), "a key of `context` is given twice in different letter case"),
        (line(colour="red"), "unknown member `colour` of the request"),
        ('{"request": ' + '{"a":' * 100_000, "nested too deeply"),
        (
            '{"policy": {"Statement": [{"Effect": "Allow", "Effect": "Deny"}]}, "request": {}}',
            "a member is given twice",
        ),
        ("\udcff", "not a JSON object"),
    ],
)
def test_what_is_wrong_is_told_in_the_answer(text: str, error: str) -> None:
    found = answer(text)
    assert (found["decision"], found["statements"]) == (None, [])
    assert error in found["error"]


def test_a_blank_line_has_no_answer_and_bytes_are_read_as_utf_8() -> None:
    assert list(Batch().answers(["", " \n", b"\n"])) == []
    assert len(list(Batch().answers([line().encode(), b"\xff"]))) == 2


def test_an_error_does_not_stay_with_the_lines_that_share_its_policies() -> None:
    batch = Batch()
    good = line(policy({"Sid": "Open"}))
    bad = line(policy({"Sid": "Open"}), principal=1)
    found = [json.loads(text)["decision"] for text in batch.answers([good, bad, good, good + "x", good])]
    assert found == ["allow", None, "allow", None, "allow"]


@pytest.mark.parametrize(
    "order", [("policy", "identity_policies", "request"), ("request", "policy"), ("policy", "request")]
)
def test_lines_that_differ_in_their_request_only_are_each_decided_anew(order: tuple[str, ...]) -> None:
    batch = Batch()
    for key, wanted in (("k", "allow"), ("other", "implicit_deny"), ("k", "allow")):
        for number in range(3):
            whole = json.loads(line(policy({"Sid": f"S{number}", "Resource": "arn:aws:s3:::b/k"})))
            whole["request"]["resource"] = f"arn:aws:s3:::b/{key}"
            text = json.dumps({name: whole[name] for name in order})
            found = json.loads(batch.answer(text))
            assert (found["decision"], found["statements"]) == (wanted, [f"S{number}"] if wanted == "allow" else [])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "Effect": st.sampled_from(["Allow", "Deny"]),
                "Principal": st.sampled_from(["*", {"AWS": ALICE}, {"AWS": ACCOUNT}, {"AWS": OTHER}]),
                "Action": st.sampled_from(["s3:*", "s3:Get*", "s3:PutObject"]),
            },
            optional={
                "Condition": st.sampled_from(
                    [{"Null": {"aws:SourceIp": "true"}}, {"Bool": {"aws:SecureTransport": "true"}}]
                )
            },
        ),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
    st.sampled_from([ALICE, "*", "bob", f"arn:aws:iam::{OTHER}:root"]),
    st.sampled_from(["s3:GetObject", "s3:PutObject"]),
    st.sampled_from([ACCOUNT, OTHER]),
    st.dictionaries(st.sampled_from(["aws:SourceIp", "aws:SecureTransport"]), st.sampled_from(["true", "10.0.0.1"])),
)
def test_a_line_is_decided_as_the_evaluator_decides(
    statements: list[dict[str, Any]], identity: bool, principal: str, action: str, owner: str, context: dict[str, str]
) -> None:
    document = policy(*statements)
    text = line(
        document,
        [ALLOW_ALL] if identity else [],
        principal=principal,
        action=action,
        resource_account=owner,
        context=context,
    )
    request = AccessRequest(
        Principal(None if principal == "*" else principal),
        action,
        "arn:aws:s3:::b/k",
        owner,
        {key.lower(): value for key, value in context.items()},
    )
    groups = PolicyGroup([parse_policy(yamldoc.parse(json.dumps(document)), "bucket")])
    own = PolicyGroup([parse_policy(yamldoc.parse(json.dumps(ALLOW_ALL)), "identity")] if identity else [], "identity")
    assert decision(text) == decide(request, groups, own).effect.value


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.sampled_from([ALICE, "*"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["policy", "identity_policies", "request", "principal", "action", "resource", "context"])
            | st.sampled_from(["Statement", "Effect", "Action", "Version", "Condition", "Resource", "Principal"]),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(JSON, st.booleans())
def test_whatever_a_line_holds_it_has_an_answer(data: Any, cut: bool) -> None:
    text = json.dumps(data)
    found = list(Batch().answers([text[: len(text) // 2] if cut else text, text.encode()]))
    assert all(set(json.loads(each)) == {"decision", "statements", "error"} for each in found)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_whatever_bytes_come_there_is_no_traceback(raw: bytes) -> None:
    lines = [raw, b'{"policy":' + raw + b',"request":{}}', b'{"policy":{"Statement":"' + raw + b'"},"request":{}}']
    for each in Batch().answers(lines):
        assert json.loads(each)["decision"] is None

"""Goals: what they say, whether policies keep them, and the proof held against brute force."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import yamldoc
from proxy.errors import ConfigError
from proxy.policy.clauses import Policies
from proxy.policy.diff import ANY_POLICY, Assumptions, Evaluator, with_unknown
from proxy.policy.document import PolicyFile
from proxy.policy.evaluate import AccessRequest
from proxy.policy.goals import Goal, is_goal, parse_goal
from proxy.policy.parse import parse_policy
from proxy.policy.principals import Principal
from proxy.policy.prove import Proof, forbids, prove
from proxy.policy.store import PolicySet, policy_files
from proxy.policy.variables import ContextValue

GOALS = Path(__file__).parents[2] / "policies" / "goals"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SSE = "s3:x-amz-server-side-encryption"
KMS = f"{SSE}-aws-kms-key-id"
SSE_C = f"{SSE}-customer-algorithm"
ACCOUNT = "123456789012"
Statement = dict[str, object]


def shipped(name: str) -> Goal:
    return parse_goal(yamldoc.load(GOALS / f"{name}.yaml"), {"key": KEY} if name == "only-this-key" else {})


def goal(*never: Statement, values: dict[str, str] | None = None, **more: object) -> Goal:
    return parse_goal(yamldoc.parse(json.dumps({"goal": "g", "never": list(never), **more}), "goal.json"), values or {})


def policy(*statements: Statement, kind: str = "bucket") -> PolicyFile:
    document = yamldoc.parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}), "p.json")
    return parse_policy(document, "identity" if kind == "identity" else "bucket")


def deny(
    action: str | list[str] = "s3:PutObject", resource: object = "arn:aws:s3:::b/*", **condition: object
) -> Statement:
    made: Statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource}
    return {**made, "Condition": condition} if condition else made


def buckets(*statements: Statement) -> Policies:
    return Policies(PolicySet([policy(*statements)]))


def actions(proof: Proof) -> set[str]:
    return {action for found in proof.counterexamples for action in found.actions}


def test_every_goal_that_ships_can_be_read() -> None:
    names = {file.stem for file in policy_files(GOALS)}
    assert names == {"encrypted-writes", "only-this-key", "tls-only", "nothing-anonymous"}
    assert all(shipped(name).description for name in names)


# One guard for each goal that keeps it, and ways to write it that do not.

ENCRYPTED = deny(StringNotEquals={SSE: ["AES256", "aws:kms", "aws:kms:dsse"]})
IMPOSSIBLE = deny(StringNotEquals={SSE: "aws:kms"}, Null={SSE: "true"})
MISSING_ALLOWED = deny(StringNotEquals={SSE: "aws:kms"}, Null={SSE: "false"})
LIKE = deny(StringNotLike={SSE: "aws:kms*"})
ONE_KEY = deny(["s3:PutObject", "s3:UpdateObjectEncryption"], ArnNotEquals={KMS: KEY})
ONE_KEY_ON_UPLOAD = deny(StringNotEquals={KMS: KEY})
TLS = deny("s3:*", ["arn:aws:s3:::b", "arn:aws:s3:::b/*"], Bool={"aws:SecureTransport": "false"})
TLS_OBJECTS = deny("s3:*", Bool={"aws:SecureTransport": "false"})
OWN_ACCOUNT = deny("s3:*", ["arn:aws:s3:::b", "arn:aws:s3:::b/*"], StringNotEquals={"aws:PrincipalAccount": ACCOUNT})
PUBLIC: Statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/pub/*"}


@pytest.mark.parametrize(
    ("name", "statements", "caught"),
    [
        ("encrypted-writes", [ENCRYPTED], None),
        ("encrypted-writes", [IMPOSSIBLE], "s3:PutObject"),
        ("encrypted-writes", [MISSING_ALLOWED], "s3:PutObject"),
        ("encrypted-writes", [deny(StringNotEqualsIfExists={SSE: "aws:kms"})], None),
        ("encrypted-writes", [deny(StringNotEquals={SSE: "AES-256"})], "s3:PutObject"),
        ("encrypted-writes", [LIKE], "s3:PutObject"),  # `aws:kms-other` is no encryption
        ("encrypted-writes", [deny(Null={SSE_C: "true"}, StringNotEquals={SSE: "aws:kms"})], "s3:PutObject"),
        ("encrypted-writes", [deny(StringNotEquals={SSE_C: "AES256", SSE: "aws:kms"})], None),
        ("only-this-key", [ONE_KEY], None),
        ("only-this-key", [ONE_KEY_ON_UPLOAD], "s3:UpdateObjectEncryption"),
        ("only-this-key", [ENCRYPTED], "s3:PutObject"),
        ("tls-only", [TLS], None),
        ("tls-only", [TLS_OBJECTS], "s3:ListBucket"),
        ("nothing-anonymous", [TLS], None),
        ("nothing-anonymous", [PUBLIC], "s3:GetObject"),
        ("nothing-anonymous", [PUBLIC, OWN_ACCOUNT], None),
    ],
)
def test_a_goal_holds_or_has_a_counterexample(name: str, statements: list[Statement], caught: str | None) -> None:
    proof = prove(buckets(*statements), shipped(name))
    assert not proof.missing
    assert proof.holds is (caught is None)
    assert proof.cells > 0
    if caught is not None:
        assert caught in actions(proof)


def test_a_counterexample_is_allowed_and_forbidden() -> None:
    policies = buckets(PUBLIC, TLS_OBJECTS)
    proof = prove(policies, shipped("tls-only"))
    evaluator = Evaluator(with_unknown(policies, policies, Assumptions()))
    assert proof.counterexamples
    for found in proof.counterexamples:
        assert evaluator.decide(found.request, found.attached).allowed
        assert any(forbids(statement, found.request) for statement in proof.goal.statements)


def test_only_buckets_that_the_policies_are_about_are_looked_at() -> None:
    proof = prove(buckets(TLS), shipped("tls-only"))
    assert proof.holds, "that another bucket allows plain HTTP is not this policy's fault"
    identity = Policies(
        identity=(("id", policy({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, kind="identity")),)
    )
    assert not prove(identity, shipped("tls-only")).holds


def test_identity_policies_that_are_given_are_the_only_ones() -> None:
    reader = policy({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}, kind="identity")
    policies = Policies(buckets(TLS_OBJECTS).buckets, (("reader", reader),))
    assert prove(policies, shipped("tls-only")).holds
    assert not prove(policies, shipped("tls-only"), Assumptions(unknown_identities=True)).holds


def test_policy_variables_that_matter_leave_the_goal_unproven() -> None:
    home: Statement = {**PUBLIC, "Resource": "arn:aws:s3:::b/${aws:PrincipalTag/team}/*"}
    never = {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/${aws:PrincipalTag/home}/*"}
    proof = prove(buckets(home), goal(never), Assumptions(unknown_identities=False))
    assert not proof.holds
    assert prove(buckets(home), shipped("tls-only")).counterexamples
    assert prove(buckets({**home, "Effect": "Deny"}), goal(never), Assumptions(unknown_identities=False)).holds


def test_a_goal_may_be_about_some_resources_and_anything_but_some_actions() -> None:
    never = {"NotAction": "s3:Get*", "NotResource": "arn:aws:s3:::b/drop/*"}
    assert prove(buckets({**PUBLIC, "Action": "s3:Get*"}), goal(never), Assumptions(unknown_identities=False)).holds
    assert not prove(buckets({**PUBLIC, "Action": "s3:Put*"}), goal(never), Assumptions(unknown_identities=False)).holds


@pytest.mark.parametrize(
    ("document", "values", "wrong"),
    [
        ({"never": [{"Action": "s3:*"}]}, {}, "`goal` is missing"),
        ({"goal": "g"}, {}, "`never` is missing"),
        ({"goal": "g", "never": []}, {}, "must not be empty"),
        ({"goal": "g", "never": [{"Acton": "s3:*"}]}, {}, "unknown key `Acton`"),
        ({"goal": "g", "never": [{"Action": "s3:GetObjct"}]}, {}, "unknown action"),
        (
            {"goal": "g", "never": [{"Condition": {"Bool": {"aws:SecureTransprt": "true"}}}]},
            {},
            "unknown condition key",
        ),
        ({"goal": "g", "never": [{"Resource": "b/*"}]}, {}, "is not an ARN"),
        ({"goal": "g", "never": [{"Resource": "${param:x}"}]}, {}, "unknown parameter `x`"),
        ({"goal": "g", "parameters": {"x": "an ARN"}, "never": [{"Resource": "${param:x}"}]}, {}, "`x` has no value"),
        ({"goal": "g", "never": [{"Action": "s3:*"}]}, {"x": "1"}, "no parameter `x`"),
        (["g"], {}, "expected a mapping"),
        (
            {"goal": "g", "never": [{"Action": "s3:*", "NotAction": "s3:GetObject"}]},
            {},
            "both `Action` and `NotAction`",
        ),
    ],
)
def test_a_goal_that_is_wrong_is_refused_with_its_place(document: object, values: dict[str, str], wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong) as caught:
        parse_goal(yamldoc.parse(json.dumps(document), "goal.json"), values)
    assert all(one.span.file == "goal.json" for one in caught.value.diagnostics)


def test_a_parameter_is_text_wherever_it_stands() -> None:
    never = {"Condition": {"StringEquals": {"s3:x-amz-acl": "${param:acl}"}}}
    made = goal(never, values={"acl": '"], "x": ["*'}, parameters={"acl": "an ACL"})
    (condition,) = made.statements[0].conditions
    assert condition.values == ('"], "x": ["*',)


def test_a_goal_is_told_from_a_policy() -> None:
    assert is_goal(yamldoc.load(GOALS / "tls-only.yaml"))
    assert not is_goal(yamldoc.parse("Statement: []"))


VALUES: dict[str, list[ContextValue | None]] = {
    SSE.lower(): [None, "", "AES256", "aws:kms", "aws:kms:dsse", "aws:kmsx", "aws:kms*", "other"],
    KMS.lower(): [None, "", KEY, KEY + "x", "other"],
    "aws:securetransport": [None, "", "true", "false", "falsE"],
}
CALLERS = [Principal(), *(Principal(f"arn:aws:iam::{account}:user/q") for account in (ACCOUNT, "222222222222"))]


def random_statement(random: Random) -> Statement:
    pick = random.choice
    condition: dict[str, dict[str, str]] = {}
    for _ in range(random.randint(0, 2)):
        key, values = pick([(SSE, ["AES256", "aws:kms", "aws:kms*"]), (KMS, [KEY]), ("aws:SecureTransport", ["false"])])
        operator = pick(
            ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIfExists", "Null"]
        )
        condition.setdefault(operator, {})[key] = pick(["true", "false"] if operator == "Null" else values)
    return {
        "Effect": pick(["Allow", "Deny", "Deny"]),
        "Principal": pick(["*", {"AWS": ACCOUNT}]),
        "Action": pick(["s3:*", "s3:PutObject", ["s3:PutObject", "s3:UpdateObjectEncryption"]]),
        "Resource": pick([["arn:aws:s3:::b", "arn:aws:s3:::b/*"], "arn:aws:s3:::b/*", "arn:aws:s3:::b/x*"]),
        "Condition": condition,
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_a_goal_holds_exactly_when_brute_force_finds_no_counterexample(seed: int) -> None:
    random = Random(seed)
    policies = buckets(*(random_statement(random) for _ in range(random.randint(1, 3))))
    wanted = shipped(random.choice(["encrypted-writes", "only-this-key", "tls-only"]))
    proof = prove(policies, wanted)
    evaluator = Evaluator(with_unknown(policies, policies, Assumptions()))
    questions = [
        (action, arn)
        for action in ("s3:PutObject", "s3:UpdateObjectEncryption", "s3:GetObject")
        for arn in ("arn:aws:s3:::b/x1", "arn:aws:s3:::b/y")
    ]
    found = False
    for (action, arn), caller, owner, values in itertools.product(
        [*questions, ("s3:ListBucket", "arn:aws:s3:::b")],
        CALLERS,
        (ACCOUNT, "222222222222"),
        itertools.product(*VALUES.values()),
    ):
        context = {key: value for key, value in zip(VALUES, values, strict=True) if value is not None}
        request = AccessRequest(caller, action, arn, owner, context)
        attached = () if caller.anonymous else (ANY_POLICY,)
        if any(forbids(one, request) for one in wanted.statements) and evaluator.decide(request, attached).allowed:
            found = True
            break
    assert not proof.missing
    assert proof.holds is not found

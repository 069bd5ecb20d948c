"""Who may use a key is decided beside who may access the object."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from proxy import yamldoc
from proxy.access.key_questions import KeyAction, decide_key, key_question
from proxy.access.questions import Question
from proxy.policy.evaluate import Decision, Effect
from proxy.policy.index import NO_POLICIES, PolicyGroup
from proxy.policy.parse import parse_policy
from proxy.policy.principals import Principal
from tests.access.conftest import OWNER, Asker

KEY = f"arn:aws:kms:eu-central-1:{OWNER}:key/hr"
ALICE = Principal(f"arn:aws:iam::{OWNER}:user/alice", OWNER)
BOB = Principal(f"arn:aws:iam::{OWNER}:user/bob", OWNER)
OTHER = Principal("arn:aws:iam::999999999999:user/eve", "999999999999")
CONTEXT = {"s3w": "1s", "aws:s3:arn": "arn:aws:s3:::hr-data/salaries.csv", "Department": "hr"}

HR_ONLY = f"""\
Version: "2012-10-17"
Statement:
  - Sid: OnlyHr
    Effect: Allow
    Principal: {{AWS: "arn:aws:iam::{OWNER}:user/alice"}}
    Action: ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource: "*"
    Condition:
      StringEquals:
        kms:ViaService: s3.eu-central-1.amazonaws.com
        kms:CallerAccount: "{OWNER}"
        kms:EncryptionContext:Department: hr
      StringLike: {{"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::hr-*"}}
"""


def group(text: str, kind: str = "key") -> PolicyGroup:
    return PolicyGroup([parse_policy(yamldoc.parse(text, "hr.yaml"), kind)])


def identity_policy(effect: str) -> PolicyGroup:
    statement = f'{{Effect: {effect}, Action: "kms:Decrypt", Resource: "{KEY}"}}'
    return group(f'Version: "2012-10-17"\nStatement: [{statement}]', "identity")


@pytest.fixture
def asked(ask: Asker) -> Question:
    return ask("GET", "/hr-data/salaries.csv", {"referer": "http://x"})[0]


def decision(
    asked: Question,
    principal: Principal = ALICE,
    policy: PolicyGroup | None = None,
    own: PolicyGroup = NO_POLICIES,
    action: KeyAction = "kms:Decrypt",
    context: Mapping[str, str] = CONTEXT,
) -> Decision:
    return decide_key(key_question(action, KEY, asked, context, principal.account), principal, policy, own)


def test_only_hr_may_decrypt_hr_data(asked: Question) -> None:
    policy = group(HR_ONLY)
    assert decision(asked, ALICE, policy).effect is Effect.ALLOW
    assert decision(asked, BOB, policy).effect is Effect.IMPLICIT_DENY
    assert decision(asked, OTHER, policy).effect is Effect.IMPLICIT_DENY
    assert decision(asked, Principal(), policy).effect is Effect.IMPLICIT_DENY
    assert decision(asked, ALICE, policy).statements[0].sid == "OnlyHr"
    assert decision(asked, BOB, policy).policy_kind == "key"


@pytest.mark.parametrize(
    "context",
    [
        {**CONTEXT, "Department": "it"},
        {**CONTEXT, "aws:s3:arn": "arn:aws:s3:::it-data/x"},
        {"aws:s3:arn": "arn:aws:s3:::hr-data/x"},
    ],
)
def test_the_encryption_context_counts(asked: Question, context: dict[str, str]) -> None:
    assert not decision(asked, ALICE, group(HR_ONLY), context=context).allowed


def test_an_action_that_is_not_named_is_not_allowed(asked: Question) -> None:
    assert not decision(asked, ALICE, group(HR_ONLY), action="kms:ReEncryptFrom").allowed


def test_a_key_without_a_policy_is_open_to_whoever_may_access_the_object(asked: Question) -> None:
    for principal in (ALICE, BOB, OTHER, Principal()):
        assert decision(asked, principal).effect is Effect.ALLOW


def test_an_identity_policy_can_deny_a_key_without_a_policy(asked: Question) -> None:
    own = identity_policy("Deny")
    assert decision(asked, ALICE, own=own).effect is Effect.EXPLICIT_DENY
    assert decision(asked, ALICE, own=own, action="kms:GenerateDataKey").allowed


def test_a_key_policy_that_trusts_the_account_leaves_it_to_identity_policies(asked: Question) -> None:
    statement = f'{{Effect: Allow, Principal: {{AWS: "{OWNER}"}}, Action: "kms:*", Resource: "*"}}'
    delegate = f'Version: "2012-10-17"\nStatement: [{statement}]'
    own = identity_policy("Allow")
    assert decision(asked, ALICE, group(delegate), own).allowed
    assert not decision(asked, ALICE, group(delegate)).allowed
    assert not decision(asked, ALICE, group(HR_ONLY.replace("alice", "carol")), own).allowed


def test_the_question_knows_the_caller_and_nothing_of_the_bucket(asked: Question) -> None:
    question = key_question("kms:Decrypt", KEY, asked, CONTEXT, OWNER)
    assert (question.resource, question.resource_account, question.bucket) == (KEY, OWNER, None)
    context = question.context
    assert context["aws:principalarn"] == f"arn:aws:iam::{OWNER}:user/alice"
    assert context["aws:sourceip"] == "192.0.2.7"
    assert context["aws:resourceaccount"] == OWNER
    assert context["kms:encryptioncontext:aws:s3:arn"] == "arn:aws:s3:::hr-data/salaries.csv"
    assert context["kms:encryptioncontextkeys"] == ("aws:s3:arn", "Department")
    assert not [name for name in context if name.startswith(("s3:", "s3w:")) or name.endswith(":s3w")]


def test_a_caller_without_an_account_has_no_such_key(asked: Question) -> None:
    question = key_question("kms:Decrypt", KEY, asked, {}, None)
    assert "kms:calleraccount" not in question.context
    assert "kms:encryptioncontextkeys" not in question.context


def test_pairs_that_differ_in_case_only_are_both_seen(asked: Question) -> None:
    question = key_question("kms:Decrypt", KEY, asked, {"Department": "hr", "department": "it"}, OWNER)
    assert question.context["kms:encryptioncontext:department"] == ("hr", "it")


@pytest.mark.parametrize("name", ["AWS:S3:ARN", "Aws:s3:arn"])
def test_no_other_spelling_is_taken_for_the_objects_own_name(asked: Question, name: str) -> None:
    elsewhere = {**CONTEXT, "aws:s3:arn": "arn:aws:s3:::it-data/x", name: "arn:aws:s3:::hr-data/x"}
    question = key_question("kms:Decrypt", KEY, asked, elsewhere, OWNER)
    assert question.context["kms:encryptioncontext:aws:s3:arn"] == "arn:aws:s3:::it-data/x"
    assert not decision(asked, ALICE, group(HR_ONLY), context=elsewhere).allowed

"""One verdict from many answers, and what a refusal tells whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from proxy import yamldoc
from proxy.access.questions import Question
from proxy.access.verdict import Authorized, Denied, SourceTagsNeeded, authorize, refusals
from proxy.policy.evaluate import AccessRequest, Decision, Effect, decide
from proxy.policy.index import PolicyGroup
from proxy.policy.parse import parse_policy
from proxy.policy.principals import Principal
from proxy.s3.deletes import parse_deletes

Ask = Any
Decide = Callable[[Question], Decision]

ALLOW = Decision(Effect.ALLOW, "bucket")
NOBODY_ALLOWS = Decision(Effect.IMPLICIT_DENY, "identity")


def denying(*actions: str) -> Decide:
    return lambda question: NOBODY_ALLOWS if question.action in actions else ALLOW


def test_a_request_is_allowed_when_every_question_is(ask: Ask) -> None:
    found = ask("PUT", "/bkt/k", {"x-amz-acl": "private"})
    verdict = authorize(found, denying())
    assert isinstance(verdict, Authorized)
    assert [answer.question for answer in verdict.answers] == list(found)
    assert verdict.refused == {}


@pytest.mark.parametrize("action", ["s3:PutObject", "s3:PutObjectAcl"])
def test_one_question_that_is_not_allowed_denies_the_request(ask: Ask, action: str) -> None:
    verdict = authorize(ask("PUT", "/bkt/k", {"x-amz-acl": "private"}), denying(action))
    assert isinstance(verdict, Denied)
    assert verdict.reason.question.action == action
    assert len(verdict.answers) == 2


def test_no_questions_is_allowed_only_for_a_preflight(ask: Ask) -> None:
    assert isinstance(authorize((), denying()), Authorized)


def test_a_batch_delete_goes_on_without_the_keys_that_are_refused(ask: Ask) -> None:
    body = b"<Delete><Object><Key>a</Key></Object><Object><Key>b</Key><VersionId>1</VersionId></Object></Delete>"
    found = ask("POST", "/bkt?delete", {}, body)
    verdict = authorize(found, denying("s3:DeleteObjectVersion"))
    assert isinstance(verdict, Authorized)
    assert {entry: answer.question.resource for entry, answer in verdict.refused.items()} == {1: "arn:aws:s3:::bkt/b"}


def test_refused_keys_are_reported_as_the_answer_wants_them(ask: Ask) -> None:
    body = b"<Delete><Object><Key>a</Key></Object><Object><Key>b</Key><VersionId>1</VersionId></Object></Delete>"
    verdict = authorize(ask("POST", "/bkt?delete", {}, body), denying("s3:DeleteObjectVersion"))
    assert isinstance(verdict, Authorized)
    (refused,) = refusals(verdict, parse_deletes(body), None)
    assert (refused.deletion.key, refused.code, refused.message) == ("b", "AccessDenied", "Access Denied")


def test_a_key_whose_lock_may_not_be_bypassed_is_refused(ask: Ask) -> None:
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    found = ask("POST", "/bkt?delete", {"x-amz-bypass-governance-retention": "true"}, body)
    verdict = authorize(found, denying("s3:BypassGovernanceRetention"))
    assert isinstance(verdict, Authorized)
    assert set(verdict.refused) == {0}


def test_a_copy_without_permission_for_tags_depends_on_whether_there_are_any(ask: Ask) -> None:
    found = ask("PUT", "/bkt/k", {"x-amz-copy-source": "from/s"})
    without = denying("s3:GetObjectTagging")
    assert isinstance(authorize(found, without), SourceTagsNeeded)
    assert isinstance(authorize(found, without, source_tagged=True), Denied)
    settled = authorize(found, without, source_tagged=False)
    assert isinstance(settled, Authorized)
    assert [answer.question.action for answer in settled.answers] == ["s3:PutObject", "s3:GetObject"]
    assert isinstance(authorize(found, denying()), Authorized)


def test_a_copy_that_is_denied_anyway_needs_no_look_at_tags(ask: Ask) -> None:
    found = ask("PUT", "/bkt/k", {"x-amz-copy-source": "from/s"})
    assert isinstance(authorize(found, denying("s3:GetObject", "s3:PutObjectTagging")), Denied)


# --- words ---

POLICY = """
Version: "2012-10-17"
Statement:
  - {Sid: Everybody, Effect: Allow, Principal: "*", Action: "s3:GetObject", Resource: "arn:aws:s3:::bkt/*"}
  - Sid: DenyUnencrypted
    Effect: Deny
    Principal: "*"
    Action: "s3:PutObject"
    Resource: "arn:aws:s3:::bkt/*"
    Condition: {"Null": {"s3:x-amz-server-side-encryption": "true"}}
"""
IDENTITY_POLICY = """
Version: "2012-10-17"
Statement:
  - {Effect: Allow, Action: "s3:PutObject", Resource: "*"}
  - {Effect: Deny, Action: "s3:DeleteObject", Resource: "*"}
"""


@pytest.fixture
def by_policies(ask: Ask) -> Callable[[Any], Decide]:
    bucket = PolicyGroup([parse_policy(yamldoc.parse(POLICY, "bucket.yaml"), "bucket")])
    identity = PolicyGroup([parse_policy(yamldoc.parse(IDENTITY_POLICY, "identity.yaml"), "identity")])

    def for_caller(caller: Any) -> Decide:
        principal = Principal(caller.arn, caller.account) if caller is not None else Principal()

        def answer(question: Question) -> Decision:
            request = AccessRequest(
                principal, question.action, question.resource, question.resource_account, question.context
            )
            return decide(request, bucket, identity)

        return answer

    return for_caller


def message(verdict: Any, identity: Any) -> str:
    assert isinstance(verdict, Denied)
    error = verdict.error(identity)
    assert (error.code, error.status) == ("AccessDenied", 403)
    return error.message


def test_an_explicit_deny_names_everything_and_the_statement(ask: Ask, by_policies: Any) -> None:
    verdict = authorize(ask("PUT", "/bkt/k"), by_policies(ask.alice))
    assert message(verdict, ask.alice) == (
        "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: s3:PutObject on resource: "
        '"arn:aws:s3:::bkt/k" with an explicit deny in a resource-based policy (statement "DenyUnencrypted")'
    )
    encrypted = ask("PUT", "/bkt/k", {"x-amz-server-side-encryption": "AES256"})
    assert isinstance(authorize(encrypted, by_policies(ask.alice)), Authorized)


def test_an_explicit_deny_of_the_identity_says_so(ask: Ask, by_policies: Any) -> None:
    verdict = authorize(ask("DELETE", "/bkt/k"), by_policies(ask.alice))
    assert message(verdict, ask.alice).endswith(
        '"arn:aws:s3:::bkt/k" with an explicit deny in an identity-based policy'
    )


def test_a_missing_permission_names_the_kind_of_policy_that_would_have_to_give_it(ask: Ask, by_policies: Any) -> None:
    verdict = authorize(ask("GET", "/bkt/k?acl"), by_policies(ask.alice))
    assert message(verdict, ask.alice).endswith("because no identity-based policy allows the s3:GetObjectAcl action")
    by_bucket = authorize(ask("GET", "/bkt/k?acl"), lambda _: Decision(Effect.IMPLICIT_DENY, "bucket"))
    assert message(by_bucket, ask.alice).endswith("because no resource-based policy allows the s3:GetObjectAcl action")


def test_what_belongs_to_no_bucket_has_no_resource_to_name(ask: Ask) -> None:
    verdict = authorize(ask("GET", "/"), denying("s3:ListAllMyBuckets"))
    assert message(verdict, ask.alice) == (
        "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: s3:ListAllMyBuckets "
        "because no identity-based policy allows the s3:ListAllMyBuckets action"
    )
    created = authorize(ask("PUT", "/bkt"), denying("s3:CreateBucket"))
    assert 'on resource: "arn:aws:s3:::bkt"' in message(created, ask.alice)


def test_strangers_and_anonymous_callers_learn_nothing(ask: Ask, by_policies: Any) -> None:
    mallory = replace(ask.alice, arn="arn:aws:iam::210987654321:user/mallory", account="210987654321")
    for caller in (mallory, None):
        assert message(authorize(ask("PUT", "/bkt/k"), by_policies(caller)), caller) == "Access Denied"


def test_the_owner_of_another_bucket_is_a_stranger_to_this_one(ask: Ask) -> None:
    verdict = authorize(ask("GET", "/theirs/k"), denying("s3:GetObject"))
    assert message(verdict, ask.alice) == "Access Denied"

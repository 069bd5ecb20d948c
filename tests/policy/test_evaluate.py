"""The decision: accounts, kinds of policy, denies, report mode, and the reasons that come with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proxy.policy.document import PolicyFile
from proxy.policy.evaluate import AccessRequest, Decision, Effect, decide
from proxy.policy.index import PolicyGroup
from proxy.policy.principals import ANONYMOUS, Principal

ACCOUNT, OTHER = "123456789012", "999999999999"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app/R"
SESSION = Principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/R/s", ACCOUNT)
ROOT_OF = f"arn:aws:iam::{ACCOUNT}:root"
DENY = {"Effect": "Deny"}

Make = Callable[..., PolicyFile]
Ask = Callable[..., str]


@pytest.mark.parametrize(
    ("owner", "bucket_allows", "identity_allows", "wanted"),
    [
        # Same account: either suffices, but delegation to the account needs the identity's policy.
        (ACCOUNT, None, False, "implicit_deny"),
        (ACCOUNT, None, True, "allow"),
        (ACCOUNT, "*", False, "allow"),
        (ACCOUNT, ALICE, False, "allow"),
        (ACCOUNT, ROOT_OF, False, "implicit_deny"),
        (ACCOUNT, ACCOUNT, False, "implicit_deny"),
        (ACCOUNT, ACCOUNT, True, "allow"),
        # Another account: both must allow.
        (OTHER, None, True, "implicit_deny"),
        (OTHER, "*", False, "implicit_deny"),
        (OTHER, ALICE, False, "implicit_deny"),
        (OTHER, "*", True, "allow"),
        (OTHER, ALICE, True, "allow"),
        (OTHER, ACCOUNT, True, "allow"),
        (OTHER, OTHER, True, "implicit_deny"),
        (None, "*", False, "implicit_deny"),
    ],
)
def test_accounts_and_kinds_of_policy(
    owner: str | None, bucket_allows: str | None, identity_allows: bool, wanted: str, policy: Make, ask: Ask
) -> None:
    bucket = policy({"Principal": {"AWS": bucket_allows}}) if bucket_allows else None
    identity = policy({}, kind="identity") if identity_allows else None
    assert ask(bucket, identity, owner=owner) == wanted


def test_without_policies_nobody_may_do_anything(ask: Ask) -> None:
    assert ask() == "implicit_deny"
    assert ask(principal=ANONYMOUS) == "implicit_deny"


def test_anonymous_callers_are_allowed_by_a_star_only(policy: Make, ask: Ask) -> None:
    assert ask(policy({}), principal=ANONYMOUS) == "allow"
    assert ask(policy({"Principal": {"AWS": "*"}}), principal=ANONYMOUS) == "allow"
    assert ask(policy({"Principal": {"AWS": ACCOUNT}}), principal=ANONYMOUS) == "implicit_deny"


def test_a_name_that_is_no_arn_is_matched_by_a_star_only(policy: Make, ask: Ask) -> None:
    bob = Principal("bob", ACCOUNT)
    assert ask(policy({}), principal=bob) == "allow"
    assert ask(policy({"Principal": {"AWS": ACCOUNT}}), policy({}, kind="identity"), principal=bob) == "allow"
    assert ask(policy({"Principal": {"AWS": ACCOUNT}}, DENY | {"Principal": {"AWS": ACCOUNT}}), principal=bob) == (
        "implicit_deny"
    )


def test_sessions_are_matched_by_their_role_their_own_arn_and_a_star(policy: Make, ask: Ask) -> None:
    for named in (ROLE, SESSION.arn, "*"):
        assert ask(policy({"Principal": {"AWS": named}}), principal=SESSION) == "allow"
    assert ask(policy({"Principal": {"AWS": ROOT_OF}}), principal=SESSION) == "implicit_deny"


@pytest.mark.parametrize("side", ["bucket", "identity"])
def test_a_deny_on_either_side_wins_over_every_allow(
    side: str, policy: Make, decision: Callable[..., Decision]
) -> None:
    bucket = policy({}, *([DENY | {"Sid": "No"}] if side == "bucket" else []))
    identity = policy({}, *([DENY | {"Sid": "No"}] if side == "identity" else []), kind="identity")
    found = decision(bucket, identity)
    assert found.effect is Effect.EXPLICIT_DENY
    assert not found.allowed
    assert found.policy_kind == side
    assert [(s.sid, s.index, s.policy) for s in found.statements] == [("No", 1, f"{side}.json")]


def test_a_deny_that_names_the_account_denies_everybody_in_it(policy: Make, ask: Ask) -> None:
    assert ask(policy({}, DENY | {"Principal": {"AWS": ACCOUNT}})) == "explicit_deny"
    assert ask(policy({}, DENY | {"Principal": {"AWS": OTHER}})) == "allow"


def test_not_principal_denies_everybody_but_those_listed(policy: Make, ask: Ask) -> None:
    bucket = policy({}, DENY | {"NotPrincipal": {"AWS": ALICE}})
    assert ask(bucket) == "allow"
    assert ask(bucket, principal=Principal(f"arn:aws:iam::{ACCOUNT}:user/bob", ACCOUNT)) == "explicit_deny"
    assert ask(bucket, principal=ANONYMOUS) == "explicit_deny"


def test_not_action_and_not_resource_are_complements(policy: Make, ask: Ask) -> None:
    bucket = policy({}, DENY | {"NotAction": "s3:Get*"}, DENY | {"NotResource": "arn:aws:s3:::b/public/*"})
    assert ask(bucket, resource="arn:aws:s3:::b/public/x") == "allow"
    assert ask(bucket, resource="arn:aws:s3:::b/x") == "explicit_deny"
    assert ask(bucket, action="s3:PutObject", resource="arn:aws:s3:::b/public/x") == "explicit_deny"


def test_actions_match_in_any_case_and_resources_in_theirs_only(policy: Make, ask: Ask) -> None:
    bucket = policy({"Action": "S3:getOBJECT", "Resource": "arn:aws:s3:::b/Key"})
    assert ask(bucket, action="s3:GetObject", resource="arn:aws:s3:::b/Key") == "allow"
    assert ask(bucket, action="s3:GETobject", resource="arn:aws:s3:::b/Key") == "allow"
    assert ask(bucket, resource="arn:aws:s3:::b/key") == "implicit_deny"
    assert ask(bucket, action="s3:GetObjectVersion", resource="arn:aws:s3:::b/Key") == "implicit_deny"


def test_an_action_that_is_not_known_is_matched_by_wildcards_all_the_same(policy: Make, ask: Ask) -> None:
    bucket = policy({}, DENY | {"Action": "s3:Get*"})
    assert ask(bucket, action="s3:GetSomethingNew") == "explicit_deny"
    assert ask(bucket, action="s3:BrandNew") == "allow"
    assert ask(policy({}, DENY | {"NotAction": "s3:Get*"}), action="s3:BrandNew") == "explicit_deny"


def test_identity_policies_may_name_other_services_which_never_match(policy: Make, ask: Ask) -> None:
    identity = policy(
        DENY | {"Action": ["ec2:*", "dynamodb:GetItem"], "Condition": {"StringEquals": {"ec2:Region": "x"}}},
        {"Action": ["s3:*", "sqs:SendMessage"]},
        kind="identity",
    )
    assert ask(None, identity) == "allow"


def test_resources_with_variables_follow_the_caller(policy: Make, ask: Ask) -> None:
    bucket = policy({"Resource": "arn:aws:s3:::b/home/${aws:username}/*"})
    key = "arn:aws:s3:::b/home/alice/x"
    assert ask(bucket, resource=key, context={"aws:username": "alice"}) == "allow"
    assert ask(bucket, resource=key, context={"aws:username": "*"}) == "implicit_deny"
    assert ask(bucket, resource=key, context={"aws:username": "al"}) == "implicit_deny"
    assert ask(bucket, resource=key) == "implicit_deny"
    literal = policy({"Resource": "arn:aws:s3:::b/home/${aws:username}/*"}, version=None)
    assert ask(literal, resource="arn:aws:s3:::b/home/${aws:username}/x") == "allow"
    assert ask(literal, resource=key, context={"aws:username": "alice"}) == "implicit_deny"


def test_a_bucket_s_own_arn_is_not_covered_by_its_objects_pattern(policy: Make, ask: Ask) -> None:
    bucket = policy({"Resource": "arn:aws:s3:::b/*"})
    assert ask(bucket, action="s3:ListBucket", resource="arn:aws:s3:::b") == "implicit_deny"
    assert ask(policy({"Resource": "arn:aws:s3:::b"}), resource="arn:aws:s3:::b2") == "implicit_deny"


def test_an_identity_wide_star_covers_listing_all_buckets(policy: Make, ask: Ask) -> None:
    identity = policy({"Action": "s3:ListAllMyBuckets"}, kind="identity")
    assert ask(None, identity, action="s3:ListAllMyBuckets", resource="*") == "allow"


def test_an_allow_names_the_statements_that_were_needed(policy: Make, decision: Callable[..., Decision]) -> None:
    bucket = policy({"Sid": "B", "Principal": {"AWS": ACCOUNT}}, {"Sid": "Other", "Action": "s3:PutObject"})
    identity = policy({"Sid": "I"}, kind="identity")
    same = decision(bucket, identity)
    assert (same.policy_kind, [s.sid for s in same.statements]) == ("identity", ["I"])
    other = decision(bucket, identity, owner=OTHER)
    assert (other.policy_kind, [s.sid for s in other.statements]) == ("bucket", ["B", "I"])


@pytest.mark.parametrize(
    ("owner", "bucket", "wanted"),
    [(ACCOUNT, False, "identity"), (OTHER, False, "bucket"), (OTHER, True, "identity")],
)
def test_an_implicit_deny_says_whose_policy_would_have_had_to_allow(
    owner: str, bucket: bool, wanted: str, policy: Make, decision: Callable[..., Decision]
) -> None:
    assert decision(policy({}) if bucket else None, owner=owner).policy_kind == wanted


def test_a_report_mode_deny_denies_nothing_but_is_reported(policy: Make, decision: Callable[..., Decision]) -> None:
    found = decision([policy({}), policy(DENY | {"Sid": "Soon"}, mode="report")])
    assert found.effect is Effect.ALLOW
    assert found.reported is not None
    assert found.reported.effect is Effect.EXPLICIT_DENY
    assert [s.sid for s in found.reported.statements] == ["Soon"]


def test_a_report_mode_allow_grants_nothing_but_is_reported(policy: Make, decision: Callable[..., Decision]) -> None:
    for bucket, identity in (
        (policy({}, mode="report"), None),
        (None, policy({}, kind="identity", mode="report")),
    ):
        found = decision(bucket, identity)
        assert found.effect is Effect.IMPLICIT_DENY
        assert found.reported is not None
        assert found.reported.effect is Effect.ALLOW


def test_without_report_mode_policies_nothing_is_reported(policy: Make, decision: Callable[..., Decision]) -> None:
    assert decision(policy({})).reported is None


@pytest.mark.parametrize(
    ("owner", "key_allows", "identity_allows", "wanted"),
    [
        (ACCOUNT, None, True, "implicit_deny"),
        (ACCOUNT, ACCOUNT, False, "implicit_deny"),
        (ACCOUNT, ACCOUNT, True, "allow"),
        (ACCOUNT, ALICE, False, "allow"),
        (OTHER, ALICE, False, "implicit_deny"),
        (OTHER, ALICE, True, "allow"),
    ],
)
def test_a_key_s_policy_must_always_allow(
    owner: str, key_allows: str | None, identity_allows: bool, wanted: str, policy: Make, ask: Ask
) -> None:
    allowed = {"Principal": {"AWS": key_allows}} if key_allows else {"Principal": {"AWS": "000000000000"}}
    key = policy(allowed, kind="key")
    identity = policy({"Action": "kms:Decrypt"}, kind="identity") if identity_allows else None
    arn = f"arn:aws:kms:eu-central-1:{owner}:key/hr"
    assert ask(key, identity, action="kms:Decrypt", resource=arn, owner=owner) == wanted


def test_a_key_without_any_policy_is_not_opened_by_identity_policies(policy: Make) -> None:
    request = AccessRequest(Principal(ALICE, ACCOUNT), "kms:Decrypt", "arn:aws:kms:x:1:key/k", ACCOUNT, {})
    identity = PolicyGroup([policy({"Action": "kms:*"}, kind="identity")])
    found = decide(request, PolicyGroup((), "key"), identity)
    assert (found.effect, found.policy_kind) == (Effect.IMPLICIT_DENY, "key")


def test_key_policies_see_the_encryption_context(policy: Make, ask: Ask) -> None:
    key = policy({"Condition": {"StringEquals": {"kms:EncryptionContext:Department": "hr"}}}, kind="key")
    asked: dict[str, Any] = {"action": "kms:Decrypt", "resource": "arn:aws:kms:x:1:key/k"}
    assert ask(key, **asked, context={"kms:encryptioncontext:department": "hr"}) == "allow"
    assert ask(key, **asked, context={}) == "implicit_deny"

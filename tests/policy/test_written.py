"""What policies say to a whole request, and which policies are asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.errors import ConfigError
from proxy.policy.evaluate import AccessRequest, Effect
from proxy.policy.principals import ANONYMOUS
from proxy.policy.store import PolicySet
from proxy.policy.written import Asked, Direct, Http, Policies, Written, judge, load_mixed
from tests.policy.conftest import ACCOUNT, ALICE, compile_policy

ROOT = Path(__file__).parents[2]
BUCKET = compile_policy({"Sid": "Read", "Action": "s3:GetObject"})
IDENTITY = compile_policy({"Sid": "Put", "Action": ["s3:PutObject", "kms:Decrypt"]}, kind="identity")
KEY = compile_policy({"Sid": "Use", "Principal": {"AWS": ACCOUNT}}, kind="key")
POLICIES = Policies(PolicySet([BUCKET])).with_identity([IDENTITY])


def asked(action: str, principal: object = ALICE, bucket: str | None = "b") -> Asked:
    assert principal in (ALICE, ANONYMOUS)
    caller = ALICE if principal is ALICE else ANONYMOUS
    return Asked(AccessRequest(caller, action, "arn:aws:s3:::b/k", ACCOUNT, {}), bucket)


def test_a_request_is_allowed_when_all_its_questions_are() -> None:
    both = judge(POLICIES, [asked("s3:GetObject"), asked("s3:PutObject")])
    assert (both.effect, both.sids) == (Effect.ALLOW, ("Read", "Put"))
    one = judge(POLICIES, [asked("s3:GetObject"), asked("s3:DeleteObject")])
    assert (one.effect, one.sids) == (Effect.IMPLICIT_DENY, ())
    assert one.deciding[0].request.action == "s3:DeleteObject"


def test_an_anonymous_caller_has_no_policies_of_its_own() -> None:
    assert judge(POLICIES, [asked("s3:GetObject", ANONYMOUS)]).allowed
    assert not judge(POLICIES, [asked("s3:PutObject", ANONYMOUS)]).allowed


def test_bucket_policies_speak_about_their_buckets_only() -> None:
    assert not judge(POLICIES, [asked("s3:GetObject", bucket=None)]).allowed
    assert not judge(POLICIES, [asked("s3:GetObject", bucket="other")]).allowed


def test_key_policies_are_asked_about_keys() -> None:
    with_key = Policies(POLICIES.buckets, POLICIES.identity, type(POLICIES.keys)([KEY]))
    assert judge(POLICIES, [asked("kms:Decrypt", bucket=None)]).sids != ("Use",)
    assert judge(with_key, [asked("kms:Decrypt", bucket=None)]).allowed


def test_kinds_are_told_apart_and_goals_are_left_out(tmp_path: Path) -> None:
    loaded = load_mixed([ROOT / "policies"])
    assert {policy.kind for policy in loaded.buckets.files} == {"bucket"}
    assert [Path(policy.file).name for policy in loaded.identity.files] == ["full-access.yaml"]
    (tmp_path / "a.yaml").write_text("Statement: {Effect: Allow}")
    (tmp_path / "b.yaml").write_text("x: [")
    with pytest.raises(ConfigError) as caught:
        load_mixed([tmp_path])
    assert {Path(each.span.file).name for each in caught.value.diagnostics} == {"a.yaml", "b.yaml"}


def test_a_request_says_in_a_line_what_it_is() -> None:
    assert str(Written(None, Http("GET", "/b/k"))) == "GET /b/k by anonymous"
    assert str(Written("alice", Direct("s3:GetObject", "*"))) == "s3:GetObject on * by alice"

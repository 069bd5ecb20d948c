"""Actions and resources that do not belong together, or say things twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.diagnostics import Severity
from proxy.policy.lint import Linted

Found = Callable[..., list[str]]
BUCKET, OBJECTS = "arn:aws:s3:::b", "arn:aws:s3:::b/*"


@pytest.mark.parametrize(
    ("action", "resource", "rules"),
    [
        ("s3:ListBucket", BUCKET, []),
        ("s3:ListBucket", OBJECTS, ["action-without-resource"]),
        ("s3:GetObjectAttributes", BUCKET, ["action-without-resource"]),
        (["s3:ListBucket", "s3:GetObjectTorrent"], OBJECTS, ["action-without-resource"]),
        ("s3:*", OBJECTS, []),
        ("s3:List*", OBJECTS, []),  # ListMultipartUploadParts is about objects
        ("s3:ListBucket*", OBJECTS, ["action-without-resource"]),
        ("s3:ListBucket", "arn:aws:s3:::b*", []),
        ("s3:GetObjectTorrent", "arn:aws:s3:::b*", []),
        ("s3:GetObjectTorrent", "arn:aws:s3:::b-${aws:username}", []),
        ("s3:ListBucket", [BUCKET, OBJECTS], ["resource-without-action"]),
        ("s3:ListAllMyBuckets", BUCKET, ["action-without-resource"]),
    ],
)
def test_actions_need_their_resources(found: Found, action: object, resource: object, rules: list[str]) -> None:
    names = found({"Action": action, "Resource": resource})
    assert [name for name in names if name.endswith(("-without-resource", "-without-action"))] == rules


def test_an_identity_policy_with_an_idle_action_works_and_is_only_warned_of(lint: Callable[..., Linted]) -> None:
    linted = lint({"Action": "s3:ListBucket", "Resource": OBJECTS}, kind="identity")
    assert [(f.rule.name, f.severity) for f in linted.findings] == [("action-without-resource", Severity.WARNING)]
    assert linted.findings[0].diagnostic.help == "it is an action on the bucket itself: add `arn:aws:s3:::BUCKET`"


@pytest.mark.parametrize(
    ("actions", "pointers"),
    [
        (["s3:GetBucket*", "s3:GetBucketAcl"], ["1"]),
        (["s3:GetBucketAcl", "s3:GetBucket*"], ["0"]),
        (["s3:GetBucketAcl", "s3:getbucketacl"], ["1"]),
        (["s3:GetBucketAcl", "s3:GetBucketCORS"], []),
        (["s3:GetBucket*", "s3:Get*Acl"], []),
        (["s3:*", "s3:Get*", "s3:GetBucketAcl"], ["1", "2"]),
    ],
)
def test_an_action_that_another_one_covers_is_redundant(
    lint: Callable[..., Linted], actions: list[str], pointers: list[str]
) -> None:
    findings = lint({"Action": actions}).findings
    redundant = [f.diagnostic.pointer[-1] for f in findings if f.rule.name == "redundant-action"]
    assert redundant == pointers


def test_a_resource_that_another_one_covers_is_redundant(lint: Callable[..., Linted]) -> None:
    resources = [OBJECTS, "arn:aws:s3:::b/${aws:username}/*", BUCKET, OBJECTS]
    findings = lint({"Resource": resources}).findings
    assert [(f.rule.name, f.place) for f in findings] == [
        ("redundant-resource", "/Statement/0/Resource/1"),
        ("redundant-resource", "/Statement/0/Resource/3"),
    ]


def test_what_no_request_asks_for_is_told_when_it_is_named(found: Found) -> None:
    assert found({"Action": "s3:ReplicateObject", "Resource": OBJECTS}) == ["never-asked-action"]
    assert found({"Action": "s3:Replicate*", "Resource": OBJECTS}) == []
    assert found({"Action": "s3:BypassGovernanceRetention", "Resource": OBJECTS}) == []


def test_a_statement_about_other_services_has_no_effect(found: Found) -> None:
    assert found({"Action": "sqs:SendMessage"}, kind="identity") == ["other-service"]
    assert found({"Action": ["sqs:SendMessage", "s3:GetObject"]}, kind="identity") == []

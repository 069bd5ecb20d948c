"""Mistakes that other S3 policy engines make or made; each is a test here.

The engines are named so that a failure says which hole has been opened again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proxy.errors import ConfigError
from proxy.policy.document import PolicyFile

Make = Callable[..., PolicyFile]
Ask = Callable[..., str]
Holds = Callable[..., bool]

SSE = "s3:x-amz-server-side-encryption"
TAGS = "s3:RequestObjectTagKeys"


@pytest.mark.parametrize(
    ("operator", "value", "wanted"),
    [
        ("ForAllValues:StringNotEquals", None, True),
        ("ForAllValues:StringNotEquals", ["a", "b"], False),
        ("ForAnyValue:StringNotEquals", ["a", "b"], True),
        ("ForAnyValue:StringNotEquals", None, False),
    ],
)
def test_minio_negated_set_operators_are_not_the_negation_of_the_whole(
    operator: str, value: object, wanted: bool, holds: Holds
) -> None:
    assert holds(operator, TAGS, "a", value) is wanted


@pytest.mark.parametrize(("operator", "key", "value"), [
    ("NumericNotEquals", "s3:max-keys", "1"),
    ("DateNotEquals", "aws:CurrentTime", "2020"),
    ("StringNotEquals", SSE, "aws:kms"),
])  # fmt: skip
def test_minio_and_ceph_negated_operators_hold_when_the_key_is_missing(
    operator: str, key: str, value: str, holds: Holds
) -> None:
    assert holds(operator, key, value) is True


def test_minio_numbers_may_be_decimals_and_there_may_be_several(holds: Holds) -> None:
    assert holds("NumericEquals", "s3:TlsVersion", ["1.2", "1.3"], "1.3")
    assert holds("NumericLessThan", "s3:TlsVersion", "1.2", "1.1")


def test_minio_bool_works_on_every_boolean_key(holds: Holds) -> None:
    assert holds("Bool", "s3:ObjectCreationOperation", "true", "true")


def test_minio_an_ipv6_address_without_a_prefix_is_one_host(holds: Holds) -> None:
    assert not holds("IpAddress", "aws:SourceIp", "2001:db8::1", "2001:db8:1:2::1")


def test_minio_condition_key_names_are_case_insensitive(holds: Holds) -> None:
    assert holds("StringEquals", "S3:X-Amz-Server-Side-Encryption", "aws:kms", "aws:kms")


def test_minio_every_encryption_value_is_compared_as_sent(holds: Holds) -> None:
    assert holds("StringEquals", SSE, ["aws:kms", "aws:kms:dsse"], "aws:kms:dsse")


@pytest.mark.parametrize("key", ["foo/../bar/x", "./bar/x", "/bar/x", "foo//bar/x"])
def test_minio_object_keys_are_not_cleaned_like_paths(key: str, policy: Make, ask: Ask) -> None:
    assert ask(policy({"Resource": "arn:aws:s3:::b/bar/*"}), resource=f"arn:aws:s3:::b/{key}") == "implicit_deny"


def test_minio_bucket_actions_do_not_match_the_objects_pattern(policy: Make, ask: Ask) -> None:
    identity = policy({"Resource": "arn:aws:s3:::b/*"}, kind="identity")
    assert ask(None, identity, action="s3:ListBucket", resource="arn:aws:s3:::b") == "implicit_deny"


def test_minio_a_star_in_a_user_name_is_not_a_wildcard(policy: Make, ask: Ask) -> None:
    identity = policy({"Resource": "arn:aws:s3:::b/${aws:username}/*"}, kind="identity")
    evil = {"aws:username": "*"}
    assert ask(None, identity, resource="arn:aws:s3:::b/bob/x", context=evil) == "implicit_deny"
    assert ask(None, identity, resource="arn:aws:s3:::b/*/x", context=evil) == "allow"


def test_minio_principals_have_no_partial_wildcards(policy: Make) -> None:
    with pytest.raises(ConfigError, match="wildcard inside a principal"):
        policy({"Principal": {"AWS": "arn:aws:iam::123456789012:user/*"}})


def test_minio_get_object_version_does_not_grant_get_object(policy: Make, ask: Ask) -> None:
    assert ask(policy({"Action": "s3:GetObjectVersion"}), action="s3:GetObject") == "implicit_deny"


def test_minio_null_true_means_missing(holds: Holds) -> None:
    assert holds("Null", SSE, "true")
    assert not holds("Null", SSE, "true", "AES256")


def test_minio_string_not_equals_is_not_string_equals(holds: Holds) -> None:
    assert not holds("StringNotEquals", SSE, "aws:kms", "aws:kms")
    assert holds("StringNotEquals", SSE, "aws:kms", "AES256")


def test_versitygw_conditions_are_never_ignored(policy: Make, ask: Ask) -> None:
    allow = policy({"Condition": {"Bool": {"aws:SecureTransport": "true"}}})
    assert ask(allow, context={"aws:securetransport": "false"}) == "implicit_deny"
    deny = policy({}, {"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}})
    assert ask(deny, context={"aws:securetransport": "true"}) == "allow"


@pytest.mark.parametrize("element", ["Conditions", "NotActions", "condition", "NotEffect"])
def test_versitygw_unknown_elements_are_never_ignored(element: str, policy: Make) -> None:
    with pytest.raises(ConfigError, match=f"unknown element `{element}`"):
        policy({element: {}})


def test_versitygw_the_not_elements_count(policy: Make, ask: Ask) -> None:
    deny = policy({}, {"Effect": "Deny", "NotAction": "s3:GetObject"})
    assert ask(deny) == "allow"
    assert ask(deny, action="s3:PutObject") == "explicit_deny"


def test_versitygw_a_bucket_s_name_is_not_a_prefix_of_another(policy: Make, ask: Ask) -> None:
    with pytest.raises(ConfigError, match="outside the bucket"):
        policy({"Resource": "arn:aws:s3:::b2/*"}, bucket="b")
    assert ask(policy({"Resource": "arn:aws:s3:::b"}), resource="arn:aws:s3:::b2") == "implicit_deny"


def test_versitygw_a_question_mark_is_one_character_not_one_byte(policy: Make, ask: Ask) -> None:
    bucket = policy({"Resource": "arn:aws:s3:::b/?"})
    assert ask(bucket, resource="arn:aws:s3:::b/é") == "allow"
    assert ask(bucket, resource="arn:aws:s3:::b/ab") == "implicit_deny"


def test_ceph_null_looks_at_its_value(holds: Holds) -> None:
    assert not holds("Null", SSE, "false")
    assert holds("Null", SSE, "false", "AES256")


def test_ceph_a_negated_operator_with_two_values_holds_only_when_neither_is_it(holds: Holds) -> None:
    assert not holds("StringNotEquals", SSE, ["aws:kms", "AES256"], "AES256")
    assert holds("StringNotEquals", SSE, ["aws:kms", "AES256"], "none")


def test_ceph_variables_work_inside_a_resource(policy: Make, ask: Ask) -> None:
    identity = policy({"Resource": "arn:aws:s3:::b/home/${aws:username}/*"}, kind="identity")
    assert ask(None, identity, resource="arn:aws:s3:::b/home/al/x", context={"aws:username": "al"}) == "allow"


@pytest.mark.parametrize(
    "operator",
    ["StringEqualsIfExists", "ForAnyValue:StringEquals", "ArnNotLike", "StringEqualsIgnoreCase", "BinaryEquals"],
)
def test_seaweedfs_no_operator_is_skipped(operator: str, policy: Make, ask: Ask) -> None:
    allow = policy(
        {"Condition": {operator: {"aws:PrincipalTag/t": "arn:aws:iam::1:user" if "Arn" in operator else "cmVk"}}}
    )
    value: dict[str, Any] = {"aws:principaltag/t": "arn:aws:iam::1:user" if "Arn" in operator else "other"}
    assert ask(allow, context=value) == "implicit_deny"


def test_seaweedfs_unknown_operators_refuse_the_document(policy: Make) -> None:
    with pytest.raises(ConfigError, match="unknown operator"):
        policy({"Condition": {"StringContains": {"aws:username": "a"}}})


def test_seaweedfs_put_object_implies_nothing_else(policy: Make, ask: Ask) -> None:
    bucket = policy({"Action": "s3:PutObject"})
    assert ask(bucket, action="s3:AbortMultipartUpload") == "implicit_deny"
    assert ask(bucket, action="s3:ListMultipartUploadParts") == "implicit_deny"


@pytest.mark.parametrize(
    "action", ["s3:UploadPart", "s3:HeadObject", "s3:ListObjects", "s3:DeleteObjects", "s3:CopyObject"]
)
def test_seaweedfs_and_moto_invented_actions_are_refused(action: str, policy: Make) -> None:
    with pytest.raises(ConfigError, match="is an API operation, not an action"):
        policy({"Action": action})


@pytest.mark.parametrize(
    ("condition", "context"),
    [
        ({"StringNotEquals": {SSE: "aws:kms"}}, {SSE: "aws:kms"}),
        ({"Null": {SSE: "true"}}, {SSE: "aws:kms"}),
        ({"StringEquals": {"s3:x-amz-acl": "public-read"}}, {"s3:x-amz-acl": "private"}),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:securetransport": "true"}),
    ],
)
def test_moto_a_conditional_deny_spares_the_request_that_conforms(
    condition: dict[str, Any], context: dict[str, str], policy: Make, ask: Ask
) -> None:
    bucket = policy({}, {"Effect": "Deny", "Action": "s3:PutObject", "Condition": condition})
    assert ask(bucket, action="s3:PutObject", context=context) == "allow"


def test_moto_dots_and_brackets_in_resources_are_literal(policy: Make, ask: Ask) -> None:
    bucket = policy({"Resource": "arn:aws:s3:::b/a.(b)[c]"})
    assert ask(bucket, resource="arn:aws:s3:::b/a.(b)[c]") == "allow"
    assert ask(bucket, resource="arn:aws:s3:::b/ax(b)[c]") == "implicit_deny"


def test_moto_the_principal_is_checked(policy: Make, ask: Ask) -> None:
    bucket = policy({"Principal": {"AWS": "arn:aws:iam::123456789012:user/bob"}})
    assert ask(bucket) == "implicit_deny"


@pytest.mark.parametrize("kind", ["bucket", "key"])
def test_noobaa_not_principal_with_allow_is_refused(kind: str, policy: Make) -> None:
    with pytest.raises(ConfigError, match="`NotPrincipal` with `Allow`"):
        policy({"NotPrincipal": {"AWS": "123456789012"}}, kind=kind)


def test_aws_samples_null_and_not_equals_on_one_key_are_both_required(policy: Make, ask: Ask) -> None:
    both = {"Null": {SSE: "true"}, "StringNotEquals": {SSE: "aws:kms"}}
    bucket = policy({}, {"Effect": "Deny", "Action": "s3:PutObject", "Condition": both})
    assert ask(bucket, action="s3:PutObject", context={SSE: "AES256"}) == "allow"
    assert ask(bucket, action="s3:PutObject") == "explicit_deny"


def test_if_exists_on_a_negated_operator_changes_nothing(policy: Make, ask: Ask) -> None:
    bucket = policy({}, {"Effect": "Deny", "Condition": {"StringNotEqualsIfExists": {SSE: "aws:kms"}}})
    assert ask(bucket) == "explicit_deny"

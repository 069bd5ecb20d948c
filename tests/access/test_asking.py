"""A request that is written down is asked the same questions as a live one."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.access.asking import DEFAULT_ACCOUNT, ask
from proxy.errors import S3Error
from proxy.policy.written import Asked, Direct, Http, Written

NOW = 1_795_000_000.0
ALICE = "arn:aws:iam::123456789012:user/alice"
BATCH = "<Delete><Object><Key>a</Key></Object><Object><Key>b</Key><VersionId>1</VersionId></Object></Delete>"


def asked(method: str, target: str, principal: str | None = ALICE, **more: Any) -> tuple[Asked, ...]:
    headers = tuple((more.pop("headers", {}) or {}).items())
    return ask(Written(principal, Http(method, target, headers, **more)), NOW)


def names(found: tuple[Asked, ...]) -> list[tuple[str, str]]:
    return [(one.request.action, one.request.resource) for one in found]


def test_a_question_brings_what_follows_from_caller_and_owner() -> None:
    (one,) = ask(Written(ALICE, Direct("s3:GetObject", "arn:aws:s3:::b/k"), {"aws:username": "other"}), NOW)
    assert one.bucket == "b"
    assert one.request.resource_account == "123456789012"
    assert one.request.context["aws:principalarn"] == ALICE
    assert one.request.context["aws:username"] == "other"
    assert one.request.context["s3:resourceaccount"] == "123456789012"


def test_a_role_is_asked_about_as_one_of_its_sessions() -> None:
    (one,) = ask(Written("arn:aws:iam::123456789012:role/backup", Direct("s3:GetObject", "arn:aws:s3:::b/k")), NOW)
    assert one.request.principal.arn == "arn:aws:sts::123456789012:assumed-role/backup/s3warden"
    assert one.request.context["aws:principalarn"] == "arn:aws:iam::123456789012:role/backup"


def test_a_name_that_is_no_arn_has_no_account_and_anonymous_has_no_name() -> None:
    (named,) = ask(Written("bob", Direct("s3:GetObject", "arn:aws:s3:::b/k")), NOW)
    assert (named.request.principal.account, named.request.principal.anonymous) == (None, False)
    (nobody,) = ask(Written(None, Direct("s3:GetObject", "arn:aws:s3:::b/k"), resource_account="1"), NOW)
    assert (nobody.request.principal.anonymous, nobody.request.resource_account) == (True, "1")
    assert asked("GET", "/bucket/k", None)[0].request.resource_account == DEFAULT_ACCOUNT


@pytest.mark.parametrize(
    ("method", "target", "more", "wanted"),
    [
        ("GET", "/", {}, [("s3:ListAllMyBuckets", "arn:aws:s3:::*")]),
        ("get", "/bucket?list-type=2&prefix=a/", {}, [("s3:ListBucket", "arn:aws:s3:::bucket")]),
        ("HEAD", "/bucket/a%20b", {}, [("s3:GetObject", "arn:aws:s3:::bucket/a b")]),
        ("HEAD", "/bucket/ä b", {}, [("s3:GetObject", "arn:aws:s3:::bucket/ä b")]),
        ("GET", "/bucket/k?versionId=1", {}, [("s3:GetObjectVersion", "arn:aws:s3:::bucket/k")]),
        (
            "PUT",
            "/bucket/k",
            {"headers": {"x-amz-copy-source": "/other/o"}},
            [("s3:PutObject", "arn:aws:s3:::bucket/k"), ("s3:GetObject", "arn:aws:s3:::other/o")],
        ),
        (
            "POST",
            "/bucket?delete",
            {"body": BATCH},
            [("s3:DeleteObject", "arn:aws:s3:::bucket/a"), ("s3:DeleteObjectVersion", "arn:aws:s3:::bucket/b")],
        ),
        (
            "POST",
            "/bucket",
            {"headers": {"content-type": "multipart/form-data; boundary=x"}, "form": {"key": "k", "acl": "private"}},
            [("s3:PutObject", "arn:aws:s3:::bucket/k"), ("s3:PutObjectAcl", "arn:aws:s3:::bucket/k")],
        ),
    ],
)
def test_http_goes_through_the_table_of_operations(
    method: str, target: str, more: dict[str, object], wanted: list[tuple[str, str]]
) -> None:
    assert names(asked(method, target, **more)) == wanted


def test_tags_of_a_copy_s_source_are_asked_about_when_it_has_some() -> None:
    copy = {"x-amz-copy-source": "/other/o"}
    assert len(asked("PUT", "/bucket/k", headers=copy)) == 2
    actions = [action for action, _ in names(asked("PUT", "/bucket/k", headers=copy, source_tagged=True))]
    assert actions[2:] == ["s3:GetObjectTagging", "s3:PutObjectTagging"]


@pytest.mark.parametrize(
    ("target", "headers", "kind", "version"),
    [
        ("/bucket/k", {}, "REST-HEADER", "AWS4-HMAC-SHA256"),
        ("/bucket/k", {"Authorization": "AWS AKIA:x"}, "REST-HEADER", "AWS"),
        ("/bucket/k?X-Amz-Signature=0", {}, "REST-QUERY-STRING", "AWS4-HMAC-SHA256"),
        ("/bucket/k?AWSAccessKeyId=A&Signature=0&Expires=1", {}, "REST-QUERY-STRING", "AWS"),
    ],
)
def test_how_it_is_signed_is_told_by_the_request(target: str, headers: dict[str, str], kind: str, version: str) -> None:
    context = asked("GET", target, headers=headers)[0].request.context
    assert (context["s3:authtype"], context["s3:signatureversion"]) == (kind, version)


def test_the_connection_is_encrypted_unless_it_is_said_not_to_be() -> None:
    context = asked("GET", "/bucket/k")[0].request.context
    assert (context["aws:securetransport"], context["s3:tlsversion"]) == ("true", "1.3")
    plain = asked("GET", "/bucket/k", tls=None, source_ip="10.1.2.3")[0].request.context
    assert (plain["aws:securetransport"], plain.get("s3:tlsversion"), plain["aws:sourceip"]) == (
        "false",
        None,
        "10.1.2.3",
    )


def test_what_is_written_beside_the_request_wins() -> None:
    written = Written(ALICE, Http("GET", "/bucket/k"), {"aws:sourceip": "10.0.0.1"})
    assert ask(written, NOW)[0].request.context["aws:sourceip"] == "10.0.0.1"


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/bucket/k?frobnicate", {}),
        ("GET", "/bucket/k?acl&tagging", {}),
        ("GET", "/UPPER/k", {}),
        ("POST", "/bucket?delete", {}),
        ("OPTIONS", "/bucket/k", {"origin": "a", "access-control-request-method": "GET"}),
        ("GET", "/bucket/k", {"ä": "x"}),
    ],
)
def test_what_the_proxy_refuses_before_it_asks_is_an_s3_error(
    method: str, target: str, headers: dict[str, str]
) -> None:
    with pytest.raises(S3Error):
        asked(method, target, headers=headers)

"""Statements against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from proxy.policy.lint import Linted

Found = Callable[..., list[str]]
ALICE, BOB = ({"AWS": f"arn:aws:iam::123456789012:user/{name}"} for name in ("alice", "bob"))
SSE = "s3:x-amz-server-side-encryption"


def allow(resource: str = "b/*", action: object = "s3:PutObject", **more: object) -> dict[str, object]:
    return {"Effect": "Allow", "Principal": ALICE, "Action": action, "Resource": f"arn:aws:s3:::{resource}", **more}


def deny(resource: str = "b/*", action: object = "s3:PutObject", **more: object) -> dict[str, object]:
    return {"Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{resource}", **more}


@pytest.mark.parametrize(
    ("first", "second", "rules"),
    [
        (allow("b/a/*"), deny("b/*"), ["shadowed-allow"]),
        (deny("b/*", "s3:Put*"), allow("b/a/*"), ["shadowed-allow"]),
        (allow("b/*"), deny("b/a/*"), []),
        (allow(), deny(Principal=BOB), []),
        (allow(), deny(Principal=ALICE), ["shadowed-allow"]),
        (allow(), deny(Condition={"Bool": {"aws:SecureTransport": "false"}}), []),
        (allow(Condition={"Bool": {"aws:SecureTransport": "false"}}), deny(), ["shadowed-allow"]),
        (allow(), deny(action="s3:GetObjectTagging", resource="c/*"), ["version-left-open"]),
        (allow(), allow(), ["duplicate-statement"]),
        (allow(), allow(Principal={"AWS": [ALICE["AWS"], BOB["AWS"]]}), ["redundant-statement"]),
        (allow(), allow(action=["s3:PutObject", "s3:PutObjectAcl"]), ["redundant-statement"]),
        (allow("b/a/*"), allow("b/*"), ["redundant-statement"]),
        (allow("b/${aws:username}/*"), allow("b/*"), ["redundant-statement"]),
        (allow("b/*"), allow("b/${aws:username}/*"), ["redundant-statement"]),
        (deny(), deny("b/${aws:username}/*"), ["redundant-statement"]),
        (allow(), allow(Principal=BOB), []),
        (deny(), allow("other/*"), []),
    ],
)
def test_two_statements(
    found: Found, first: Mapping[str, object], second: Mapping[str, object], rules: list[str]
) -> None:
    assert found(first, second) == rules


def test_negated_elements_are_compared_only_when_they_are_the_same(found: Found) -> None:
    first = {"Principal": "*", "Action": "s3:Put*", "NotResource": "arn:aws:s3:::b/a/*"}
    assert found(first, {**first, "NotResource": "arn:aws:s3:::b/a/b/*"}) == []
    assert found(first, first) == ["duplicate-statement"]
    by_action = {"Principal": "*", "NotAction": "s3:Get*"}
    assert found(by_action, by_action) == ["duplicate-statement"]


def test_a_null_beside_a_negated_operator_is_said_twice(found: Found) -> None:
    wrong = deny(action=["s3:PutObject", "s3:UpdateObjectEncryption"], Condition={"StringNotEquals": {SSE: "aws:kms"}})
    missing = {**wrong, "Condition": {"Null": {SSE: "true"}}}
    assert found(wrong, missing) == ["redundant-statement"]
    assert found(missing, wrong) == ["redundant-statement"]


def test_the_message_names_the_other_statement(lint: Callable[..., Linted]) -> None:
    messages = [f.diagnostic.message for f in lint({**allow(), "Sid": "A"}, {**deny(), "Sid": "NoWrites"}).findings]
    assert messages == ["`NoWrites` denies everything that this statement allows"]


def test_a_deny_without_the_version_is_open_unless_another_statement_denies_it(found: Found) -> None:
    plain = deny(action="s3:DeleteObject")
    assert found(plain) == ["version-left-open"]
    assert found(plain, deny(action="s3:DeleteObjectVersion")) == []
    assert found(plain, deny(action="s3:Delete*", resource="b*")) == ["redundant-statement"]
    assert found(plain, deny(action="s3:DeleteObjectVersion", resource="b/a/*")) == ["version-left-open"]
    assert found(plain, deny(action="s3:DeleteObjectVersion", Principal=BOB)) == ["version-left-open"]
    assert found(deny(action="s3:DeleteObject*")) == []
    assert found(allow(action="s3:GetObject")) == []

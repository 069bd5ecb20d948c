"""Whom a principal names, and how strongly."""

from __future__ import annotations

import pytest

from proxy.policy.principals import (
    ANONYMOUS,
    Grade,
    Principal,
    PrincipalError,
    check_principal,
    compile_principals,
)

A = "123456789012"
USER = Principal(f"arn:aws:iam::{A}:user/team/alice", A)
SESSION = Principal(f"arn:aws:sts::{A}:assumed-role/Deploy/run-7", A)
ROLE = Principal(f"arn:aws:iam::{A}:role/ci/Deploy", A)
ROOT = Principal(f"arn:aws:iam::{A}:root", A)
CANONICAL = "ab" * 32
STRANGER = Principal("some name", A)


def grade(value: str, caller: Principal, kind: str = "AWS") -> Grade:
    check_principal(kind, value)
    return compile_principals([(kind, value)], negated=False).grade(caller)


@pytest.mark.parametrize(
    ("value", "caller", "wanted"),
    [
        ("*", USER, Grade.DIRECT),
        ("*", ANONYMOUS, Grade.DIRECT),
        ("*", STRANGER, Grade.DIRECT),
        (A, USER, Grade.ACCOUNT),
        (A, SESSION, Grade.ACCOUNT),
        (A, ROOT, Grade.DIRECT),
        (A, ANONYMOUS, Grade.NONE),
        (A, STRANGER, Grade.NONE),
        (f"arn:aws:iam::{A}:root", USER, Grade.ACCOUNT),
        ("999999999999", USER, Grade.NONE),
        (f"arn:aws:iam::{A}:user/team/alice", USER, Grade.DIRECT),
        (f"arn:aws:iam::{A}:user/alice", USER, Grade.NONE),
        (f"arn:aws:iam::{A}:user/team/Alice", USER, Grade.NONE),
        (f"arn:aws:iam::{A}:role/ci/Deploy", SESSION, Grade.DIRECT),
        (f"arn:aws:iam::{A}:role/Deploy", SESSION, Grade.DIRECT),
        (f"arn:aws:iam::{A}:role/deploy", SESSION, Grade.NONE),
        ("arn:aws:iam::999999999999:role/Deploy", SESSION, Grade.NONE),
        (f"arn:aws:iam::{A}:role/ci/Deploy", ROLE, Grade.DIRECT),
        (f"arn:aws:sts::{A}:assumed-role/Deploy/run-7", SESSION, Grade.DIRECT),
        (f"arn:aws:sts::{A}:assumed-role/Deploy/run-8", SESSION, Grade.NONE),
        ("AIDAEXAMPLEUSER00000", USER, Grade.NONE),
    ],
)
def test_whom_an_aws_principal_names(value: str, caller: Principal, wanted: Grade) -> None:
    assert grade(value, caller) is wanted


def test_a_canonical_user_is_an_account_by_another_name() -> None:
    caller = Principal(USER.arn, A, canonical_user=CANONICAL)
    assert grade(CANONICAL, caller, "CanonicalUser") is Grade.ACCOUNT
    assert grade(CANONICAL, USER, "CanonicalUser") is Grade.NONE


def test_services_and_federated_callers_are_named_only_as_such() -> None:
    service = Principal(service="logging.s3.amazonaws.com")
    federated = Principal(federated="cognito-identity.amazonaws.com")
    assert grade("logging.s3.amazonaws.com", service, "Service") is Grade.DIRECT
    assert grade("cognito-identity.amazonaws.com", federated, "Federated") is Grade.DIRECT
    assert grade("cognito-identity.amazonaws.com", federated, "Service") is Grade.NONE
    assert grade("logging.s3.amazonaws.com", USER, "Service") is Grade.NONE
    assert not service.anonymous
    assert ANONYMOUS.anonymous


def test_the_account_of_a_caller_comes_from_its_arn_when_not_given() -> None:
    assert Principal(USER.arn).account == A
    assert Principal("bob").account is None


def excepted(caller: Principal, *listed: str) -> bool:
    principals = compile_principals([("AWS", value) for value in listed], negated=True)
    return principals.grade(caller) is Grade.NONE


def test_not_principal_names_everybody_it_does_not_list() -> None:
    assert excepted(USER, f"arn:aws:iam::{A}:user/team/alice")
    assert not excepted(USER, f"arn:aws:iam::{A}:user/bob")
    assert not excepted(ANONYMOUS, f"arn:aws:iam::{A}:user/bob")
    assert excepted(USER, A)
    assert excepted(SESSION, "*")


def test_an_account_beside_one_of_its_users_excepts_nobody_else() -> None:
    bob, root = f"arn:aws:iam::{A}:user/bob", f"arn:aws:iam::{A}:root"
    for account in (A, root):
        assert excepted(Principal(bob), bob, account)
        assert not excepted(USER, bob, account)
        assert not excepted(USER, f"arn:aws:iam::{A}:role/Deploy", account)
        assert excepted(USER, "arn:aws:iam::999999999999:user/bob", account)
        assert excepted(Principal(root), bob, account)


def test_a_session_is_excepted_only_with_its_role_and_its_account() -> None:
    session, role = f"arn:aws:sts::{A}:assumed-role/Deploy/run-7", f"arn:aws:iam::{A}:role/ci/Deploy"
    assert excepted(SESSION, session, role, A)
    assert not excepted(SESSION, session, role)
    assert not excepted(SESSION, session, A)
    assert not excepted(SESSION, role, A)
    assert not excepted(SESSION, A)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("AWS", f"arn:aws:iam::{A}:user/*"),
        ("AWS", "arn:aws:iam::*:root"),
        ("AWS", "12345678901"),
        ("AWS", "alice"),
        ("AWS", ""),
        ("AWS", f"arn:aws:iam::{A}:user"),
        ("AWS", f"arn:aws:iam::{A}:group/g"),
        ("AWS", f"arn:aws:iam::{A}:root/x"),
        ("AWS", f"arn:aws:sts::{A}:assumed-role/R"),
        ("AWS", f"arn:aws:sts::{A}:assumed-role/R/s/t"),
        ("AWS", "arn:aws:s3:::bucket"),
        ("CanonicalUser", "*"),
        ("CanonicalUser", "AB" * 32),
        ("Service", "*"),
        ("Service", "s3"),
        ("Federated", "*"),
        ("Federated", ""),
    ],
)
def test_what_cannot_be_a_principal_is_refused_with_a_remedy(kind: str, value: str) -> None:
    with pytest.raises(PrincipalError) as caught:
        check_principal(kind, value)
    assert caught.value.help

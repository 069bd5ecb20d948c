"""An ARN in the configuration becomes a caller as AWS would describe it."""

from __future__ import annotations

import pytest

from proxy.config.principals import parse_principal

ACCOUNT = "123456789012"


def test_a_user_has_a_name_and_an_id_of_its_own() -> None:
    user = parse_principal(f"arn:aws:iam::{ACCOUNT}:user/team/alice")
    assert (user.arn, user.principal_arn) == (f"arn:aws:iam::{ACCOUNT}:user/team/alice",) * 2
    assert (user.account, user.principal_type, user.user_name) == (ACCOUNT, "User", "alice")
    assert user.user_id.startswith("AIDA")
    assert len(user.user_id) == 21
    assert user.user_id != parse_principal(f"arn:aws:iam::{ACCOUNT}:user/alice").user_id


def test_the_root_of_an_account_is_an_account_without_a_user_name() -> None:
    root = parse_principal(f"arn:aws:iam::{ACCOUNT}:root")
    assert (root.principal_type, root.user_name, root.user_id) == ("Account", None, ACCOUNT)


def test_a_role_calls_as_a_session_of_it() -> None:
    role = parse_principal(f"arn:aws:iam::{ACCOUNT}:role/team/backup", "nightly")
    assert role.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/backup/nightly"
    assert role.principal_arn == f"arn:aws:iam::{ACCOUNT}:role/team/backup"
    assert (role.principal_type, role.user_name) == ("AssumedRole", None)
    assert role.user_id.startswith("AROA")
    assert role.user_id.endswith(":nightly")


def test_a_role_session_keeps_its_arn_and_names_its_role() -> None:
    session = parse_principal(f"arn:aws-cn:sts::{ACCOUNT}:assumed-role/backup/nightly")
    assert session.arn == f"arn:aws-cn:sts::{ACCOUNT}:assumed-role/backup/nightly"
    assert session.principal_arn == f"arn:aws-cn:iam::{ACCOUNT}:role/backup"
    assert session.user_id.endswith(":nightly")


def test_a_federated_user_has_an_id_made_of_account_and_name() -> None:
    federated = parse_principal(f"arn:aws:sts::{ACCOUNT}:federated-user/kim")
    assert (federated.principal_type, federated.user_id) == ("FederatedUser", f"{ACCOUNT}:kim")


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "alice",
        ACCOUNT,
        "*",
        f"arn:aws:iam::{ACCOUNT}:user",
        f"arn:aws:iam::{ACCOUNT}:user/",
        f"arn:aws:iam::{ACCOUNT}:user/a*",
        f"arn:aws:iam::{ACCOUNT}:group/admins",
        f"arn:aws:sts::{ACCOUNT}:user/alice",
        f"arn:aws:iam::{ACCOUNT}:assumed-role/backup/nightly",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/backup",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/backup/a/b",
        f"arn:aws:iam::{ACCOUNT}:root/x",
        "arn:aws:iam::12345678901:user/alice",
        f"arn:aws:iam:eu-central-1:{ACCOUNT}:user/alice",
        f"arn:other:iam::{ACCOUNT}:user/alice",
        f"arn:aws:iam::{ACCOUNT}:user/alice\n",
    ],
)
def test_what_is_no_caller_is_refused(arn: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_principal(arn)


def test_a_session_name_that_sts_would_refuse_is_refused() -> None:
    with pytest.raises(ValueError, match="session name `a b`"):
        parse_principal(f"arn:aws:iam::{ACCOUNT}:role/backup", "a b")

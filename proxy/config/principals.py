"""Who an ARN in the configuration stands for.

Users, roles, role sessions, federated users and account roots: the principals that can hold access
keys. A role itself never calls S3, a session of it does; so a role's ARN becomes that of a session.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html and, for the values
of the condition keys, .../reference_policies_variables.html "where you can use policy variables"
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

DEFAULT_SESSION = "s3warden"

_ARN = re.compile(
    r"arn:(?P<partition>aws|aws-cn|aws-us-gov):(?P<service>iam|sts)::(?P<account>[0-9]{12}):"
    r"(?P<kind>root|user|role|assumed-role|federated-user)(?P<path>(?:/[!-.0-~]+)*)"
)
_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_SERVICE = {"root": "iam", "user": "iam", "role": "iam", "assumed-role": "sts", "federated-user": "sts"}


@dataclass(frozen=True, slots=True)
class PrincipalArn:
    """A caller. `arn` is what it calls as, `principal_arn` the value of aws:PrincipalArn (a session's role)."""

    arn: str
    principal_arn: str
    account: str
    principal_type: str
    """The value of aws:PrincipalType: Account, User, AssumedRole or FederatedUser."""
    user_name: str | None
    """The value of aws:username; only users have one."""
    user_id: str
    """The value of aws:userid, made from the ARN: real ids are known to AWS alone."""


def parse_principal(arn: str, session: str = DEFAULT_SESSION) -> PrincipalArn:
    """Parse the ARN of a principal that can hold access keys; raises `ValueError` saying what is wrong."""
    match = _ARN.fullmatch(arn)
    if match is None:
        raise ValueError("not the ARN of a user, role, role session, federated user or account root")
    account, kind, names = match["account"], match["kind"], match["path"].split("/")[1:]
    if match["service"] != _SERVICE[kind]:
        raise ValueError(f"a `{kind}` belongs to `{_SERVICE[kind]}`, not to `{match['service']}`")
    if not _has_right_names(kind, names):
        raise ValueError(f"the name after `{kind}` is missing or has characters that IAM does not allow")
    if kind == "root":
        return PrincipalArn(arn, arn, account, "Account", None, account)
    if kind == "user":
        return PrincipalArn(arn, arn, account, "User", names[-1], _unique_id("AIDA", arn))
    if kind == "federated-user":
        return PrincipalArn(arn, arn, account, "FederatedUser", None, f"{account}:{names[0]}")
    return _session(match, names, session)


def _session(match: re.Match[str], names: list[str], session: str) -> PrincipalArn:
    account, partition = match["account"], match["partition"]
    if match["kind"] == "assumed-role":
        role, session = names
        role_arn = f"arn:{partition}:iam::{account}:role/{role}"
    else:
        role, role_arn = names[-1], match[0]
    if not _NAME.fullmatch(session):
        raise ValueError(f"the session name `{session}` has characters that STS does not allow")
    arn = f"arn:{partition}:sts::{account}:assumed-role/{role}/{session}"
    # The id belongs to the role by name: a path does not appear in session ARNs.
    role_id = _unique_id("AROA", f"arn:{partition}:iam::{account}:role/{role}")
    return PrincipalArn(arn, role_arn, account, "AssumedRole", None, f"{role_id}:{session}")


def _has_right_names(kind: str, names: list[str]) -> bool:
    if kind == "root":
        return not names
    wanted = {"assumed-role": 2, "federated-user": 1}.get(kind)
    if not names or (wanted is not None and len(names) != wanted):
        return False
    checked = names if wanted else names[-1:]
    return all(_NAME.fullmatch(name) for name in checked)


def _unique_id(prefix: str, arn: str) -> str:
    """Make an id of AWS's form (four letters and 17 of base32) that stays the same for the same ARN."""
    return prefix + base64.b32encode(hashlib.sha256(arn.encode()).digest()).decode()[:17]

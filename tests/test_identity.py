"""Access keys lead to their owners, and to nothing else."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from proxy.auth.credential import Credential, CredentialLookup
from proxy.config import AccessKey, IdentitySettings, Secret, parse_principal
from proxy.identity import Identities

ALICE = IdentitySettings(
    parse_principal("arn:aws:iam::123456789012:user/alice"),
    (
        AccessKey("AKIAOLD", Secret("old-secret")),
        AccessKey("ASIATEMP", Secret("temp-secret"), Secret("the-token"), 1_900_000_000.0),
    ),
    (Path("/policies/full-access.yaml"),),
    MappingProxyType({"department": "hr"}),
    AccessKey("AKIAUP", Secret("up-secret")),
)
BACKUP = IdentitySettings(
    parse_principal("arn:aws:iam::123456789012:role/backup", "nightly"), (AccessKey("AKIABACKUP", Secret("b")),)
)
IDENTITIES = Identities([ALICE, BACKUP])


def test_every_key_of_an_identity_leads_to_it() -> None:
    for key in ("AKIAOLD", "ASIATEMP"):
        found = IDENTITIES.lookup(key)
        assert found is not None
        credential, identity = found
        assert credential.access_key_id == key
        assert identity.arn == "arn:aws:iam::123456789012:user/alice"
        assert identity is IDENTITIES.owner(key)


def test_a_temporary_key_brings_its_token_and_its_end() -> None:
    credential = IDENTITIES.credential("ASIATEMP")
    assert credential == Credential("ASIATEMP", "temp-secret", "the-token", 1_900_000_000.0)


def test_an_unknown_key_leads_nowhere() -> None:
    lookup: CredentialLookup = IDENTITIES.credential
    assert lookup("AKIAOLD ") is None
    assert IDENTITIES.lookup("akiaold") is None
    assert IDENTITIES.owner("") is None


def test_an_identity_carries_what_policies_ask_about() -> None:
    alice, backup = IDENTITIES.all
    assert (alice.account, alice.principal_type, alice.user_name) == ("123456789012", "User", "alice")
    assert alice.tags == {"department": "hr"}
    assert alice.policies == (Path("/policies/full-access.yaml"),)
    assert (backup.arn, backup.principal_arn) == (
        "arn:aws:sts::123456789012:assumed-role/backup/nightly",
        "arn:aws:iam::123456789012:role/backup",
    )
    assert (backup.user_name, backup.upstream) == (None, None)


def test_an_identity_may_have_its_own_upstream_credential() -> None:
    assert IDENTITIES.all[0].upstream == Credential("AKIAUP", "up-secret")


def test_no_repr_shows_a_secret() -> None:
    shown = repr(IDENTITIES) + repr(IDENTITIES.all) + repr(IDENTITIES.lookup("ASIATEMP")) + repr(ALICE)
    assert "secret" not in shown.replace("secret=Secret(hidden)", "")
    assert "the-token" not in shown

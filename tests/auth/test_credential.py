"""Credentials and derived keys."""

from __future__ import annotations

import pytest

from proxy.auth.credential import Credential, find_credential, forget_signing_keys, signing_key
from proxy.errors import S3Error


def test_the_derived_key_is_that_of_the_example_of_aws():
    # The example of the IAM user guide, for service iam.
    credential = Credential("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    key = signing_key(credential, "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_keys_are_kept_per_secret_so_a_rotated_one_is_used_at_once():
    forget_signing_keys()
    old, new = Credential("AK", "old"), Credential("AK", "new")
    assert signing_key(old, "20150830", "r") is signing_key(old, "20150830", "r")
    assert signing_key(old, "20150830", "r") != signing_key(new, "20150830", "r")
    kept = signing_key(old, "20150830", "r")
    forget_signing_keys()
    assert signing_key(old, "20150830", "r") is not kept


def test_no_secret_in_repr():
    credential = Credential("AK", "the-secret", "the-token", 5.0)
    assert "the-" not in f"{credential!r} {credential} {[credential]}"


@pytest.mark.parametrize(
    ("credential", "token", "code"),
    [
        (None, None, "InvalidAccessKeyId"),
        (Credential("AK", "s"), "token", "InvalidToken"),
        (Credential("AK", "s"), "", "InvalidToken"),
        (Credential("AK", "s", "token"), "toke", "InvalidToken"),
        (Credential("AK", "s", "token"), "é\udce9", "InvalidToken"),
        (Credential("AK", "s", "token"), None, "InvalidAccessKeyId"),
        (Credential("AK", "s", "token", 100.0), "token", "ExpiredToken"),
        (Credential("AK", "s", None, 100.0), None, "ExpiredToken"),
        (Credential("AK", "s", "token", 101.0), "token", None),
        (Credential("AK", "s"), None, None),
    ],
)
def test_tokens(credential, token, code):
    if code is None:
        assert find_credential("AK", token, lambda _: credential, 100.0) is credential
        return
    with pytest.raises(S3Error) as caught:
        find_credential("AK", token, lambda _: credential, 100.0)
    assert caught.value.code == code

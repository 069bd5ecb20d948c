"""The names of actions and condition keys."""

from __future__ import annotations

import pytest

from proxy.policy.names import ACTIONS, KEYS, MAPPED_KEYS, expand_action, find_key, suggest_action, suggest_key


def test_key_names_are_taken_in_any_case_and_families_with_their_tag() -> None:
    assert find_key("AWS:sourceip") is KEYS["aws:sourceip"]
    tag = find_key("aws:PrincipalTag/Team")
    assert tag is not None
    assert tag.name == "aws:PrincipalTag/"
    assert tag.is_family
    assert find_key("aws:PrincipalTag/") is None
    assert find_key("aws:PrincipalTag") is None
    assert find_key("kms:EncryptionContext:app") is not None
    assert find_key("s3:nothing") is None


def test_action_patterns_are_expanded_in_any_case() -> None:
    assert expand_action("S3:getobject") == {"s3:getobject"}
    assert "s3:getobjectversion" in expand_action("s3:GetObject*")
    assert expand_action("s3:????") == frozenset()
    assert expand_action("ec2:*") == frozenset()
    assert expand_action("*") == frozenset(ACTIONS)


def test_every_action_knows_its_resources_and_keys_by_known_names() -> None:
    for action in ACTIONS.values():
        assert all(name.lower() in KEYS for name in action.keys), action.name
    put = ACTIONS["s3:putobject"]
    assert put.resources >= {"object"}
    assert "s3:x-amz-server-side-encryption" in put.keys
    assert "s3:signatureAge" in put.keys
    assert "s3:prefix" not in put.keys
    assert ACTIONS["s3:initiatereplication"].keys == {"s3:ResourceAccount"}


def test_every_key_says_what_it_is_and_where_it_comes_from() -> None:
    types = {"String", "ARN", "Bool", "Numeric", "Date", "IPAddress", "ArrayOfString"}
    sources = {"request", "connection", "identity", "bucket", "clock", "lookup", "proxy", "never", "mapped"}
    for key in KEYS.values():
        assert key.type in types
        assert key.source in sources
        assert key.about.endswith(".")
    assert "aws:sourcevpce" in MAPPED_KEYS
    assert "aws:sourceip" not in MAPPED_KEYS


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("s3:GetObjct", "did you mean `s3:GetObject`?"),
        ("s3:headobject", "its permission is `s3:GetObject`"),
        ("s3:UploadPart", "its permission is `s3:PutObject`"),
        ("s3:zzzzzzzzzz", ""),
    ],
)
def test_unknown_actions_get_a_hint(text: str, wanted: str) -> None:
    assert suggest_action(text).endswith(wanted)


def test_unknown_keys_get_a_hint() -> None:
    assert suggest_key("s3:x-amz-server-side-encrypton") == "did you mean `s3:x-amz-server-side-encryption`?"

"""Configuration, identities and policies are loaded as one, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.errors import ConfigError
from proxy.server.rules import ANONYMOUS_CALLER, Rules, load_rules

CONFIG = """
upstream:
  endpoint: http://127.0.0.1:1
  credentials: {access_key_id: AKIAUPSTREAM, secret_access_key: upstream-secret}
owner: "123456789012"
identities:
  - arn: arn:aws:iam::123456789012:user/alice
    access_keys: [{id: AKIAALICE, secret: alice-secret}]
    policies: [alice.yaml]
  - arn: arn:aws:iam::123456789012:user/bob
    access_keys: [{id: AKIABOB, secret: bob-secret}]
policies: [buckets]
"""
ALLOW = 'Version: "2012-10-17"\nStatement: {Effect: Allow, Action: "s3:*", Resource: "*"%s}\n'
DENY = (
    'Version: "2012-10-17"\nStatement: {Effect: Deny, Principal: "*", Action: s3:%s, Resource: "arn:aws:s3:::%s/*"%s}\n'
)
ON_SSE = ', Condition: {"Null": {"s3:x-amz-server-side-encryption": "true"}}'
ON_TAGS = ', Condition: {StringEquals: {"s3:ExistingObjectTag/class": secret}}'


class Files:
    """A configuration with its policies, to be changed by a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "buckets").mkdir()
        (folder / "config.yaml").write_text(CONFIG)
        self.alice()

    def alice(self, condition: str = "") -> None:
        (self.folder / "alice.yaml").write_text(ALLOW % condition)

    def bucket(self, name: str, action: str = "PutObject", condition: str = "") -> None:
        (self.folder / "buckets" / f"{name}.yaml").write_text(DENY % (action, name, condition))

    def load(self) -> Rules:
        return load_rules(self.folder / "config.yaml", {})


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_caller_is_the_owner_of_the_access_key(files: Files) -> None:
    rules = files.load()
    alice = rules.caller("AKIAALICE")
    assert alice.identity is not None
    assert (alice.identity.arn, alice.principal.account) == ("arn:aws:iam::123456789012:user/alice", "123456789012")
    assert rules.caller("AKIABOB").principal.arn == "arn:aws:iam::123456789012:user/bob"
    credential = rules.credential("AKIAALICE")
    assert credential is not None
    assert credential.secret_access_key == "alice-secret"
    assert rules.credential("AKIANOBODY") is None


def test_nobody_and_strangers_are_the_anonymous_caller(files: Files) -> None:
    rules = files.load()
    assert rules.caller(None) is ANONYMOUS_CALLER
    assert rules.caller("AKIANOBODY") is ANONYMOUS_CALLER
    assert ANONYMOUS_CALLER.principal.arn is None


def test_the_revision_changes_with_any_policy(files: Files) -> None:
    seen = {files.load().revision}
    files.bucket("one")
    seen.add(files.load().revision)
    files.alice(', Sid: "New"')
    seen.add(files.load().revision)
    assert len(seen) == 3
    assert files.load().revision in seen


def test_encryption_is_read_where_a_policy_of_that_bucket_asks_for_it(files: Files) -> None:
    files.bucket("strict", condition=ON_SSE)
    files.bucket("plain")
    rules = files.load()
    assert (rules.reads_encryption("strict"), rules.reads_encryption("plain")) == (True, False)


def test_encryption_is_read_everywhere_when_an_identity_is_judged_by_it(files: Files) -> None:
    files.alice(ON_SSE)
    assert files.load().reads_encryption("any")


def test_tags_of_stored_objects_are_only_asked_for_when_some_policy_wants_them(files: Files) -> None:
    assert not files.load().reads_existing_tags
    files.bucket("labelled", "GetObject", ON_TAGS)
    assert files.load().reads_existing_tags


def test_one_error_names_the_mistakes_of_all_policies(files: Files) -> None:
    files.bucket("one", "PutObjekt")
    files.alice(', Effect2: "x"')
    with pytest.raises(ConfigError) as caught:
        files.load()
    found = str(caught.value)
    assert "one.yaml:2" in found
    assert "alice.yaml:2" in found


def test_no_secret_is_shown(files: Files) -> None:
    shown = repr(files.load())
    assert "alice-secret" not in shown
    assert "upstream-secret" not in shown

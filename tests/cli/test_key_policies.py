"""Policies of keys are linted and tested like those of buckets, without being told what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli.main import main

POLICY = """\
Version: "2012-10-17"
Statement:
  - Sid: OnlyHrDecryptsHrData
    Effect: Allow
    Principal: {AWS: "arn:aws:iam::123456789012:role/hr"}
    Action: ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource: "*"
    Condition:
      StringEquals: {"kms:ViaService": s3.eu-central-1.amazonaws.com}
      StringLike: {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::hr-*"}
  - Sid: OperatorsRewrap
    Effect: Allow
    Principal: {AWS: "arn:aws:iam::123456789012:user/operator"}
    Action: ["kms:ReEncryptFrom", "kms:ReEncryptTo"]
    Resource: "*"
"""
KEY = "arn:aws:kms:eu-central-1:123456789012:key/hr"
OPERATOR = "arn:aws:iam::123456789012:user/operator"
TESTS = f"""\
defaults:
  principal: arn:aws:iam::123456789012:role/hr
  context:
    "kms:ViaService": s3.eu-central-1.amazonaws.com
    "kms:EncryptionContext:aws:s3:arn": arn:aws:s3:::hr-data/salaries
tests:
  - {{action: kms:Decrypt, resource: "{KEY}", expect: allow, sid: OnlyHrDecryptsHrData}}
  - {{action: kms:GenerateDataKey, resource: "{KEY}", expect: allow}}
  - {{action: kms:Decrypt, resource: "{KEY}", principal: anonymous, expect: deny}}
  - {{action: kms:Decrypt, resource: "{KEY}", context: {{"kms:ViaService": s3.us-east-1.amazonaws.com}}, expect: deny}}
  - action: kms:Decrypt
    resource: {KEY}
    context: {{"kms:EncryptionContext:aws:s3:arn": arn:aws:s3:::it/hr-data}}
    expect: implicit_deny
  - {{action: kms:ReEncryptFrom, resource: "{KEY}", principal: "{OPERATOR}", expect: allow, sid: OperatorsRewrap}}
  - {{action: kms:ReEncryptTo, resource: "{KEY}", principal: "{OPERATOR}", expect: allow}}
  - {{action: kms:Decrypt, resource: "{KEY}", principal: "{OPERATOR}", expect: deny}}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "hr-key.yaml"
    path.write_text(POLICY)
    (tmp_path / "hr-key.test.yaml").write_text(TESTS)
    return path


def test_a_policy_that_names_objects_in_its_conditions_is_a_keys_all_the_same(
    policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", "lint", str(policy)]) == 0
    assert capsys.readouterr().out == "checked 1 policy, 2 statements\n"


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        ("kms:Decrypt", "kms:Decrypto", "unknown-action"),
        ("kms:ViaService", "kms:ViaServices", "unknown-key"),
        ('"kms:ViaService": s3.eu-central-1.amazonaws.com', '"s3:prefix": a', "key-not-carried"),
        ('{AWS: "arn:aws:iam::123456789012:user/operator"}', '"*"', "public-access"),
        ("StringLike:", "StringLikes:", "unknown-operator"),
    ],
)
def test_mistakes_in_a_keys_policy_are_found(
    policy: Path, capsys: pytest.CaptureFixture[str], right: str, wrong: str, rule: str
) -> None:
    policy.write_text(POLICY.replace(right, wrong, 1))
    main(["policy", "lint", "--fail-on", "never", str(policy)])
    assert f"[{rule}]" in capsys.readouterr().out


def test_tests_of_a_keys_policy_cover_it_and_notice_every_change(
    policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", "test", "--coverage", "--threshold", "100", "--mutate", str(policy)]) == 0
    out = capsys.readouterr().out
    assert "coverage 100.0 %" in out
    assert "6 of 6 were noticed" in out


def test_a_question_about_a_key_is_explained(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--action", "kms:Decrypt", "--resource", KEY, "--principal", "arn:aws:iam::123456789012:user/bob"]
    assert main(["policy", "explain", *asked, str(policy)]) == 1
    assert "OnlyHrDecryptsHrData" in capsys.readouterr().out

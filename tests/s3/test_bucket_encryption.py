"""The document about a bucket's encryption: what is written can be read, and nothing unknown is."""

from __future__ import annotations

import pytest

from proxy.errors import S3Error
from proxy.s3.bucket_encryption import EncryptionRule, parse_rule, render_rule

ARN = "arn:aws:kms:eu-central-1:123456789012:key/hr"


def document(rule: str) -> bytes:
    return f"<ServerSideEncryptionConfiguration><Rule>{rule}</Rule></ServerSideEncryptionConfiguration>".encode()


@pytest.mark.parametrize(
    "rule",
    [
        EncryptionRule("AES256"),
        EncryptionRule("aws:kms", ARN, True, frozenset({"SSE-C"})),
        EncryptionRule("aws:kms", ARN, False, frozenset()),
    ],
)
def test_what_is_written_is_read_as_it_was(rule: EncryptionRule) -> None:
    assert parse_rule(render_rule(rule)) == rule


def test_it_is_written_as_s3_writes_it() -> None:
    written = render_rule(EncryptionRule("aws:kms", ARN, True, frozenset({"SSE-C"}))).decode()
    assert written.partition("?>\n")[2] == (
        '<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>'
        "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>"
        f"<KMSMasterKeyID>{ARN}</KMSMasterKeyID></ApplyServerSideEncryptionByDefault>"
        "<BucketKeyEnabled>true</BucketKeyEnabled>"
        "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"
        "</Rule></ServerSideEncryptionConfiguration>"
    )


def test_what_a_rule_does_not_mention_is_not_made_up() -> None:
    assert parse_rule(document("<BucketKeyEnabled>true</BucketKeyEnabled>")) == EncryptionRule(None, None, True)


DEFAULT = "<ApplyServerSideEncryptionByDefault>{}</ApplyServerSideEncryptionByDefault>"
BLOCKED = "<BlockedEncryptionTypes>{}</BlockedEncryptionTypes>"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<Other/>", "MalformedXML"),
        (b"<ServerSideEncryptionConfiguration/>", "MalformedXML"),
        (document("</Rule><Rule>"), "MalformedXML"),
        (document("<Unknown/>"), "MalformedXML"),
        (document(DEFAULT.format("<SSEAlgorithm>rot13</SSEAlgorithm>")), "MalformedXML"),
        (document(DEFAULT.format("<KMSMasterKeyID>x</KMSMasterKeyID>")), "MalformedXML"),
        (document(DEFAULT.format("<SSEAlgorithm>AES256</SSEAlgorithm><Other/>")), "MalformedXML"),
        (document("<BucketKeyEnabled>1</BucketKeyEnabled>"), "MalformedXML"),
        (document(BLOCKED.format("<EncryptionType>SSE-S3</EncryptionType>")), "MalformedXML"),
        (document(BLOCKED.format("<Type/>")), "MalformedXML"),
        (document(DEFAULT.format("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID/>")), "InvalidArgument"),
    ],
)  # fmt: skip
def test_what_it_should_not_say_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_rule(body)
    assert caught.value.code == code

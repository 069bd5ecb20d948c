"""What is read from XML bodies before the decision."""

from __future__ import annotations

import pytest

from proxy.access.body_facts import NEEDS_BODY, NO_FACTS, body_facts
from proxy.errors import S3Error
from proxy.s3.operations import OPERATIONS


def test_every_row_is_an_operation_with_a_body() -> None:
    assert {OPERATIONS[name].body for name in NEEDS_BODY} == {"xml"}


def test_an_operation_without_a_row_is_not_read() -> None:
    assert body_facts("PutObject", b"<<<") is NO_FACTS


def test_retention() -> None:
    body = b"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>"
    facts = body_facts("PutObjectRetention", body)
    assert (facts.lock_mode, facts.retain_until) == ("GOVERNANCE", "2030-01-01T00:00:00Z")
    assert body_facts("PutObjectRetention", b"<Retention/>") == NO_FACTS


def test_legal_hold() -> None:
    assert body_facts("PutObjectLegalHold", b"<LegalHold><Status>ON</Status></LegalHold>").legal_hold == "ON"


def test_object_tags() -> None:
    body = b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    assert body_facts("PutObjectTagging", body).object_tags == (("a", "1"),)


def test_a_new_bucket() -> None:
    assert body_facts("CreateBucket", b"") is NO_FACTS
    facts = body_facts(
        "CreateBucket",
        b'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<LocationConstraint>eu-west-1</LocationConstraint>"
        b"<Tags><Tag><Key>a</Key><Value>1</Value></Tag></Tags></CreateBucketConfiguration>",
    )
    assert (facts.location, facts.bucket_tags) == ("eu-west-1", (("a", "1"),))
    assert "Tags" in facts.elements


def test_the_encryption_an_object_is_changed_to() -> None:
    arn = "arn:aws:kms:eu-central-1:123456789012:key/abc"
    body = f"<ObjectEncryption><SSE-KMS><KMSKeyArn>{arn}</KMSKeyArn></SSE-KMS></ObjectEncryption>".encode()
    facts = body_facts("UpdateObjectEncryption", body)
    assert (facts.encryption, facts.kms_key) == ("aws:kms", arn)
    assert (
        body_facts("UpdateObjectEncryption", b"<ObjectEncryption><SSE-S3/></ObjectEncryption>").encryption == "AES256"
    )


@pytest.mark.parametrize("name", ["", "abc", "alias/hr", "arn:aws:kms:r:1:alias/hr"])
def test_an_object_is_changed_to_a_key_that_its_arn_names_and_to_no_other(name: str) -> None:
    body = f"<ObjectEncryption><SSE-KMS><KMSKeyArn>{name}</KMSKeyArn></SSE-KMS></ObjectEncryption>".encode()
    with pytest.raises(S3Error, match="require a valid AWS KMS key") as caught:
        body_facts("UpdateObjectEncryption", body)
    assert caught.value.code == "InvalidRequest"


def test_the_keys_of_a_batch_delete() -> None:
    facts = body_facts("DeleteObjects", b"<Delete><Object><Key>a</Key><VersionId>1</VersionId></Object></Delete>")
    assert facts.deletes is not None
    assert [(each.key, each.version_id) for each in facts.deletes.deletions] == [("a", "1")]


def test_a_plain_restore() -> None:
    assert body_facts("RestoreObject", b"<RestoreRequest><Days>1</Days></RestoreRequest>") is NO_FACTS


@pytest.mark.parametrize("element", ["<Type>SELECT</Type>", "<OutputLocation/>", "<SelectParameters/>"])
def test_a_restore_that_writes_elsewhere_is_refused(element: str) -> None:
    with pytest.raises(S3Error) as caught:
        body_facts("RestoreObject", f"<RestoreRequest>{element}</RestoreRequest>".encode())
    assert caught.value.code == "NotImplemented"


def test_event_holds_are_refused() -> None:
    with pytest.raises(S3Error) as caught:
        body_facts("PutObjectRetention", b"<Retention><EventHold>ON</EventHold></Retention>")
    assert caught.value.code == "NotImplemented"


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("PutObjectRetention", b""),
        ("PutObjectRetention", b"<Retention><Mode>A</Mode><Mode>B</Mode></Retention>"),
        ("PutObjectRetention", b"<Retention><Mode> GOVERNANCE</Mode></Retention>"),
        ("PutObjectRetention", b"<Retention><Mode><X/></Mode></Retention>"),
        ("PutObjectRetention", b"<Retention><Unknown/></Retention>"),
        ("PutObjectRetention", b"<retention/>"),
        ("PutObjectRetention", b'<!DOCTYPE r [<!ENTITY e "x">]><Retention><Mode>&e;</Mode></Retention>'),
        ("PutObjectLegalHold", b"<LegalHold><Status>ON</Status><Status>OFF</Status></LegalHold>"),
        ("PutObjectTagging", b"<Tagging/>"),
        ("CreateBucket", b"<CreateBucketConfiguration><Odd/></CreateBucketConfiguration>"),
        ("CreateBucket", b" "),
        ("UpdateObjectEncryption", b"<ObjectEncryption/>"),
        ("UpdateObjectEncryption", b"<ObjectEncryption><SSE-S3/><SSE-KMS/></ObjectEncryption>"),
        ("UpdateObjectEncryption", b"<ObjectEncryption><SSE-KMS><Odd/></SSE-KMS></ObjectEncryption>"),
        ("RestoreObject", b"<RestoreRequest><Odd/></RestoreRequest>"),
        ("DeleteObjects", b"<Delete/>"),
    ],
)
def test_what_is_not_understood_whole_is_refused(operation: str, body: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        body_facts(operation, body)
    assert caught.value.code == "MalformedXML"

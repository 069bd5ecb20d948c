"""Records read as CloudTrail's and OCSF's own."""

from __future__ import annotations

import json

import jsonschema
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from proxy.audit.chain import Head, link
from proxy.audit.event import to_fields
from proxy.audit.render import OCSF_VERSION, RENDERINGS, cloudtrail, ocsf
from tests.audit.conftest import KEY, event

# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html: the
# fields that are not optional, and all others.
ALWAYS = {
    "eventTime", "eventVersion", "userIdentity", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "eventID",
    "eventType", "recipientAccountId", "eventCategory",
}  # fmt: skip
OPTIONAL = {
    "userAgent", "errorCode", "errorMessage", "requestParameters", "responseElements", "additionalEventData",
    "requestID", "apiVersion", "managementEvent", "readOnly", "resources", "serviceEventDetails", "sharedEventID",
    "vpcEndpointId",
    "vpcEndpointAccountId", "addendum", "sessionCredentialFromConsole", "eventContext", "edgeDeviceDetails",
    "tlsDetails",
}  # fmt: skip
# .../cloudtrail-event-reference-user-identity.html
IDENTITY = {
    "type", "userName", "principalId", "arn", "accountId", "accessKeyId", "sessionContext", "invokedBy",
    "sessionIssuer", "webIdFederationData", "onBehalfOf", "inScopeOf", "credentialId", "identityProvider",
}  # fmt: skip
TYPES = {
    "Root", "IAMUser", "AssumedRole", "Role", "FederatedUser", "Directory", "AWSAccount", "AWSService",
    "IdentityCenterUser", "Unknown",
}  # fmt: skip
# Class 6003 as the schema's server exports it, closed: a field that it does not have is an error.
API_ACTIVITY = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF_VERSION)).get_class_schema(
    "api_activity", profiles=["cloud"]
)
KINDS: dict[str, dict[str, object]] = {
    "a user's": {},
    "a session's": {"principal": "arn:aws:sts::123456789012:assumed-role/r/s"},
    "an anonymous one": {"principal": None, "access_key_id": None},
    "a command's": {"principal": None, "access_key_id": None, "client": None, "user_agent": None},
    "denied": {"outcome": "denied", "error": "AccessDenied"},
    "failed": {"outcome": "failed", "error": "KMS.DisabledException", "kek": "0" * 32},
    "rewrapped from": {"action": "kms:ReEncryptFrom", "operation": "keys rewrap"},
    "rewrapped to": {"action": "kms:ReEncryptTo"},
    "generated": {"action": "kms:GenerateDataKey"},
    "a key's of unknown name": {"key": "unknown"},
    "a bucket's": {"object": None, "context": {}},
    "about a key only": {"object": None, "bucket": None},
    "without agent": {"user_agent": None},
}


def record(**changes: object) -> dict[str, object]:
    return json.loads(link(Head(), to_fields(event(1, **changes)))[0])


def test_cloudtrail_names_caller_key_and_context() -> None:
    written = cloudtrail(record())
    assert written["eventSource"] == "kms.amazonaws.com"
    assert (written["eventName"], written["awsRegion"], written["eventTime"]) == (
        "Decrypt",
        "eu-central-1",
        "2026-11-18T11:06:41Z",
    )
    assert written["userIdentity"] == {
        "type": "IAMUser",
        "arn": "arn:aws:iam::123456789012:user/alice",
        "accountId": "123456789012",
        "accessKeyId": "AKIAALICE",
        "userName": "alice",
    }
    assert written["requestParameters"] == {
        "keyId": KEY,
        "encryptionContext": {"aws:s3:arn": "arn:aws:s3:::hr-data/file-1"},
    }
    assert written["resources"] == [{"accountId": "123456789012", "type": "AWS::KMS::Key", "ARN": KEY}]
    assert "errorCode" not in written


def test_a_refusal_is_an_error_there() -> None:
    assert cloudtrail(record(outcome="denied", error="AccessDenied"))["errorCode"] == "AccessDenied"
    assert ocsf(record(outcome="denied"))["status_id"] == 2


@pytest.mark.parametrize(
    ("principal", "kind"),
    [
        ("arn:aws:sts::123456789012:assumed-role/r/s", "AssumedRole"),
        ("arn:aws:iam::123456789012:root", "Root"),
        (None, "AWSAccount"),
    ],
)
def test_every_kind_of_caller_has_cloudtrails_name(principal: str | None, kind: str) -> None:
    identity = cloudtrail(record(principal=principal))["userIdentity"]
    assert isinstance(identity, dict)
    assert identity["type"] == kind


def test_ocsf_is_an_api_activity() -> None:
    written = ocsf(record())
    assert (written["class_uid"], written["type_uid"], written["time"]) == (6003, 600302, 1_795_000_001_125)
    assert ocsf(record(action="kms:GenerateDataKey"))["type_uid"] == 600303
    resources = written["resources"]
    assert isinstance(resources, list)
    assert resources[1]["uid"] == "arn:aws:s3:::hr-data/file-1"


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_every_event_fits_the_published_schema_of_ocsf(changes: dict[str, object]) -> None:
    validator = jsonschema.Draft202012Validator(API_ACTIVITY)
    assert [error.message for error in validator.iter_errors(ocsf(record(**changes)))] == []


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_every_event_has_the_fields_that_cloudtrail_publishes_and_no_others(changes: dict[str, object]) -> None:
    written = cloudtrail(record(**changes))
    assert set(written) - ALWAYS <= OPTIONAL
    assert set(written) >= ALWAYS
    assert all(isinstance(written[name], str) for name in ALWAYS - {"userIdentity"})
    identity = written["userIdentity"]
    assert isinstance(identity, dict)
    assert set(identity) <= IDENTITY
    assert identity["type"] in TYPES


def test_rewrapping_is_the_call_that_kms_has_for_it() -> None:
    source, target = (cloudtrail(record(action=f"kms:ReEncrypt{side}")) for side in ("From", "To"))
    assert source["eventName"] == target["eventName"] == "ReEncrypt"
    assert (source["requestParameters"], target["requestParameters"]) == (
        {"sourceKeyId": KEY, "sourceEncryptionContext": {"aws:s3:arn": "arn:aws:s3:::hr-data/file-1"}},
        {"destinationKeyId": KEY, "destinationEncryptionContext": {"aws:s3:arn": "arn:aws:s3:::hr-data/file-1"}},
    )


def test_an_event_keeps_its_id_however_often_it_is_exported() -> None:
    assert (
        cloudtrail(record())["eventID"] == cloudtrail(record())["eventID"] != cloudtrail(record(error="x"))["eventID"]
    )
    assert set(RENDERINGS) == {"native", "cloudtrail", "ocsf"}
    assert RENDERINGS["native"](record()) == record()

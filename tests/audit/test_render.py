"""Records read as CloudTrail's and OCSF's own."""

from __future__ import annotations

import json

import pytest

from proxy.audit.chain import Head, link
from proxy.audit.event import to_fields
from proxy.audit.render import RENDERINGS, cloudtrail, ocsf
from tests.audit.conftest import KEY, event


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


def test_an_event_keeps_its_id_however_often_it_is_exported() -> None:
    assert (
        cloudtrail(record())["eventID"] == cloudtrail(record())["eventID"] != cloudtrail(record(error="x"))["eventID"]
    )
    assert set(RENDERINGS) == {"native", "cloudtrail", "ocsf"}
    assert RENDERINGS["native"](record()) == record()

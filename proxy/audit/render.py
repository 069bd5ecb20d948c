"""Records of the trail as others expect them: CloudTrail's and OCSF's forms.

Sources: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html,
https://docs.aws.amazon.com/kms/latest/developerguide/ct-decrypt.html, https://schema.ocsf.io/1.3.0/classes/api_activity
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias

Record: TypeAlias = Mapping[str, object]
Rendering: TypeAlias = Callable[[Record], dict[str, object]]

_NAMESPACE = uuid.UUID("6f6ad6d4-0f0e-4f4b-9d5b-7a1d6d1f6b5c")
# OCSF 6003: what the call did.
_READ, _UPDATE = 2, 3


def cloudtrail(record: Record) -> dict[str, object]:
    """Return a record as the CloudTrail event that KMS would have logged."""
    key, action = str(record.get("key", "")), str(record.get("action", ""))
    _, _, _, region, account, _ = key.split(":", 5)
    event: dict[str, object] = {
        "eventVersion": "1.09",
        "userIdentity": _identity(record),
        "eventTime": str(record.get("time", ""))[:19] + "Z",
        "eventSource": "kms.amazonaws.com",
        "eventName": action.partition(":")[2],
        "awsRegion": region,
        "sourceIPAddress": record.get("client"),
        "userAgent": record.get("user_agent"),
        "requestParameters": {"keyId": key, "encryptionContext": record.get("context", {})},
        "responseElements": None,
        "additionalEventData": {
            name: record[name] for name in ("operation", "bucket", "object", "kek") if name in record
        },
        "requestID": record.get("request_id"),
        "eventID": str(_event_id(record)),
        "readOnly": action == "kms:Decrypt",
        "resources": [{"accountId": account, "type": "AWS::KMS::Key", "ARN": key}],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
        "eventCategory": "Management",
    }
    if record.get("outcome") != "allowed":
        event["errorCode"] = record.get("error") or "AccessDenied"
        event["errorMessage"] = str(record.get("outcome"))
    return event


def ocsf(record: Record) -> dict[str, object]:
    """Return a record as an OCSF API Activity event (class 6003)."""
    key, action = str(record.get("key", "")), str(record.get("action", ""))
    _, _, _, region, account, _ = key.split(":", 5)
    allowed = record.get("outcome") == "allowed"
    activity = _READ if action == "kms:Decrypt" else _UPDATE
    time = datetime.fromisoformat(str(record.get("time", "")))
    resources = [{"uid": key, "type": "AWS::KMS::Key", "owner": {"account": {"uid": account}}}]
    if "bucket" in record:
        name = f"arn:aws:s3:::{record['bucket']}" + (f"/{record['object']}" if "object" in record else "")
        resources.append({"uid": name, "type": "AWS::S3::Object"})
    event: dict[str, object] = {
        "class_uid": 6003,
        "class_name": "API Activity",
        "category_uid": 6,
        "category_name": "Application Activity",
        "activity_id": activity,
        "type_uid": 600300 + activity,
        "time": int(time.timestamp() * 1000),
        "severity_id": 1 if allowed else 3,
        "status_id": 1 if allowed else 2,
        "status_code": record.get("error"),
        "api": {
            "operation": action.partition(":")[2],
            "service": {"name": "kms.amazonaws.com"},
            "request": {"uid": record.get("request_id")},
        },
        "actor": {"user": {"uid": record.get("principal"), "credential_uid": record.get("access_key_id")}},
        "src_endpoint": {"ip": record.get("client")},
        "http_request": {"user_agent": record.get("user_agent")},
        "cloud": {"provider": "AWS", "region": region, "account": {"uid": account}},
        "resources": resources,
        "metadata": {
            "version": "1.3.0",
            "uid": str(_event_id(record)),
            "product": {"name": "s3warden", "vendor_name": "s3warden"},
        },
        "unmapped": {name: record[name] for name in ("operation", "kek", "context", "outcome") if name in record},
    }
    return event


def native(record: Record) -> dict[str, object]:
    """Return a record as it is."""
    return dict(record)


RENDERINGS: Mapping[str, Rendering] = MappingProxyType({"native": native, "cloudtrail": cloudtrail, "ocsf": ocsf})


def _identity(record: Record) -> dict[str, object]:
    arn = record.get("principal")
    if not isinstance(arn, str):
        return {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}
    resource = arn.split(":", 5)[5]
    kind = {"assumed-role": "AssumedRole", "federated-user": "FederatedUser", "root": "Root"}.get(
        resource.partition("/")[0], "IAMUser"
    )
    identity: dict[str, object] = {"type": kind, "arn": arn, "accountId": arn.split(":")[4]}
    if "access_key_id" in record:
        identity["accessKeyId"] = record["access_key_id"]
    if kind == "IAMUser":
        identity["userName"] = resource.rpartition("/")[2]
    return identity


def _event_id(record: Record) -> uuid.UUID:
    """Name a record the same way every time it is exported."""
    return uuid.uuid5(_NAMESPACE, str(record.get("hash", "")))

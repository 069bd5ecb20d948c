"""Records of the trail as others expect them: CloudTrail's and OCSF's forms.

Sources: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html,
https://docs.aws.amazon.com/kms/latest/developerguide/ct-decrypt.html and ct-reencrypt.html,
https://schema.ocsf.io/1.3.0/classes/api_activity
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
_ARN_PARTS = 6
SELF = "s3warden"
"""Who acts where no client does."""
OCSF_VERSION = "1.3.0"
# OCSF 6003: what the call did.
_READ, _UPDATE = 2, 3
_KEY_TYPE = "AWS::KMS::Key"


def cloudtrail(record: Record) -> dict[str, object]:
    """Return a record as the CloudTrail event that KMS would have logged."""
    key, action = str(record.get("key", "")), str(record.get("action", ""))
    region, account = _whereabouts(key)
    event: dict[str, object] = {
        "eventVersion": "1.11",
        "userIdentity": _identity(record),
        "eventTime": str(record.get("time", ""))[:19] + "Z",
        "eventSource": "kms.amazonaws.com",
        "eventName": _api(action),
        "awsRegion": region,
        "sourceIPAddress": record.get("client") or SELF,
        "userAgent": record.get("user_agent") or SELF,
        "requestParameters": _parameters(record, key, action),
        "responseElements": None,
        "additionalEventData": {
            name: record[name] for name in ("operation", "bucket", "object", "kek") if name in record
        },
        "requestID": record.get("request_id"),
        "eventID": str(_event_id(record)),
        # KMS counts everything that leaves its keys as they are.
        "readOnly": True,
        "resources": [{"accountId": account, "type": "AWS::KMS::Key", "ARN": key}] if account else [],
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
    region, account = _whereabouts(key)
    allowed = record.get("outcome") == "allowed"
    activity = _READ if action == "kms:Decrypt" else _UPDATE
    time = datetime.fromisoformat(str(record.get("time", "")))
    owner = {"owner": {"account": {"uid": account}}} if account else {}
    resources: list[dict[str, object]] = [{"uid": key, "type": "AWS::KMS::Key", **owner}]
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
        "api": {
            "operation": _api(action),
            "service": {"name": "kms.amazonaws.com"},
            "request": {"uid": str(record.get("request_id", ""))},
        },
        "actor": {"user": _user(record)},
        "src_endpoint": {"ip": record["client"]} if "client" in record else {"name": SELF},
        "cloud": {"provider": "AWS", **({"region": region, "account": {"uid": account}} if account else {})},
        "resources": resources,
        "metadata": {
            "version": OCSF_VERSION,
            "profiles": ["cloud"],
            "uid": str(_event_id(record)),
            "product": {"name": SELF, "vendor_name": SELF},
        },
        "unmapped": {name: record[name] for name in ("operation", "kek", "context", "outcome") if name in record},
    }
    if "error" in record:
        event["status_code"] = record["error"]
    if "user_agent" in record:
        event["http_request"] = {"user_agent": record["user_agent"]}
    return event


def native(record: Record) -> dict[str, object]:
    """Return a record as it is."""
    return dict(record)


RENDERINGS: Mapping[str, Rendering] = MappingProxyType({"native": native, "cloudtrail": cloudtrail, "ocsf": ocsf})


def _whereabouts(key: str) -> tuple[str, str]:
    """Return region and account of a key; empty for one that is not known by an ARN."""
    parts = key.split(":", 5)
    return (parts[3], parts[4]) if len(parts) == _ARN_PARTS and parts[0] == "arn" else ("", "")


def _api(action: str) -> str:
    """Return the call: permissions have two sides of ReEncrypt."""
    name = action.partition(":")[2]
    return "ReEncrypt" if name in ("ReEncryptFrom", "ReEncryptTo") else name


def _parameters(record: Record, key: str, action: str) -> dict[str, object]:
    side = {"kms:ReEncryptFrom": "source", "kms:ReEncryptTo": "destination"}.get(action)
    context = record.get("context", {})
    if side is None:
        return {"keyId": key, "encryptionContext": context}
    return {f"{side}KeyId": key, f"{side}EncryptionContext": context}


def _user(record: Record) -> dict[str, object]:
    if "principal" not in record:
        # Commands come from nowhere: whoever runs one is known to the machine only.
        return {"name": "anonymous" if "client" in record else SELF}
    known = {"credential_uid": record["access_key_id"]} if "access_key_id" in record else {}
    return {"uid": record["principal"], **known}


def _identity(record: Record) -> dict[str, object]:
    arn = record.get("principal")
    if not isinstance(arn, str) and "client" not in record:
        return {"type": "AWSService", "invokedBy": SELF}
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

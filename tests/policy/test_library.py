"""Every policy of the library does what its description says, and spares what conforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from proxy import yamldoc
from proxy.policy.evaluate import AccessRequest, Decision, decide
from proxy.policy.index import PolicyGroup
from proxy.policy.parse import parse_policy
from proxy.policy.principals import ANONYMOUS, Principal
from proxy.policy.store import load_policies, policy_files
from proxy.schemas import load_schema

POLICIES = Path(__file__).parents[2] / "policies"
LIBRARY = POLICIES / "library"
ACCOUNT = "123456789012"
ALICE = Principal(f"arn:aws:iam::{ACCOUNT}:user/alice")
KEY_ARN = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"

SSE = "s3:x-amz-server-side-encryption"
KEY = "s3:x-amz-server-side-encryption-aws-kms-key-id"
SSE_C = "s3:x-amz-server-side-encryption-customer-algorithm"
ACL = "s3:x-amz-acl"
SHA = "s3:x-amz-content-sha256"
TLS = {"aws:securetransport": "true", "s3:tlsversion": "1.3"}
HTTP = {"aws:securetransport": "false"}
SIGNED = {"s3:signatureversion": "AWS4-HMAC-SHA256", "s3:authtype": "REST-HEADER", "s3:signatureage": "900"}
PRESIGNED = SIGNED | {"s3:authtype": "REST-QUERY-STRING"}
CREATES = {"s3:objectcreationoperation": "true"}
GROUP = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'

PUT, UPDATE, GET, LIST = "s3:PutObject", "s3:UpdateObjectEncryption", "s3:GetObject", "s3:ListBucket"
PUT_ACL, BUCKET_ACL = "s3:PutObjectAcl", "s3:PutBucketAcl"

# policy -> action, context, the Sid that denies it (None: it is spared)
CASES: dict[str, list[tuple[str, dict[str, str], str | None]]] = {
    "require-sse-s3": [
        (PUT, {SSE: "AES256"}, None),
        (PUT, {}, "OnlySseS3"),
        (PUT, {SSE: "aws:kms"}, "OnlySseS3"),
        (PUT, {SSE: "AES-256"}, "OnlySseS3"),
        (UPDATE, {SSE: "aws:kms"}, "OnlySseS3"),
        (GET, {}, None),
    ],
    "sse-missing-or-wrong": [
        (PUT, {SSE: "aws:kms"}, None),
        (PUT, {SSE: "aws:kms:dsse"}, None),
        (PUT, {}, "EncryptionMissing"),
        (PUT, {SSE: ""}, "EncryptionMissing"),
        (PUT, {SSE: "AES256"}, "EncryptionWrong"),
        (UPDATE, {SSE: "aws:kms"}, None),
    ],
    "default-encryption-or-kms": [
        (PUT, {}, None),
        (PUT, {SSE: "aws:kms"}, None),
        (PUT, {SSE: "AES256"}, "NoOtherEncryption"),
        (PUT, {SSE: "aws:Kms"}, "NoOtherEncryption"),
    ],
    "require-sse-kms": [
        (PUT, {SSE: "aws:kms"}, None),
        (PUT, {SSE: "aws:kms:dsse"}, None),
        (PUT, {SSE: "AES256"}, "OnlySseKms"),
        (PUT, {}, "OnlySseKms"),
    ],
    "require-kms-key": [
        (PUT, {SSE: "aws:kms", KEY: KEY_ARN}, None),
        (PUT, {SSE: "aws:kms", KEY: KEY_ARN.replace("1111", "9999")}, "OnlyThisKey"),
        (PUT, {SSE: "aws:kms", KEY: "11111111-2222-3333-4444-555555555555"}, "OnlyThisKey"),
        (PUT, {SSE: "aws:kms", KEY: "alias/hr"}, "OnlyThisKey"),
        (PUT, {SSE: "aws:kms"}, "OnlyThisKey"),
        (PUT, {SSE: "AES256"}, "OnlyThisKey"),
        (PUT, {}, "OnlyThisKey"),
        (UPDATE, {SSE: "aws:kms", KEY: KEY_ARN.replace("1111", "9999")}, "OnlyThisKey"),
        (UPDATE, {SSE: "aws:kms", KEY: KEY_ARN}, None),
    ],
    "forbid-sse-c": [(PUT, {}, None), (PUT, {SSE: "AES256"}, None), (PUT, {SSE_C: "AES256"}, "NoCustomerKeys")],
    "require-sse-c": [(PUT, {SSE_C: "AES256"}, None), (PUT, {SSE: "AES256"}, "OnlyCustomerKeys")],
    "tls-only": [
        (PUT, TLS, None),
        (PUT, HTTP, "NothingWithoutTls"),
        (GET, HTTP, "NothingWithoutTls"),
        (LIST, HTTP, "NothingWithoutTls"),
        (LIST, TLS, None),
    ],
    "tls-minimum": [
        (GET, TLS, None),
        (GET, TLS | {"s3:tlsversion": "1.2"}, None),
        (GET, TLS | {"s3:tlsversion": "1.1"}, "NothingBelowTls12"),
        (LIST, HTTP, "NothingWithoutTls"),
    ],
    "signature-v4-only": [
        (GET, SIGNED, None),
        (GET, PRESIGNED, None),
        (LIST, SIGNED | {"s3:signatureversion": "AWS"}, "OnlySignatureVersion4"),
        (GET, {}, "OnlySignatureVersion4"),
    ],
    "no-presigned": [
        (GET, SIGNED, None),
        (GET, PRESIGNED, "OnlySignedHeaders"),
        (PUT, SIGNED | {"s3:authtype": "POST"}, "OnlySignedHeaders"),
        (GET, {}, "OnlySignedHeaders"),
    ],
    "signature-max-age": [
        (GET, PRESIGNED, None),
        (GET, PRESIGNED | {"s3:signatureage": "600000"}, None),
        (GET, PRESIGNED | {"s3:signatureage": "600001"}, "NoOldSignatures"),
        (GET, {}, None),
    ],
    "signed-payload": [
        (PUT, {SHA: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}, None),
        (PUT, {SHA: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, None),
        (PUT, {SHA: "UNSIGNED-PAYLOAD"}, "NoUnsignedPayload"),
        (PUT, {SHA: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, "NoUnsignedPayload"),
        (GET, {SHA: "UNSIGNED-PAYLOAD"}, None),
    ],
    "no-public-acl": [
        (PUT, {}, None),
        (PUT, {ACL: "private"}, None),
        (PUT, {ACL: "public-read"}, "NoPublicCannedAcl"),
        (PUT_ACL, {ACL: "public-read-write"}, "NoPublicCannedAcl"),
        (BUCKET_ACL, {ACL: "authenticated-read"}, "NoPublicCannedAcl"),
        (PUT, {"s3:x-amz-grant-read": GROUP}, "NoPublicGrantRead"),
        (BUCKET_ACL, {"s3:x-amz-grant-write-acp": f'id="1", {GROUP}'}, "NoPublicGrantWriteAcp"),
        (PUT_ACL, {"s3:x-amz-grant-full-control": 'id="1"'}, None),
        (PUT_ACL, {}, "NoAclInTheBody"),
        (BUCKET_ACL, {}, "NoAclInTheBody"),
        ("s3:PutObjectVersionAcl", {}, "NoAclInTheBody"),
    ],
    "write-once": [
        (PUT, CREATES | {"s3:if-none-match": "*"}, None),
        (PUT, CREATES, "NoOverwriting"),
        (PUT, {"s3:objectcreationoperation": "false"}, None),
    ],
}


def decide_with(path: Path, action: str, context: dict[str, str], bucket: str, principal: Principal) -> Decision:
    """Decide with this policy and everything allowed by the identity's."""
    resource = f"arn:aws:s3:::{bucket}" if action in (LIST, BUCKET_ACL) else f"arn:aws:s3:::{bucket}/folder/key"
    identity = load_policies([POLICIES / "identity/full-access.yaml"], "identity").everything
    policies = load_policies([path], "bucket").for_bucket(bucket)
    return decide(AccessRequest(principal, action, resource, ACCOUNT, context), policies, identity)


@pytest.mark.parametrize(
    ("name", "action", "context", "sid"), [(name, *case) for name, cases in CASES.items() for case in cases]
)
def test_a_library_policy_denies_what_it_is_for_and_nothing_else(
    name: str, action: str, context: dict[str, str], sid: str | None
) -> None:
    decision = decide_with(LIBRARY / f"{name}.yaml", action, context, "example-bucket", ALICE)
    assert decision.allowed is (sid is None)
    if sid is not None:
        assert [statement.sid for statement in decision.statements] == [sid]


def test_every_policy_of_the_library_is_tested_and_listed() -> None:
    names = {path.stem for path in policy_files(LIBRARY)}
    assert names == set(CASES)
    listed = (LIBRARY / "README.md").read_text()
    assert all(f"| `{name}` |" in listed for name in names)


@pytest.mark.parametrize("path", policy_files(LIBRARY), ids=lambda path: path.stem)
def test_every_policy_of_the_library_says_what_it_does_not_cover(path: Path) -> None:
    policy = parse_policy(yamldoc.load(path), "bucket")
    assert policy.mode == "enforce"
    assert "Does not cover: " in policy.description
    assert policy.version == "2012-10-17"
    assert all(statement.sid and statement.effect == "Deny" for statement in policy.statements)


@pytest.mark.parametrize(
    "path",
    [path for path in policy_files(POLICIES) if "goals" not in path.parts],  # goals have a form of their own
    ids=lambda path: str(path.relative_to(POLICIES)),
)
def test_every_policy_that_ships_is_right_in_an_editor_too(path: Path) -> None:
    errors: list[Any] = list(Draft7Validator(load_schema("policy")).iter_errors(yamldoc.load(path).data))
    assert errors == []


def test_the_policies_of_the_library_can_be_used_together() -> None:
    pick = ("require-kms-key", "forbid-sse-c", "tls-only", "signature-v4-only", "no-public-acl")
    group = PolicyGroup(load_policies([LIBRARY / f"{name}.yaml" for name in pick], "bucket").files)
    context = TLS | SIGNED | {SSE: "aws:kms", KEY: KEY_ARN}
    identity = load_policies([POLICIES / "identity/full-access.yaml"], "identity").everything
    request = AccessRequest(ALICE, PUT, "arn:aws:s3:::example-bucket/k", ACCOUNT, context)
    assert decide(request, group, identity).allowed


@pytest.mark.parametrize(
    ("principal", "action", "context", "wanted"),
    [
        (ALICE, PUT, {SSE: "AES256"}, True),
        (ALICE, PUT, {SSE: "aws:kms"}, True),
        (ALICE, PUT, {}, False),
        (ALICE, PUT, {SSE: "none"}, False),
        (ALICE, GET, {}, True),
        (ALICE, LIST, {}, True),
        (ANONYMOUS, GET, {}, False),
        (ANONYMOUS, PUT, {SSE: "AES256"}, False),
    ],
)
def test_the_demonstration_s_policy(principal: Principal, action: str, context: dict[str, str], wanted: bool) -> None:
    path = POLICIES / "buckets/demo.yaml"
    groups = load_policies([path], "bucket").for_bucket("demo")
    own = ["identity/full-access.yaml"] if principal is ALICE else []
    identity = load_policies([POLICIES / name for name in own], "identity").everything
    resource = "arn:aws:s3:::demo" if action == LIST else "arn:aws:s3:::demo/key"
    assert decide(AccessRequest(principal, action, resource, ACCOUNT, context), groups, identity).allowed is wanted

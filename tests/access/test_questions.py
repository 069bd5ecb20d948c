"""Which actions are asked, on what: one row per operation, and what makes a request ask for more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.access.body_facts import NEEDS_BODY
from proxy.access.questions import Question, Target, questions
from proxy.errors import S3Error
from proxy.policy.names import ACTIONS
from proxy.s3.address import Domains
from proxy.s3.head import parse_head
from proxy.s3.headers import Headers
from proxy.s3.operations import OPERATIONS
from proxy.s3.request import recognise

Ask = Any

BUCKET = "arn:aws:s3:::bkt"
OBJECT = "arn:aws:s3:::bkt/k"
XML = "<{0}>{1}</{0}>".format
TAGGING = XML("Tagging", "<TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet>").encode()

# (request line, headers, body) -> what is asked. Versioned variants and extras have tables of their own below.
ROWS: dict[str, tuple[str, dict[str, str], bytes, list[tuple[str, str]]]] = {
    "AbortMultipartUpload": ("DELETE /bkt/k?uploadId=u", {}, b"", [("AbortMultipartUpload", OBJECT)]),
    "CompleteMultipartUpload": ("POST /bkt/k?uploadId=u", {}, b"", [("PutObject", OBJECT)]),
    "CopyObject": (
        "PUT /bkt/k",
        {"x-amz-copy-source": "/from/s", "x-amz-tagging-directive": "REPLACE"},
        b"",
        [("PutObject", OBJECT), ("GetObject", "arn:aws:s3:::from/s")],
    ),
    "CreateBucket": ("PUT /bkt", {}, b"", [("CreateBucket", BUCKET)]),
    "CreateMultipartUpload": ("POST /bkt/k?uploads", {}, b"", [("PutObject", OBJECT)]),
    "DeleteObject": ("DELETE /bkt/k", {}, b"", [("DeleteObject", OBJECT)]),
    "DeleteObjects": (
        "POST /bkt?delete",
        {},
        b"<Delete><Object><Key>k</Key></Object><Object><Key>o</Key><VersionId>1</VersionId></Object></Delete>",
        [("DeleteObject", OBJECT), ("DeleteObjectVersion", "arn:aws:s3:::bkt/o")],
    ),
    "GetObject": ("GET /bkt/k", {}, b"", [("GetObject", OBJECT)]),
    "GetObjectAttributes": (
        "GET /bkt/k?attributes",
        {"x-amz-object-attributes": "ETag"},
        b"",
        [("GetObject", OBJECT), ("GetObjectAttributes", OBJECT)],
    ),
    "HeadBucket": ("HEAD /bkt", {}, b"", [("ListBucket", BUCKET)]),
    "HeadObject": ("HEAD /bkt/k", {}, b"", [("GetObject", OBJECT)]),
    "ListBuckets": ("GET /", {}, b"", [("ListAllMyBuckets", "arn:aws:s3:::*")]),
    "ListMultipartUploads": ("GET /bkt?uploads", {}, b"", [("ListBucketMultipartUploads", BUCKET)]),
    "ListObjects": ("GET /bkt", {}, b"", [("ListBucket", BUCKET)]),
    "ListObjectsV2": ("GET /bkt?list-type=2", {}, b"", [("ListBucket", BUCKET)]),
    "ListObjectVersions": ("GET /bkt?versions", {}, b"", [("ListBucketVersions", BUCKET)]),
    "ListParts": ("GET /bkt/k?uploadId=u", {}, b"", [("ListMultipartUploadParts", OBJECT)]),
    "PutObject": ("PUT /bkt/k", {}, b"", [("PutObject", OBJECT)]),
    "PutObjectLegalHold": (
        "PUT /bkt/k?legal-hold",
        {},
        XML("LegalHold", "<Status>ON</Status>").encode(),
        [("PutObjectLegalHold", OBJECT)],
    ),
    "PutObjectRetention": ("PUT /bkt/k?retention", {}, b"<Retention/>", [("PutObjectRetention", OBJECT)]),
    "PutObjectTagging": ("PUT /bkt/k?tagging", {}, TAGGING, [("PutObjectTagging", OBJECT)]),
    "RestoreObject": ("POST /bkt/k?restore", {}, b"<RestoreRequest/>", [("RestoreObject", OBJECT)]),
    "SelectObjectContent": ("POST /bkt/k?select&select-type=2", {}, b"", [("GetObject", OBJECT)]),
    "UpdateObjectEncryption": (
        "PUT /bkt/k?encryption",
        {},
        b"<ObjectEncryption><SSE-S3/></ObjectEncryption>",
        [("UpdateObjectEncryption", OBJECT)],
    ),
    # With what a store does that ignores the sub-resource.
    "DeleteObjectAnnotation": (
        "DELETE /bkt/k?annotation&annotationName=a",
        {},
        b"",
        [("DeleteObjectAnnotation", OBJECT), ("DeleteObject", OBJECT)],
    ),
    "GetObjectAnnotation": (
        "GET /bkt/k?annotation&annotationName=a&versionId=7",
        {},
        b"",
        [("GetObjectAnnotation", OBJECT), ("GetObjectVersion", OBJECT)],
    ),
    "GetObjectTorrent": ("GET /bkt/k?torrent", {}, b"", [("GetObjectTorrent", OBJECT), ("GetObject", OBJECT)]),
    "ListObjectAnnotations": (
        "GET /bkt/k?annotation",
        {},
        b"",
        [("ListObjectAnnotations", OBJECT), ("GetObject", OBJECT)],
    ),
    "PutObjectAnnotation": (
        "PUT /bkt/k?annotation&annotationName=a",
        {},
        b"",
        [("PutObjectAnnotation", OBJECT), ("PutObject", OBJECT)],
    ),
    "UploadPart": ("PUT /bkt/k?partNumber=1&uploadId=u", {}, b"", [("PutObject", OBJECT)]),
    "UploadPartCopy": (
        "PUT /bkt/k?partNumber=1&uploadId=u",
        {"x-amz-copy-source": "from/s?versionId=7"},
        b"",
        [("PutObject", OBJECT), ("GetObjectVersion", "arn:aws:s3:::from/s")],
    ),
}
# Operations that ask exactly their one action, on what they address: checked from the wire form in the table.
PLAIN_ACTIONS = {
    "CreateBucketMetadataConfiguration": "CreateBucketMetadataTableConfiguration",
    "CreateBucketMetadataTableConfiguration": "CreateBucketMetadataTableConfiguration",
    "DeleteBucket": "DeleteBucket",
    "DeleteBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration": "PutInventoryConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketMetadataConfiguration": "DeleteBucketMetadataTableConfiguration",
    "DeleteBucketMetadataTableConfiguration": "DeleteBucketMetadataTableConfiguration",
    "DeleteBucketMetricsConfiguration": "PutMetricsConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketPolicy": "DeleteBucketPolicy",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteBucketWebsite": "DeleteBucketWebsite",
    "DeleteObjectTagging": "DeleteObjectTagging",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAbac": "GetBucketAbac",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketAcl": "GetBucketAcl",
    "GetBucketAnalyticsConfiguration": "GetAnalyticsConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketIntelligentTieringConfiguration": "GetIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration": "GetInventoryConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketLocation": "GetBucketLocation",
    "GetBucketLogging": "GetBucketLogging",
    "GetBucketMetadataConfiguration": "GetBucketMetadataTableConfiguration",
    "GetBucketMetadataTableConfiguration": "GetBucketMetadataTableConfiguration",
    "GetBucketMetricsConfiguration": "GetMetricsConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetBucketOwnershipControls": "GetBucketOwnershipControls",
    "GetBucketPolicy": "GetBucketPolicy",
    "GetBucketPolicyStatus": "GetBucketPolicyStatus",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetBucketRequestPayment": "GetBucketRequestPayment",
    "GetBucketTagging": "GetBucketTagging",
    "GetBucketVersioning": "GetBucketVersioning",
    "GetBucketWebsite": "GetBucketWebsite",
    "GetObjectAcl": "GetObjectAcl",
    "GetObjectLegalHold": "GetObjectLegalHold",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetObjectRetention": "GetObjectRetention",
    "GetObjectTagging": "GetObjectTagging",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "ListBucketAnalyticsConfigurations": "GetAnalyticsConfiguration",
    "ListBucketIntelligentTieringConfigurations": "GetIntelligentTieringConfiguration",
    "ListBucketInventoryConfigurations": "GetInventoryConfiguration",
    "ListBucketMetricsConfigurations": "GetMetricsConfiguration",
    "PutBucketAbac": "PutBucketAbac",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "PutBucketAcl": "PutBucketAcl",
    "PutBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "PutBucketInventoryConfiguration": "PutInventoryConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketLogging": "PutBucketLogging",
    "PutBucketMetricsConfiguration": "PutMetricsConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutBucketOwnershipControls": "PutBucketOwnershipControls",
    "PutBucketPolicy": "PutBucketPolicy",
    "PutBucketReplication": "PutReplicationConfiguration",
    "PutBucketRequestPayment": "PutBucketRequestPayment",
    "PutBucketTagging": "PutBucketTagging",
    "PutBucketVersioning": "PutBucketVersioning",
    "PutBucketWebsite": "PutBucketWebsite",
    "PutObjectAcl": "PutObjectAcl",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "UpdateBucketMetadataAnnotationTableConfiguration": "UpdateBucketMetadataAnnotationTableConfiguration",
    "UpdateBucketMetadataInventoryTableConfiguration": "UpdateBucketMetadataInventoryTableConfiguration",
    "UpdateBucketMetadataJournalTableConfiguration": "UpdateBucketMetadataJournalTableConfiguration",
}


def asked(found: tuple[Question, ...]) -> list[tuple[str, str]]:
    return [(question.action.removeprefix("s3:"), question.resource) for question in found]


def test_no_operation_is_missing_from_these_tables() -> None:
    forwarded = {row.name for row in OPERATIONS.values() if row.support == "forward" and not row.alias_of}
    assert forwarded == set(ROWS) | set(PLAIN_ACTIONS) | {"PostObject", "CorsPreflight"}


@pytest.mark.parametrize("name", ROWS)
def test_what_an_operation_asks(ask: Ask, name: str) -> None:
    line, headers, body, expected = ROWS[name]
    method, target = line.split(" ", 1)
    assert asked(ask(method, target, headers, body)) == expected


@pytest.mark.parametrize("name", PLAIN_ACTIONS)
def test_what_a_plain_operation_asks(ask: Ask, name: str) -> None:
    row = OPERATIONS[name]
    query = [row.subresource, *(f"{left}={right}" for left, right in row.fixed_query)]
    query += [f"{required}=x" for required in row.required_query]
    path = "/bkt/k" if row.scope == "object" else "/bkt"
    target = "?".join(filter(None, (path, "&".join(filter(None, query)))))
    found = ask(row.method, target, dict.fromkeys(row.required_headers, "x"))
    assert asked(found) == [(PLAIN_ACTIONS[name], OBJECT if row.scope == "object" else BUCKET)]


def test_a_form_upload_asks_about_the_key_in_its_fields(ask: Ask) -> None:
    content = {"Content-Type": "multipart/form-data; boundary=x"}
    found = ask("POST", "/bkt", content, form={"key": "up/load", "acl": "private"})
    assert asked(found) == [("PutObject", "arn:aws:s3:::bkt/up/load"), ("PutObjectAcl", "arn:aws:s3:::bkt/up/load")]
    assert found[0].target == Target("bkt", "up/load")


def test_a_form_whose_key_was_not_read_is_not_decided(ask: Ask) -> None:
    with pytest.raises(S3Error) as caught:
        ask("POST", "/bkt", {"Content-Type": "multipart/form-data; boundary=x"})
    assert caught.value.code == "InvalidRequest"


def test_a_cors_preflight_asks_nothing(ask: Ask) -> None:
    assert ask("OPTIONS", "/bkt/k", {"Origin": "https://a", "Access-Control-Request-Method": "PUT"}) == ()


@pytest.mark.parametrize(
    ("target", "actions"),
    [
        ("GET /bkt/k", ["GetObjectVersion"]),
        ("HEAD /bkt/k", ["GetObjectVersion"]),
        ("DELETE /bkt/k", ["DeleteObjectVersion"]),
        ("GET /bkt/k?acl", ["GetObjectVersionAcl"]),
        ("PUT /bkt/k?acl", ["PutObjectVersionAcl"]),
        ("GET /bkt/k?tagging", ["GetObjectVersionTagging"]),
        ("PUT /bkt/k?tagging", ["PutObjectVersionTagging"]),
        ("DELETE /bkt/k?tagging", ["DeleteObjectVersionTagging"]),
        ("GET /bkt/k?attributes", ["GetObjectVersion", "GetObjectVersionAttributes"]),
        ("GET /bkt/k?retention", ["GetObjectRetention"]),
        ("POST /bkt/k?restore", ["RestoreObject"]),
    ],
)
@pytest.mark.parametrize("version", ["null", "3sL4kqtJlcpXroDTDmJ"])
def test_a_version_id_asks_for_the_variant_about_versions(
    ask: Ask, target: str, actions: list[str], version: str
) -> None:
    method, path = target.split(" ")
    path += ("&" if "?" in path else "?") + f"versionId={version}"
    headers = {"x-amz-object-attributes": "ETag"} if "attributes" in path else {}
    body = TAGGING if method == "PUT" else b"<RestoreRequest/>"
    found = ask(method, path, headers, body)
    assert [question.action for question in found] == [f"s3:{action}" for action in actions]
    assert {question.target for question in found} == {Target("bkt", "k", version)}


def test_an_empty_version_id_is_refused(ask: Ask) -> None:
    with pytest.raises(S3Error, match="Version id cannot be the empty string"):
        ask("GET", "/bkt/k?versionId=")


NEW_OBJECT_EXTRAS = [
    ({"x-amz-acl": "private"}, ["PutObjectAcl"]),
    ({"x-amz-grant-read": "id=1"}, ["PutObjectAcl"]),
    ({"x-amz-grant-write-acp": "id=1", "x-amz-acl": "private"}, ["PutObjectAcl"]),
    ({"x-amz-tagging": "a=1"}, ["PutObjectTagging"]),
    ({"x-amz-tagging": "false"}, ["PutObjectTagging"]),
    ({"x-amz-tagging": ""}, ["PutObjectTagging"]),
    ({"x-amz-object-lock-mode": "GOVERNANCE"}, ["PutObjectRetention"]),
    ({"x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z"}, ["PutObjectRetention"]),
    ({"x-amz-object-lock-legal-hold": "ON"}, ["PutObjectLegalHold"]),
]


@pytest.mark.parametrize(("headers", "actions"), NEW_OBJECT_EXTRAS)
@pytest.mark.parametrize("line", ["PUT /bkt/k", "POST /bkt/k?uploads"])
def test_acls_tags_and_locks_of_a_new_object_are_asked_for(
    ask: Ask, line: str, headers: dict[str, str], actions: list[str]
) -> None:
    found = ask(*line.split(" "), headers)
    assert asked(found) == [("PutObject", OBJECT), *((action, OBJECT) for action in actions)]


@pytest.mark.parametrize(("headers", "actions"), NEW_OBJECT_EXTRAS)
def test_a_presigned_query_asks_like_headers(ask: Ask, headers: dict[str, str], actions: list[str]) -> None:
    query = "&".join(f"{name}={value.replace('=', '%3D')}" for name, value in headers.items())
    found = ask("PUT", f"/bkt/k?X-Amz-Signature=s&{query}")
    assert [question.action for question in found] == ["s3:PutObject", *(f"s3:{action}" for action in actions)]


@pytest.mark.parametrize(
    ("headers", "body", "actions"),
    [
        ({"x-amz-acl": "private"}, b"", ["PutBucketAcl"]),
        (
            {"x-amz-bucket-object-lock-enabled": "true"},
            b"",
            ["PutBucketObjectLockConfiguration", "PutBucketVersioning"],
        ),
        ({"x-amz-bucket-object-lock-enabled": "False"}, b"", []),
        ({"x-amz-object-ownership": "ObjectWriter"}, b"", ["PutBucketOwnershipControls"]),
        (
            {},
            XML("CreateBucketConfiguration", "<Tags><Tag><Key>a</Key><Value>1</Value></Tag></Tags>").encode(),
            ["TagResource"],
        ),
    ],
)
def test_what_a_new_bucket_asks_besides(ask: Ask, headers: dict[str, str], body: bytes, actions: list[str]) -> None:
    found = ask("PUT", "/bkt", headers, body)
    assert asked(found) == [("CreateBucket", BUCKET), *((action, BUCKET) for action in actions)]


def test_only_identity_policies_speak_before_there_is_a_bucket(ask: Ask) -> None:
    assert {question.bucket for question in ask("PUT", "/bkt", {"x-amz-acl": "private"})} == {None}
    assert {question.bucket for question in ask("GET", "/")} == {None}
    assert {question.bucket for question in ask("GET", "/bkt")} == {"bkt"}


def test_a_list_of_buckets_belongs_to_the_account_that_asks(ask: Ask) -> None:
    stranger = replace(ask.alice, arn="arn:aws:iam::210987654321:user/m", account="210987654321")
    assert ask("GET", "/", identity=stranger)[0].resource_account == "210987654321"
    assert ask("GET", "/")[0].context["aws:resourceaccount"] == ask.owner
    assert ask("PUT", "/bkt", identity=stranger)[0].resource_account == ask.owner


@pytest.mark.parametrize(("value", "asks"), [("true", True), ("TRUE", True), ("1", True), ("", True), ("false", False)])
@pytest.mark.parametrize("line", ["DELETE /bkt/k", "PUT /bkt/k?retention", "POST /bkt?delete"])
def test_bypassing_governance_is_asked_for_unless_it_is_switched_off(
    ask: Ask, line: str, value: str, asks: bool
) -> None:
    body = b"<Retention/>" if "retention" in line else b"<Delete><Object><Key>k</Key></Object></Delete>"
    found = ask(*line.split(" "), {"x-amz-bypass-governance-retention": value}, body)
    assert (("BypassGovernanceRetention", OBJECT) in asked(found)) is asks


def test_a_copy_is_judged_by_the_policies_of_both_buckets(ask: Ask) -> None:
    found = ask("PUT", "/bkt/k", {"x-amz-copy-source": "/theirs/a%20b%2Fc?versionId=7"})
    first, *rest = found
    assert (first.action, first.bucket, first.resource_account) == ("s3:PutObject", "bkt", ask.owner)
    source = rest[0]
    assert (source.action, source.bucket, source.resource_account) == (
        "s3:GetObjectVersion",
        "theirs",
        "999999999999",
    )
    assert source.resource == "arn:aws:s3:::theirs/a b/c"
    assert source.context["s3:versionid"] == "7"
    assert source.context["aws:resourceaccount"] == "999999999999"
    assert "s3:versionid" not in first.context


def test_tags_that_a_copy_takes_along_are_asked_for_in_case_there_are_any(ask: Ask) -> None:
    found = ask("PUT", "/bkt/k", {"x-amz-copy-source": "from/s"})
    assert [(question.action, question.resource, question.if_source_tagged) for question in found] == [
        ("s3:PutObject", OBJECT, False),
        ("s3:GetObject", "arn:aws:s3:::from/s", False),
        ("s3:GetObjectTagging", "arn:aws:s3:::from/s", True),
        ("s3:PutObjectTagging", OBJECT, True),
    ]
    versioned = ask("PUT", "/bkt/k", {"x-amz-copy-source": "from/s?versionId=1"})
    assert "s3:GetObjectVersionTagging" in [question.action for question in versioned]


@pytest.mark.parametrize("directive", ["replace", "COPY", "odd"])
def test_only_a_clear_replace_leaves_the_tags_behind(ask: Ask, directive: str) -> None:
    found = ask("PUT", "/bkt/k", {"x-amz-copy-source": "from/s", "x-amz-tagging-directive": directive})
    assert any(question.if_source_tagged for question in found)


def test_a_batch_delete_is_asked_key_by_key(ask: Ask) -> None:
    body = (
        b"<Delete><Object><Key>a/../b</Key></Object>"
        b'<Object><Key>c</Key><VersionId>v</VersionId><ETag>"e"</ETag></Object></Delete>'
    )
    found = ask("POST", "/bkt?delete", {"x-amz-bypass-governance-retention": "true"}, body)
    assert [(question.entry, question.action, question.resource) for question in found] == [
        (0, "s3:DeleteObject", "arn:aws:s3:::bkt/a/../b"),
        (0, "s3:BypassGovernanceRetention", "arn:aws:s3:::bkt/a/../b"),
        (1, "s3:DeleteObjectVersion", "arn:aws:s3:::bkt/c"),
        (1, "s3:BypassGovernanceRetention", "arn:aws:s3:::bkt/c"),
    ]
    assert "s3:versionid" not in found[0].context
    assert found[2].context["s3:versionid"] == "v"


@pytest.mark.parametrize(
    ("target", "resource"),
    [
        ("/bkt/a/../b", "arn:aws:s3:::bkt/a/../b"),
        ("/bkt//a//", "arn:aws:s3:::bkt//a//"),
        ("/bkt/a%2525", "arn:aws:s3:::bkt/a%25"),
        ("/bkt/a%2Fb", "arn:aws:s3:::bkt/a/b"),
        ("/bkt/%C3%A9", "arn:aws:s3:::bkt/é"),
        ("/bkt/a+b", "arn:aws:s3:::bkt/a+b"),
        ("/bkt/%2A", "arn:aws:s3:::bkt/*"),
    ],
)
def test_a_resource_is_the_key_decoded_once(ask: Ask, target: str, resource: str) -> None:
    assert ask("GET", target)[0].resource == resource


def test_the_partition_follows_the_region(ask: Ask) -> None:
    settings = replace(ask.settings, partition="aws-cn")
    assert ask("GET", "/bkt/k", settings=settings)[0].resource == "arn:aws-cn:s3:::bkt/k"


def test_every_action_is_one_that_policies_can_name() -> None:
    for row in OPERATIONS.values():
        extras = (extra.action for extra in row.extra_actions)
        actions = (*row.actions, *row.versioned_actions, *row.source_actions, *row.versioned_source_actions, *extras)
        if row.support == "forward":
            assert {action.lower() for action in actions} <= set(ACTIONS)


def test_bodies_are_read_for_every_operation_with_an_extra_in_its_body() -> None:
    assert {row.name for row in OPERATIONS.values() if any(extra.element for extra in row.extra_actions)} <= set(
        NEEDS_BODY
    )


def test_a_context_that_needs_nothing_of_its_own_is_shared(ask: Ask) -> None:
    first, second = ask("GET", "/bkt/k?attributes", {"x-amz-object-attributes": "ETag"})
    assert first.context is second.context


def test_a_body_that_was_not_read_is_never_taken_for_an_empty_one(ask: Ask) -> None:
    request = recognise(parse_head("PUT", "/bkt/k?retention", Headers()), Domains.of(()))
    with pytest.raises(ValueError, match="has to be read"):
        questions(request, ask.signed, ask.alice, ask.connection, ask.settings, ask.now)

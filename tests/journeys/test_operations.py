"""Every row of the operations table, once allowed and once for each of its actions denied, before real stores.

Each request has two callers: one who may do exactly its actions, and one who may do everything but one of
them. So every action is shown to be enough and to be needed. What a store makes of the operation is its own
business: it may not know it. That it was asked, and that it was not, is what counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.s3.operations import OPERATIONS
from proxy.server.envelope.store_side import WORKS
from tests.conftest import ACCOUNT, Store
from tests.journeys.front import Front
from tests.journeys.signing import Key, form_fields_v4, multipart, sign_v4
from tests.journeys.walking import Document, Walk, allow, identity, make_bucket, store_client, walking
from tests.journeys.wire import Wire, decode_query

VECTORS = Path(__file__).parent.parent / "vectors" / "operations.txt"
KEY = "folder/a key"
SOURCE = "folder/source"
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

DELETES = f"<Delete {NAMESPACE}><Object><Key>{KEY}</Key></Object></Delete>"
DELETES_VERSION = f"<Delete {NAMESPACE}><Object><Key>{KEY}</Key><VersionId>V</VersionId></Object></Delete>"
TAGS = f"<Tagging {NAMESPACE}><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
COPY = {"x-amz-copy-source": f"B/{SOURCE}"}
# What a request must carry beside its target.
HEADERS: dict[str, dict[str, str]] = {
    "CopyObject": COPY,
    "UploadPartCopy": COPY,
    "GetObjectAttributes": {"x-amz-object-attributes": "ETag"},
    "RenameObject": {"x-amz-rename-source": "B/other"},
    "WriteGetObjectResponse": {"x-amz-request-route": "r", "x-amz-request-token": "t"},
}
BODIES: dict[str, str] = {
    "CompleteMultipartUpload": f"<CompleteMultipartUpload {NAMESPACE}><Part><PartNumber>1</PartNumber>"
    "<ETag>e</ETag></Part></CompleteMultipartUpload>",
    "DeleteObjects": DELETES,
    "PutObject": "hello",
    "UploadPart": "hello",
    "PutObjectAnnotation": "hello",
    "PutBucketPolicy": '{"Version": "2012-10-17", "Statement": []}',
    "PutBucketTagging": TAGS,
    "PutBucketVersioning": f"<VersioningConfiguration {NAMESPACE}><Status>Enabled</Status></VersioningConfiguration>",
    "PutObjectTagging": TAGS,
    "PutObjectLegalHold": f"<LegalHold {NAMESPACE}><Status>OFF</Status></LegalHold>",
    "PutObjectRetention": f"<Retention {NAMESPACE}><Mode>GOVERNANCE</Mode>"
    "<RetainUntilDate>2027-01-01T00:00:00Z</RetainUntilDate></Retention>",
    "RestoreObject": f"<RestoreRequest {NAMESPACE}><Days>1</Days></RestoreRequest>",
    "UpdateObjectEncryption": f"<ObjectEncryption {NAMESPACE}><SSE-S3/></ObjectEncryption>",
}
NO_BODY = {"CopyObject", "UploadPartCopy", "CreateMultipartUpload", "CreateBucket"}
# Directory buckets and Object Lambda: not of this proxy's world.
REFUSED = {"CreateSession", "ListDirectoryBuckets", "RenameObject", "WriteGetObjectResponse"}


@dataclass(frozen=True)
class Row:
    """One request: its own actions, those on another object, and what is asked only for some sources."""

    label: str
    operation: str
    method: str
    target: str
    actions: tuple[str, ...]
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    source_actions: tuple[str, ...] = ()

    @property
    def bucket(self) -> str:
        return f"b{ROWS.index(self)}-{self.operation.lower()}"[:63]

    @property
    def logged_as(self) -> str:
        return OPERATIONS[self.operation].alias_of or self.operation

    @property
    def resource(self) -> str:
        if self.operation == "ListBuckets":
            return "arn:aws:s3:::*"
        on_object = "K" in self.target.partition("?")[0] or self.operation in ("DeleteObjects", "PostObject")
        return f"arn:aws:s3:::{self.bucket}" + (f"/{KEY}" if on_object else "")

    def wire(self, key: Key) -> Wire:
        """The request, of its own bucket, not signed."""
        path, _, query = self.target.partition("?")
        path = path.replace("/B", f"/{self.bucket}").replace("/K", "/" + KEY.replace(" ", "%20"))
        if self.operation == "PostObject":
            body, kind = multipart(form_fields_v4(self.bucket, KEY, key), b"hello")
            return Wire("POST", path, (), (("Content-Type", kind),), body)
        headers = tuple((name, value.replace("B/", f"{self.bucket}/")) for name, value in self.headers)
        return Wire(self.method, path, decode_query(query), headers, self.body.encode())


def read_rows() -> tuple[Row, ...]:
    found: list[Row] = []
    for line in VECTORS.read_text().splitlines():
        if line.startswith("#"):
            continue
        operation, method, target, *actions = line.split()
        body = BODIES.get(operation, "" if method not in ("PUT", "POST") or operation in NO_BODY else "<A/>")
        source = ("s3:GetObject",) if "x-amz-copy-source" in HEADERS.get(operation, {}) else ()
        label = f"{operation} of a version" if "versionId" in target else operation
        headers = tuple(HEADERS.get(operation, {}).items())
        found.append(Row(label, operation, method, target, tuple(actions), headers, body, source))
    return (*found, *EXTRAS)


def extra(label: str, operation: str, target: str, actions: str, body: str | None = None, **headers: str) -> Row:
    method = OPERATIONS[operation].method
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = tuple({**HEADERS.get(operation, {}), **named}.items())
    source = ("s3:GetObjectVersion",) if "versionId" in named.get("x-amz-copy-source", "") else ()
    if operation in ("CopyObject", "UploadPartCopy") and not source:
        source = ("s3:GetObject",)
    body = BODIES.get(operation, "") if body is None else body
    return Row(f"{operation} {label}", operation, method, target, tuple(actions.split()), pairs, body, source)


# Headers and bodies that make further actions necessary.
EXTRAS = (
    extra("with an ACL", "PutObject", "/B/K", "s3:PutObject s3:PutObjectAcl", x_amz_acl="private"),
    extra("with a grant", "PutObject", "/B/K", "s3:PutObject s3:PutObjectAcl", x_amz_grant_read='id="1"'),
    extra("with tags", "PutObject", "/B/K", "s3:PutObject s3:PutObjectTagging", x_amz_tagging="a=b"),
    extra(
        "with a retention",
        "PutObject",
        "/B/K",
        "s3:PutObject s3:PutObjectRetention",
        x_amz_object_lock_mode="GOVERNANCE",
        x_amz_object_lock_retain_until_date="2027-01-01T00:00:00Z",
    ),
    extra(
        "with a legal hold",
        "PutObject",
        "/B/K",
        "s3:PutObject s3:PutObjectLegalHold",
        x_amz_object_lock_legal_hold="OFF",
    ),
    extra(
        "with tags", "CreateMultipartUpload", "/B/K?uploads", "s3:PutObject s3:PutObjectTagging", x_amz_tagging="a=b"
    ),
    extra("of a version", "CopyObject", "/B/K", "s3:PutObject", x_amz_copy_source=f"B/{SOURCE}?versionId=V"),
    extra(
        "with new tags",
        "CopyObject",
        "/B/K",
        "s3:PutObject s3:PutObjectTagging",
        x_amz_tagging_directive="REPLACE",
        x_amz_tagging="a=b",
    ),
    extra(
        "around the lock",
        "DeleteObject",
        "/B/K",
        "s3:DeleteObject s3:BypassGovernanceRetention",
        x_amz_bypass_governance_retention="true",
    ),
    extra("with an ACL", "CreateBucket", "/B", "s3:CreateBucket s3:PutBucketAcl", x_amz_acl="private"),
    extra(
        "with locks",
        "CreateBucket",
        "/B",
        "s3:CreateBucket s3:PutBucketObjectLockConfiguration s3:PutBucketVersioning",
        x_amz_bucket_object_lock_enabled="true",
    ),
    extra(
        "with an owner",
        "CreateBucket",
        "/B",
        "s3:CreateBucket s3:PutBucketOwnershipControls",
        x_amz_object_ownership="BucketOwnerEnforced",
    ),
    extra(
        "with tags",
        "CreateBucket",
        "/B",
        "s3:CreateBucket s3:TagResource",
        f"<CreateBucketConfiguration {NAMESPACE}><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>"
        "</CreateBucketConfiguration>",
    ),
    extra("of a version", "DeleteObjects", "/B?delete", "s3:DeleteObjectVersion", DELETES_VERSION),
)
ROWS = read_rows()
FORWARDED = tuple(row for row in ROWS if row.operation not in REFUSED)
NEEDED = tuple((row, action) for row in FORWARDED for action in (*row.actions, *row.source_actions))


def copies_tags(row: Row) -> bool:
    """Tell whether the source's tags would come along, if it had any."""
    return row.operation == "CopyObject" and "x-amz-tagging-directive" not in dict(row.headers)


def exact(row: Row) -> Key:
    return Key(f"AKIAEXACT{ROWS.index(row)}", f"exact-secret-{ROWS.index(row)}")


def lacking(row: Row, action: str) -> Key:
    number = f"{ROWS.index(row)}{action.partition(':')[2].upper()}"
    return Key(f"AKIALACKS{number}", f"lacking-secret-{number}")


@pytest.fixture(scope="module")
def walk(store: Store, front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """A proxy with two callers for every request, and a bucket with an object for each."""
    identities, policies = [], {}
    for number, row in enumerate(ROWS):
        policies[f"exact{number}"] = allow(*row.actions, *row.source_actions) if row in FORWARDED else allow("s3:*")
        identities.append(identity(f"user/exact{number}", exact(row), f"exact{number}.yaml"))
    for row, action in NEEDED:
        name = f"lacks{ROWS.index(row)}{action.partition(':')[2]}"
        deny: Document = {"Effect": "Deny", "Action": action, "Resource": "*", "Sid": "Lacking"}
        everything: Document = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        policies[name] = {"Version": "2012-10-17", "Statement": [everything, deny]}
        identities.append(identity(f"user/{name}", lacking(row, action), f"{name}.yaml"))
    direct = store_client(store)
    for row in FORWARDED:
        if row.operation != "CreateBucket":
            make_bucket(direct, row.bucket, KEY, SOURCE)
    folder = tmp_path_factory.mktemp("operations")
    settings = {"policies": policies, "identities": identities, "bucket_policy_api": "forward"}
    with walking(folder, store, endpoint=front.endpoint, **settings) as running:
        yield running


def signed(walk: Walk, row: Row, key: Key) -> Wire:
    wire = row.wire(key)
    return wire if row.operation == "PostObject" else sign_v4(wire, key, walk.host)


def test_the_rows_are_all_that_there_are() -> None:
    assert {row.operation for row in ROWS} == set(OPERATIONS) - {"CorsPreflight"}
    assert all(row.actions == OPERATIONS[row.operation].actions for row in ROWS if row.label == row.operation)


@pytest.mark.parametrize(("row", "action"), NEEDED, ids=[f"{row.label}, {action}" for row, action in NEEDED])
def test_without_one_of_its_actions_a_request_is_denied_and_the_store_is_not_asked(
    walk: Walk, front: Front, row: Row, action: str
) -> None:
    with front.watched() as seen:
        answer = walk.send(signed(walk, row, lacking(row, action)))
    decision = walk.decision(answer)
    assert (decision["operation"], decision["decision"]) == (row.logged_as, "explicit_deny")
    assert action in decision["actions"]
    assert "Lacking" in [each["sid"] for each in decision["statements"]]
    assert seen == []
    if row.operation == "DeleteObjects":
        # One answer for the batch, in which each key has its own.
        assert (answer.status, answer.element("Code"), answer.element("Key")) == (200, "AccessDenied", KEY)
        return
    assert (answer.status, decision["error"]) == (403, "AccessDenied")
    if row.method == "HEAD":
        assert answer.body == b""
    else:
        assert answer.code == "AccessDenied"
        assert f"is not authorized to perform: {action}" in answer.element("Message")
        assert answer.headers["Content-Type"] == "application/xml"


@pytest.mark.parametrize("row", FORWARDED, ids=[row.label for row in FORWARDED])
def test_with_its_actions_and_no_others_a_request_reaches_the_store(walk: Walk, front: Front, row: Row) -> None:
    with front.watched() as seen:
        answer = walk.send(signed(walk, row, exact(row)))
    decision = walk.decision(answer)
    if copies_tags(row) and front.name == "rclone":
        # It knows no tags. A caller who may not copy any must not be served while nobody knows if there are some.
        assert (answer.code, len(seen)) == ("ServiceUnavailable", 1)
        assert "object tags" in decision["detail"]
        return
    assert (decision["operation"], decision["decision"]) == (row.logged_as, "allow")
    asked = set(decision["actions"])
    if copies_tags(row):
        looked_up, *seen = seen
        assert (looked_up.method, looked_up.target.partition("?")[2][:7]) == ("GET", "tagging")
    if row.operation in WORKS:
        # The store works on an object by itself: first it is asked what kind of object that is.
        looked_at, *seen = seen
        assert looked_at.method == "HEAD"
    assert asked == {*row.actions, *row.source_actions}
    source = [f"arn:aws:s3:::{row.bucket}/{SOURCE}"] if row.source_actions else []
    assert decision["resources"] == [row.resource, *source]
    assert decision["principal"] == f"arn:aws:iam::{ACCOUNT}:user/exact{ROWS.index(row)}"
    [sent] = seen
    assert sent.whole
    assert sent.method == ("PUT" if row.operation == "PostObject" else row.method)
    assert sent.path == row.wire(exact(row)).path + (
        f"/{KEY.replace(' ', '%20')}" if row.operation == "PostObject" else ""
    )
    assert "AKIAEXACT" not in str(sent.headers)


@pytest.mark.parametrize("row", [row for row in ROWS if row.operation in REFUSED], ids=lambda row: row.label)
def test_what_is_not_supported_is_refused_even_to_who_may_do_everything(walk: Walk, front: Front, row: Row) -> None:
    with front.watched() as seen:
        answer = walk.send(signed(walk, row, exact(row)))
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert row.operation in answer.element("Message")
    assert walk.decision(answer)["decision"] == "none"
    assert seen == []

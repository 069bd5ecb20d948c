"""THE TABLE: every S3 operation, how it is told apart on the wire, and which IAM actions it needs.

Recognition, policy actions, metric labels, the linter's known names and a reference page are all made
from these rows. A request that fits no row is refused elsewhere; nothing here guesses.

Sources: the S3 service model of botocore 1.44.5 (116 operations), the Amazon S3 API Reference for the
two that are not in it (form upload, CORS preflight), and the Service Authorization Reference for actions
(https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from proxy.s3.operation import ExtraAction, Operation, Scope, row

_GRANTS = "x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write x-amz-grant-write-acp"
_ACL = f"x-amz-acl {_GRANTS}"
_SSE_C = " ".join(f"x-amz-server-side-encryption-customer-{part}" for part in ("algorithm", "key", "key-md5"))
_SSE = (
    "x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id "
    f"x-amz-server-side-encryption-bucket-key-enabled x-amz-server-side-encryption-context {_SSE_C}"
)
_RETENTION = "x-amz-object-lock-mode x-amz-object-lock-retain-until-date"
_LEGAL_HOLD = "x-amz-object-lock-legal-hold"
_NEW_OBJECT = (
    f"{_ACL} {_SSE} {_RETENTION} {_LEGAL_HOLD} x-amz-storage-class x-amz-tagging x-amz-website-redirect-location"
)
_COPY_SOURCE = (
    "x-amz-copy-source x-amz-copy-source-if-match x-amz-copy-source-if-modified-since x-amz-copy-source-if-none-match "
    "x-amz-copy-source-if-unmodified-since x-amz-source-expected-bucket-owner "
    + _SSE_C.replace("x-amz-", "x-amz-copy-source-")
)
_DIRECTIVES = "x-amz-metadata-directive x-amz-tagging-directive x-amz-object-annotation-directive"
_BYPASS = "x-amz-bypass-governance-retention"
_ATTRIBUTES = "x-amz-optional-object-attributes"

_ON_NEW_OBJECT = (
    ExtraAction("s3:PutObjectAcl", tuple(_ACL.split())),
    ExtraAction("s3:PutObjectTagging", ("x-amz-tagging",)),
    ExtraAction("s3:PutObjectRetention", tuple(_RETENTION.split())),
    ExtraAction("s3:PutObjectLegalHold", (_LEGAL_HOLD,)),
)
_ON_NEW_BUCKET = (
    ExtraAction("s3:PutBucketAcl", tuple(_ACL.split())),
    ExtraAction("s3:PutBucketObjectLockConfiguration", ("x-amz-bucket-object-lock-enabled",)),
    ExtraAction("s3:PutBucketVersioning", ("x-amz-bucket-object-lock-enabled",)),
    ExtraAction("s3:PutBucketOwnershipControls", ("x-amz-object-ownership",)),
    ExtraAction("s3:TagResource", element="Tags"),
)
_ON_BYPASS = (ExtraAction("s3:BypassGovernanceRetention", (_BYPASS,)),)

_OVERRIDES = (
    "response-cache-control response-content-disposition response-content-encoding response-content-language "
    "response-content-type response-expires"
)
_LIST = "delimiter encoding-type max-keys prefix"

_B: Scope = "bucket"
_O: Scope = "object"

# One operation is one or two lines here, to be read as a table; a row says only what differs from its
# method's usual shape: PUT and POST take XML and answer nothing, GET answers XML, DELETE and HEAD do neither.
# fmt: off
_ROWS: tuple[Operation, ...] = (
    # Objects
    row("GetObject", "GET", _O, "", "GetObject", versioned="GetObjectVersion",
        optional=f"partNumber versionId {_OVERRIDES}", headers=_SSE_C, answer="stream"),
    row("HeadObject", "HEAD", _O, "", "GetObject", versioned="GetObjectVersion",
        optional=f"partNumber versionId {_OVERRIDES}", headers=_SSE_C),
    row("PutObject", "PUT", _O, "", "PutObject", headers=_NEW_OBJECT, extra=_ON_NEW_OBJECT, creation=True,
        body="stream"),
    row("CopyObject", "PUT", _O, "", "PutObject", required_headers="x-amz-copy-source",
        headers=f"{_NEW_OBJECT} {_COPY_SOURCE} {_DIRECTIVES}",
        source=True, extra=_ON_NEW_OBJECT, creation=True, body="none", answer="xml", late_errors=True),
    row("PostObject", "POST", _B, "", "PutObject", resource="object", extra=_ON_NEW_OBJECT, creation=True,
        body="form"),
    row("DeleteObject", "DELETE", _O, "", "DeleteObject", versioned="DeleteObjectVersion", optional="versionId",
        headers=f"{_BYPASS} x-amz-if-match-last-modified-time x-amz-if-match-size x-amz-mfa", extra=_ON_BYPASS),
    row("DeleteObjects", "POST", _B, "delete", "DeleteObject", versioned="DeleteObjectVersion", resource="object",
        headers=f"{_BYPASS} x-amz-mfa", extra=_ON_BYPASS, answer="xml", digest=True),
    row("RestoreObject", "POST", _O, "restore", "RestoreObject", optional="versionId"),
    row("SelectObjectContent", "POST", _O, "select select-type=2", "GetObject", headers=_SSE_C, answer="stream"),
    row("RenameObject", "PUT", _O, "renameObject", "s3express:CreateSession", required_headers="x-amz-rename-source",
        body="none", support="refuse"),
    row("UpdateObjectEncryption", "PUT", _O, "encryption", "UpdateObjectEncryption", optional="versionId",
        digest=True),
    # Multipart uploads
    row("CreateMultipartUpload", "POST", _O, "uploads", "PutObject", headers=_NEW_OBJECT, extra=_ON_NEW_OBJECT,
        creation=False, body="none", answer="xml"),
    row("UploadPart", "PUT", _O, "", "PutObject", required="partNumber uploadId", headers=_SSE_C, creation=False,
        body="stream"),
    row("UploadPartCopy", "PUT", _O, "", "PutObject", required="partNumber uploadId",
        required_headers="x-amz-copy-source", headers=f"{_COPY_SOURCE} {_SSE_C} x-amz-copy-source-range", source=True,
        creation=False, body="none", answer="xml", late_errors=True),
    row("CompleteMultipartUpload", "POST", _O, "", "PutObject", required="uploadId",
        headers=f"{_SSE_C} x-amz-mp-object-size", creation=True, answer="xml", late_errors=True),
    row("AbortMultipartUpload", "DELETE", _O, "", "AbortMultipartUpload", required="uploadId",
        headers="x-amz-if-match-initiated-time"),
    row("ListParts", "GET", _O, "", "ListMultipartUploadParts", required="uploadId",
        optional="max-parts part-number-marker encoding-type", headers=_SSE_C),
    row("ListMultipartUploads", "GET", _B, "uploads", "ListBucketMultipartUploads",
        optional="delimiter encoding-type key-marker max-uploads prefix upload-id-marker"),
    # What belongs to an object
    row("GetObjectAcl", "GET", _O, "acl", "GetObjectAcl", versioned="GetObjectVersionAcl", optional="versionId"),
    row("PutObjectAcl", "PUT", _O, "acl", "PutObjectAcl", versioned="PutObjectVersionAcl", optional="versionId",
        headers=_ACL, digest=True),
    row("GetObjectTagging", "GET", _O, "tagging", "GetObjectTagging", versioned="GetObjectVersionTagging",
        optional="versionId"),
    row("PutObjectTagging", "PUT", _O, "tagging", "PutObjectTagging", versioned="PutObjectVersionTagging",
        optional="versionId", digest=True),
    row("DeleteObjectTagging", "DELETE", _O, "tagging", "DeleteObjectTagging", versioned="DeleteObjectVersionTagging",
        optional="versionId"),
    row("GetObjectAttributes", "GET", _O, "attributes", "GetObject GetObjectAttributes",
        versioned="GetObjectVersion GetObjectVersionAttributes", optional="versionId",
        required_headers="x-amz-object-attributes", headers=f"{_SSE_C} x-amz-max-parts x-amz-part-number-marker"),
    row("GetObjectLegalHold", "GET", _O, "legal-hold", "GetObjectLegalHold", optional="versionId"),
    row("PutObjectLegalHold", "PUT", _O, "legal-hold", "PutObjectLegalHold", optional="versionId", digest=True),
    row("GetObjectRetention", "GET", _O, "retention", "GetObjectRetention", optional="versionId"),
    row("PutObjectRetention", "PUT", _O, "retention", "PutObjectRetention", optional="versionId", headers=_BYPASS,
        extra=_ON_BYPASS, digest=True),
    # The service model has no versionId here, the action with Version in its name exists all the same.
    # Most stores do not know these five, and many ignore what they do not know: they read, write or delete the object
    # itself. So the caller must be allowed that, too.
    row("GetObjectTorrent", "GET", _O, "torrent", "GetObjectTorrent GetObject",
        versioned="GetObjectVersionTorrent GetObjectVersion", optional="versionId", answer="stream"),
    row("GetObjectAnnotation", "GET", _O, "annotation", "GetObjectAnnotation GetObject",
        versioned="GetObjectAnnotation GetObjectVersion", required="annotationName", optional="versionId",
        answer="stream"),
    row("PutObjectAnnotation", "PUT", _O, "annotation", "PutObjectAnnotation PutObject", required="annotationName",
        optional="versionId", headers="x-amz-object-if-match", body="stream", answer="xml"),
    row("DeleteObjectAnnotation", "DELETE", _O, "annotation", "DeleteObjectAnnotation DeleteObject",
        versioned="DeleteObjectAnnotation DeleteObjectVersion", required="annotationName", optional="versionId",
        headers="x-amz-object-if-match"),
    row("ListObjectAnnotations", "GET", _O, "annotation", "ListObjectAnnotations GetObject",
        versioned="ListObjectAnnotations GetObjectVersion",
        optional="annotation-prefix continuation-token max-annotation-results versionId"),
    # Buckets and their listings
    row("ListBuckets", "GET", "service", "", "ListAllMyBuckets",
        optional="bucket-region continuation-token max-buckets prefix"),
    # Shares its wire form with ListBuckets except for this one key, so that key is what marks it.
    row("ListDirectoryBuckets", "GET", "service", "", "s3express:ListAllMyDirectoryBuckets",
        required="max-directory-buckets", optional="continuation-token", support="refuse"),
    row("CreateBucket", "PUT", _B, "", "CreateBucket",
        headers=f"{_ACL} x-amz-bucket-namespace x-amz-bucket-object-lock-enabled x-amz-object-ownership",
        extra=_ON_NEW_BUCKET),
    row("HeadBucket", "HEAD", _B, "", "ListBucket"),
    row("DeleteBucket", "DELETE", _B, "", "DeleteBucket"),
    row("ListObjects", "GET", _B, "", "ListBucket", optional=f"{_LIST} marker", headers=_ATTRIBUTES),
    row("ListObjectsV2", "GET", _B, "list-type=2", "ListBucket",
        optional=f"{_LIST} continuation-token fetch-owner start-after", headers=_ATTRIBUTES),
    row("ListObjectVersions", "GET", _B, "versions", "ListBucketVersions",
        optional=f"{_LIST} key-marker version-id-marker", headers=_ATTRIBUTES),
    row("CreateSession", "GET", _B, "session", "s3express:CreateSession", headers=f"{_SSE} x-amz-create-session-mode",
        support="refuse"),
    # What belongs to a bucket
    row("GetBucketAbac", "GET", _B, "abac", "GetBucketAbac"),
    row("PutBucketAbac", "PUT", _B, "abac", "PutBucketAbac"),
    row("GetBucketAccelerateConfiguration", "GET", _B, "accelerate", "GetAccelerateConfiguration"),
    row("PutBucketAccelerateConfiguration", "PUT", _B, "accelerate", "PutAccelerateConfiguration"),
    row("GetBucketAcl", "GET", _B, "acl", "GetBucketAcl"),
    row("PutBucketAcl", "PUT", _B, "acl", "PutBucketAcl", headers=_ACL, digest=True),
    row("GetBucketAnalyticsConfiguration", "GET", _B, "analytics", "GetAnalyticsConfiguration", required="id"),
    row("PutBucketAnalyticsConfiguration", "PUT", _B, "analytics", "PutAnalyticsConfiguration", required="id"),
    row("DeleteBucketAnalyticsConfiguration", "DELETE", _B, "analytics", "PutAnalyticsConfiguration", required="id"),
    row("ListBucketAnalyticsConfigurations", "GET", _B, "analytics", "GetAnalyticsConfiguration",
        optional="continuation-token"),
    row("GetBucketCors", "GET", _B, "cors", "GetBucketCORS"),
    row("PutBucketCors", "PUT", _B, "cors", "PutBucketCORS", digest=True),
    row("DeleteBucketCors", "DELETE", _B, "cors", "PutBucketCORS"),
    row("GetBucketEncryption", "GET", _B, "encryption", "GetEncryptionConfiguration"),
    row("PutBucketEncryption", "PUT", _B, "encryption", "PutEncryptionConfiguration", digest=True),
    row("DeleteBucketEncryption", "DELETE", _B, "encryption", "PutEncryptionConfiguration"),
    row("GetBucketIntelligentTieringConfiguration", "GET", _B, "intelligent-tiering",
        "GetIntelligentTieringConfiguration", required="id"),
    row("PutBucketIntelligentTieringConfiguration", "PUT", _B, "intelligent-tiering",
        "PutIntelligentTieringConfiguration", required="id"),
    row("DeleteBucketIntelligentTieringConfiguration", "DELETE", _B, "intelligent-tiering",
        "PutIntelligentTieringConfiguration", required="id"),
    row("ListBucketIntelligentTieringConfigurations", "GET", _B, "intelligent-tiering",
        "GetIntelligentTieringConfiguration", optional="continuation-token"),
    row("GetBucketInventoryConfiguration", "GET", _B, "inventory", "GetInventoryConfiguration", required="id"),
    row("PutBucketInventoryConfiguration", "PUT", _B, "inventory", "PutInventoryConfiguration", required="id"),
    row("DeleteBucketInventoryConfiguration", "DELETE", _B, "inventory", "PutInventoryConfiguration", required="id"),
    row("ListBucketInventoryConfigurations", "GET", _B, "inventory", "GetInventoryConfiguration",
        optional="continuation-token"),
    row("GetBucketLifecycleConfiguration", "GET", _B, "lifecycle", "GetLifecycleConfiguration"),
    row("PutBucketLifecycleConfiguration", "PUT", _B, "lifecycle", "PutLifecycleConfiguration",
        headers="x-amz-transition-default-minimum-object-size", digest=True),
    row("DeleteBucketLifecycle", "DELETE", _B, "lifecycle", "PutLifecycleConfiguration"),
    row("GetBucketLifecycle", "GET", _B, "lifecycle", "GetLifecycleConfiguration",
        alias_of="GetBucketLifecycleConfiguration"),
    row("PutBucketLifecycle", "PUT", _B, "lifecycle", "PutLifecycleConfiguration", digest=True,
        alias_of="PutBucketLifecycleConfiguration"),
    row("GetBucketLocation", "GET", _B, "location", "GetBucketLocation"),
    row("GetBucketLogging", "GET", _B, "logging", "GetBucketLogging"),
    row("PutBucketLogging", "PUT", _B, "logging", "PutBucketLogging", digest=True),
    row("CreateBucketMetadataConfiguration", "POST", _B, "metadataConfiguration",
        "CreateBucketMetadataTableConfiguration", digest=True),
    row("GetBucketMetadataConfiguration", "GET", _B, "metadataConfiguration", "GetBucketMetadataTableConfiguration"),
    row("DeleteBucketMetadataConfiguration", "DELETE", _B, "metadataConfiguration",
        "DeleteBucketMetadataTableConfiguration"),
    row("CreateBucketMetadataTableConfiguration", "POST", _B, "metadataTable",
        "CreateBucketMetadataTableConfiguration", digest=True),
    row("GetBucketMetadataTableConfiguration", "GET", _B, "metadataTable", "GetBucketMetadataTableConfiguration"),
    row("DeleteBucketMetadataTableConfiguration", "DELETE", _B, "metadataTable",
        "DeleteBucketMetadataTableConfiguration"),
    row("UpdateBucketMetadataAnnotationTableConfiguration", "PUT", _B, "metadataAnnotationTable",
        "UpdateBucketMetadataAnnotationTableConfiguration", digest=True),
    row("UpdateBucketMetadataInventoryTableConfiguration", "PUT", _B, "metadataInventoryTable",
        "UpdateBucketMetadataInventoryTableConfiguration", digest=True),
    row("UpdateBucketMetadataJournalTableConfiguration", "PUT", _B, "metadataJournalTable",
        "UpdateBucketMetadataJournalTableConfiguration", digest=True),
    row("GetBucketMetricsConfiguration", "GET", _B, "metrics", "GetMetricsConfiguration", required="id"),
    row("PutBucketMetricsConfiguration", "PUT", _B, "metrics", "PutMetricsConfiguration", required="id"),
    row("DeleteBucketMetricsConfiguration", "DELETE", _B, "metrics", "PutMetricsConfiguration", required="id"),
    row("ListBucketMetricsConfigurations", "GET", _B, "metrics", "GetMetricsConfiguration",
        optional="continuation-token"),
    row("GetBucketNotificationConfiguration", "GET", _B, "notification", "GetBucketNotification"),
    row("PutBucketNotificationConfiguration", "PUT", _B, "notification", "PutBucketNotification",
        headers="x-amz-skip-destination-validation"),
    row("GetBucketNotification", "GET", _B, "notification", "GetBucketNotification",
        alias_of="GetBucketNotificationConfiguration"),
    row("PutBucketNotification", "PUT", _B, "notification", "PutBucketNotification", digest=True,
        alias_of="PutBucketNotificationConfiguration"),
    row("GetObjectLockConfiguration", "GET", _B, "object-lock", "GetBucketObjectLockConfiguration"),
    row("PutObjectLockConfiguration", "PUT", _B, "object-lock", "PutBucketObjectLockConfiguration",
        headers="x-amz-bucket-object-lock-token", digest=True),
    row("GetBucketOwnershipControls", "GET", _B, "ownershipControls", "GetBucketOwnershipControls"),
    row("PutBucketOwnershipControls", "PUT", _B, "ownershipControls", "PutBucketOwnershipControls", digest=True),
    row("DeleteBucketOwnershipControls", "DELETE", _B, "ownershipControls", "PutBucketOwnershipControls"),
    row("GetBucketPolicy", "GET", _B, "policy", "GetBucketPolicy", answer="json"),
    row("PutBucketPolicy", "PUT", _B, "policy", "PutBucketPolicy", headers="x-amz-confirm-remove-self-bucket-access",
        body="json", digest=True),
    row("DeleteBucketPolicy", "DELETE", _B, "policy", "DeleteBucketPolicy"),
    row("GetBucketPolicyStatus", "GET", _B, "policyStatus", "GetBucketPolicyStatus"),
    row("GetPublicAccessBlock", "GET", _B, "publicAccessBlock", "GetBucketPublicAccessBlock"),
    row("PutPublicAccessBlock", "PUT", _B, "publicAccessBlock", "PutBucketPublicAccessBlock", digest=True),
    row("DeletePublicAccessBlock", "DELETE", _B, "publicAccessBlock", "PutBucketPublicAccessBlock"),
    row("GetBucketReplication", "GET", _B, "replication", "GetReplicationConfiguration"),
    row("PutBucketReplication", "PUT", _B, "replication", "PutReplicationConfiguration",
        headers="x-amz-bucket-object-lock-token", digest=True),
    row("DeleteBucketReplication", "DELETE", _B, "replication", "PutReplicationConfiguration"),
    row("GetBucketRequestPayment", "GET", _B, "requestPayment", "GetBucketRequestPayment"),
    row("PutBucketRequestPayment", "PUT", _B, "requestPayment", "PutBucketRequestPayment", digest=True),
    row("GetBucketTagging", "GET", _B, "tagging", "GetBucketTagging"),
    row("PutBucketTagging", "PUT", _B, "tagging", "PutBucketTagging", digest=True),
    row("DeleteBucketTagging", "DELETE", _B, "tagging", "PutBucketTagging"),
    row("GetBucketVersioning", "GET", _B, "versioning", "GetBucketVersioning"),
    row("PutBucketVersioning", "PUT", _B, "versioning", "PutBucketVersioning", headers="x-amz-mfa", digest=True),
    row("GetBucketWebsite", "GET", _B, "website", "GetBucketWebsite"),
    row("PutBucketWebsite", "PUT", _B, "website", "PutBucketWebsite", digest=True),
    row("DeleteBucketWebsite", "DELETE", _B, "website", "DeleteBucketWebsite"),
    # Neither bucket nor key
    row("WriteGetObjectResponse", "POST", "service", "", "s3-object-lambda:WriteGetObjectResponse",
        required_headers="x-amz-request-route x-amz-request-token", body="stream", support="refuse"),
    row("CorsPreflight", "OPTIONS", _O, required_headers="origin access-control-request-method"),
)
# fmt: on

OPERATIONS: Mapping[str, Operation] = MappingProxyType({each.name: each for each in _ROWS})
"""Every operation by its name."""


def _plainness(operation: Operation) -> int:
    return -len(operation.required_query) - len(operation.required_headers)


def _by_wire_form(rows: Iterable[Operation]) -> Mapping[tuple[str, Scope, str], tuple[Operation, ...]]:
    forms: dict[tuple[str, Scope, str], list[Operation]] = {}
    for each in rows:
        if not each.alias_of:
            selector = each.subresource or "".join(name for name, _ in each.fixed_query)
            forms.setdefault((each.method, each.scope, selector), []).append(each)
    return MappingProxyType({form: tuple(sorted(found, key=_plainness)) for form, found in forms.items()})


BY_WIRE_FORM = _by_wire_form(_ROWS)
"""(method, scope, sub-resource or key with a fixed value) to its rows, most specific first; no aliases."""

SELECTORS = frozenset(selector for _, _, selector in BY_WIRE_FORM if selector)
"""Query keys that choose the operation; a request may carry one of them."""

QUERY_NAMES = frozenset(name for each in _ROWS for name in each.query)
"""Every query key that S3 gives a meaning to."""

HEADER_NAMES = frozenset(name for each in _ROWS for name in each.headers)
"""Every `x-amz-*` request header that some operation takes, besides the families."""

"""Recognising requests: what clients send passes, what is unknown or ambiguous is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import S3Error
from proxy.s3.address import Domains
from proxy.s3.head import parse_head
from proxy.s3.headers import SECRET_VALUES, Headers
from proxy.s3.operations import OPERATIONS
from proxy.s3.request import S3Request, recognise

DOMAINS = Domains.of(["localhost"])
SIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20261123%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20261123T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
)


def request(line: str, *headers: tuple[str, str]) -> S3Request:
    method, _, target = line.partition(" ")
    return recognise(parse_head(method, target, Headers.of([("Host", "127.0.0.1:9000"), *headers])), DOMAINS)


def refused(line: str, *headers: tuple[str, str]) -> S3Error:
    with pytest.raises(S3Error) as caught:
        request(line, *headers)
    return caught.value


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("GET /", "ListBuckets"),
        ("GET /?x-id=ListBuckets", "ListBuckets"),
        ("GET /bkt/?list-type=2", "ListObjectsV2"),
        (
            "GET /bkt?list-type=2&prefix=&delimiter=%2F&encoding-type=url&fetch-owner=true&max-keys=1000",
            "ListObjectsV2",
        ),
        ("GET /bkt?encoding-type=url&prefix=a", "ListObjects"),
        ("GET /bkt/?delimiter=/&prefix=x/", "ListObjects"),
        ("GET /bkt/?location", "GetBucketLocation"),
        ("GET /bkt?location=", "GetBucketLocation"),
        ("HEAD /bkt", "HeadBucket"),
        ("HEAD /bkt/", "HeadBucket"),
        ("PUT /bkt/", "CreateBucket"),
        ("GET /bkt/key?x-id=GetObject", "GetObject"),
        ("PUT /bkt/key?x-id=PutObject", "PutObject"),
        ("PUT /bkt/key?partNumber=1&uploadId=abc&x-id=UploadPart", "UploadPart"),
        ("POST /bkt/key?uploads", "CreateMultipartUpload"),
        ("POST /bkt/key?uploads=&x-id=CreateMultipartUpload", "CreateMultipartUpload"),
        ("POST /bkt/key?uploadId=abc", "CompleteMultipartUpload"),
        ("DELETE /bkt/key?uploadId=abc&x-id=AbortMultipartUpload", "AbortMultipartUpload"),
        ("DELETE /bkt/key?versionId=null", "DeleteObject"),
        ("POST /bkt/?delete", "DeleteObjects"),
        ("POST /bkt?delete=&x-id=DeleteObjects", "DeleteObjects"),
        ("GET /bkt/key?response-content-type=text%2Fplain&versionId=1", "GetObject"),
        ("POST /bkt/key?select&select-type=2", "SelectObjectContent"),
        ("GET /bkt?inventory&id=a", "GetBucketInventoryConfiguration"),
        ("GET /bkt?inventory", "ListBucketInventoryConfigurations"),
        ("PUT /bkt/key?encryption", "UpdateObjectEncryption"),
        ("PUT /bkt?encryption", "PutBucketEncryption"),
        ("GET /bkt?lifecycle", "GetBucketLifecycleConfiguration"),
    ],
)
def test_forms_that_clients_send_are_recognised(line: str, name: str) -> None:
    assert request(line).operation.name == name


def test_a_virtual_host_request_is_recognised() -> None:
    head = parse_head("GET", "/?list-type=2", Headers.of([("Host", "bkt.localhost:9000")]))
    recognised = recognise(head, DOMAINS)
    assert (recognised.operation.name, recognised.bucket, recognised.key) == ("ListObjectsV2", "bkt", None)


def test_a_copy_source_makes_a_copy() -> None:
    assert request("PUT /bkt/key", ("x-amz-copy-source", "a/b")).operation.name == "CopyObject"
    part = request("PUT /bkt/key?partNumber=1&uploadId=u", ("X-Amz-Copy-Source", "a/b"))
    assert part.operation.name == "UploadPartCopy"


def test_the_parameters_are_those_with_a_meaning_for_s3() -> None:
    found = request(f"GET /bkt/key?versionId=a%2Bb&x-id=GetObject&{SIGNED}")
    assert found.parameters == {"versionId": "a+b"}
    assert found.version_id == "a+b"
    assert request("GET /bkt/key").version_id is None


def test_a_signature_of_version_2_in_the_query_is_not_a_parameter() -> None:
    found = request("GET /bkt/key?AWSAccessKeyId=AK&Signature=abc%3D&Expires=1&x-amz-security-token=t")
    assert found.parameters == {}
    assert "x-amz-security-token" not in found.headers


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("GET /bkt/key?foo", "NotImplemented"),
        ("GET /bkt/key?foo=bar", "NotImplemented"),
        ("GET /bkt?metadata=true&list-type=2", "NotImplemented"),
        ("GET /bkt?website2", "NotImplemented"),
        ("GET /bkt/key?website", "InvalidArgument"),
        ("GET /?location", "InvalidArgument"),
        ("PUT /bkt/key?versionId=1", "InvalidArgument"),
        ("PUT /bkt/key?partNumber=1", "InvalidArgument"),
        ("PUT /bkt/key?uploadId=1", "InvalidArgument"),
        ("PUT /bkt/key?partNumber=1&uploadId=", "InvalidArgument"),
        ("PUT /bkt/key?partNumber=&uploadId=a", "InvalidArgument"),
        ("GET /bkt/key?uploadId=", "InvalidArgument"),
        ("GET /bkt?start-after=a", "InvalidArgument"),
        ("GET /bkt?list-type=1", "InvalidArgument"),
        ("GET /bkt?list-type=", "InvalidArgument"),
        ("POST /bkt/key?select&select-type=1", "InvalidArgument"),
        ("POST /bkt/key?select", "InvalidArgument"),
        ("GET /bkt?acl=secret", "InvalidArgument"),
        ("GET /bkt/key?acl&tagging", "InvalidArgument"),
        ("GET /bkt?list-type=2&versions", "InvalidArgument"),
        ("PUT /bkt?policy&acl", "InvalidArgument"),
        ("GET /bkt?prefix=a&prefix=b", "InvalidArgument"),
        ("GET /bkt/key?acl&acl", "InvalidArgument"),
        ("GET /bkt/key?versionId=1&versionId=1", "InvalidArgument"),
        ("GET /bkt/key?x-id=GetObject&x-id=PutObject", "InvalidArgument"),
        (f"GET /bkt/key?{SIGNED}&x-amz-signature=11", "InvalidArgument"),
        ("GET /bkt?prefix=%FF", "InvalidURI"),
        ("DELETE /bkt/key?annotation", "InvalidArgument"),
        ("POST /", "MethodNotAllowed"),
        ("PUT /", "MethodNotAllowed"),
        ("POST /bkt/key", "MethodNotAllowed"),
        ("PATCH /bkt/key", "MethodNotAllowed"),
        ("PUT /bkt?location", "MethodNotAllowed"),
        ("HEAD /bkt?acl", "MethodNotAllowed"),
        ("POST /bkt", "RequestIsNotMultiPartContent"),
        ("GET /bkt/key?attributes", "InvalidRequest"),
        ("GET /Bkt/key", "InvalidBucketName"),
    ],
)
def test_what_is_unknown_or_ambiguous_is_refused(line: str, code: str) -> None:
    assert refused(line).code == code


@pytest.mark.parametrize("name", [row.name for row in OPERATIONS.values() if row.support == "refuse"])
def test_operations_of_other_services_are_named_and_refused(name: str) -> None:
    lines = {
        "CreateSession": "GET /bkt?session",
        "ListDirectoryBuckets": "GET /?max-directory-buckets=1",
        "RenameObject": "PUT /bkt/key?renameObject",
        "WriteGetObjectResponse": "POST /WriteGetObjectResponse",
    }
    error = refused(lines[name], ("x-amz-rename-source", "/bkt/old"))
    assert error.status == 501
    assert name in error.message


@pytest.mark.parametrize(
    "name",
    [
        row.name
        for row in OPERATIONS.values()
        if row.support == "forward" and row.name != "CorsPreflight" and not row.alias_of
    ],
)
def test_an_unknown_parameter_or_header_is_refused_for_every_operation(name: str) -> None:
    row = OPERATIONS[name]
    path = {"service": "/", "bucket": "/bkt", "object": "/bkt/key"}[row.scope]
    query = "&".join(
        [row.subresource, *(f"{k}={v}" for k, v in row.fixed_query), *(f"{k}=1" for k in row.required_query)]
    )
    headers = [(header, "other/key") for header in row.required_headers]
    if row.body == "form":
        headers.append(("content-type", "multipart/form-data; boundary=x"))
    error = refused(f"{row.method} {path}?{query}&s3warden-unknown=1", *headers)
    assert error.code == "NotImplemented"
    assert error.extras["ArgumentName"] == "s3warden-unknown"
    error = refused(f"{row.method} {path}?{query}", *headers, ("X-Amz-Unheard-Of", "1"))
    assert (error.code, error.extras) == ("NotImplemented", {"Header": "x-amz-unheard-of"})


@pytest.mark.parametrize(
    "header",
    [
        "x-amz-object-lock-event-hold",
        "x-amz-object-lock-event-hold-duration-days",
        "x-amz-object-lock-event-hold-duration-years",
        "x-amz-write-offset-bytes",
        "x-amz-s3session-token",
    ],
)
@pytest.mark.parametrize("line", ["PUT /bkt/key", "POST /bkt/key?uploads"])
def test_headers_without_a_known_permission_are_not_implemented(line: str, header: str) -> None:
    error = refused(line, (header, "1"))
    assert (error.status, error.extras) == (501, {"Header": header})


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("PUT /bkt/key?partNumber=1&uploadId=a", "x-amz-server-side-encryption"),
        ("GET /bkt/key", "x-amz-acl"),
        ("PUT /bkt/key", "x-amz-copy-source-if-match"),
        ("POST /bkt/key?uploadId=a", "x-amz-tagging"),
    ],
)
def test_headers_of_another_operation_are_refused_as_s3_does(line: str, header: str) -> None:
    error = refused(line, (header, "AES256"))
    assert (error.code, error.message) == ("InvalidArgument", f"{header} header is not supported for this operation.")


@pytest.mark.parametrize(
    "header",
    [
        "x-amz-meta-anything",
        "x-amz-checksum-crc32",
        "x-amz-checksum-future",
        "x-amz-user-agent",
        "amz-sdk-request",
        "x-amzn-trace-id",
    ],
)
def test_families_and_sdk_headers_pass(header: str) -> None:
    assert request("PUT /bkt/key", (header, "1")).operation.name == "PutObject"


@pytest.mark.parametrize(
    "header",
    [
        "x-amz-acl",
        "x-amz-copy-source",
        "x-amz-server-side-encryption",
        "x-amz-tagging",
        "x-amz-checksum-crc32",
        "content-type",
        "content-md5",
        "range",
    ],
)
def test_a_header_with_one_value_sent_twice_is_refused(header: str) -> None:
    assert refused("PUT /bkt/key", (header, "a/b"), (header.title(), "a/b")).code == "InvalidArgument"


@pytest.mark.parametrize("field", sorted(SECRET_VALUES))
def test_keys_of_clients_are_never_shown_in_a_refusal(field: str) -> None:
    secret = "c2VjcmV0"
    errors = (
        refused("DELETE /bkt/key", (field, secret)),
        refused("PUT /bkt/key", (field, secret), (field.title(), secret)),
        refused(f"PUT /bkt/key?{field}=other&{SIGNED}", (field, secret)),
        refused(f"PUT /bkt/key?{field}={secret}%0A&{SIGNED}"),
        refused(f"PUT /bkt/key?{field}={secret}"),
        refused(f"PUT /bkt/key?{field}={secret}&{field.upper()}={secret}&{SIGNED}"),
    )
    for error in errors:
        assert secret not in f"{error.message} {error.detail} {error.extras}"


def test_lists_and_metadata_may_come_in_several_fields() -> None:
    listed = request(
        "GET /bkt/key?attributes", ("x-amz-object-attributes", "ETag"), ("x-amz-object-attributes", "ObjectSize")
    )
    assert listed.operation.name == "GetObjectAttributes"
    assert request("PUT /bkt/key", ("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")).operation.name == "PutObject"


def test_headers_presigned_in_the_query_take_effect() -> None:
    found = request(f"PUT /bkt/key?x-amz-acl=private&x-amz-meta-Name=a%20%C3%A9&{SIGNED}", ("x-amz-acl", "private"))
    assert found.headers.get("x-amz-acl") == "private"
    assert found.headers.get("x-amz-meta-name") == "a é".encode().decode("latin-1")
    assert "x-amz-meta-name" not in found.head.headers
    assert found.parameters == {}


def test_a_copy_source_presigned_in_the_query_makes_a_copy() -> None:
    assert request(f"PUT /bkt/key?x-amz-copy-source=a%2Fb&{SIGNED}").operation.name == "CopyObject"


def test_checksums_in_a_presigned_query_never_take_effect() -> None:
    found = request(f"PUT /bkt/key?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&{SIGNED}")
    assert not any(name.startswith(("x-amz-checksum-", "x-amz-sdk-")) for name in found.headers.names())
    found = request(f"GET /bkt/key?x-amz-checksum-mode=ENABLED&{SIGNED}")
    assert found.headers.get("x-amz-checksum-mode") == "ENABLED"


def test_botocore_presigns_content_type_and_md5_in_the_query() -> None:
    found = request("PUT /bkt/key?content-type=text%2Fplain&AWSAccessKeyId=a&Signature=b&Expires=1")
    assert found.headers.get("content-type") == "text/plain"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("PUT /bkt/key?x-amz-acl=private", "NotImplemented"),
        (f"PUT /bkt/key?x-amz-unheard-of=1&{SIGNED}", "NotImplemented"),
        (f"GET /bkt/key?x-amz-acl=private&{SIGNED}", "InvalidArgument"),
        (f"PUT /bkt/key?x-amz-acl=private&X-Amz-Acl=public-read&{SIGNED}", "InvalidArgument"),
        (f"PUT /bkt/key?x-amz-meta-a=1%0D%0AHost:x&{SIGNED}", "InvalidArgument"),
        (f"PUT /bkt/key?x-amz-meta-a%0D%0AHost:x=1&{SIGNED}", "InvalidArgument"),
        (f"PUT /bkt/key?x-amz-meta-%C3%A9=1&{SIGNED}", "InvalidArgument"),
    ],
)
def test_headers_in_a_query_are_held_to_the_same_rules(line: str, code: str) -> None:
    assert refused(line).code == code


def test_a_header_and_a_query_parameter_of_one_name_must_agree() -> None:
    assert refused(f"PUT /bkt/key?x-amz-acl=private&{SIGNED}", ("x-amz-acl", "public-read")).code == "InvalidArgument"


def test_a_form_upload_is_recognised_by_its_content_type() -> None:
    form = ("Content-Type", "Multipart/Form-Data; boundary=x")
    assert request("POST /bkt", form).operation.name == "PostObject"
    assert request("POST /bkt/", form).operation.name == "PostObject"


def test_a_preflight_repeats_any_query_and_needs_its_two_headers() -> None:
    headers = (("Origin", "https://app.test"), ("Access-Control-Request-Method", "PUT"))
    found = request(f"OPTIONS /bkt/key?partNumber=1&uploadId=a&anything&{SIGNED}", *headers)
    assert (found.operation.name, found.parameters) == ("CorsPreflight", {})
    assert request("OPTIONS /bkt", *headers).operation.name == "CorsPreflight"
    assert refused("OPTIONS /bkt/key", headers[0]).code == "BadRequest"


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"]),
    target=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=80),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["host", "x-amz-acl", "x-amz-copy-source", "origin", "content-type"]),
            st.text("aZ.:/[]-", max_size=12),
        ),
        max_size=4,
    ),
)
def test_any_request_is_recognised_or_refused_with_an_s3_error(
    method: str, target: str, headers: list[tuple[str, str]]
) -> None:
    try:
        found = recognise(parse_head(method, "/" + target, Headers.of(headers)), DOMAINS)
    except S3Error:
        return
    assert found.operation.method == method
    assert found.operation.support == "forward"

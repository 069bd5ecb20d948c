"""Signature Version 2: still what boto3 presigns by default in the older regions."""

from __future__ import annotations

import hmac
import re
import time
from base64 import b64encode
from email.utils import formatdate
from urllib.parse import quote

import boto3
import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.auth import v2
from proxy.auth.claim import PayloadMode
from proxy.auth.dates import parse_http_date
from proxy.s3.address import Address

ODD_KEY = "a b+c~/d//e(é)!*'=%2F/../x"


@pytest.fixture
def presign(credentials, as_wire):
    def make(method="GET", url="http://h:9000/bucket/key", who=credentials, expires=600, headers=None):
        request = AWSRequest(method, url, headers=headers or {})
        HmacV1QueryAuth(who, expires=expires).add_auth(request)
        wire = as_wire(request)
        kept = {name.lower() for name in headers or {}} | {"date", "x-amz-security-token"}
        for name in kept:
            wire = wire.without_header(name)
        return wire

    return make


def test_a_header_signature_is_accepted(boto, proxy):
    claim = proxy.accept(boto("put_object", signature="s3", Bucket="bucket", Key=ODD_KEY, Body=b"x", ACL="private"))
    assert (claim.kind, claim.signature_version, claim.region) == ("REST-HEADER", "AWS", None)
    assert claim.access_key_id == "AKIAIOSFODNN7EXAMPLE"
    assert claim.signed_at == pytest.approx(time.time(), abs=5)
    assert claim.payload.mode is PayloadMode.NONE


@pytest.mark.parametrize("style", ["path", "virtual"])
def test_the_bucket_is_part_of_the_resource_in_either_style(boto, proxy, where, style):
    wire = boto(
        "get_object_tagging",
        signature="s3",
        endpoint="http://s3.example.test",
        style=style,
        Bucket="bucket",
        Key=ODD_KEY,
        VersionId="a+b",
    )
    assert proxy.accept(wire, where=where(style, "bucket"))
    if style == "virtual":
        assert proxy.refuse(wire, where=where(style, "other")).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("style", ["path", "virtual"])
@pytest.mark.parametrize("operation", ["list_objects_v2", "get_bucket_acl"])
def test_a_bucket_is_signed_with_a_slash_behind_it_whatever_the_path_is(boto, proxy, style, operation):
    wire = boto(operation, signature="s3", endpoint="http://s3.example.test", style=style, Bucket="bucket")
    assert proxy.accept(wire, where=Address(style, "bucket", None))
    if style == "path":
        assert wire.target.startswith("/bucket?")
        other = wire.with_target("/bucket?", "/bucket/key?")
        assert proxy.refuse(other, where=Address("path", "bucket", "key")).code == "SignatureDoesNotMatch"


def test_each_signed_part_of_a_header_signed_request_is_protected(boto, proxy, new_wire):
    wire = boto(
        "put_object",
        signature="s3",
        Bucket="bucket",
        Key="key",
        Body=b"x",
        ContentType="text/plain",
        ContentMD5="XrY7u+Ae7tCTyyK7j1rNww==",
        Metadata={"a": "b"},
    )
    assert proxy.accept(wire)
    for name in ("content-type", "content-md5", "x-amz-meta-a"):
        assert proxy.refuse(wire.with_header(name, "x")).code == "SignatureDoesNotMatch"
        assert proxy.refuse(wire.without_header(name)).code == "SignatureDoesNotMatch"
    assert proxy.refuse(wire.with_header("date", formatdate(time.time() - 5))).code == "SignatureDoesNotMatch"
    assert proxy.refuse(wire.with_header("x-amz-acl", "public-read")).code == "SignatureDoesNotMatch"
    assert proxy.refuse(wire.with_target("/bucket/", "/other/")).code == "SignatureDoesNotMatch"
    assert proxy.refuse(wire.with_target("/key", "/key?acl")).code == "SignatureDoesNotMatch"
    assert proxy.refuse(new_wire("GET", wire.target, wire.headers)).code == "SignatureDoesNotMatch"
    changed = wire.header("authorization").replace("EXAMPLE:", "EXAMPLE:A")
    error = proxy.refuse(wire.with_header("authorization", changed))
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
    assert list(error.extras) == ["AWSAccessKeyId", "StringToSign", "SignatureProvided", "StringToSignBytes"]
    assert error.extras["StringToSign"].startswith("PUT\nXrY7u+Ae7tCTyyK7j1rNww==\ntext/plain\n")
    unknown = wire.header("authorization").replace("AKIAIOSFODNN7EXAMPLE", "AKIAOTHER")
    assert proxy.refuse(wire.with_header("authorization", unknown)).code == "InvalidAccessKeyId"


@pytest.mark.parametrize("value", ["AWS", "AWS ", "AWS key", "AWS key:", "AWS :sig"])
def test_a_malformed_header_is_refused(boto, proxy, value):
    wire = boto("get_object", signature="s3", Bucket="bucket", Key="key")
    error = proxy.refuse(wire.with_header("authorization", value))
    assert (error.code, error.status) == ("InvalidArgument", 400)


def test_clock_skew_is_checked(boto, proxy):
    wire = boto("get_object", signature="s3", Bucket="bucket", Key="key")
    assert proxy.accept(wire, now=time.time() + 890)
    assert proxy.refuse(wire, now=time.time() + 910).code == "RequestTimeTooSkewed"
    assert proxy.refuse(wire.without_header("date")).code == "AccessDenied"


def test_a_session_token_is_signed_and_checked(boto, proxy):
    wire = boto("get_object", signature="s3", key="ASIATEMPORARY", Bucket="bucket", Key="key")
    assert proxy.accept(wire).access_key_id == "ASIATEMPORARY"
    assert proxy.refuse(wire.with_header("x-amz-security-token", "x")).code == "InvalidToken"
    error = proxy.refuse(wire.with_target("/key", "/kez"))
    assert "x-amz-security-token:REDACTED\n" in error.extras["StringToSign"]


def test_version_2_can_be_switched_off(boto, strict_proxy, presign):
    for wire in (boto("get_object", signature="s3", Bucket="bucket", Key="key"), presign()):
        error = strict_proxy.refuse(wire)
        assert (error.code, error.status) == ("InvalidRequest", 400)
        assert error.message.endswith("Please use AWS4-HMAC-SHA256.")


def test_what_boto3_presigns_by_default_is_accepted(proxy, new_wire):
    client = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:9000",
        region_name="us-east-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        config=Config(s3={"addressing_style": "path"}),
    )
    url = client.generate_presigned_url(
        "put_object",
        {"Bucket": "bucket", "Key": ODD_KEY, "ContentType": "text/plain", "Metadata": {"color": "blue"}},
    )
    assert "AWSAccessKeyId=" in url
    target = url.removeprefix("http://127.0.0.1:9000")
    claim = proxy.accept(new_wire("PUT", target, (("Host", b"127.0.0.1:9000"),)))
    assert (claim.kind, claim.signature_version) == ("REST-QUERY-STRING", "AWS")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("/bucket/", "/other/", "SignatureDoesNotMatch"),
        ("uploadId=u", "uploadId=v", "SignatureDoesNotMatch"),
        ("partNumber=1", "partNumber=2", "SignatureDoesNotMatch"),
        ("partNumber=1", "partNumber=1&acl", "SignatureDoesNotMatch"),
        ("partNumber=1", "partNumber=1&retention", "SignatureDoesNotMatch"),
        ("partNumber=1", "partNumber=1&not-heard-of=1", "SignatureDoesNotMatch"),
        ("partNumber=1", "partNumber=1&response-content-type=a", "SignatureDoesNotMatch"),
        ("partNumber=1", "partNumber=1&x-amz-acl=public-read", "SignatureDoesNotMatch"),
        ("Expires=", "Expires=1", "SignatureDoesNotMatch"),
        ("Expires=", "Expires=x", "AccessDenied"),
        ("Expires=", "Expired=", "AccessDenied"),
        ("Expires=", "Expires=1&Expires=", "InvalidArgument"),
        ("AWSAccessKeyId=AKIA", "AWSAccessKeyId=BKIA", "InvalidAccessKeyId"),
        ("Signature=", "Signature=A", "SignatureDoesNotMatch"),
        ("Signature=", "Signed=", "AccessDenied"),
        ("x-amz-meta-a=b", "x-amz-meta-a=c", "SignatureDoesNotMatch"),
        ("&x-amz-meta-a=b", "", "SignatureDoesNotMatch"),
        ("content-type=text", "content-type=test", "SignatureDoesNotMatch"),
    ],
)
def test_each_signed_part_of_a_url_is_protected(presign, proxy, old, new, code):
    wire = presign(
        "PUT",
        "http://h/bucket/key?uploadId=u&partNumber=1",
        headers={"x-amz-meta-a": "b", "Content-Type": "text/plain"},
    )
    assert proxy.accept(wire)
    assert proxy.refuse(wire.with_target(old, new)).code == code


def test_headers_added_to_a_url_break_it(presign, proxy):
    for name in ("x-amz-acl", "x-amz-copy-source", "content-type", "content-md5"):
        assert proxy.refuse(presign().with_header(name, "x")).code == "SignatureDoesNotMatch"
    wire = presign("PUT", headers={"x-amz-acl": "private"})
    assert proxy.accept(wire)
    assert proxy.refuse(wire.with_header("x-amz-acl", "public-read")).code == "SignatureDoesNotMatch"
    assert proxy.refuse(wire.with_header("x-amz-acl", "private")).code == "SignatureDoesNotMatch"


def test_a_content_type_both_in_url_and_header_counts_once(presign, proxy):
    wire = presign("PUT", headers={"Content-Type": "text/plain"})
    assert proxy.accept(wire)
    assert proxy.accept(wire.with_header("content-type", "text/plain"))
    assert proxy.refuse(wire.with_header("content-type", "text/html")).code == "SignatureDoesNotMatch"


def test_a_url_expires(presign, proxy):
    wire = presign(expires=60)
    expires = int(re.search(r"Expires=(\d+)", wire.target)[1])
    assert proxy.accept(wire, now=expires)
    error = proxy.refuse(wire, now=expires + 1)
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")
    assert list(error.extras) == ["Expires", "ServerTime"]


def test_a_token_in_a_url_is_lower_case_and_checked(presign, proxy, temporary):
    wire = presign(who=temporary)
    assert "x-amz-security-token=" in wire.target
    assert proxy.accept(wire).access_key_id == "ASIATEMPORARY"
    assert proxy.refuse(wire.with_target("token=the", "token=teh")).code == "InvalidToken"
    assert proxy.refuse(wire.with_target("x-amz-security-token", "x-amz-security-tokem")).code == "InvalidAccessKeyId"


def test_with_an_amz_date_the_date_line_is_empty(proxy, new_wire, keys):
    date = formatdate(usegmt=True)
    text = f"GET\n\n\n\nx-amz-date:{date}\n/bucket/key"
    mac = hmac.new(keys["AKIAIOSFODNN7EXAMPLE"].secret_access_key.encode(), text.encode(), "sha1")
    wire = new_wire(
        "GET",
        "/bucket/key",
        (
            ("Host", b"h"),
            ("Date", b"Mon, 01 Jan 2024 00:00:00 GMT"),
            ("x-amz-date", date.encode()),
            ("Authorization", b"AWS AKIAIOSFODNN7EXAMPLE:" + b64encode(mac.digest())),
        ),
    )
    assert proxy.accept(wire)


@pytest.mark.parametrize(
    ("method", "target", "headers", "signature"),
    [
        ("GET", "/photos/puppy.jpg", {"date": "Tue, 27 Mar 2007 19:36:42 +0000"}, "bWq2s1WEIj+Ydj0vQ697zp+IXMU="),
        (
            "PUT",
            "/photos/puppy.jpg",
            {"date": "Tue, 27 Mar 2007 21:15:45 +0000", "content-type": "image/jpeg", "content-length": "94328"},
            "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
        ),
        (
            "GET",
            "/?prefix=photos&max-keys=50&marker=puppy",
            {"date": "Tue, 27 Mar 2007 19:42:41 +0000"},
            "htDYFYduRNen8P9ZfE/s9SuKy0U=",
        ),
        ("GET", "/?acl", {"date": "Tue, 27 Mar 2007 19:44:46 +0000"}, "c2WLPFtWHVgbEmeEG93a4cG37dM="),
    ],
)
def test_the_examples_of_aws_verify(proxy, new_wire, where, method, target, headers, signature):
    headers = {
        "host": "johnsmith.s3.amazonaws.com",
        **headers,
        "authorization": f"AWS AKIAIOSFODNN7EXAMPLE:{signature}",
    }
    wire = new_wire(method, target, tuple((name, value.encode()) for name, value in headers.items()))
    assert proxy.accept(wire, where=where("virtual", "johnsmith"), now=parse_http_date(headers["date"]))


def test_all_sub_resources_that_botocore_signs_count_as_signed():
    assert v2.UNSIGNED_QUERY.isdisjoint(HmacV1Auth.QSAOfInterest)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.dictionaries(
        st.sampled_from(HmacV1Auth.QSAOfInterest), st.text(st.characters(codec="utf-8"), max_size=8), max_size=4
    ),
    prefix=st.text(st.characters(codec="utf-8"), max_size=8),
)
def test_whatever_botocore_presigns_is_accepted(presign, proxy, values, prefix):
    query = "&".join(f"{n}={quote(v, safe='')}" for n, v in [*values.items(), ("prefix", prefix)])
    assert proxy.accept(presign(url=f"http://h/bucket/key?{query}"))

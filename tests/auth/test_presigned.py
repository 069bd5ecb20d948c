"""Presigned Signature Version 4 URLs: accepted until they expire, refused when touched."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.auth.claim import PayloadMode
from proxy.auth.sign import presign_v4

ODD_KEY = "a b+c~/d//e(é)!*'=%2F/../x"


@pytest.fixture
def presign(credentials, as_wire):
    def make(
        method="GET", url="http://h:9000/bucket/key", who=credentials, expires=600, region="us-east-1", headers=None
    ):
        request = AWSRequest(method, url, headers=headers or {})
        S3SigV4QueryAuth(who, "s3", region, expires=expires).add_auth(request)
        return as_wire(request)

    return make


def test_a_presigned_url_is_accepted_and_says_when_it_was_signed(presign, proxy):
    claim = proxy.accept(presign())
    assert (claim.kind, claim.signature_version) == ("REST-QUERY-STRING", "AWS4-HMAC-SHA256")
    assert claim.signed_at == pytest.approx(time.time(), abs=5)
    assert (claim.payload.mode, claim.payload.text) == (PayloadMode.UNSIGNED, "UNSIGNED-PAYLOAD")


def test_an_odd_key_with_parameters_is_accepted(presign, proxy):
    url = f"http://b.s3.example.test/{quote(ODD_KEY, safe='/~')}?versionId=a%2Bb&response-content-type=a%2Fb%3B%20c"
    assert proxy.accept(presign(url=url))


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("/bucket/", "/other/", "SignatureDoesNotMatch"),
        ("/key", "/kez", "SignatureDoesNotMatch"),
        ("versionId=1", "versionId=2", "SignatureDoesNotMatch"),
        ("versionId=1", "versionId=1&acl", "SignatureDoesNotMatch"),
        ("versionId=1&", "", "SignatureDoesNotMatch"),
        ("X-Amz-Expires=600", "X-Amz-Expires=601", "SignatureDoesNotMatch"),
        ("X-Amz-Expires=600&", "", "AuthorizationQueryParametersError"),
        ("X-Amz-Date=2", "X-Amz-Date=1", "AuthorizationQueryParametersError"),
        ("X-Amz-Credential=AKIAIOSFODNN7EXAMPLE", "X-Amz-Credential=AKIAOTHER", "InvalidAccessKeyId"),
        ("us-east-1", "us-east-2", "SignatureDoesNotMatch"),
        ("%2Fs3%2F", "%2Fsts%2F", "AuthorizationQueryParametersError"),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=host%3Brange", "SignatureDoesNotMatch"),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=range", "AccessDenied"),
        ("X-Amz-Signature=", "X-Amz-Signature=0", "SignatureDoesNotMatch"),
        ("X-Amz-Signature=", "X-Amz-Signature=%C3%A9", "SignatureDoesNotMatch"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", "AuthorizationQueryParametersError"),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "NotImplemented"),
        ("versionId=1", "X-Amz-Acl=public-read", "SignatureDoesNotMatch"),
    ],
)
def test_every_part_of_the_url_is_protected(presign, proxy, old, new, code):
    wire = presign(url="http://h/bucket/key?versionId=1")
    assert proxy.accept(wire)
    assert proxy.refuse(wire.with_target(old, new)).code == code


def test_method_and_host_are_protected(presign, proxy, new_wire):
    wire = presign()
    assert proxy.refuse(new_wire("PUT", wire.target, wire.headers)).code == "SignatureDoesNotMatch"
    assert proxy.refuse(wire.with_header("host", "other")).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("name", ["x-amz-acl", "x-amz-copy-source", "x-amz-security-token", "x-amz-date"])
def test_headers_added_to_a_url_are_refused(presign, proxy, name):
    error = proxy.refuse(presign().with_header(name, "x"))
    assert (error.code, error.extras) == ("AccessDenied", {"HeadersNotSigned": name})


def test_signed_headers_must_be_sent_as_signed(presign, proxy):
    wire = presign("PUT", headers={"x-amz-acl": "private", "Content-Type": "text/plain"})
    assert proxy.accept(wire)
    assert proxy.refuse(wire.with_header("x-amz-acl", "public-read")).code == "SignatureDoesNotMatch"
    assert proxy.refuse(wire.without_header("x-amz-acl")).code == "SignatureDoesNotMatch"
    assert proxy.refuse(wire.with_header("content-type", "text/html")).code == "SignatureDoesNotMatch"


def test_a_url_expires(presign, proxy):
    wire = presign(expires=60)
    signed_at = proxy.accept(wire).signed_at
    assert proxy.accept(wire, now=signed_at + 60)
    error = proxy.refuse(wire, now=signed_at + 61)
    assert (error.code, error.status, error.message) == ("AccessDenied", 403, "Request has expired")
    assert list(error.extras) == ["X-Amz-Expires", "Expires", "ServerTime"]
    assert error.extras["X-Amz-Expires"] == "60"


def test_a_url_from_the_future_is_not_valid_yet(presign, proxy):
    wire = presign()
    signed_at = proxy.accept(wire).signed_at
    assert proxy.accept(wire, now=signed_at - 900)
    assert proxy.refuse(wire, now=signed_at - 901).message == "Request is not valid yet"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("X-Amz-Expires=600", "X-Amz-Expires=soon", "X-Amz-Expires should be a number"),
        ("X-Amz-Expires=600", "X-Amz-Expires=%2B600", "X-Amz-Expires should be a number"),
        ("X-Amz-Expires=600", "X-Amz-Expires=-1", "X-Amz-Expires must be non-negative"),
        ("X-Amz-Expires=600", "X-Amz-Expires=0", "X-Amz-Expires must be at least 1 second"),
        ("X-Amz-Expires=600", "X-Amz-Expires=604801", "X-Amz-Expires must be less than a week (in seconds); "),
        ("X-Amz-Date=20", "X-Amz-Date=2x", "X-Amz-Date must be in the ISO8601 Long Format"),
        ("X-Amz-Date=20", "X-Amz-Date=19", "Invalid credential date"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4", "X-Amz-Algorithm only supports"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256&", "", "Query-string authentication version 4 requires"),
        ("X-Amz-SignedHeaders=host&", "", "Query-string authentication version 4 requires"),
        ("EXAMPLE%2F", "EXAMPLE-", "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed"),
        ("AKIAIOSFODNN7EXAMPLE", "", "Error parsing the X-Amz-Credential parameter; a non-empty Access Key"),
        ("EXAMPLE%2F20", "EXAMPLE%2F2x", "Error parsing the X-Amz-Credential parameter; incorrect date format"),
        ("%2Fs3%2F", "%2Fec2%2F", 'Error parsing the X-Amz-Credential parameter; incorrect service "ec2"'),
        ("aws4_request", "aws4", 'Error parsing the X-Amz-Credential parameter; incorrect terminal "aws4"'),
        ("X-Amz-Expires=600", "X-Amz-Expires=600&X-Amz-Expires=601", "The X-Amz-Expires parameter must be given only"),
    ],
)
def test_bad_parameters_are_named(presign, proxy, old, new, message):
    error = proxy.refuse(presign().with_target(old, new))
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)
    assert error.message.startswith(message)


def test_a_wrong_region_is_corrected_in_strict_mode(presign, strict_proxy):
    error = strict_proxy.refuse(presign())
    assert (error.code, error.extras) == ("AuthorizationQueryParametersError", {"Region": "eu-central-1"})
    assert strict_proxy.accept(presign(region="eu-central-1"))


def test_a_session_token_in_the_query_is_checked(presign, proxy, temporary):
    wire = presign(who=temporary)
    assert proxy.accept(wire).access_key_id == "ASIATEMPORARY"
    assert proxy.refuse(wire.with_target("Security-Token=the", "Security-Token=teh")).code == "InvalidToken"
    error = proxy.refuse(wire.with_target("/key", "/kez"))
    assert "X-Amz-Security-Token=REDACTED" in error.extras["CanonicalRequest"]


def test_a_payload_hash_in_the_url_is_signed_and_returned(proxy, keys, new_wire):
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    query = presign_v4(
        "PUT",
        "/bucket/key",
        "",
        [("host", "h")],
        keys["AKIAIOSFODNN7EXAMPLE"],
        "us-east-1",
        time.time(),
        60,
        payload_hash=digest,
    )
    wire = new_wire("PUT", f"/bucket/key?{query}", (("Host", b"h"),))
    assert proxy.accept(wire).payload.sha256 == digest
    assert proxy.refuse(wire.with_target("Sha256=2", "Sha256=3")).code == "SignatureDoesNotMatch"
    # What the header says does not matter then, as S3 looks at the query first.
    assert proxy.accept(wire.with_header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")).payload.sha256 == digest


def test_a_payload_hash_in_a_header_counts_when_the_url_has_none(presign, proxy):
    assert proxy.accept(presign().with_header("x-amz-content-sha256", "UNSIGNED-PAYLOAD"))
    assert proxy.refuse(presign().with_header("x-amz-content-sha256", "0" * 64)).code == "SignatureDoesNotMatch"


def test_a_url_of_the_javascript_sdk_need_not_be_sorted(presign, proxy, new_wire):
    # aws-sdk-js v3 moves headers into the query, does not sort it and has its signature in the middle.
    wire = presign(
        "PUT",
        url="http://h/bucket/key?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32"
        "&x-amz-meta-color=bl%C3%BCe&X-Amz-Acl=private&x-id=PutObject",
    )
    path, _, query = wire.target.partition("?")
    pieces = query.split("&")
    shuffled = new_wire("PUT", f"{path}?{'&'.join([*pieces[3:][::-1], *pieces[:3]])}", wire.headers)
    assert proxy.accept(shuffled)
    for old, new in (("private", "public-read"), ("crc32=A", "crc32=B"), ("bl%C3%BCe", "red"), ("&x-id=PutObject", "")):
        assert proxy.refuse(shuffled.with_target(old, new)).code == "SignatureDoesNotMatch"


def test_a_plus_may_have_been_signed_as_a_space(proxy, keys, new_wire):
    query = presign_v4(
        "PUT", "/b/k", "x-amz-meta-a=1%202", [("host", "h")], keys["AKIAIOSFODNN7EXAMPLE"], "r", time.time(), 60
    )
    assert proxy.accept(new_wire("PUT", f"/b/k?{query.replace('1%202', '1+2')}", (("Host", b"h"),))).plus_is_space


def test_the_example_of_aws_verifies(proxy, new_wire):
    wire = new_wire(
        "GET",
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        (("Host", b"examplebucket.s3.amazonaws.com"),),
    )
    assert proxy.accept(wire, now=1369353600)


_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=_TEXT, value=_TEXT, expires=st.integers(1, 604800))
def test_whatever_botocore_presigns_is_accepted(presign, proxy, key, value, expires):
    url = f"http://h/bucket/{quote(key, safe='/~')}?response-content-disposition={quote(value, safe='-_.~')}"
    wire = presign(url=url, expires=expires)
    assert proxy.accept(wire)
    assert proxy.refuse(wire.with_target("/bucket/", "/bucket//")).code == "SignatureDoesNotMatch"

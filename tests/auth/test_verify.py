"""Which mechanism signs a request: exactly one, or none."""

from __future__ import annotations

import pytest

from proxy.auth.claim import PayloadMode
from proxy.auth.verify import is_signed

HOST = ("Host", b"h")


def test_a_request_without_signature_is_anonymous(boto, proxy):
    claim = proxy.accept(boto("get_object", signature=None, Bucket="bucket", Key="key"))
    assert (claim.kind, claim.signature_version, claim.access_key_id, claim.signed_at) == (None, None, None, None)
    assert claim.payload.mode is PayloadMode.NONE


def test_an_anonymous_upload_of_boto3_over_https_is_aws_chunked(boto, proxy):
    wire = boto("put_object", signature=None, endpoint="https://h", Bucket="bucket", Key="key", Body=b"x")
    assert proxy.accept(wire).payload.mode is PayloadMode.UNSIGNED_TRAILER


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        ("UNSIGNED-PAYLOAD", PayloadMode.UNSIGNED),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", PayloadMode.UNSIGNED_TRAILER),
        ("0" * 64, PayloadMode.SHA256),
    ],
)
def test_an_anonymous_request_may_say_how_its_body_is_sent(proxy, new_wire, value, mode):
    wire = new_wire("PUT", "/b/k", (HOST, ("x-amz-content-sha256", value.encode())))
    claim = proxy.accept(wire)
    assert (claim.access_key_id, claim.payload.mode) == (None, mode)


@pytest.mark.parametrize("suffix", ["", "-TRAILER"])
def test_chunks_cannot_be_signed_by_nobody(proxy, new_wire, suffix):
    value = f"STREAMING-AWS4-HMAC-SHA256-PAYLOAD{suffix}".encode()
    error = proxy.refuse(new_wire("PUT", "/b/k", (HOST, ("x-amz-content-sha256", value))))
    assert (error.code, error.status) == ("InvalidRequest", 400)


V4_HEADER = ("Authorization", b"AWS4-HMAC-SHA256 Credential=a/20200101/r/s3/aws4_request")


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256", (V4_HEADER,)),
        ("/b/k?X-Amz-Signature=0", (V4_HEADER,)),
        ("/b/k?Signature=0", (V4_HEADER,)),
        ("/b/k?AWSAccessKeyId=0", (("Authorization", b"AWS a:b"),)),
        ("/b/k?X-Amz-Credential=a&AWSAccessKeyId=0", ()),
        ("/b/k?X-Amz-Credential=a&Signature=0", (V4_HEADER,)),
    ],
)
def test_two_mechanisms_at_once_are_refused(proxy, new_wire, target, headers):
    error = proxy.refuse(new_wire("GET", target, (HOST, *headers)))
    assert (error.code, error.status) == ("InvalidArgument", 400)
    assert error.message.startswith("Only one auth mechanism allowed; ")


@pytest.mark.parametrize("value", ["Bearer some-token", "Basic dXNlcjpwYXNz", "", "AWS4-HMAC-SHA512 x", "aws a:b"])
def test_another_scheme_is_refused_without_repeating_it(proxy, new_wire, value):
    error = proxy.refuse(new_wire("GET", "/b/k", (HOST, ("Authorization", value.encode()))))
    assert (error.code, error.status) == ("InvalidArgument", 400)
    assert error.message == "Unsupported Authorization Type"
    assert error.extras == {"ArgumentName": "Authorization"}


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/b/k", (("Authorization", b"AWS4-ECDSA-P256-SHA256 Credential=a/20200101/s3/aws4_request"),)),
        ("/b/k", (("X-Amz-Region-Set", b"*"),)),
        ("/b/k?X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Region-Set=*", ()),
        ("/b/k", (("x-amz-content-sha256", b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"),)),
        ("/b/k", (("x-amz-s3session-token", b"t"),)),
        ("/b/k?X-Amz-S3session-Token=t", ()),
    ],
)
def test_version_4a_and_s3_express_are_not_implemented(proxy, new_wire, target, headers):
    error = proxy.refuse(new_wire("PUT", target, (HOST, *headers)))
    assert (error.code, error.status) == ("NotImplemented", 501)
    assert error.message.endswith("not implemented.")


def test_whether_a_signature_is_claimed_at_all(new_wire):
    assert not is_signed(new_wire("GET", "/b/k?versionId=1", (HOST,)).head())
    assert is_signed(new_wire("GET", "/b/k", (HOST, V4_HEADER)).head())
    assert is_signed(new_wire("GET", "/b/k?X-Amz-Signature=1", (HOST,)).head())
    assert is_signed(new_wire("GET", "/b/k?Signature=1", (HOST,)).head())

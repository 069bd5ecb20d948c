"""Signature Version 4 in the header: what botocore signs is accepted once, and refused when touched."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.auth.claim import PayloadMode

SPEC_TIME = 1369353600  # 2013-05-24T00:00:00Z, the time of the examples in AWS's documentation
ODD_KEYS = [
    "a b+c~/d//e(é)!*'",
    "x=y=z",
    "100%2Fliteral",
    "../up/./here/..",
    "//double//",
    "日本語/ключ.txt",
    "semi;colon:at@and&amp,$",
    '"quoted"<>[]{}|\\^`',
    "tilde~-._",
    "trailing/",
]


def test_a_put_is_accepted_and_says_who_signed_what(boto, proxy):
    wire = boto("put_object", Bucket="bucket", Key="key", Body=b"hello")
    claim = proxy.accept(wire)
    assert (claim.kind, claim.signature_version) == ("REST-HEADER", "AWS4-HMAC-SHA256")
    assert (claim.access_key_id, claim.region) == ("AKIAIOSFODNN7EXAMPLE", "us-east-1")
    assert claim.payload.mode is PayloadMode.SHA256
    assert claim.payload.sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert claim.signed_at == pytest.approx(time.time(), abs=5)
    assert claim.chunk_signer is None


@pytest.mark.parametrize("key", ODD_KEYS)
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_odd_keys_are_accepted_as_boto3_sends_them(boto, proxy, key, style):
    endpoint = "http://s3.example.test:9000"
    assert proxy.accept(boto("put_object", endpoint=endpoint, style=style, Bucket="bucket", Key=key, Body=b""))
    assert proxy.accept(boto("get_object", endpoint=endpoint, style=style, Bucket="bucket", Key=key))
    listed = boto("list_objects_v2", endpoint=endpoint, style=style, Bucket="bucket", Prefix=key, StartAfter="+ /é")
    assert proxy.accept(listed)


def test_metadata_in_utf8_is_verified_over_its_bytes(proxy, credentials, as_wire):
    # The second byte of `à` is 0xA0, which is a space to those who take the bytes for latin-1 text.
    value = "voilà  Ångström …"
    request = AWSRequest("PUT", "http://h/bucket/key", headers={"x-amz-meta-name": value}, data=b"")
    S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    wire = as_wire(request)
    assert wire.header("x-amz-meta-name").encode("latin-1").decode() == value
    assert proxy.accept(wire)


def test_a_streaming_upload_over_https_has_an_unsigned_trailer(boto, proxy):
    wire = boto("put_object", endpoint="https://127.0.0.1:9000", Bucket="bucket", Key="key", Body=b"hello")
    claim = proxy.accept(wire)
    assert claim.payload.mode is PayloadMode.UNSIGNED_TRAILER
    assert claim.payload.mode.aws_chunked
    assert not claim.payload.mode.signed_chunks
    assert claim.chunk_signer is None


@pytest.fixture
def rich(boto):
    return boto(
        "put_object",
        Bucket="bucket",
        Key="some/key",
        Body=b"hello",
        ContentType="text/plain",
        ServerSideEncryption="AES256",
        Metadata={"color": "blue"},
        Tagging="a=b",
    )


def test_every_signed_header_is_protected(rich, proxy):
    assert proxy.accept(rich)
    names = re.search("SignedHeaders=([^,]*)", rich.header("authorization"))[1].split(";")
    assert {"content-type", "host", "x-amz-server-side-encryption", "x-amz-meta-color", "x-amz-tagging"} <= set(names)
    for name in names:
        present = [n for n, _ in rich.headers if n.lower() == name]
        changed = rich.with_header(name, "f" * 64) if name == "x-amz-content-sha256" else rich.with_header(name, "x")
        assert proxy.refuse(changed).code in {"SignatureDoesNotMatch", "AccessDenied"}, name
        if present:
            expected = {"SignatureDoesNotMatch", "AccessDenied", "InvalidRequest"}
            assert proxy.refuse(rich.without_header(name)).code in expected, name
        assert proxy.refuse(rich.with_another(name, "x")).code in {"SignatureDoesNotMatch", "InvalidArgument"}, name


@pytest.mark.parametrize(
    ("old", "new"),
    [("/bucket/", "/other/"), ("some/key", "some//key"), ("some/key", "some/key/"), ("some/key", "some/key?acl")],
)
def test_the_target_is_protected(rich, proxy, old, new):
    assert proxy.refuse(rich.with_target(old, new)).code == "SignatureDoesNotMatch"


def test_the_method_is_protected(rich, proxy, new_wire):
    assert proxy.refuse(new_wire("DELETE", rich.target, rich.headers)).code == "SignatureDoesNotMatch"


def test_every_query_parameter_is_protected(boto, proxy):
    wire = boto("list_objects_v2", Bucket="bucket", Prefix="a b/", Delimiter="/", MaxKeys=7)
    assert proxy.accept(wire)
    for old, new in [
        ("prefix=a%20b%2F", "prefix=a%20c%2F"),
        ("prefix=a%20b%2F", ""),
        ("delimiter=%2F", "delimiter="),
        ("max-keys=7", "max-keys=8"),
        ("list-type=2", "list-type=2&list-type=2"),
        ("list-type=2", "list-type=2&acl"),
    ]:
        assert proxy.refuse(wire.with_target(old, new)).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("pattern", "replacement", "code"),
    [
        (r"(Signature=\w*)\w", r"\1g", "SignatureDoesNotMatch"),
        (r"Signature=\w", "Signature=", "SignatureDoesNotMatch"),
        (r"Signature=.*", "Signature=é", "SignatureDoesNotMatch"),
        (r"Signature=.*", "Signature=", "AuthorizationHeaderMalformed"),
        (r"Credential=[^/]*", "Credential=tenant", "InvalidAccessKeyId"),
        (r"Credential=[^/]*", "Credential=", "AuthorizationHeaderMalformed"),
        (r"Credential=[^/]*", "Credential=tenant/with/slashes", None),
        (r"us-east-1", "eu-central-1", "SignatureDoesNotMatch"),
        (r"/s3/", "/ec2/", "AuthorizationHeaderMalformed"),
        (r"/s3/", "/s3express/", "NotImplemented"),
        (r"aws4_request", "aws4_reques", "AuthorizationHeaderMalformed"),
        (r"/\d{8}/", "/20200101/", "AuthorizationHeaderMalformed"),
        (r"/\d{8}/", "/20201301/", "AuthorizationHeaderMalformed"),
        (r"SignedHeaders=host;", "SignedHeaders=", "AccessDenied"),
        (r"SignedHeaders=[^,]*", "SignedHeaders=", "AuthorizationHeaderMalformed"),
        (r"x-amz-date", "x-amz-date;x-extra", "SignatureDoesNotMatch"),
        (r"AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", "InvalidArgument"),
        (r"AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "NotImplemented"),
        (r"AWS4-HMAC-SHA256", "Bearer", "InvalidArgument"),
        (r"AWS4-HMAC-SHA256.*", "AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
    ],
)
def test_every_part_of_the_authorization_is_checked(boto, proxy, pattern, replacement, code):
    wire = boto("get_object", Bucket="bucket", Key="key")
    changed = re.sub(pattern, replacement, wire.header("authorization"))
    wire = wire.with_header("authorization", changed)
    if code is None:
        # Same secret, other id: proves that ids with slashes are split from the right.
        assert proxy.accept(wire).access_key_id == "tenant/with/slashes"
    else:
        assert proxy.refuse(wire).code == code


def test_spaces_between_components_are_optional(boto, proxy):
    wire = boto("get_object", Bucket="bucket", Key="key")
    assert proxy.accept(wire.with_header("authorization", wire.header("authorization").replace(", ", ",")))
    assert proxy.accept(wire.with_header("authorization", wire.header("authorization").replace(", ", " ,  ")))


@pytest.mark.parametrize("name", ["x-amz-acl", "x-amz-copy-source", "X-Amz-Meta-New", "x-amz-security-token"])
def test_an_unsigned_amz_header_is_refused(boto, proxy, name):
    error = proxy.refuse(boto("get_object", Bucket="bucket", Key="key").with_header(name, "x"))
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert error.extras == {"HeadersNotSigned": name.lower()}


def test_headers_of_others_may_be_added_on_the_way(boto, proxy):
    wire = boto("get_object", Bucket="bucket", Key="key")
    for name in ("x-amzn-trace-id", "x-forwarded-for", "accept-encoding", "range", "amz-sdk-request"):
        assert proxy.accept(wire.with_header(name, "1"))


def test_an_unsigned_host_is_named(boto, proxy):
    wire = boto("get_object", Bucket="bucket", Key="key")
    wire = wire.with_header("authorization", wire.header("authorization").replace("host;", "")).with_header(
        "x-amz-acl", "private"
    )
    assert proxy.refuse(wire).extras == {"HeadersNotSigned": "host, x-amz-acl"}


def test_the_payload_hash_header_need_not_be_in_the_signed_headers(proxy, keys, new_wire):
    # Some clients leave it out; its value is covered as the last line of the canonical request.
    signed = _sign_by_hand(new_wire("GET", "/bucket/key", (("Host", b"h"),)), ["host", "x-amz-date"], keys)
    assert proxy.accept(signed)
    assert proxy.refuse(signed.with_header("x-amz-content-sha256", "0" * 64)).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        (None, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"),
        ("zz", "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-"),
        ("", "InvalidArgument", "x-amz-content-sha256 must be"),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "NotImplemented", "Signature Version 4A"),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", "NotImplemented", "Signature Version 4A"),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "InvalidArgument", "must be UNSIGNED-PAYLOAD, or a valid"),
    ],
)
def test_the_payload_hash_must_be_one_that_s3_knows(boto, proxy, value, code, message):
    wire = boto("get_object", Bucket="bucket", Key="key").without_header("x-amz-content-sha256")
    error = proxy.refuse(wire if value is None else wire.with_header("x-amz-content-sha256", value))
    assert error.code == code
    assert message in error.message


def test_clocks_may_differ_by_fifteen_minutes(boto, proxy):
    wire = boto("get_object", Bucket="bucket", Key="key")
    signed_at = proxy.accept(wire).signed_at
    assert proxy.accept(wire, now=signed_at + 900)
    assert proxy.accept(wire, now=signed_at - 900)
    for now in (signed_at + 901, signed_at - 901):
        error = proxy.refuse(wire, now=now)
        assert (error.code, error.status) == ("RequestTimeTooSkewed", 403)
        assert error.extras["RequestTime"] == wire.header("x-amz-date")
        assert error.extras["MaxAllowedSkewMilliseconds"] == "900000"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", error.extras["ServerTime"])


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "20201341T000000Z", "2020-01-01T00:00:00Z", "²0200101T000000Z"]
)
def test_a_request_needs_a_valid_date(boto, proxy, date):
    wire = boto("get_object", Bucket="bucket", Key="key").without_header("x-amz-date")
    error = proxy.refuse(wire if date is None else wire.with_header("x-amz-date", date))
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert error.message == "AWS authentication requires a valid Date or x-amz-date header"


def test_the_date_header_serves_when_there_is_no_amz_date(proxy, credentials, as_wire):
    request = AWSRequest("GET", "http://h/bucket/key", headers={"Date": "will be replaced"})
    S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    wire = as_wire(request)
    assert "x-amz-date" not in {name.lower() for name, _ in wire.headers}
    assert proxy.accept(wire)
    assert proxy.refuse(wire.with_header("date", "Mon, 01 Jan 2024 00:00:00 GMT")).code in {
        "RequestTimeTooSkewed",
        "AuthorizationHeaderMalformed",
    }


def test_any_region_is_accepted_unless_strict(proxy, strict_proxy, credentials, as_wire):
    request = AWSRequest("GET", "http://h/bucket/key")
    S3SigV4Auth(credentials, "s3", "garage").add_auth(request)
    assert proxy.accept(as_wire(request)).region == "garage"
    error = strict_proxy.refuse(as_wire(request))
    assert (error.code, error.status, error.extras) == (
        "AuthorizationHeaderMalformed",
        400,
        {"Region": "eu-central-1"},
    )
    assert "the region 'garage' is wrong; expecting 'eu-central-1'" in error.message
    request = AWSRequest("GET", "http://h/bucket/key")
    S3SigV4Auth(credentials, "s3", "eu-central-1").add_auth(request)
    assert strict_proxy.accept(as_wire(request))


def test_a_session_token_is_checked(boto, proxy):
    wire = boto("get_object", key="ASIATEMPORARY", Bucket="bucket", Key="key")
    assert proxy.accept(wire).access_key_id == "ASIATEMPORARY"
    error = proxy.refuse(wire.with_header("x-amz-security-token", "another"))
    assert (error.code, error.status, error.extras) == ("InvalidToken", 400, {"Token-0": "REDACTED"})
    assert proxy.refuse(wire.without_header("x-amz-security-token")).code == "InvalidAccessKeyId"
    expired = boto("get_object", key="ASIAEXPIRED", Bucket="bucket", Key="key")
    assert (proxy.refuse(expired).code, proxy.refuse(expired).status) == ("ExpiredToken", 400)


def test_a_token_with_a_permanent_key_is_invalid(proxy, as_wire):
    request = AWSRequest("GET", "http://h/bucket/key")
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    S3SigV4Auth(Credentials("AKIAIOSFODNN7EXAMPLE", secret, "made-up"), "s3", "us-east-1").add_auth(request)
    assert proxy.refuse(as_wire(request)).code == "InvalidToken"


def test_a_mismatch_shows_what_was_computed_but_no_secrets(boto, proxy):
    wire = boto(
        "put_object",
        key="ASIATEMPORARY",
        Bucket="bucket",
        Key="key",
        Body=b"",
        SSECustomerAlgorithm="AES256",
        SSECustomerKey="k" * 32,
    )
    customer_key = wire.header("x-amz-server-side-encryption-customer-key")
    error = proxy.refuse(wire.with_target("/key", "/kez"))
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
    assert list(error.extras) == [
        "AWSAccessKeyId",
        "StringToSign",
        "SignatureProvided",
        "StringToSignBytes",
        "CanonicalRequest",
        "CanonicalRequestBytes",
    ]
    request = error.extras["CanonicalRequest"]
    assert request.startswith("PUT\n/bucket/kez\n\n")
    assert "x-amz-security-token:REDACTED\n" in request
    assert "x-amz-server-side-encryption-customer-key:REDACTED\n" in request
    assert customer_key not in request
    assert bytes.fromhex(error.extras["CanonicalRequestBytes"]).decode() == request
    assert bytes.fromhex(error.extras["StringToSignBytes"]).decode() == error.extras["StringToSign"]
    assert error.extras["StringToSign"].startswith("AWS4-HMAC-SHA256\n")


def test_header_whitespace_is_trimmed_and_duplicates_are_joined(proxy, keys, new_wire):
    wire = new_wire(
        "GET",
        "/bucket/key",
        (
            ("Host", b"h"),
            ("X-Amz-Meta-A", b'  "a   b"\t c '),
            ("x-amz-meta-b", b" 2 "),
            ("X-AMZ-META-B", b"1"),
            ("x-amz-meta-empty", b""),
        ),
    )
    names = ["host", "x-amz-content-sha256", "x-amz-date", "x-amz-meta-a", "x-amz-meta-b", "x-amz-meta-empty"]
    canonical = {"x-amz-meta-a": '"a b" c', "x-amz-meta-b": "2,1", "x-amz-meta-empty": ""}
    assert proxy.accept(_sign_by_hand(wire, names, keys, canonical))


def test_a_signed_header_that_was_not_sent_counts_as_empty(proxy, keys, new_wire):
    wire = new_wire("GET", "/bucket/key", (("Host", b"h"),))
    names = ["host", "transfer-encoding", "x-amz-content-sha256", "x-amz-date"]
    signed = _sign_by_hand(wire, names, keys, {"transfer-encoding": ""})
    assert proxy.accept(signed)
    assert proxy.refuse(signed.with_header("transfer-encoding", "chunked")).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("sent", ["/bucket/a=b(c)'d:e!*", "/bucket/%e9t%c3%a9", "/bucket/café"])
def test_a_client_may_sign_a_cleaner_path_than_it_sends(proxy, keys, new_wire, sent):
    clean = {
        "/bucket/a=b(c)'d:e!*": "/bucket/a%3Db%28c%29%27d%3Ae%21%2A",
        "/bucket/%e9t%c3%a9": "/bucket/%E9t%C3%A9",
        "/bucket/café": "/bucket/caf%C3%A9",
    }[sent]
    signed = _sign_by_hand(new_wire("GET", clean, (("Host", b"h"),)), ["host", "x-amz-date"], keys)
    assert proxy.accept(new_wire("GET", sent, signed.headers))
    assert proxy.refuse(new_wire("GET", sent + "x", signed.headers)).code == "SignatureDoesNotMatch"


def test_dot_segments_and_double_slashes_are_kept(proxy, keys, new_wire):
    signed = _sign_by_hand(new_wire("GET", "/bucket/a/../b//c/./d", (("Host", b"h"),)), ["host", "x-amz-date"], keys)
    assert proxy.accept(signed)
    assert proxy.refuse(new_wire("GET", "/bucket/b//c/./d", signed.headers)).code == "SignatureDoesNotMatch"


def test_a_plus_in_the_query_may_have_been_signed_as_a_space(proxy, keys, new_wire):
    go = _sign_by_hand(new_wire("GET", "/bucket?prefix=a%20b", (("Host", b"h"),)), ["host", "x-amz-date"], keys)
    claim = proxy.accept(new_wire("GET", "/bucket?prefix=a+b", go.headers))
    assert claim.plus_is_space
    literal = _sign_by_hand(new_wire("GET", "/bucket?prefix=a%2Bb", (("Host", b"h"),)), ["host", "x-amz-date"], keys)
    claim = proxy.accept(new_wire("GET", "/bucket?prefix=a+b", literal.headers))
    assert not claim.plus_is_space


def test_query_is_encoded_again_and_sorted_by_name_then_value(proxy, keys, new_wire):
    canonical = "a=&a=1&a=2&a-b=%2F&b=x%3Dy"
    signed = _sign_by_hand(new_wire("GET", f"/bucket?{canonical}", (("Host", b"h"),)), ["host", "x-amz-date"], keys)
    assert proxy.accept(new_wire("GET", "/bucket?b=x=y&a=2&a-b=/&a&&a=1", signed.headers))
    assert proxy.accept(new_wire("GET", "/bucket?%62=%78%3dy&a=2&a-b=%2f&a=&a=1", signed.headers))
    assert proxy.refuse(new_wire("GET", "/bucket?b=x=y&a=2&a-b=/&a", signed.headers)).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("target", ["http://h:9000/bucket/key?versionId=1", "/bucket/key?versionId=1#fragment"])
def test_absolute_form_and_fragment_are_not_part_of_the_path(proxy, keys, new_wire, target):
    signed = _sign_by_hand(
        new_wire("GET", "/bucket/key?versionId=1", (("Host", b"h:9000"),)), ["host", "x-amz-date"], keys
    )
    assert proxy.accept(new_wire("GET", target, signed.headers))


@pytest.mark.parametrize(
    ("signed_host", "received", "others"),
    [
        ("s3.example.test", "internal:9000", ("s3.example.test",)),
        ("s3.example.test:8443", "internal:9000", ("other", "s3.example.test:8443")),
        ("s3.example.test", "s3.example.test:443", ()),
        ("s3.example.test", "s3.example.test:80", ()),
        ("s3.example.test:443", "s3.example.test", ()),
        ("s3.example.test:80", "internal", ("s3.example.test",)),
    ],
)
def test_the_host_may_have_been_rewritten_by_a_trusted_proxy(proxy, keys, new_wire, signed_host, received, others):
    signed = _sign_by_hand(
        new_wire("GET", "/bucket/key", (("Host", signed_host.encode()),)), ["host", "x-amz-date"], keys
    )
    wire = signed.with_header("host", received)
    assert proxy.accept(wire, hosts=others)
    assert proxy.refuse(wire.with_header("host", "evil.test")).code == "SignatureDoesNotMatch"


def test_a_header_that_must_be_single_is_refused_twice(boto, proxy):
    wire = boto("get_object", Bucket="bucket", Key="key")
    for name in ("authorization", "x-amz-date", "x-amz-content-sha256", "host"):
        assert proxy.refuse(wire.with_another(name, wire.header(name))).code == "InvalidArgument"


@pytest.mark.parametrize(
    ("method", "target", "headers", "signed", "signature"),
    [
        (
            "GET",
            "/test.txt",
            {"range": "bytes=0-9"},
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            {
                "date": "Fri, 24 May 2013 00:00:00 GMT",
                "x-amz-storage-class": "REDUCED_REDUNDANCY",
                "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            },
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/?lifecycle",
            {},
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/?max-keys=2&prefix=J",
            {},
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_examples_of_aws_verify(proxy, new_wire, method, target, headers, signed, signature):
    given = {
        "host": "examplebucket.s3.amazonaws.com",
        "x-amz-date": "20130524T000000Z",
        "x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        **headers,
        "authorization": "AWS4-HMAC-SHA256 "
        "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={signed},Signature={signature}",
    }
    wire = new_wire(method, target, tuple((name, value.encode()) for name, value in given.items()))
    assert proxy.accept(wire, now=SPEC_TIME)


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12)
_ASCII_VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"]),
    key=_TEXT,
    query=st.lists(st.tuples(_TEXT.filter(bool), _TEXT), max_size=4),
    metadata=st.dictionaries(_NAMES, _ASCII_VALUE, max_size=4),
    host=st.sampled_from(["h", "h:9000", "b.s3.example.test"]),
)
def test_whatever_botocore_signs_is_accepted(proxy, credentials, as_wire, method, key, query, metadata, host):
    url = f"http://{host}/bucket/{quote(key, safe='/~')}"
    if query:
        url += "?" + "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in query)
    headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
    request = AWSRequest(method, url, headers=headers, data=b"")
    S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    wire = as_wire(request)
    names = {name for name, _ in query}
    if names & {"X-Amz-Algorithm", "AWSAccessKeyId", "Signature"}:
        return
    assert proxy.accept(wire).payload.mode is PayloadMode.SHA256
    assert proxy.refuse(wire.with_header("host", "x" + host)).code == "SignatureDoesNotMatch"


def _sign_by_hand(wire, names, keys, canonical=None):
    """Sign with nothing but hashlib, for requests that no SDK would make."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    empty = hashlib.sha256().hexdigest()
    wire = wire.with_header("x-amz-date", stamp).with_header("x-amz-content-sha256", empty)
    values = {n.lower(): v.decode("latin-1") for n, v in wire.headers} | (canonical or {})
    path, _, query = wire.target.partition("?")
    lines = "".join(f"{name}:{values[name]}\n" for name in names)
    text = f"{wire.method}\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{empty}"
    scope = f"{stamp[:8]}/us-east-1/s3/aws4_request"
    key = ("AWS4" + keys["AKIAIOSFODNN7EXAMPLE"].secret_access_key).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    hashed = hashlib.sha256(text.encode("latin-1")).hexdigest()
    signature = hmac.new(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}".encode(), "sha256").hexdigest()
    return wire.with_header(
        "authorization",
        f"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}",
    )

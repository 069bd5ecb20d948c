"""What we sign for the upstream is what botocore would sign, and what we would accept ourselves."""

from __future__ import annotations

import calendar
import time
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.auth.claim import PayloadMode
from proxy.auth.sign import (
    SIGNED_CHUNKS,
    SIGNED_CHUNKS_TRAILER,
    UNSIGNED_PAYLOAD,
    UNSIGNED_TRAILER,
    presign_v4,
    sign_v4,
)

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def sent(new_wire, method, path, query, headers, signed):
    pairs = tuple((name, value.encode("latin-1")) for name, value in (*headers, *signed.headers))
    return new_wire(method, f"{path}?{query}" if query else path, pairs)


@pytest.mark.parametrize("who", ["AKIAIOSFODNN7EXAMPLE", "ASIATEMPORARY"])
@pytest.mark.parametrize("payload", [EMPTY, UNSIGNED_PAYLOAD, UNSIGNED_TRAILER, SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER])
def test_what_we_sign_we_accept(proxy, keys, new_wire, who, payload):
    headers = [("Host", "h:9000"), ("Content-Type", "text/plain"), ("x-amz-meta-a", "  b   c "), ("User-Agent", "u")]
    path, query = "/bucket/a%20b%2Bc//../d'=", "uploadId=a%2Bb&partNumber=1&x-id=UploadPart"
    signed = sign_v4("PUT", path, query, headers, payload, keys[who], "eu-west-1", time.time())
    wire = sent(new_wire, "PUT", path, query, headers, signed)
    claim = proxy.accept(wire)
    assert (claim.access_key_id, claim.region, claim.payload.text) == (who, "eu-west-1", payload)
    assert "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a" in wire.header(
        "authorization"
    )
    assert proxy.refuse(wire.with_target("partNumber=1", "partNumber=2")).code == "SignatureDoesNotMatch"
    assert (signed.chunk_signer is not None) == claim.payload.mode.signed_chunks
    if signed.chunk_signer is not None:
        for digest in (EMPTY, "0" * 64):
            claim.chunk_signer.verify_chunk(digest, signed.chunk_signer.sign_chunk(digest))
        claim.chunk_signer.verify_trailer(EMPTY, signed.chunk_signer.sign_trailer(EMPTY))


def test_a_presigned_url_of_ours_is_accepted(proxy, keys, new_wire):
    for who in ("AKIAIOSFODNN7EXAMPLE", "ASIATEMPORARY"):
        query = presign_v4(
            "GET", "/bucket/k%20", "versionId=1", [("host", "h")], keys[who], "us-east-1", time.time(), 60
        )
        wire = new_wire("GET", f"/bucket/k%20?{query}", (("Host", b"h"),))
        claim = proxy.accept(wire)
        assert (claim.access_key_id, claim.payload.mode) == (who, PayloadMode.UNSIGNED)
        assert proxy.refuse(wire.with_target("versionId=1", "versionId=2")).code == "SignatureDoesNotMatch"


def test_a_presigned_url_agrees_with_botocore(keys, credentials):
    request = AWSRequest("GET", "http://h/bucket/k%20?versionId=1")
    S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=60).add_auth(request)
    theirs = request.url.partition("?")[2]
    now = calendar.timegm(time.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ"))
    key = keys["AKIAIOSFODNN7EXAMPLE"]
    ours = presign_v4("GET", "/bucket/k%20", "versionId=1", [("Host", "h")], key, "us-east-1", now, 60)
    assert sorted(ours.split("&")) == sorted(theirs.split("&"))


def test_repeated_headers_are_joined(proxy, keys, new_wire):
    headers = [("host", "h"), ("x-amz-meta-a", "1"), ("X-Amz-Meta-A", " 2 ")]
    signed = sign_v4("GET", "/b", "", headers, EMPTY, keys["AKIAIOSFODNN7EXAMPLE"], "r", time.time())
    assert proxy.accept(sent(new_wire, "GET", "/b", "", headers, signed))


def test_metadata_in_utf8_is_signed_by_its_bytes(proxy, keys, new_wire):
    headers = [("host", "h"), ("x-amz-meta-a", "voilà…".encode().decode("latin-1"))]
    signed = sign_v4("GET", "/b", "", headers, EMPTY, keys["AKIAIOSFODNN7EXAMPLE"], "r", time.time())
    assert proxy.accept(sent(new_wire, "GET", "/b", "", headers, signed))


_TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
_VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"]),
    key=_TEXT,
    query=st.lists(st.tuples(_TEXT, _TEXT).filter(any), max_size=4),
    headers=st.dictionaries(
        st.sampled_from(["x-amz-acl", "x-amz-meta-b", "x-amz-meta-a", "content-type", "range", "if-match"]), _VALUE
    ),
    unsigned=st.booleans(),
)
def test_our_signature_is_that_of_botocore(keys, credentials, method, key, query, headers, unsigned):
    path = f"/bucket/{quote(key, safe='/~')}"
    raw = "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in query)
    request = AWSRequest(method, f"https://h{path}" + (f"?{raw}" if raw else ""), headers=headers, data=b"")
    if unsigned:
        request.context.update(payload_signing_enabled=False, has_streaming_input=True)
        request.headers["Content-MD5"] = "1B2M2Y8AsgTpgAmY7PhCfg=="
    S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    now = calendar.timegm(time.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ"))
    given = [("host", "h"), *headers.items()]
    if unsigned:
        given.append(("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="))
    payload = UNSIGNED_PAYLOAD if unsigned else EMPTY
    signed = sign_v4(method, path, raw, given, payload, keys["AKIAIOSFODNN7EXAMPLE"], "us-east-1", now)
    assert dict(signed.headers)["authorization"] == request.headers["Authorization"]

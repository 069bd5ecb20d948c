"""Every form of signature, accepted once end to end and refused with each of its fields tampered with.

What is refused must not reach the store, and no answer may show a secret.
"""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Store
from tests.journeys.front import Front
from tests.journeys.signing import (
    SIGNED_CHUNKS,
    SIGNED_TRAILER,
    UNSIGNED,
    UNSIGNED_TRAILER,
    Key,
    chunked,
    form_fields_v2,
    form_fields_v4,
    multipart,
    presign_v2,
    presign_v4,
    sign_v2,
    sign_v4,
)
from tests.journeys.walking import ALICE, BOB, CAROL, EXPIRED, TEMPORARY, Walk, walking
from tests.journeys.wire import Answer, Wire

PATH = "/private/an%20object"
CRC = {"x-amz-checksum-crc32": base64.b64encode(zlib.crc32(b"content").to_bytes(4, "big")).decode()}
GET = Wire("GET", PATH, (("response-content-type", "text/x"),), (("If-None-Match", "other"),))
PUT = Wire("PUT", "/private/signed", (), (("Content-Type", "text/plain"), ("x-amz-meta-a", "1")), b"content")

Make = Callable[[Walk, Key], Wire]
Tamper = Callable[[Wire], Wire]


def header(walk: Walk, key: Key, wire: Wire = GET, payload: str | None = None, at: float | None = None) -> Wire:
    return sign_v4(wire, key, walk.host, payload, at=at)


def in_query(walk: Walk, key: Key, wire: Wire = GET, expires: int = 600, at: float | None = None) -> Wire:
    return presign_v4(wire.without_header("If-None-Match"), key, walk.host, expires, at=at)


def old_header(walk: Walk, key: Key, wire: Wire = GET, at: float | None = None) -> Wire:
    return sign_v2(wire, key, at=at)


def old_in_query(walk: Walk, key: Key, wire: Wire = GET, expires: int = 600) -> Wire:
    return presign_v2(wire.without_header("If-None-Match"), key, expires)


def in_chunks(mode: str, walk: Walk, key: Key) -> Wire:
    trailers = CRC if mode in (SIGNED_TRAILER, UNSIGNED_TRAILER) else None
    return chunked(PUT.with_(body=b""), key, walk.host, mode, [b"content"], trailers)


def form(version: int, walk: Walk, key: Key, *, seconds: float = 600, content: bytes = b"content") -> Wire:
    fields_of = form_fields_v4 if version == 4 else form_fields_v2
    body, kind = multipart(fields_of("private", "signed", key, ("x-amz-meta-a", "1"), seconds=seconds), content)
    return Wire("POST", "/private", (), (("Content-Type", kind),), body)


FORMS: dict[str, tuple[Make, str, int]] = {
    # name: how to make it, how policies see it, status
    "header, body hash": (header, "HeaderV4", 200),
    "header, upload with its hash": (partial(header, wire=PUT), "HeaderV4", 200),
    "header, unsigned payload": (partial(header, wire=PUT, payload=UNSIGNED), "HeaderV4", 200),
    "header, signed chunks": (partial(in_chunks, SIGNED_CHUNKS), "HeaderV4", 200),
    "header, signed trailer": (partial(in_chunks, SIGNED_TRAILER), "HeaderV4", 200),
    "header, unsigned trailer": (partial(in_chunks, UNSIGNED_TRAILER), "HeaderV4", 200),
    "presigned download": (in_query, "QueryV4", 200),
    "presigned upload": (
        partial(in_query, wire=PUT.without_header("x-amz-meta-a")),
        "QueryV4",
        200,
    ),
    "version 2 header": (old_header, "HeaderV2", 200),
    "version 2 upload": (partial(old_header, wire=PUT), "HeaderV2", 200),
    "version 2 presigned download": (old_in_query, "QueryV2", 200),
    "version 2 presigned upload": (
        partial(old_in_query, wire=PUT.without_header("x-amz-meta-a")),
        "QueryV2",
        200,
    ),
    "form": (partial(form, 4), "FormV4", 204),
    "version 2 form": (partial(form, 2), "FormV2", 204),
}


def refused(walk: Walk, front: Front, wire: Wire) -> Answer:
    """Send what must be refused before the store hears of it."""
    with front.watched() as seen:
        answer = walk.send(wire)
    assert seen == []
    assert answer.status >= 400
    for key in (ALICE, BOB, TEMPORARY, EXPIRED):
        assert key.secret.encode() not in answer.body
        assert not key.token or key.token.encode() not in answer.body
    decision = walk.decision(answer)
    assert (decision["decision"], decision["principal"]) == ("none", None)
    assert decision["error"] == (answer.code or decision["error"])
    return answer


@pytest.mark.parametrize("key", [ALICE, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize("name", FORMS)
def test_a_good_signature_is_accepted(walk: Walk, direct: Any, name: str, key: Key) -> None:
    make, _, status = FORMS[name]
    answer = walk.send(make(walk, key))
    assert answer.status == status, answer.body
    decision = walk.decision(answer)
    assert decision["access_key_id"] == key.id
    assert decision["decision"] == "allow"
    if make(walk, key).method == "GET":
        assert answer.body == b"stored before"
    else:
        stored = direct.get_object(Bucket="private", Key="signed")
        assert stored["Body"].read() == b"content"


@pytest.mark.parametrize("name", FORMS)
def test_a_good_signature_gives_no_rights_to_who_has_none(walk: Walk, front: Front, name: str) -> None:
    with front.watched() as seen:
        answer = walk.send(FORMS[name][0](walk, BOB))
    assert (answer.status, answer.code, seen) == (403, "AccessDenied", [])
    assert walk.decision(answer)["decision"] == "implicit_deny"


@pytest.mark.parametrize("name", FORMS)
def test_policies_see_how_a_request_is_signed(walk: Walk, name: str) -> None:
    make, seen_as, status = FORMS[name]
    answer = walk.send(make(walk, CAROL))
    assert answer.status == status
    assert [each["sid"] for each in walk.decision(answer)["statements"]] == [seen_as]


def test_nobody_may_use_a_public_bucket_and_no_other(walk: Walk, front: Front) -> None:
    assert walk.send(Wire("GET", "/public/an%20object")).body == b"stored before"
    assert walk.send(Wire("PUT", "/public/by-nobody", body=b"x")).status == 200
    decision = walk.decision(walk.send(Wire("GET", "/public/an%20object")))
    assert (decision["principal"], decision["access_key_id"], decision["decision"]) == (None, None, "allow")
    with front.watched() as seen:
        answer = walk.send(Wire("GET", PATH))
        listing = walk.send(Wire("GET", "/public"))
    assert (answer.status, answer.code, answer.element("Message")) == (403, "AccessDenied", "Access Denied")
    assert (listing.status, seen) == (403, [])


def authorization(old: str, new: str) -> Tamper:
    return lambda wire: wire.edit_header("Authorization", old, new)


def parameter(name: str, old: str, new: str) -> Tamper:
    return lambda wire: wire.edit_parameter(name, old, new)


def flip_header(wire: Wire) -> Wire:
    value = wire.header("Authorization") or ""
    return wire.with_header("Authorization", value[:-2] + ("0" if value[-2] != "0" else "1") + value[-1])


def flip_parameter(name: str) -> Tamper:
    def flip(wire: Wire) -> Wire:
        value = wire.parameter(name) or ""
        return wire.edit_parameter(name, value, ("0" if value[0] != "0" else "1") + value[1:])

    return flip


def shown(name: str, value: str) -> Tamper:
    return lambda wire: wire.with_header(name, value)


def without(name: str) -> Tamper:
    return lambda wire: wire.without_header(name)


MISMATCH = (403, "SignatureDoesNotMatch")
UNKNOWN = (403, "InvalidAccessKeyId")
NOT_SIGNED = (403, "AccessDenied")
MALFORMED = (400, "AuthorizationHeaderMalformed")
QUERY = (400, "AuthorizationQueryParametersError")
OLD = "20200101T000000Z"

V4_HEADER: dict[str, tuple[Tamper, tuple[int, str]]] = {
    "algorithm": (authorization("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), (400, "InvalidArgument")),
    "unknown key": (authorization("AKIAALICE", "AKIANOBODY"), UNKNOWN),
    "another's key": (authorization("AKIAALICE", "AKIABOB"), MISMATCH),
    "date of the scope": (authorization(f"{time.strftime('%Y', time.gmtime())}", "2020"), MALFORMED),
    "region": (authorization("us-east-1", "eu-west-1"), MISMATCH),
    "service": (authorization("/s3/", "/ec2/"), MALFORMED),
    "terminator": (authorization("aws4_request", "aws5_request"), MALFORMED),
    "signed headers without a condition": (authorization(";if-none-match", ""), MISMATCH),
    "signed headers without host": (authorization("SignedHeaders=host;", "SignedHeaders="), NOT_SIGNED),
    "signed headers without the date": (authorization(";x-amz-date", ""), NOT_SIGNED),
    "signature": (flip_header, MISMATCH),
    "no signature": (lambda w: w.with_header("Authorization", "AWS4-HMAC-SHA256 Credential=x"), MALFORMED),
    "method": (lambda w: w.with_(method="DELETE", query=()), MISMATCH),
    "path": (lambda w: w.with_(path="/public/an%20object"), MISMATCH),
    "parameter": (parameter("response-content-type", "text/x", "text/html"), MISMATCH),
    "another parameter": (lambda w: w.with_parameter("partNumber", "1"), MISMATCH),
    "no parameter": (lambda w: w.without_parameter("response-content-type"), MISMATCH),
    "condition": (shown("If-None-Match", "another"), MISMATCH),
    "host": (shown("Host", "elsewhere.example:9000"), MISMATCH),
    "date": (shown("x-amz-date", OLD), (403, "RequestTimeTooSkewed")),
    "no date": (without("x-amz-date"), NOT_SIGNED),
    "body hash": (shown("x-amz-content-sha256", "0" * 64), MISMATCH),
    "body hash of no form": (shown("x-amz-content-sha256", "none"), (400, "InvalidArgument")),
    "no body hash": (without("x-amz-content-sha256"), (400, "InvalidRequest")),
    "another header": (shown("x-amz-expected-bucket-owner", "123456789012"), NOT_SIGNED),
    "another token": (shown("x-amz-security-token", "t"), NOT_SIGNED),
    "a second mechanism": (lambda w: w.with_parameter("X-Amz-Signature", "0" * 64), (400, "InvalidArgument")),
}
V4_QUERY: dict[str, tuple[Tamper, tuple[int, str]]] = {
    "algorithm": (parameter("X-Amz-Algorithm", "256", "512"), QUERY),
    "unknown key": (parameter("X-Amz-Credential", "AKIAALICE", "AKIANOBODY"), UNKNOWN),
    "another's key": (parameter("X-Amz-Credential", "AKIAALICE", "AKIABOB"), MISMATCH),
    "date of the scope": (parameter("X-Amz-Credential", time.strftime("%Y", time.gmtime()), "2020"), QUERY),
    "region": (parameter("X-Amz-Credential", "us-east-1", "eu-west-1"), MISMATCH),
    "service": (parameter("X-Amz-Credential", "/s3/", "/ec2/"), QUERY),
    "terminator": (parameter("X-Amz-Credential", "aws4_request", "aws5_request"), QUERY),
    "date": (parameter("X-Amz-Date", "Z", "X"), QUERY),
    "expiry": (parameter("X-Amz-Expires", "600", "6000"), MISMATCH),
    "expiry too long": (parameter("X-Amz-Expires", "600", "604801"), QUERY),
    "expiry no number": (parameter("X-Amz-Expires", "600", "-1"), QUERY),
    "signed headers": (parameter("X-Amz-SignedHeaders", "host", "range"), NOT_SIGNED),
    "signature": (flip_parameter("X-Amz-Signature"), MISMATCH),
    "no signature": (lambda w: w.without_parameter("X-Amz-Signature"), QUERY),
    "method": (lambda w: w.with_(method="PUT").without_parameter("response-content-type"), MISMATCH),
    "path": (lambda w: w.with_(path="/public/an%20object"), MISMATCH),
    "parameter": (parameter("response-content-type", "text/x", "text/html"), MISMATCH),
    "another parameter": (lambda w: w.with_parameter("partNumber", "1"), MISMATCH),
    "host": (shown("Host", "elsewhere.example:9000"), MISMATCH),
    "a header that is not signed": (shown("x-amz-expected-bucket-owner", "123456789012"), NOT_SIGNED),
    "a header in the query": (lambda w: w.with_parameter("x-amz-request-payer", "requester"), MISMATCH),
    "a second mechanism": (shown("Authorization", "AWS AKIAALICE:abc"), (400, "InvalidArgument")),
}
V2_HEADER: dict[str, tuple[Tamper, tuple[int, str]]] = {
    "scheme": (authorization("AWS ", "AWZ "), (400, "InvalidArgument")),
    "unknown key": (authorization("AKIAALICE", "AKIANOBODY"), UNKNOWN),
    "another's key": (authorization("AKIAALICE", "AKIABOB"), MISMATCH),
    "signature": (flip_header, MISMATCH),
    "no signature": (lambda w: w.with_header("Authorization", "AWS AKIAALICE"), (400, "InvalidArgument")),
    "method": (lambda w: w.with_(method="DELETE"), MISMATCH),
    "path": (lambda w: w.with_(path="/public/an%20object"), MISMATCH),
    "content type": (shown("Content-Type", "text/html"), MISMATCH),
    "MD5 of the body": (shown("Content-MD5", "mgNkuembtIDdJeHwKEyFVQ=="), MISMATCH),
    "metadata": (shown("x-amz-meta-a", "2"), MISMATCH),
    "another header": (shown("x-amz-acl", "public-read"), MISMATCH),
    "sub-resource": (lambda w: w.with_(query=(("acl", ""),)).without_header("x-amz-meta-a"), MISMATCH),
    "date": (shown("Date", "Wed, 01 Jan 2020 00:00:00 GMT"), (403, "RequestTimeTooSkewed")),
    "no date": (without("Date"), NOT_SIGNED),
}
V2_QUERY: dict[str, tuple[Tamper, tuple[int, str]]] = {
    "unknown key": (parameter("AWSAccessKeyId", "AKIAALICE", "AKIANOBODY"), UNKNOWN),
    "another's key": (parameter("AWSAccessKeyId", "AKIAALICE", "AKIABOB"), MISMATCH),
    "expiry": (lambda w: w.with_parameter("Expires", str(int(time.time()) + 9000)), MISMATCH),
    "signature": (flip_parameter("Signature"), MISMATCH),
    "no signature": (lambda w: w.without_parameter("Signature"), NOT_SIGNED),
    "no expiry": (lambda w: w.without_parameter("Expires"), NOT_SIGNED),
    "method": (lambda w: w.with_(method="PUT").without_parameter("response-content-type"), MISMATCH),
    "path": (lambda w: w.with_(path="/public/an%20object"), MISMATCH),
    "parameter": (parameter("response-content-type", "text/x", "text/html"), MISMATCH),
    "a header": (shown("x-amz-expected-bucket-owner", "123456789012"), MISMATCH),
    "content type": (shown("Content-Type", "text/html"), MISMATCH),
}


def cases(table: dict[str, tuple[Tamper, tuple[int, str]]]) -> list[object]:
    return [pytest.param(tamper, expected, id=name) for name, (tamper, expected) in table.items()]


@pytest.mark.parametrize(("tamper", "expected"), cases(V4_HEADER))
def test_a_header_signature_covers_its_request(
    walk: Walk, front: Front, tamper: Tamper, expected: tuple[int, str]
) -> None:
    answer = refused(walk, front, tamper(header(walk, ALICE)))
    assert (answer.status, answer.code) == expected


@pytest.mark.parametrize(("tamper", "expected"), cases(V4_QUERY))
def test_a_presigned_url_covers_its_request(
    walk: Walk, front: Front, tamper: Tamper, expected: tuple[int, str]
) -> None:
    answer = refused(walk, front, tamper(in_query(walk, ALICE)))
    assert (answer.status, answer.code) == expected


@pytest.mark.parametrize(("tamper", "expected"), cases(V2_HEADER))
def test_a_version_2_header_covers_its_request(
    walk: Walk, front: Front, tamper: Tamper, expected: tuple[int, str]
) -> None:
    answer = refused(walk, front, tamper(old_header(walk, ALICE, PUT)))
    assert (answer.status, answer.code) == expected


@pytest.mark.parametrize(("tamper", "expected"), cases(V2_QUERY))
def test_a_version_2_url_covers_its_request(
    walk: Walk, front: Front, tamper: Tamper, expected: tuple[int, str]
) -> None:
    answer = refused(walk, front, tamper(old_in_query(walk, ALICE)))
    assert (answer.status, answer.code) == expected


def test_clocks_may_differ_by_a_quarter_of_an_hour(walk: Walk, front: Front) -> None:
    now = time.time()
    for at in (now - 890, now + 890):
        assert walk.send(header(walk, ALICE, at=at)).status == 200
        assert walk.send(old_header(walk, ALICE, at=at)).status == 200
    for at in (now - 1000, now + 1000):
        for wire in (header(walk, ALICE, at=at), old_header(walk, ALICE, at=at)):
            answer = refused(walk, front, wire)
            assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")
            assert answer.element("MaxAllowedSkewMilliseconds") == "900000"


def test_a_url_is_good_from_its_date_until_it_expires(walk: Walk, front: Front) -> None:
    now = time.time()
    assert walk.send(in_query(walk, ALICE, expires=600, at=now - 500)).status == 200
    late = refused(walk, front, in_query(walk, ALICE, expires=600, at=now - 700))
    assert (late.status, late.code, late.element("Message")) == (403, "AccessDenied", "Request has expired")
    early = refused(walk, front, in_query(walk, ALICE, at=now + 1000))
    assert (early.status, early.code, early.element("Message")) == (403, "AccessDenied", "Request is not valid yet")
    late = refused(walk, front, old_in_query(walk, ALICE, expires=-1))
    assert (late.status, late.code, late.element("Message")) == (403, "AccessDenied", "Request has expired")


@pytest.mark.parametrize("name", FORMS)
def test_a_session_token_belongs_to_its_key(walk: Walk, front: Front, name: str) -> None:
    make = FORMS[name][0]
    answer = refused(walk, front, make(walk, Key(TEMPORARY.id, TEMPORARY.secret, "another-token")))
    assert (answer.status, answer.code) == (400, "InvalidToken")
    answer = refused(walk, front, make(walk, Key(TEMPORARY.id, TEMPORARY.secret)))
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")
    answer = refused(walk, front, make(walk, Key(ALICE.id, ALICE.secret, "token")))
    assert (answer.status, answer.code) == (400, "InvalidToken")
    answer = refused(walk, front, make(walk, EXPIRED))
    assert (answer.status, answer.code) == (400, "ExpiredToken")


FORM: dict[str, tuple[Callable[[bytes], bytes], tuple[int, str]]] = {
    "unknown key": (lambda body: body.replace(b"AKIAALICE", b"AKIANOBODY"), UNKNOWN),
    "another's key": (lambda body: body.replace(b"AKIAALICE", b"AKIABOB"), MISMATCH),
    "a field": (lambda body: body.replace(b'meta-a"\r\n\r\n1', b'meta-a"\r\n\r\n2'), NOT_SIGNED),
    "the key": (lambda body: body.replace(b"\r\n\r\nsigned\r\n", b"\r\n\r\nother\r\n"), NOT_SIGNED),
    "a field more": (
        lambda body: b'------walkformborder\r\nContent-Disposition: form-data; name="acl"\r\n\r\nprivate\r\n' + body,
        NOT_SIGNED,
    ),
    "the policy": (
        lambda body: body.replace(b'name="policy"\r\n\r\neyJ', b'name="policy"\r\n\r\neyK'),
        MISMATCH,
    ),
    "the signature": (
        lambda body: body.replace(b'signature"\r\n\r\n', b'signature"\r\n\r\n0'),
        MISMATCH,
    ),
    "no signature": (
        lambda body: body.replace(b'name="x-amz-signature"', b'name="x-ignore-a"').replace(
            b'name="signature"', b'name="x-ignore-a"'
        ),
        (400, "InvalidArgument"),
    ),
}


@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize(("tamper", "expected"), [pytest.param(*case, id=name) for name, case in FORM.items()])
def test_a_form_is_covered_by_its_policy(
    walk: Walk, front: Front, version: int, tamper: Callable[[bytes], bytes], expected: tuple[int, str]
) -> None:
    wire = form(version, walk, ALICE)
    body = tamper(wire.body)
    assert body != wire.body
    answer = refused(walk, front, wire.with_(body=body))
    assert (answer.status, answer.code) == expected


def test_a_form_is_bound_to_its_bucket_and_time_and_size(walk: Walk, front: Front) -> None:
    for version in (2, 4):
        assert refused(walk, front, form(version, walk, ALICE).with_(path="/public")).code == "AccessDenied"
        assert refused(walk, front, form(version, walk, ALICE, seconds=-1)).code == "AccessDenied"
    with front.watched() as seen:
        answer = walk.send(form(4, walk, ALICE, content=b"x" * 1001))
    assert (answer.code, seen) == ("EntityTooLarge", [])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", {(400, "InvalidArgument"), MISMATCH, NOT_SIGNED}),
        ("us-east-1/s3", "us-east-1/ec2", {(400, "InvalidArgument"), MALFORMED, NOT_SIGNED}),
        ("aws4_request", "aws5_request", {(400, "InvalidArgument"), MALFORMED, NOT_SIGNED}),
        (
            f'date"\r\n\r\n{time.strftime("%Y", time.gmtime())}',
            'date"\r\n\r\n2020',
            {NOT_SIGNED, (400, "InvalidArgument")},
        ),
    ],
)
def test_the_fields_about_a_forms_signature_count(
    walk: Walk, front: Front, old: str, new: str, expected: set[tuple[int, str]]
) -> None:
    wire = form(4, walk, ALICE)
    assert old.encode() in wire.body
    answer = refused(walk, front, wire.with_(body=wire.body.replace(old.encode(), new.encode(), 1)))
    assert (answer.status, answer.code) in expected


def test_what_is_signed_with_elliptic_curves_is_not_supported(walk: Walk, front: Front) -> None:
    wire = header(walk, ALICE).edit_header("Authorization", "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")
    answer = refused(walk, front, wire.with_header("x-amz-region-set", "*"))
    assert (answer.status, answer.code) == (501, "NotImplemented")
    wire = in_query(walk, ALICE).edit_parameter("X-Amz-Algorithm", "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")
    assert refused(walk, front, wire).code == "NotImplemented"


def test_nobody_can_sign_chunks_without_a_name(walk: Walk, front: Front) -> None:
    wire = in_chunks(SIGNED_CHUNKS, walk, ALICE).without_header("Authorization").with_(path="/public/x")
    assert refused(walk, front, wire).code in ("InvalidRequest", "AccessDenied")


def test_version_2_and_foreign_regions_can_be_switched_off(
    moto_store: Store, moto_front: Front, tmp_path: Path
) -> None:
    settings = {"auth": {"sigv2": False, "strict_region": True}}
    with walking(tmp_path, moto_store, endpoint=moto_front.endpoint, **settings) as strict:
        for make in (old_header, old_in_query, partial(form, 2)):
            assert refused(strict, moto_front, make(strict, ALICE)).status in (400, 403)
        wire = sign_v4(GET, ALICE, strict.host, region="eu-west-1")
        answer = refused(strict, moto_front, wire)
        assert (answer.status, answer.code, answer.element("Region")) == (*MALFORMED, "us-east-1")
        assert strict.send(header(strict, ALICE, Wire("GET", "/"))).status == 200


def test_any_region_is_accepted_by_default(walk: Walk) -> None:
    assert walk.send(sign_v4(GET, ALICE, walk.host, region="auto")).status == 200


def test_a_head_that_is_refused_has_no_body(walk: Walk, front: Front) -> None:
    wire = flip_header(header(walk, ALICE, Wire("HEAD", PATH)))
    with front.watched() as seen:
        answer = walk.send(wire)
    assert (answer.status, answer.body, seen) == (403, b"", [])
    assert walk.decision(answer)["error"] == "SignatureDoesNotMatch"


def test_a_signature_that_does_not_match_is_explained(walk: Walk, front: Front) -> None:
    answer = refused(walk, front, flip_header(header(walk, ALICE)))
    assert answer.element("StringToSign").startswith("AWS4-HMAC-SHA256\n")
    assert answer.element("CanonicalRequest").startswith("GET\n/private/an%20object\nresponse-content-type=text%2Fx\n")
    assert answer.element("AWSAccessKeyId") == "AKIAALICE"
    assert answer.headers["x-amz-id-2"]

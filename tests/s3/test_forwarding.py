"""Which headers pass the proxy, towards the store and back."""

from __future__ import annotations

import pytest

from proxy.errors import S3Error
from proxy.s3.address import Domains
from proxy.s3.forwarding import client_headers, upstream_headers, upstream_path, upstream_query
from proxy.s3.head import parse_head
from proxy.s3.headers import Headers
from proxy.s3.request import recognise


def sent(*pairs: tuple[str, str]) -> dict[str, str]:
    found = upstream_headers(Headers.of(pairs))
    assert found.pop("accept-encoding") == "identity"
    return found


def test_what_s3_gives_a_meaning_to_goes_upstream() -> None:
    pairs = [
        ("content-type", "text/plain"),
        ("cache-control", "no-store"),
        ("content-md5", "abc="),
        ("if-match", '"a"'),
        ("if-range", '"a"'),
        ("range", "bytes=0-1"),
        ("origin", "https://app.test"),
        ("user-agent", "aws-cli/1"),
        ("x-amz-acl", "private"),
        ("x-amz-meta-caf", "caf\xc3\xa9"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-expected-bucket-owner", "123456789012"),
    ]
    assert sent(*pairs) == dict(pairs)


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Expect",
        "Host",
        "Content-Length",
        "Accept",
        "Cookie",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "Forwarded",
        "X-Minio-Force-Delete",
        "X-Amz_Acl",
        "X_Amz_Acl",
        "amz-sdk-request",
        "x-amzn-trace-id",
        "X-Amz-Date",
        "X-Amz-Content-SHA256",
        "X-Amz-Security-Token",
        "x-amz-te",
        "x-amz-api-version",
        "x-amz-trailer",
        "x-amz-decoded-content-length",
        "x-amz-user-agent",
        "x-amz-cf-id",
        "X-HTTP-Method-Override",
    ],
)
def test_signature_framing_connection_and_strangers_stay_behind(name: str) -> None:
    assert sent((name, "value")) == {}


def test_the_store_is_never_asked_to_compress() -> None:
    assert upstream_headers(Headers.of([("Accept-Encoding", "gzip")]))["accept-encoding"] == "identity"


def test_names_are_lower_case_and_repeated_fields_are_joined() -> None:
    assert sent(("X-Amz-Meta-A", "1"), ("x-amz-meta-a", "2")) == {"x-amz-meta-a": "1,2"}


@pytest.mark.parametrize(
    ("coding", "expected"),
    [
        ("aws-chunked", None),
        ("gzip,aws-chunked", "gzip"),
        ("aws-chunked, gzip", "gzip"),
        ("AWS-Chunked", None),
        ("gzip", "gzip"),
        ("", None),
    ],
)
def test_the_framing_of_the_upload_is_not_stored_as_its_coding(coding: str, expected: str | None) -> None:
    assert sent(("Content-Encoding", coding)).get("content-encoding") == expected


def test_copy_source_and_tags_leave_in_one_spelling() -> None:
    assert sent(("x-amz-copy-source", "/bkt%2Fa b%2Bc?versionId=1"), ("x-amz-tagging", "a+b=c&d")) == {
        "x-amz-copy-source": "bkt/a%20b%2Bc?versionId=1",
        "x-amz-tagging": "a%20b=c&d=",
    }


@pytest.mark.parametrize("listed", ["x-amz-server-side-encryption", "close, X-Amz-Acl", "If-None-Match", "range"])
def test_a_connection_header_cannot_take_away_what_was_judged(listed: str) -> None:
    with pytest.raises(S3Error, match="BadRequest"):
        sent(("Connection", listed), ("x-amz-server-side-encryption", "AES256"))


def test_ordinary_connection_headers_are_fine() -> None:
    assert sent(("Connection", "keep-alive, TE"), ("TE", "trailers"), ("range", "bytes=0-")) == {"range": "bytes=0-"}


@pytest.mark.parametrize(
    ("bucket", "key", "virtual_host", "path"),
    [
        (None, None, False, "/"),
        ("bkt", None, False, "/bkt"),
        ("bkt", "a b//c", False, "/bkt/a%20b//c"),
        ("bkt", "/", False, "/bkt//"),
        ("bkt", None, True, "/"),
        ("bkt", "a/../b", True, "/a/../b"),
        ("bkt", "/x", True, "//x"),
    ],
)
def test_paths_upstream(bucket: str | None, key: str | None, virtual_host: bool, path: str) -> None:
    assert upstream_path(bucket, key, virtual_host=virtual_host) == path


def test_the_query_upstream_is_what_was_recognised() -> None:
    target = "/bkt?list-type=2&prefix=a%20%C3%A9+b/&x-id=ListObjectsV2&AWSAccessKeyId=a&Signature=b&Expires=1"
    request = recognise(parse_head("GET", target, Headers()), Domains.of([]))
    assert upstream_query(request) == "list-type=2&prefix=a%20%C3%A9%2Bb%2F"
    assert upstream_query(recognise(parse_head("GET", "/bkt?acl", Headers()), Domains.of([]))) == "acl="


def test_answers_keep_their_fields_in_order_and_spelling() -> None:
    kept = [
        ("ETag", '"a"'),
        ("x-amz-meta-Name", "x"),
        ("Content-Length", "3"),
        ("Content-Encoding", "gzip"),
        ("Vary", "Origin"),
    ]
    assert client_headers(Headers.of(kept)) == kept


def test_what_belongs_to_the_stores_connection_or_host_is_not_returned() -> None:
    received = [
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Transfer-Encoding", "chunked"),
        ("Server", "nginx"),
        ("Date", "today"),
        ("Set-Cookie", "a=b"),
        ("Strict-Transport-Security", "max-age=1"),
        ("Content-Encoding", "aws-chunked"),
        ("ETag", '"a"'),
    ]
    assert client_headers(Headers.of(received)) == [("ETag", '"a"')]


@pytest.mark.parametrize(
    ("location", "kept"),
    [
        ("/my-bucket", True),
        ("http://store.internal/my-bucket", False),
        ("//store.internal/x", False),
        ("my-bucket", False),
    ],
)
def test_a_location_is_returned_only_if_it_names_no_host(location: str, kept: bool) -> None:
    assert client_headers(Headers.of([("Location", location)])) == ([("Location", location)] if kept else [])

"""Bucket and key of a request, path style and virtual host."""

from __future__ import annotations

import pytest

from proxy.errors import S3Error
from proxy.s3.address import Address, Domains, check_bucket_name, check_key, encode_key, parse_address
from proxy.s3.head import parse_head
from proxy.s3.headers import Headers

DOMAINS = Domains.of(["s3.example.test:9000", "localhost", "example.test"])


def address(path: str, host: str | None = "127.0.0.1:9000", domains: Domains = DOMAINS) -> Address:
    return parse_address(parse_head("GET", path, Headers.of([("Host", host)] if host else [])), domains)


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        ("/", None, None),
        ("/my-bucket", "my-bucket", None),
        ("/my-bucket/", "my-bucket", None),
        ("/my-bucket/key", "my-bucket", "key"),
        ("/my-bucket//", "my-bucket", "/"),
        ("/my-bucket//a//b/", "my-bucket", "/a//b/"),
        ("/my-bucket/a%20b+c", "my-bucket", "a b+c"),
        ("/my-bucket/a%2Fb", "my-bucket", "a/b"),
        ("/my-bucket/100%2525", "my-bucket", "100%25"),
        ("/my-bucket/%C3%A9", "my-bucket", "é"),
        ("/my-bucket/a/../b", "my-bucket", "a/../b"),
        ("/my-bucket/...", "my-bucket", "..."),
        ("/my.bucket/k", "my.bucket", "k"),
    ],
)
def test_path_style_takes_the_first_segment_as_bucket(path: str, bucket: str | None, key: str | None) -> None:
    assert address(path) == Address("path", bucket, key)


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("my-bucket.s3.example.test", "my-bucket"),
        ("my-bucket.s3.example.test:9000", "my-bucket"),
        ("my-bucket.S3.Example.TEST:443", "my-bucket"),
        ("my.dotted.bucket.s3.example.test", "my.dotted.bucket"),
        ("my-bucket.localhost:9000", "my-bucket"),
        ("my-bucket.localhost.", "my-bucket"),
        ("my-bucket.example.test", "my-bucket"),
    ],
)
def test_a_subdomain_of_a_configured_domain_is_a_bucket(host: str, bucket: str) -> None:
    assert address("/", host) == Address("virtual", bucket, None)
    assert address("/a%20b/c", host) == Address("virtual", bucket, "a b/c")
    assert address("//c", host) == Address("virtual", bucket, "/c")


@pytest.mark.parametrize(
    "host",
    [
        "s3.example.test",
        "S3.EXAMPLE.TEST:80",
        "localhost:9000",
        "127.0.0.1",
        "[::1]:9000",
        "[::1]",
        "my-bucket.other.test",
        None,
    ],
)
def test_other_hosts_are_path_style(host: str | None) -> None:
    assert address("/my-bucket/key", host) == Address("path", "my-bucket", "key")


def test_a_name_that_only_ends_like_a_domain_is_not_a_subdomain() -> None:
    assert address("/my-bucket", "evillocalhost").style == "path"


def test_without_domains_every_host_is_path_style() -> None:
    assert address("/my-bucket", "other.localhost", Domains.of([])).bucket == "my-bucket"


def test_two_host_headers_are_refused() -> None:
    head = parse_head("GET", "/", Headers.of([("Host", "localhost"), ("Host", "my-bucket.localhost")]))
    with pytest.raises(S3Error, match="InvalidArgument"):
        parse_address(head, DOMAINS)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * 64,
        "Upper",
        "under_score",
        "-start",
        "end-",
        ".start",
        "end.",
        "a..b",
        "192.168.5.4",
        "a%62c",
        "a:b",
        "büc",
    ],
)
def test_what_cannot_be_a_bucket_is_refused(name: str) -> None:
    with pytest.raises(S3Error, match="InvalidBucketName"):
        check_bucket_name(name)


@pytest.mark.parametrize("name", ["abc", "a" * 63, "0-9", "a.b", "1.2.3.4.5", "xn--thing"])
def test_what_can_be_a_bucket_is_taken(name: str) -> None:
    assert check_bucket_name(name) == name


@pytest.mark.parametrize(
    "name", ["data-x1y2-s3alias", "fast--use1-az4--x-s3", "abc.mrap", "thing--ol-s3", "thing--table-s3"]
)
def test_names_by_which_aws_reaches_a_bucket_otherwise_are_refused(name: str) -> None:
    with pytest.raises(S3Error, match="NotImplemented"):
        check_bucket_name(name)


@pytest.mark.parametrize("path", ["//", "//key", "/my-bucket%2Fkey", "/My-Bucket/key", "/../my-bucket"])
def test_a_path_without_a_valid_bucket_is_refused(path: str) -> None:
    with pytest.raises(S3Error, match="InvalidBucketName"):
        address(path)


@pytest.mark.parametrize("path", ["/my-bucket/%FF", "/my-bucket/a%00b", "/my-bucket/%ED%A0%80"])
def test_keys_that_are_not_utf_8_or_hold_nul_are_refused(path: str) -> None:
    with pytest.raises(S3Error, match="InvalidURI"):
        address(path)


@pytest.mark.parametrize("key", ["..", "../other/key", "a/../../b", "./../x", "a/..//../x", "/../x"])
def test_a_key_that_climbs_out_of_its_bucket_is_refused(key: str) -> None:
    with pytest.raises(S3Error, match="InvalidURI"):
        check_key(key)
    with pytest.raises(S3Error, match="InvalidURI"):
        address("/my-bucket/" + key.replace(".", "%2e"))


@pytest.mark.parametrize("key", ["a/../b", "a/b/../../c", "..a", "a..", "a/...", ".", "./a"])
def test_other_dots_are_part_of_a_literal_key(key: str) -> None:
    assert check_key(key) == key


def test_a_key_may_have_1024_bytes_of_utf_8() -> None:
    assert check_key("é" * 512)
    with pytest.raises(S3Error, match="KeyTooLongError") as caught:
        check_key("é" * 512 + "a")
    assert caught.value.extras == {"Size": "1025", "MaxSizeAllowed": "1024"}


def test_keys_are_encoded_as_signatures_want_them() -> None:
    assert encode_key("a b+c~/d//é!*'()") == "a%20b%2Bc~/d//%C3%A9%21%2A%27%28%29"

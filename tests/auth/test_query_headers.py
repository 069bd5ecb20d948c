"""Headers in the query of a presigned URL."""

from __future__ import annotations

import pytest

from proxy.auth.query_headers import read_plus_as_space, read_query_headers
from proxy.errors import S3Error
from proxy.s3.head import parse_head
from proxy.s3.headers import Headers


def read(query, headers=()):
    return read_query_headers(parse_head("PUT", f"/b/k?{query}", Headers.of(headers)), frozenset({"X-Amz-Date"}))


def test_amz_parameters_become_headers_and_are_consumed():
    found, consumed = read("X-Amz-Date=1&X-Amz-Acl=private&x-amz-meta-a=%C3%A9&versionId=1&x-id=PutObject")
    assert found == (("x-amz-acl", "private"), ("x-amz-meta-a", "\xc3\xa9"))
    assert consumed == {"X-Amz-Date", "X-Amz-Acl", "x-amz-meta-a"}


def test_checksum_values_are_ignored_but_not_what_names_the_algorithm():
    found, consumed = read(
        "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-checksum-algorithm=CRC32&x-amz-checksum-type=FULL_OBJECT"
        "&x-amz-checksum-mode=ENABLED&x-amz-sdk-checksum-algorithm=CRC32&X-Amz-Checksum-Sha256=x"
    )
    assert [name for name, _ in found] == ["x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"]
    assert len(consumed) == 6


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("x-amz-acl=private&X-Amz-Acl=public-read", ()),
        ("x-amz-acl=private", [("x-amz-acl", "public-read")]),
        ("x-amz-meta-a=1%0D%0Ax-amz-acl:public-read", ()),
        ("x-amz-meta-a=%00", ()),
        ("x-amz-meta-a%0D%0Ab=1", ()),
        ("x-amz-meta%20a=1", ()),
    ],
)
def test_what_cannot_be_one_header_is_refused(query, headers):
    with pytest.raises(S3Error) as caught:
        read(query, headers)
    assert caught.value.code == "InvalidArgument"


def test_the_same_value_twice_is_one_header():
    assert read("x-amz-acl=private&X-Amz-Acl=private")[0] == (("x-amz-acl", "private"),)
    assert read("x-amz-acl=private", [("x-amz-acl", "private")])[0] == ()


def test_plus_is_read_as_space_only_in_the_query():
    head = read_plus_as_space(parse_head("GET", "/a+b?prefix=a+b%2Bc", Headers()))
    assert (head.path, head.query) == ("/a+b", (("prefix", "a b+c"),))

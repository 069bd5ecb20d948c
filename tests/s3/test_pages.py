"""Pages of listings: what is hidden, how they are filled up, what asks for the next one."""

from __future__ import annotations

import pytest

from proxy.errors import S3Error
from proxy.s3.pages import Page, parse_page, with_values


def page(entries: str, ends: str = "<IsTruncated>false</IsTruncated>", encoding: str = "") -> Page:
    head = (
        f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>{ends}'
    )
    return parse_page(f"{head}{encoding}<KeyCount>9</KeyCount>{entries}</ListBucketResult>".encode())


def contents(*keys: str) -> str:
    return "".join(f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag></Contents>" for key in keys)


def names(listed: Page) -> list[str]:
    return [listed.name(entry) for entry in listed.entries]


def test_hidden_entries_are_left_out_and_not_counted() -> None:
    shown = page(contents("a", ".s3w/x", "b")).without(lambda name: name.startswith(".s3w/"))
    assert names(shown) == ["a", "b"]
    assert b"<KeyCount>2</KeyCount>" in shown.render()


def test_names_are_decoded_when_the_listing_says_so() -> None:
    assert names(page(contents("a%2Fb+c"), encoding="<EncodingType>url</EncodingType>")) == ["a/b c"]


def test_the_next_page_is_asked_for_with_the_stores_own_token() -> None:
    ends = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    listed = page(contents("a"), ends)
    assert listed.is_truncated
    assert listed.next("ListObjectsV2", ".s3w/") == {"continuation-token": "t"}
    assert listed.next("ListObjects", ".s3w/") == {"marker": "a"}


def test_a_page_that_ends_in_reserved_names_jumps_over_all_of_them() -> None:
    listed = page(contents("!", ".s3w/x"), "<IsTruncated>true</IsTruncated>")
    beyond = ".s3w/\U0010ffff"
    assert listed.next("ListObjectsV2", ".s3w/") == {"continuation-token": None, "start-after": beyond}
    assert listed.next("ListObjects", ".s3w/") == {"marker": beyond}


def test_versions_go_on_where_the_store_says() -> None:
    ends = "<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>"
    asked = page(contents(".s3w/x"), ends).next("ListObjectVersions", ".s3w/")
    assert asked == {"key-marker": "k", "version-id-marker": "v", "upload-id-marker": None}


@pytest.mark.parametrize("mark", ["NextKeyMarker", "NextMarker"])
@pytest.mark.parametrize(
    ("written", "marker", "meant"),
    [
        ("a%20b%2Bc", "a%20b%2Bc", "a b+c"),  # S3: encoded like the keys
        ("a%20b%2Bc", "a b+c", "a b+c"),  # Ceph: not encoded
        ("a%2520b", "a%20b", "a%20b"),
        ("a%2520b", "a%2520b", "a%20b"),
        ("z", "elsewhere%2F", "elsewhere/"),
        ("z", "", None),
    ],
)
def test_what_follows_is_asked_for_by_the_key_however_the_store_writes_it(
    mark: str, written: str, marker: str, meant: str | None
) -> None:
    encoding = f"<EncodingType>url</EncodingType><{mark}>{marker}</{mark}>"
    assert page(contents("a%20b", written), encoding=encoding).marker(mark) == meant


def test_what_is_not_encoded_is_not_decoded() -> None:
    assert page(contents("a+b"), "<NextKeyMarker>a+b</NextKeyMarker>").marker("NextKeyMarker") == "a+b"


def test_a_name_is_not_taken_for_another_whose_written_form_it_is() -> None:
    ends = "<EncodingType>url</EncodingType><NextKeyMarker>a%20b</NextKeyMarker>"
    assert page(contents("a%20b", "a%2520b"), ends).marker("NextKeyMarker") == "a%20b"


def test_joined_pages_end_like_the_second() -> None:
    first = page(contents("a"), "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>")
    second = page(contents("b") + "<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes>")
    joined = first.followed_by(second)
    assert names(joined) == ["a", "b", "c/"]
    assert not joined.is_truncated
    assert joined.root.value("NextContinuationToken") is None


def test_values_are_replaced_and_elements_left_out() -> None:
    [entry] = page("<Contents><Key>a</Key><ChecksumType>x</ChecksumType><Size>1</Size></Contents>").entries
    changed = with_values(entry, {"Size": "7"}, ("Checksum",))
    assert [(child.name, child.text) for child in changed.children] == [("Key", "a"), ("Size", "7")]


@pytest.mark.parametrize("document", [b"<Other/>", b"no xml", b""])
def test_what_is_no_listing_is_not_shown(document: bytes) -> None:
    with pytest.raises(S3Error) as raised:
        parse_page(document)
    assert raised.value.code == "InternalError"

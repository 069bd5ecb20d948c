"""ListBuckets shows only what the caller may see."""

from __future__ import annotations

import pytest

from proxy.errors import S3Error
from proxy.s3.listing import filter_buckets
from proxy.s3.xml import parse_xml

ANSWER = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Buckets><Bucket><Name>hr-data</Name><CreationDate>2026-01-01T00:00:00Z</CreationDate></Bucket>"
    b"<Bucket><Name>public</Name><BucketRegion>eu-central-1</BucketRegion></Bucket></Buckets>"
    b"<Owner><ID>abc</ID></Owner><ContinuationToken>next</ContinuationToken></ListAllMyBucketsResult>"
)


def test_buckets_that_are_not_visible_are_left_out_and_the_rest_is_kept() -> None:
    answer = filter_buckets(ANSWER, lambda name: name == "public")
    assert b"hr-data" not in answer
    root, before = parse_xml(answer), parse_xml(ANSWER)
    assert root.attributes == before.attributes
    assert [each.name for each in root.children] == ["Buckets", "Owner", "ContinuationToken"]
    buckets = root.child("Buckets")
    assert buckets is not None
    assert [each.value("Name") for each in buckets.children] == ["public"]
    assert buckets.children[0].value("BucketRegion") == "eu-central-1"


def test_a_caller_who_sees_everything_gets_everything() -> None:
    assert parse_xml(filter_buckets(ANSWER, lambda _: True)) == parse_xml(ANSWER)


def test_a_caller_who_sees_nothing_gets_an_empty_list() -> None:
    assert b"<Buckets/>" in filter_buckets(ANSWER, lambda _: False)


def test_an_answer_without_buckets_stays_as_it_is() -> None:
    answer = b"<ListAllMyBucketsResult><Owner><ID>a</ID></Owner></ListAllMyBucketsResult>"
    assert filter_buckets(answer, lambda _: False) == answer


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<Error/>",
        b"<html><Buckets><Bucket><Name>a</Name></Bucket></Buckets></html>",
        b"<ListAllMyBucketsResult><Buckets><Bucket/></Buckets></ListAllMyBucketsResult>",
        b"<ListAllMyBucketsResult><Buckets><Other><Name>a</Name></Other></Buckets></ListAllMyBucketsResult>",
        b"<ListAllMyBucketsResult><Buckets/><Buckets/></ListAllMyBucketsResult>",
    ],
)
def test_an_answer_that_is_not_understood_is_not_shown(answer: bytes) -> None:
    with pytest.raises(S3Error, match="InternalError"):
        filter_buckets(answer, lambda _: True)

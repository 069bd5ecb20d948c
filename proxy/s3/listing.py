"""Answers that list things, rewritten: which buckets a caller gets to see.

Takes and returns whole documents; who may see what is decided elsewhere.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from proxy.errors import S3Error
from proxy.s3.xml import Element, parse_xml, render_xml


def filter_buckets(answer: bytes, visible: Callable[[str], bool]) -> bytes:
    """Leave only the visible buckets in an answer to ListBuckets.

    Raises `S3Error` InternalError for an answer that is not one: what is not understood is not shown.
    """
    try:
        root = parse_xml(answer)
        buckets = root.child("Buckets")
        if root.name != "ListAllMyBucketsResult":
            raise _not_a_listing(root.name)
        if buckets is None:
            return answer
        kept = tuple(each for each in buckets.children if visible(_bucket_name(each)))
    except S3Error as error:
        raise _not_a_listing(error.detail or error.code) from None
    children = tuple(replace(each, children=kept) if each is buckets else each for each in root.children)
    return render_xml(replace(root, children=children))


def _bucket_name(bucket: Element) -> str:
    name = bucket.value("Name")
    if bucket.name != "Bucket" or not name:
        raise _not_a_listing(bucket.name)
    return name


def _not_a_listing(detail: str) -> S3Error:
    return S3Error("InternalError", detail=f"unexpected answer to ListBuckets: {detail}")

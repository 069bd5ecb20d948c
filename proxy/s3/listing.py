"""Answers that list things, rewritten: which buckets a caller gets to see.

Takes and returns whole documents; who may see what is decided elsewhere.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from proxy.errors import S3Error
from proxy.s3.xml import Element, parse_xml, render_xml


def bucket_names(answer: bytes) -> tuple[str, ...]:
    """Return the names in an answer to ListBuckets; raises `S3Error` InternalError for any other document."""
    return tuple(map(_bucket_name, _read(answer)[1].children))


def filter_buckets(answer: bytes, visible: Callable[[str], bool]) -> bytes:
    """Leave only the visible buckets in an answer to ListBuckets.

    Raises `S3Error` InternalError for an answer that is not one: what is not understood is not shown.
    """
    root, buckets = _read(answer)
    if not buckets.children:
        return answer
    kept = tuple(each for each in buckets.children if visible(_bucket_name(each)))
    children = tuple(replace(each, children=kept) if each is buckets else each for each in root.children)
    return render_xml(replace(root, children=children))


def _read(answer: bytes) -> tuple[Element, Element]:
    """Return the root and its list of buckets."""
    try:
        root = parse_xml(answer)
        buckets = root.child("Buckets")
    except S3Error as error:
        raise _not_a_listing(error.detail or error.code) from None
    if root.name != "ListAllMyBucketsResult":
        raise _not_a_listing(root.name)
    return root, buckets or Element("Buckets")


def _bucket_name(bucket: Element) -> str:
    name = bucket.value("Name")
    if bucket.name != "Bucket" or not name:
        raise _not_a_listing(bucket.name)
    return name


def _not_a_listing(detail: str) -> S3Error:
    return S3Error("InternalError", detail=f"unexpected answer to ListBuckets: {detail}")

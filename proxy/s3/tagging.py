"""Tags: the header `x-amz-tagging`, which is an URL query, and the XML document `Tagging`.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes

from proxy.errors import S3Error
from proxy.s3.xml import Element

Tags = tuple[tuple[str, str], ...]
"""(key, value) pairs in the order given; keys differ from each other."""

OBJECT_TAG_LIMIT = 10
BUCKET_TAG_LIMIT = 50
KEY_LIMIT = 128
VALUE_LIMIT = 256


def parse_tagging_header(value: str) -> Tags:
    """Read `x-amz-tagging`; raises `S3Error` InvalidArgument or InvalidTag."""
    pairs = []
    for piece in value.split("&"):
        if piece:
            key, _, text = piece.partition("=")
            pairs.append((_decode(key, value), _decode(text, value)))
    return check_tags(pairs, OBJECT_TAG_LIMIT)


def render_tagging_header(tags: Tags) -> str:
    """Write `x-amz-tagging` in the one spelling that every store reads alike."""
    return "&".join(f"{quote(key, safe='-_.~')}={quote(value, safe='-_.~')}" for key, value in tags)


def parse_tagging(root: Element, limit: int = OBJECT_TAG_LIMIT) -> Tags:
    """Read a `Tagging` document; raises `S3Error` MalformedXML or InvalidTag."""
    tag_set = root.child("TagSet")
    if root.name != "Tagging" or tag_set is None or len(root.children) != 1:
        raise S3Error("MalformedXML", detail="not a Tagging document")
    return parse_tag_set(tag_set, limit)


def parse_tag_set(tag_set: Element, limit: int) -> Tags:
    """Read the `Tag` elements of a list of tags, as in `TagSet` and CreateBucket's `Tags`."""
    pairs = []
    for tag in tag_set.children:
        key, value = tag.value("Key"), tag.value("Value")
        if tag.name != "Tag" or key is None or value is None or len(tag.children) != 2:
            raise S3Error("MalformedXML", detail=f"not a Tag: {tag.name}")
        pairs.append((key, value))
    return check_tags(pairs, limit)


def check_tags(pairs: Iterable[tuple[str, str]], limit: int) -> Tags:
    """Return the pairs as tags if S3 could take them; raises `S3Error` BadRequest or InvalidTag."""
    tags = tuple(pairs)
    if len(tags) > limit:
        raise S3Error("BadRequest", f"Tags cannot be greater than {limit}")
    if len({key for key, _ in tags}) != len(tags):
        raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key")
    for key, value in tags:
        if not 0 < len(key) <= KEY_LIMIT:
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", {"TagKey": key})
        if len(value) > VALUE_LIMIT:
            raise S3Error("InvalidTag", "The TagValue you have provided is invalid", {"TagKey": key, "TagValue": value})
    return tags


def _decode(text: str, value: str) -> str:
    try:
        # As in HTML forms, a plus is a space here; a plus itself is sent as %2B.
        return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("utf-8")
    except UnicodeError:
        raise S3Error(
            "InvalidArgument",
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters "
            "without tag name duplicates.",
            {"ArgumentName": "x-amz-tagging", "ArgumentValue": value},
        ) from None

"""Tags from the header and from XML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import S3Error
from proxy.s3.tagging import (
    BUCKET_TAG_LIMIT,
    parse_tag_set,
    parse_tagging,
    parse_tagging_header,
    render_tagging_header,
)
from proxy.s3.xml import parse_xml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ("", ()),
        ("a=b", (("a", "b"),)),
        ("a=b&c=d", (("a", "b"), ("c", "d"))),
        ("a", (("a", ""),)),
        ("a=b=c", (("a", "b=c"),)),
        ("a%20b=c+d", (("a b", "c d"),)),
        ("a=1%2B1&&", (("a", "1+1"),)),
        ("k=%C3%A9", (("k", "é"),)),
        ("A=1&a=2", (("A", "1"), ("a", "2"))),
    ],
)
def test_the_header_is_a_url_query(value: str, tags: tuple[tuple[str, str], ...]) -> None:
    assert parse_tagging_header(value) == tags


@given(st.dictionaries(TEXT.filter(bool), TEXT, max_size=10))
def test_a_header_that_is_written_reads_back(tags: dict[str, str]) -> None:
    pairs = tuple(tags.items())
    assert render_tagging_header(pairs).isascii()
    assert parse_tagging_header(render_tagging_header(pairs)) == pairs


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("a=%FF", "InvalidArgument"),
        ("a=1&a=2", "InvalidTag"),
        ("a=1&%61=2", "InvalidTag"),
        ("=1", "InvalidTag"),
        ("k" * 129 + "=1", "InvalidTag"),
        ("k=" + "v" * 257, "InvalidTag"),
        ("&".join(f"k{n}=1" for n in range(11)), "BadRequest"),
    ],
)
def test_what_s3_would_not_store_is_refused(value: str, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_tagging_header(value)
    assert caught.value.code == code


def test_the_document_holds_key_and_value() -> None:
    document = (
        b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Value/><Key>b</Key></Tag></TagSet></Tagging>"
    )
    assert parse_tagging(parse_xml(document)) == (("a", "1"), ("b", ""))
    assert parse_tagging(parse_xml(b"<Tagging><TagSet/></Tagging>")) == ()


def test_buckets_may_have_more_tags_than_objects() -> None:
    rows = b"".join(b"<Tag><Key>%d</Key><Value/></Tag>" % n for n in range(50))
    assert len(parse_tag_set(parse_xml(b"<Tags>" + rows + b"</Tags>"), BUCKET_TAG_LIMIT)) == 50
    with pytest.raises(S3Error, match="BadRequest"):
        parse_tagging(parse_xml(b"<Tagging><TagSet>" + rows + b"</TagSet></Tagging>"))


@pytest.mark.parametrize(
    "document",
    [
        b"<Tags/>",
        b"<Tagging/>",
        b"<Tagging><TagSet/><TagSet/></Tagging>",
        b"<Tagging><TagSet/><Other/></Tagging>",
        b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value><Value>2</Value></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value><Other/></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Label><Key>a</Key><Value>1</Value></Label></TagSet></Tagging>",
    ],
)
def test_a_document_that_could_be_read_otherwise_is_refused(document: bytes) -> None:
    with pytest.raises(S3Error, match="MalformedXML"):
        parse_tagging(parse_xml(document))

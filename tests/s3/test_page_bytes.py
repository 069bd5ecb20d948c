"""Listings changed in their bytes say the same as listings read and written, or are left to those."""

from __future__ import annotations

import pytest

from proxy.s3.page_bytes import change_entries
from proxy.s3.pages import parse_page, with_values
from proxy.s3.xml import Element

ENTRY = (
    "<{name}><Key>{key}</Key><ETag>&quot;abc&quot;</ETag><ChecksumType>FULL_OBJECT</ChecksumType>"
    "<Size>{size}</Size></{name}>"
)


def listing(*entries: str) -> bytes:
    rows = "".join(entries)
    head = '<?xml version="1.0"?>\n<ListBucketResult><Name>b</Name><KeyCount>0</KeyCount>'
    return f"{head}{rows}</ListBucketResult>".encode()


def change(size: int, etag: str) -> tuple[int, str]:
    return size * 2, f"{etag}-0"


def shown(entry: Element) -> Element:
    if entry.name not in ("Contents", "Version"):
        return entry
    size = str(int(entry.value("Size") or 0) * 2)
    return with_values(entry, {"Size": size, "ETag": '"abc-0"'}, ("Checksum",))


@pytest.mark.parametrize("name", ["Contents", "Version"])
def test_both_ways_say_the_same(name: str) -> None:
    entries = [ENTRY.format(name=name, key=f"a&amp;{size}", size=size) for size in (0, 7, 10**12)]
    document = listing(*entries, "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>")
    changed = change_entries(document, change)
    assert changed is not None
    assert parse_page(changed).root == parse_page(document).changed(shown).root


def test_markers_and_delete_markers_are_no_entries() -> None:
    marker = "<DeleteMarker><Key>k</Key><VersionId>v</VersionId></DeleteMarker><VersionIdMarker/>"
    document = listing(marker)
    assert change_entries(document, change) == document


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY.format(name="Contents", key="<!-- -->", size=1),
        ENTRY.format(name="s3:Contents", key="k", size=1),
        '<Contents a="b"><Key>k</Key><Size>1</Size><ETag>e</ETag></Contents>',
        "<Contents><Key>k</Key><Size>1</Size></Contents>",
        "<Contents><Key>k</Key><Size>1</Size><Size>2</Size><ETag>e</ETag></Contents>",
        "<Contents><Key>k</Key><Size>x</Size><ETag>e</ETag></Contents>",
        "<Contents><Key>k</Key><Size>1</Size><ETag>&amp;</ETag></Contents>",
        "<Contents><Key>k</Key>",
    ],
)
def test_anything_unusual_is_left_to_the_reader_of_documents(entry: str) -> None:
    assert change_entries(listing(entry), change) is None

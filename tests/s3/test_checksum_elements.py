"""Checksums disappear from documents and headers, and nothing else does."""

from __future__ import annotations

import pytest

from proxy.errors import S3Error
from proxy.s3.checksum_elements import is_checksum_field, strip_checksum_elements

COMPLETE = b"""<?xml version="1.0" encoding="UTF-8"?>
<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><!-- kept -->
  <Part><ChecksumCRC32>AAAAAA==</ChecksumCRC32><ETag>&quot;a&quot;</ETag><PartNumber>1</PartNumber></Part>
  <Part><ETag>"b"</ETag><PartNumber>2</PartNumber><ChecksumCRC32 a=">"/><ChecksumSHA1></ChecksumSHA1></Part>
</CompleteMultipartUpload>
"""
STRIPPED = b"""<?xml version="1.0" encoding="UTF-8"?>
<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><!-- kept -->
  <Part><ETag>&quot;a&quot;</ETag><PartNumber>1</PartNumber></Part>
  <Part><ETag>"b"</ETag><PartNumber>2</PartNumber></Part>
</CompleteMultipartUpload>
"""


def test_checksums_are_cut_and_all_else_stays_byte_for_byte() -> None:
    assert strip_checksum_elements(COMPLETE) == STRIPPED


def test_a_document_without_checksums_is_returned_as_it_is() -> None:
    assert strip_checksum_elements(STRIPPED) is STRIPPED


def test_nested_and_prefixed_elements_go_as_a_whole() -> None:
    document = (
        b'<R xmlns:s="x"><s:Checksum><ChecksumSHA1>a</ChecksumSHA1><ChecksumType>b</ChecksumType></s:Checksum>'
        b"<Key>ChecksumCRC32</Key><ChecksumAlgorithm>C</ChecksumAlgorithm></R>"
    )
    assert strip_checksum_elements(document) == b'<R xmlns:s="x"><Key>ChecksumCRC32</Key></R>'


@pytest.mark.parametrize(
    "document",
    [b"<A><ChecksumCRC32></A>", b"<!DOCTYPE A [<!ENTITY e 'x'>]><A><ChecksumCRC32>&e;</ChecksumCRC32></A>"],
)
def test_broken_documents_and_document_types_are_refused(document: bytes) -> None:
    with pytest.raises(S3Error, match="MalformedXML"):
        strip_checksum_elements(document)


def test_fields_about_checksums_are_known_by_their_prefix() -> None:
    assert is_checksum_field("x-amz-checksum-blake9")
    assert is_checksum_field("x-amz-checksum-type")
    assert is_checksum_field("x-amz-sdk-checksum-algorithm")
    assert not is_checksum_field("etag")

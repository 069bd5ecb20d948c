"""CompleteMultipartUpload's document: read strictly, written from what was read."""

from __future__ import annotations

import pytest

from proxy.errors import S3Error
from proxy.s3.completion import NamedPart, parse_completion, render_completion, with_location


def document(*parts: tuple[object, str]) -> bytes:
    rows = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


def test_what_is_written_reads_the_same() -> None:
    parts = (NamedPart(1, '"a"'), NamedPart(7, "b-1"), NamedPart(10_000, '"c"'))
    assert parse_completion(render_completion(parts)) == parts


def test_checksums_of_parts_are_left_out() -> None:
    body = document((1, "a")).replace(b"<ETag>", b"<ChecksumCRC32>AAAAAA==</ChecksumCRC32><ETag>")
    assert parse_completion(body) == (NamedPart(1, "a"),)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (document(), "MalformedXML"),
        (document((2, "a"), (1, "b")), "InvalidPartOrder"),
        (document((1, "a"), (1, "b")), "InvalidPartOrder"),
        (document((0, "a")), "InvalidArgument"),
        (document((10_001, "a")), "InvalidArgument"),
        (document(("x", "a")), "MalformedXML"),
        (document((1, "")), "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (b"<CompleteMultipartUpload><Other/></CompleteMultipartUpload>", "MalformedXML"),
    ],
)
def test_what_is_no_completion_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(S3Error) as raised:
        parse_completion(body)
    assert raised.value.code == code


@pytest.mark.parametrize(
    "found", ["<Location>http://inner:7480/b/k</Location>", "<Location/>", "<Location></Location>"]
)
def test_the_answer_names_the_object_as_the_client_does(found: str) -> None:
    answer = f"<CompleteMultipartUploadResult>{found}<Key>k</Key></CompleteMultipartUploadResult>"
    told = answer.replace(found, "<Location>https://s3.example.test/b/k&amp;1</Location>")
    assert with_location(answer.encode(), "https://s3.example.test/b/k&1") == told.encode()


def test_an_answer_without_a_location_stays_as_it_is() -> None:
    error = b"<Error><Code>InternalError</Code></Error>"
    assert with_location(error, "https://s3.example.test/b/k") == error

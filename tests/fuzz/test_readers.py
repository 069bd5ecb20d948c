"""Whatever is read, the outcome is a value or an `S3Error`, and does not depend on how the bytes were cut."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.access.body_facts import body_facts
from proxy.errors import S3Error
from proxy.s3.checksum_elements import strip_checksum_elements
from proxy.s3.chunked import ChunkedDecoder
from proxy.s3.completion import parse_completion
from proxy.s3.copy_source import parse_copy_source
from proxy.s3.deletes import parse_deletes
from proxy.s3.form import FormParser, parse_form
from proxy.s3.operations import OPERATIONS
from proxy.s3.ranges import parse_range
from proxy.s3.tagging import parse_tagging, parse_tagging_header
from proxy.s3.xml import error_xml, parse_xml, render_xml
from tests.fuzz.effort import thorough

# -- pieces from which inputs are made that get past the first check

SIGNATURE = b"a" * 64
CHUNK_TOKENS = (
    b"5\r\nhello\r\n",
    b"0\r\n",
    b"\r\n",
    b"\n",
    b"5;chunk-signature=" + SIGNATURE + b"\r\nhello\r\n",
    b"0;chunk-signature=" + SIGNATURE + b"\r\n",
    b"x-amz-checksum-crc32:NhCmhg==\r\n",
    b"x-amz-checksum-crc32:NhCmhg==\n",
    b"x-amz-trailer-signature:" + SIGNATURE + b"\r\n",
    b"ffffffffffffffff\r\n",
    b"-1\r\n",
    b"A\r\n0123456789\r\n",
    b";",
    b":",
    b"\0",
)
XML_TOKENS = (
    *[
        "<Delete>",
        "</Delete>",
        "<Object>",
        "</Object>",
        "<Key>",
        "</Key>",
        "k",
        "<VersionId>",
        "</VersionId>",
        "v",
        "<Quiet>true</Quiet>",
    ],
    *["<CompleteMultipartUpload>", "</CompleteMultipartUpload>", "<Part>", "</Part>", "<PartNumber>1</PartNumber>"],
    *["<ETag>&quot;e&quot;</ETag>", "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>", "<Tagging>", "</Tagging>", "<TagSet>"],
    *[
        "</TagSet>",
        "<Tag>",
        "</Tag>",
        "<Value>",
        "</Value>",
        "<?pi?>",
        "<![CDATA[x]]>",
        "&amp;",
        "&lol;",
        "&#0;",
        "&#x10FFFF;",
        "<a:b/>",
        "<",
        ">",
        "]]>",
    ],
    *["<LegalHold><Status>ON</Status></LegalHold>", "<LocationConstraint>eu</LocationConstraint>"],
    "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>",
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE d [<!ENTITY lol "x">]>',
    ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"',
    "<!-- c -->",
    "\ufffe",
    " ",
)
BORDER = "border"
FORM_TOKENS = (
    b"--border\r\n",
    b"\r\n--border\r\n",
    b"\r\n--border--\r\n",
    b'Content-Disposition: form-data; name="key"\r\n\r\n',
    b'Content-Disposition: form-data; name="policy"\r\n\r\n',
    b'Content-Disposition: form-data; name="file"; filename="a\\"b"\r\n',
    b"Content-Type: text/plain\r\n\r\n",
    b"\r\n\r\n",
    b"value",
    b"\xff",
    b"--border",
    b"\r",
    b"\n",
    b'"',
)


def assembled(tokens: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Inputs of known pieces with noise among them."""
    piece = st.sampled_from(tokens) | st.binary(max_size=8)
    return st.lists(piece, max_size=30).map(b"".join)


chunk_bodies = assembled(CHUNK_TOKENS)
documents = assembled(tuple(token.encode("utf-8", "surrogatepass") for token in XML_TOKENS))
forms = assembled(FORM_TOKENS)
cuts = st.lists(st.integers(0, 400), max_size=6)


def pieces(data: bytes, at: list[int]) -> list[bytes]:
    borders = sorted({0, len(data), *(cut for cut in at if cut < len(data))})
    return [data[start:end] for start, end in pairwise(borders)]


def outcome(read: Callable[[], object]) -> object:
    """Return what was read, or the code of the error; nothing else may be raised."""
    try:
        return read()
    except S3Error as error:
        ElementTree.fromstring(error_xml(error, "/a", "ID", "HOST"))  # noqa: S314  our own
        return error.code


class Accepting:
    """Takes every signature, as only its holder could."""

    def verify_chunk(self, sha256_hex: str, signature: str) -> None:
        assert len(sha256_hex) == len(signature) == 64

    def verify_trailer(self, sha256_hex: str, signature: str) -> None:
        assert len(sha256_hex) == 64


# -- aws-chunked


@pytest.mark.parametrize("signed", [False, True])
@thorough
@given(data=chunk_bodies, at=cuts, length=st.sampled_from([0, 5, 10, 15]))
@example(data=b"5\r\nhello\r\n0\r\n\r\n", at=[1, 2, 3], length=5)
def test_a_chunked_body_is_read_alike_however_it_is_cut(signed: bool, data: bytes, at: list[int], length: int) -> None:
    def read(parts: list[bytes]) -> tuple[bytes, Mapping[str, str]]:
        decoder = ChunkedDecoder(length, Accepting() if signed else None, trailers=True, trailer_signed=signed)
        content = b"".join(bytes(each) for part in parts for each in decoder.feed(part))
        trailers = decoder.finish()
        assert len(content) == length
        return content, trailers

    assert outcome(lambda: read([data])) == outcome(lambda: read(pieces(data, at)))


# -- XML


@thorough
@given(data=documents)
def test_a_document_is_read_or_refused_and_reads_back_the_same(data: bytes) -> None:
    def read() -> object:
        root = parse_xml(data)
        assert parse_xml(render_xml(root)) == root
        return root

    outcome(read)
    outcome(lambda: strip_checksum_elements(data))


@thorough
@given(data=documents)
def test_another_parser_sees_the_same_elements(data: bytes) -> None:
    """What the policies saw is what the store will do."""
    try:
        root = parse_xml(data)
    except S3Error:
        return
    theirs = [each.tag.rpartition("}")[2] for each in ElementTree.fromstring(data).iter()]  # noqa: S314  compared, not used
    ours: list[str] = []
    stack = [root]
    while stack:
        element = stack.pop()
        ours.append(element.name)
        stack += reversed(element.children)
    assert ours == theirs


@thorough
@given(data=documents, operation=st.sampled_from(sorted(OPERATIONS)))
def test_the_facts_of_a_body_are_read_or_refused(data: bytes, operation: str) -> None:
    outcome(lambda: body_facts(operation, data))


@thorough
@given(data=documents)
def test_batches_completions_and_tags_are_read_or_refused(data: bytes) -> None:
    def deletes() -> object:
        batch = parse_deletes(data)
        assert parse_deletes(batch.render()).deletions == batch.deletions
        return batch

    outcome(deletes)
    outcome(lambda: parse_completion(data))
    outcome(lambda: parse_tagging(parse_xml(data)))


# -- forms


@thorough
@given(data=forms, at=cuts)
def test_a_form_is_read_alike_however_it_is_cut(data: bytes, at: list[int]) -> None:
    def read(parts: list[bytes]) -> object:
        parser = FormParser(f"multipart/form-data; boundary={BORDER}", len(data))
        content = b"".join(each for part in parts for each in parser.feed(part))
        parser.finish()
        assert parser.form is not None
        return dict(parser.form.fields), parser.form.file_name, content

    assert outcome(lambda: read([data])) == outcome(lambda: read(pieces(data, at)))
    outcome(lambda: parse_form(f"multipart/form-data; boundary={BORDER}", data))


@thorough
@given(kind=st.text(max_size=40), boundary=st.text(max_size=80))
def test_a_content_type_of_a_form_is_read_or_refused(kind: str, boundary: str) -> None:
    outcome(lambda: FormParser(kind, 10))
    outcome(lambda: FormParser(f"multipart/form-data; boundary={boundary}", None))
    outcome(lambda: FormParser(f'multipart/form-data; boundary="{boundary}"', None))


# -- headers with a grammar of their own

tokens = st.sampled_from(
    ["/", "%2F", "%", "?versionId=", "&", "=", "b", "k", "arn:aws:s3:::", "..", "bytes=", "-", "0", ","]
)
values = st.text(max_size=60) | st.lists(tokens, max_size=12).map("".join)


@thorough
@given(value=values)
def test_copy_sources_ranges_and_tags_are_read_or_refused(value: str) -> None:
    outcome(lambda: parse_copy_source(value))
    outcome(lambda: parse_range(value))
    outcome(lambda: parse_tagging_header(value))


def test_the_pieces_are_those_of_inputs_that_are_good() -> None:
    """A fuzz test that never gets past the first check proves nothing."""
    assert CHUNK_TOKENS[6].split(b":")[1].strip() == b64encode(zlib.crc32(b"hello").to_bytes(4, "big"))
    assert parse_deletes(b"<Delete><Object><Key>k</Key></Object></Delete>").deletions
    form = b"".join(FORM_TOKENS[at] for at in (0, 3, 8, 1, 5, 6, 8, 2))
    assert parse_form(f"multipart/form-data; boundary={BORDER}", form)[1] == b"value"
    assert hashlib.sha256(SIGNATURE).digest_size == 32

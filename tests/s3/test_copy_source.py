"""x-amz-copy-source: one reading, one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import S3Error
from proxy.s3.copy_source import CopySource, parse_copy_source

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30).filter(
    lambda key: ".." not in key
)


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("bkt/key", CopySource("bkt", "key")),
        ("/bkt/key", CopySource("bkt", "key")),
        ("bkt/a/b//c", CopySource("bkt", "a/b//c")),
        ("bkt//key", CopySource("bkt", "/key")),
        ("bkt%2Fa%20b", CopySource("bkt", "a b")),
        ("%2Fbkt%2Fkey", CopySource("bkt", "key")),
        ("bkt/a+b%2Bc", CopySource("bkt", "a b+c")),
        ("bkt/100%2525", CopySource("bkt", "100%25")),
        ("bkt/key?versionId=abc.d_e", CopySource("bkt", "key", "abc.d_e")),
        ("bkt/key?versionId=null", CopySource("bkt", "key", "null")),
        ("bkt/what%3FversionId=1", CopySource("bkt", "what?versionId=1")),
        ("bkt/what%3F?versionId=a%2Bb", CopySource("bkt", "what?", "a+b")),
        ("bkt/é".encode().decode("latin-1"), CopySource("bkt", "é")),
    ],
)
def test_the_forms_that_clients_send_are_read(value: str, source: CopySource) -> None:
    assert parse_copy_source(value) == source


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "InvalidArgument"),
        ("bkt", "InvalidArgument"),
        ("bkt/", "InvalidArgument"),
        ("bkt/key?", "InvalidArgument"),
        ("bkt/key?versionId=", "InvalidArgument"),
        ("bkt/key?version=1", "InvalidArgument"),
        ("bkt/key?versionId=1&x=2", "InvalidArgument"),
        ("bkt/a?versionId=1?versionId=2", "InvalidArgument"),
        ("bkt/%FF", "InvalidArgument"),
        ("//bkt/key", "InvalidBucketName"),
        ("Bkt/key", "InvalidBucketName"),
        ("bkt/../other/key", "InvalidURI"),
        ("bkt/%2e%2e/other/key", "InvalidURI"),
        ("bkt/a%00", "InvalidURI"),
        ("bkt/" + "a" * 1025, "KeyTooLongError"),
        ("arn:aws:s3:eu-central-1:123456789012:accesspoint/ap/object/key", "NotImplemented"),
        ("arn%3Aaws%3As3%3A%3A%3Abkt/key", "NotImplemented"),
        ("alias-abc-s3alias/key", "NotImplemented"),
    ],
)
def test_what_could_name_something_else_is_refused(value: str, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_copy_source(value)
    assert caught.value.code == code


@given(KEYS, st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10))
def test_a_source_that_is_written_reads_back(key: str, version_id: str | None) -> None:
    source = CopySource("my-bucket", key, version_id)
    assert str(source).isascii()
    assert parse_copy_source(str(source)) == source
    assert parse_copy_source("/" + str(source)) == source

"""What HEAD, attributes and listings show of objects that other software wrote, through a running proxy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from aws_encryption_sdk.identifiers import AlgorithmSuite

from proxy.envelope.context import object_arn
from tests.conftest import Store
from tests.envelope.test_foreign_sizes import SUITES, written
from tests.server.envelope.conftest import OTHER_KEY, Sealed, sealed_proxy
from tests.server.envelope.counting import Counts, counting_store
from tests.server.envelope.test_reading import ask
from tests.server.envelope.test_single import refused
from tests.server.envelope.test_unmarked import client_object, message

TEXT = os.urandom(9000)


@pytest.fixture(scope="module")
def counted(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sealed, Counts]]:
    with counting_store(moto_store) as counts, sealed_proxy(tmp_path_factory.mktemp("looks"), counts.store) as proxy:
        yield proxy, counts


def shown(proxy: Sealed, bucket: str, key: str) -> set[int]:
    """Return every size that is shown of an object."""
    named = {"Bucket": bucket, "Key": key}
    attributes = proxy.client.get_object_attributes(**named, ObjectAttributes=["ObjectSize"])
    rows = proxy.client.list_objects_v2(Bucket=bucket)["Contents"]
    listed = next(row["Size"] for row in rows if row["Key"] == key)
    return {proxy.client.head_object(**named)["ContentLength"], attributes["ObjectSize"], listed}


@pytest.mark.parametrize("frame", [0, 128, 4096], ids=lambda frame: f"frames of {frame}")
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_a_message_shows_the_size_of_its_plaintext_everywhere(
    sealed: Sealed, suite: AlgorithmSuite, frame: int
) -> None:
    bucket = sealed.bucket("mixed")
    for body in (b"", TEXT):
        key = str(len(body))
        sealed.direct.put_object(Bucket=bucket, Key=key, Body=written(suite, body, frame))
        assert shown(sealed, bucket, key) == {len(body)}


def test_few_things_are_asked_for_and_no_more_once_they_are_known(counted: tuple[Sealed, Counts]) -> None:
    proxy, counts = counted
    bucket = proxy.bucket("mixed")
    stored = {"plain": TEXT, "unsigned": written(SUITES[0], TEXT, 4096), "signed": written(SUITES[1], TEXT, 4096)}
    for (key, body), looks in zip(stored.items(), (1, 1, 2), strict=True):
        proxy.direct.put_object(Bucket=bucket, Key=key, Body=body)
        for expected in (1 + looks, 1):
            counts.reset()
            assert proxy.client.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(TEXT)
            assert counts.reads == expected, key
        assert counts.sent < 9000
    counts.reset()
    rows = proxy.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert [row["Size"] for row in rows] == [len(TEXT)] * 3
    assert counts.reads == 1 + 3
    proxy.direct.put_object(Bucket=bucket, Key="signed", Body=written(SUITES[1], TEXT[1:], 4096))
    assert proxy.client.head_object(Bucket=bucket, Key="signed")["ContentLength"] == len(TEXT) - 1


def test_a_message_that_names_itself_shows_its_size_in_any_encrypted_bucket(sealed: Sealed, bucket: str) -> None:
    sealed.direct.put_object(
        Bucket=bucket, Key="key", Body=message(TEXT, {"aws:s3:arn": object_arn(bucket, "key")}, frame=100)
    )
    named = {"Bucket": bucket, "Key": "key"}
    assert sealed.client.head_object(**named)["ContentLength"] == len(TEXT)
    found = sealed.client.get_object_attributes(**named, ObjectAttributes=["ObjectSize"])
    assert found["ObjectSize"] == len(TEXT)
    sealed.direct.put_object(Bucket=bucket, Key="other", Body=message(TEXT, {}))
    for call in (sealed.client.head_object, sealed.client.get_object):
        assert refused(call, Bucket=bucket, Key="other")[0] == 403
    wanted = {"Bucket": bucket, "Key": "other", "ObjectAttributes": ["ObjectSize"]}
    assert refused(sealed.client.get_object_attributes, **wanted) == (403, "AccessDenied")


def test_a_cut_message_is_an_error_to_head_and_does_not_hide_others_in_a_listing(sealed: Sealed) -> None:
    bucket, raw = sealed.bucket("mixed"), written(SUITES[1], TEXT, 4096)
    sealed.direct.put_object(Bucket=bucket, Key="cut", Body=raw[:-1])
    sealed.direct.put_object(Bucket=bucket, Key="whole", Body=raw)
    assert refused(sealed.client.head_object, Bucket=bucket, Key="cut")[0] == 500
    rows = sealed.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert [row["Size"] for row in rows] == [len(raw) - 1, len(TEXT)]
    assert f"the size of `{bucket}/cut` cannot be told" in sealed.log()


@pytest.fixture(scope="module")
def others(sealed: Sealed) -> str:
    """A bucket with an object of every kind that this proxy did not write."""
    bucket = sealed.bucket("mixed")
    stored, metadata = client_object(TEXT, OTHER_KEY)
    fields: dict[str, Any] = {"ContentType": "a/b", "CacheControl": "no-store"}
    sealed.direct.put_object(Bucket=bucket, Key="client", Body=stored, Metadata={**metadata, "own": "x"}, **fields)
    none, metadata = client_object(b"", OTHER_KEY)
    sealed.direct.put_object(Bucket=bucket, Key="client none", Body=none, Metadata=metadata)
    for key, body in (("message", message(TEXT, {})), ("plain", TEXT)):
        sealed.direct.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"own": "x"}, **fields)
    return bucket


KINDS = ("client", "message", "plain")


@pytest.mark.parametrize("kind", KINDS)
def test_ranges_of_what_others_wrote_are_the_bytes_asked_for(sealed: Sealed, others: str, kind: str) -> None:
    size, named = len(TEXT), {"Bucket": others, "Key": kind}
    for text, first, part in (
        ("0-0", 0, TEXT[:1]), ("5-10", 5, TEXT[5:11]), ("8000-", 8000, TEXT[8000:]), ("-7", size - 7, TEXT[-7:]),
        ("-99999", 0, TEXT),
        (f"{size - 1}-{size + 5}", size - 1, TEXT[-1:]), ("0-99999", 0, TEXT),
    ):  # fmt: skip
        got = sealed.client.get_object(**named, Range=f"bytes={text}")
        head = sealed.client.head_object(**named, Range=f"bytes={text}")
        assert got["Body"].read() == part, text
        assert got["ContentRange"] == head["ContentRange"] == f"bytes {first}-{first + len(part) - 1}/{size}"
        assert (got["ContentLength"], head["ContentLength"]) == (len(part), len(part))
        assert (head["ResponseMetadata"]["HTTPStatusCode"], head["AcceptRanges"]) == (206, "bytes")
    for text in ("bytes=0-1,3-4", "lines=1-2", "bytes=5-2"):
        got = sealed.client.get_object(**named, Range=text)
        assert (got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()) == (200, TEXT)
        assert sealed.client.head_object(**named, Range=text)["ContentLength"] == size
    for text in (f"{size}-", "-0"):
        assert refused(sealed.client.get_object, **named, Range=f"bytes={text}") == (416, "InvalidRange")
        assert refused(sealed.client.head_object, **named, Range=f"bytes={text}")[0] == 416


@pytest.mark.parametrize("kind", KINDS)
def test_a_range_of_what_changed_since_is_the_whole_object(sealed: Sealed, others: str, kind: str) -> None:
    etag = sealed.client.head_object(Bucket=others, Key=kind)["ETag"]
    for extent, state, status, body in (
        ("bytes=5-9", etag, 206, TEXT[5:10]), ("bytes=5-9", '"0123"', 200, TEXT), ("bytes=99999-", '"0123"', 200, TEXT),
    ):  # fmt: skip
        for method in ("GET", "HEAD"):
            got = ask(sealed, others, kind, method, {"Range": extent, "If-Range": state})
            assert (got[0], int(got[1]["content-length"])) == (status, len(body))
            assert got[2] == (body if method == "GET" else b"")


def test_ranges_of_nothing_are_refused(sealed: Sealed, others: str) -> None:
    sealed.direct.put_object(Bucket=others, Key="plain none", Body=b"")
    sealed.direct.put_object(Bucket=others, Key="message none", Body=message(b"", {}))
    for kind in KINDS:
        named = {"Bucket": others, "Key": f"{kind} none"}
        assert sealed.client.get_object(**named)["Body"].read() == b""
        assert sealed.client.head_object(**named)["ContentLength"] == 0
        for text in ("bytes=0-", "bytes=-5"):
            assert refused(sealed.client.get_object, **named, Range=text) == (416, "InvalidRange")
            assert refused(sealed.client.head_object, **named, Range=text)[0] == 416


@pytest.mark.parametrize("kind", ["client", "message"])
def test_what_others_encrypted_is_one_part(sealed: Sealed, others: str, kind: str) -> None:
    named = {"Bucket": others, "Key": kind}
    got = sealed.client.get_object(**named, PartNumber=1)
    head = sealed.client.head_object(**named, PartNumber=1)
    assert got["Body"].read() == TEXT
    assert got["ContentLength"] == head["ContentLength"] == len(TEXT)
    assert got["ContentRange"] == head["ContentRange"] == f"bytes 0-{len(TEXT) - 1}/{len(TEXT)}"
    assert "PartsCount" not in got
    for call in (sealed.client.get_object, sealed.client.head_object):
        assert refused(call, **named, PartNumber=2)[0] == 416
    none = {"Bucket": others, "Key": "client none", "PartNumber": 1}
    assert sealed.client.get_object(**none)["Body"].read() == b""
    assert sealed.client.head_object(**none)["ContentLength"] == 0
    assert refused(sealed.client.get_object, **named, PartNumber=1, Range="bytes=0-1") == (400, "InvalidRequest")


@pytest.mark.parametrize("kind", KINDS)
def test_conditions_hold_for_what_others_wrote(sealed: Sealed, others: str, kind: str) -> None:
    named = {"Bucket": others, "Key": kind}
    head = sealed.client.head_object(**named)
    etag, written_at = head["ETag"], head["LastModified"]
    assert etag.endswith('-0"')
    past = "Mon, 01 Jan 2001 00:00:00 GMT"
    for extra, part in (({}, TEXT), ({"Range": "bytes=5-9"}, TEXT[5:10]), ({"PartNumber": 1}, TEXT)):
        asked = {**named, **extra}
        for holds in ({"IfMatch": etag}, {"IfNoneMatch": '"0123"'}, {"IfModifiedSince": past}):
            assert sealed.client.get_object(**asked, **holds)["Body"].read() == part
            sealed.client.head_object(**asked, **holds)
        for fails, status in (
            ({"IfMatch": '"0123"'}, 412), ({"IfNoneMatch": etag}, 304), ({"IfModifiedSince": written_at}, 304),
            ({"IfUnmodifiedSince": past}, 412),
        ):  # fmt: skip
            for call in (sealed.client.get_object, sealed.client.head_object):
                assert refused(call, **asked, **fails)[0] == status, (extra, fails)


@pytest.mark.parametrize("extra", [{}, {"Range": "bytes=5-9"}, {"PartNumber": 1}], ids=["whole", "range", "part"])
@pytest.mark.parametrize("kind", KINDS)
def test_fields_of_the_answer_can_be_overridden(sealed: Sealed, others: str, kind: str, extra: dict[str, Any]) -> None:
    asked = {"Bucket": others, "Key": kind, **extra}
    for call in (sealed.client.get_object, sealed.client.head_object):
        found = call(**asked)
        assert (found["ContentType"], found["CacheControl"], found["Metadata"]) == ("a/b", "no-store", {"own": "x"})
    # moto does this for GET alone.
    got = sealed.client.get_object(
        **asked, ResponseContentType="text/html", ResponseContentDisposition='attachment; filename="x"'
    )
    assert (got["ContentType"], got["ContentDisposition"]) == ("text/html", 'attachment; filename="x"')
    assert got["CacheControl"] == "no-store"

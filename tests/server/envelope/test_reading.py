"""Reading objects of one and of several parts, clause by clause, through a running proxy."""

from __future__ import annotations

import http.client
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from proxy.envelope.sizes import FRAME, MIN_PART
from tests.server.envelope.conftest import Sealed
from tests.server.envelope.test_multipart import upload
from tests.server.envelope.test_single import refused

ONE = os.urandom(2 * FRAME + 5)
PARTS = {2: os.urandom(MIN_PART + 7), 5: os.urandom(MIN_PART), 9: os.urandom(1000)}
BODIES = {"one": ONE, "full": ONE[: 2 * FRAME], "none": b"", "parts": b"".join(PARTS.values())}


@pytest.fixture(scope="module")
def stored(sealed: Sealed) -> str:
    """A bucket with an object of each layout."""
    bucket = sealed.bucket()
    fields = {"ContentType": "a/b", "CacheControl": "no-store", "Metadata": {"own": "x"}}
    for key, body in BODIES.items():
        if key == "parts":
            upload(sealed.client, bucket, PARTS, key, **fields)
        else:
            sealed.client.put_object(Bucket=bucket, Key=key, Body=body, **fields)
    return bucket


def ask(
    sealed: Sealed, bucket: str, key: str, method: str = "GET", headers: Mapping[str, str] | None = None, **extra: Any
) -> tuple[int, Mapping[str, str], bytes]:
    """Ask with a presigned URL; return status, fields with lower-case names, and body."""
    call = "head_object" if method == "HEAD" else "get_object"
    url = sealed.client.generate_presigned_url(call, Params={"Bucket": bucket, "Key": key, **extra})
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("key", BODIES)
def test_head_says_what_get_says(sealed: Sealed, stored: str, key: str) -> None:
    for headers in ({}, {"Range": "bytes=3-9"}, {"Range": "bytes=-4"}, {"Range": "bytes=0-1,5-6"}):
        got, head = (ask(sealed, stored, key, method, headers) for method in ("GET", "HEAD"))
        assert got[0] == head[0], headers
        assert head[2] == b""
        if got[0] < 300:
            moving = {"date", "x-amz-request-id", "x-amz-id-2"}
            assert {name: value for name, value in got[1].items() if name not in moving} == {
                name: value for name, value in head[1].items() if name not in moving
            }
            assert int(head[1]["content-length"]) == len(got[2])


@pytest.mark.parametrize("key", ["one", "full", "parts"])
def test_every_kind_of_range(sealed: Sealed, stored: str, key: str) -> None:
    body = BODIES[key]
    size = len(body)
    for text, first, last in (
        ("0-0", 0, 0), ("0-", 0, size - 1), (f"{size - 1}-", size - 1, size - 1), (f"{FRAME}-", FRAME, size - 1),
        (f"{FRAME - 1}-{FRAME}", FRAME - 1, FRAME), (f"5-{size}", 5, size - 1), (f"-{size}", 0, size - 1),
        (f"-{size + 1}", 0, size - 1), ("-1", size - 1, size - 1), (f"-{FRAME}", size - FRAME, size - 1),
        ("0-9999999999999999999", 0, size - 1),
    ):  # fmt: skip
        status, fields, got = ask(sealed, stored, key, headers={"Range": f"bytes={text}"})
        assert (status, fields["content-range"]) == (206, f"bytes {first}-{last}/{size}"), text
        assert got == body[first : last + 1], text
    for text in (f"{size}-", f"{size}-{size + 5}", "-0", "9999999999999999999-"):
        status, fields, got = ask(sealed, stored, key, headers={"Range": f"bytes={text}"})
        assert (status, fields["content-range"]) == (416, f"bytes */{size}"), text
        assert f"<ActualObjectSize>{size}</ActualObjectSize>".encode() in got
    for text in ("bytes=0-1,3-4", "bytes=1-0", "bytes=", "bytes=-", "bytes=a-b", "items=0-1", "bytes 0-1"):
        status, fields, got = ask(sealed, stored, key, headers={"Range": text})
        assert (status, got == body, "content-range" in fields) == (200, True, False), text


@pytest.mark.parametrize("extra", [{}, {"Range": "bytes=5-9"}, {"PartNumber": 1}], ids=["whole", "range", "part"])
@pytest.mark.parametrize("key", ["one", "none", "parts"])
def test_conditions_hold_or_they_do_not(sealed: Sealed, stored: str, key: str, extra: dict[str, Any]) -> None:
    if key == "none" and "Range" in extra:
        extra = {}
    if key == "parts" and "PartNumber" in extra:
        extra = {"PartNumber": 2}
    named = {"Bucket": stored, "Key": key, **extra}
    found = sealed.client.head_object(Bucket=stored, Key=key)
    etag, at = found["ETag"], found["LastModified"]
    before, after = at - timedelta(days=1), at + timedelta(seconds=1)
    # moto knows neither `*` nor lists, and lets a date decide beside an ETag.
    holds: list[dict[str, Any]] = [
        {"IfMatch": etag}, {"IfNoneMatch": '"x"'}, {"IfModifiedSince": before}, {"IfUnmodifiedSince": after},
        {"IfUnmodifiedSince": at}, {"IfMatch": etag, "IfUnmodifiedSince": after},
    ]  # fmt: skip
    for condition in holds:
        got = sealed.client.get_object(**named, **condition)
        assert got["Body"].read() in (BODIES[key], BODIES[key][5:10], *PARTS.values()), condition
        sealed.client.head_object(**named, **condition)
    fails: list[tuple[dict[str, Any], int]] = [
        ({"IfMatch": '"x"'}, 412), ({"IfNoneMatch": etag}, 304), ({"IfModifiedSince": at}, 304),
        ({"IfUnmodifiedSince": before}, 412), ({"IfNoneMatch": etag, "IfModifiedSince": before}, 304),
    ]  # fmt: skip
    for condition, status in fails:
        for call in (sealed.client.get_object, sealed.client.head_object):
            assert refused(call, **named, **condition)[0] == status, condition


def test_a_condition_that_fails_names_no_stored_thing(sealed: Sealed, stored: str) -> None:
    for key in BODIES:
        etag = sealed.client.head_object(Bucket=stored, Key=key)["ETag"]
        status, fields, got = ask(sealed, stored, key, headers={"If-None-Match": etag})
        assert (status, got) == (304, b"")
        assert fields.get("etag", etag) == etag
        assert not any(name.startswith("x-amz-meta-s3w") for name in fields)
        status, fields, got = ask(sealed, stored, key, headers={"If-Match": '"x"'})
        assert (status, b"<Code>PreconditionFailed</Code>" in got) == (412, True)


@pytest.mark.parametrize("key", ["one", "full", "none"])
def test_the_one_part_of_an_object_is_all_of_it(sealed: Sealed, stored: str, key: str) -> None:
    body = BODIES[key]
    for method in ("GET", "HEAD"):
        status, fields, got = ask(sealed, stored, key, method, PartNumber=1)
        assert (status, int(fields["content-length"])) == (206 if body else 200, len(body))
        assert fields.get("content-range") == (f"bytes 0-{len(body) - 1}/{len(body)}" if body else None)
        assert "x-amz-mp-parts-count" not in fields
        assert got == (body if method == "GET" else b"")
        assert ask(sealed, stored, key, method, PartNumber=2)[0] == 416
        assert ask(sealed, stored, key, method, PartNumber=10_001)[0] == 400


def test_parts_have_the_bytes_that_were_uploaded_as_them(sealed: Sealed, stored: str) -> None:
    start, size = 0, len(BODIES["parts"])
    for number, body in PARTS.items():
        for method in ("GET", "HEAD"):
            status, fields, got = ask(sealed, stored, "parts", method, PartNumber=number)
            assert (status, int(fields["content-length"])) == (206, len(body))
            assert fields["content-range"] == f"bytes {start}-{start + len(body) - 1}/{size}"
            assert fields["x-amz-mp-parts-count"] == "3"
            assert got == (body if method == "GET" else b"")
        start += len(body)


@pytest.mark.parametrize("extra", [{}, {"Range": "bytes=5-9"}, {"PartNumber": 2}], ids=["whole", "range", "part"])
@pytest.mark.parametrize("key", ["one", "parts"])
def test_every_field_can_be_overridden(sealed: Sealed, stored: str, key: str, extra: dict[str, Any]) -> None:
    if key == "one" and extra.get("PartNumber"):
        extra = {"PartNumber": 1}
    headers = {"Range": extra.pop("Range")} if "Range" in extra else {}
    for _ in ("cold", "warm"):
        _, fields, _ = ask(
            sealed, stored, key, headers=headers, **extra, ResponseContentType="text/x",
            ResponseCacheControl="max-age=1",
            ResponseContentDisposition="attachment", ResponseContentEncoding="br", ResponseContentLanguage="de",
            ResponseExpires="Thu, 01 Jan 2099 00:00:00 GMT",
        )  # fmt: skip
        shown = {name: fields.get(name) for name in ("content-type", "cache-control", "content-disposition")}
        assert shown == {
            "content-type": "text/x", "cache-control": "max-age=1", "content-disposition": "attachment",
        }  # fmt: skip
        assert (fields["content-encoding"], fields["content-language"]) == ("br", "de")
        assert fields["expires"] == "Thu, 01 Jan 2099 00:00:00 GMT"


def test_anybody_without_a_signature_overrides_nothing(sealed: Sealed, stored: str) -> None:
    parts = urlsplit(sealed.endpoint)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    connection.request("GET", f"/{stored}/one?response-content-type=text/html")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status in (400, 403)


@pytest.mark.parametrize("key", ["one", "parts"])
def test_a_range_of_what_changed_since_is_the_whole_object(sealed: Sealed, stored: str, key: str) -> None:
    found = sealed.client.head_object(Bucket=stored, Key=key)
    etag, at = found["ETag"], found["ResponseMetadata"]["HTTPHeaders"]["last-modified"]
    body = BODIES[key]
    for _ in ("cold", "warm"):
        for same in (etag, at):
            status, fields, got = ask(sealed, stored, key, headers={"Range": "bytes=5-9", "If-Range": same})
            assert (status, got) == (206, body[5:10]), same
        for other in ('"0123-0"', f"W/{etag}", "Mon, 01 Jan 2001 00:00:00 GMT", "nonsense"):
            for extent in ("bytes=5-9", "bytes=999999999-"):
                status, fields, got = ask(sealed, stored, key, headers={"Range": extent, "If-Range": other})
                assert (status, got == body, "content-range" in fields) == (200, True, False), other
    status, _, got = ask(sealed, stored, key, headers={"If-Range": '"0123"'})
    assert (status, got == body) == (200, True)

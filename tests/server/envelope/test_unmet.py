"""Conditions on objects under keys of clients (SSE-C): the key is asked for before anything is compared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.envelope.sizes import MIN_PART
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.customer_cases import OTHER, RULES, key, own_upload, source_key
from tests.server.envelope.test_single import refused, upstream_requests

PAST = "Mon, 01 Jan 2001 00:00:00 GMT"


@pytest.fixture(scope="module")
def own(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    """A proxy with buckets that take keys of clients."""
    with sealed_proxy(tmp_path_factory.mktemp("unmet"), moto_store, extra=RULES) as running:
        yield running


@pytest.fixture(scope="module", params=["one part", "parts"])
def stored(own: Sealed, request: pytest.FixtureRequest) -> dict[str, Any]:
    """An object under a key of its client's."""
    named = {"Bucket": own.bucket("own"), "Key": "key"}
    if request.param == "parts":
        own_upload(own.client, named["Bucket"], {1: os.urandom(MIN_PART), 2: b"end"})
    else:
        own.client.put_object(**named, Body=b"text", **key())
    return named


def conditions(own: Sealed, stored: dict[str, Any]) -> list[tuple[dict[str, Any], int | None]]:
    """Return conditions, each with the status of a refusal to the owner of the key; None where they hold."""
    found = own.client.head_object(**stored, **key())
    etag, written = found["ETag"], found["LastModified"]
    return [
        ({"IfMatch": etag}, None),
        ({"IfMatch": '"0123"'}, 412),
        ({"IfNoneMatch": etag}, 304),
        ({"IfNoneMatch": '"0123"'}, None),
        ({"IfModifiedSince": written}, 304),
        ({"IfModifiedSince": PAST}, None),
        ({"IfUnmodifiedSince": PAST}, 412),
    ]


@pytest.mark.parametrize("extra", [{}, {"Range": "bytes=0-1"}, {"PartNumber": 1}], ids=["whole", "range", "part"])
@pytest.mark.parametrize("name", ["get_object", "head_object"])
def test_without_the_key_a_condition_says_nothing_about_the_object(
    own: Sealed, stored: dict[str, Any], name: str, extra: dict[str, Any]
) -> None:
    call = getattr(own.client, name)
    for condition, status in conditions(own, stored):
        asked = {**stored, **condition, **extra}
        assert refused(call, **asked)[0] == 400, condition
        assert refused(call, **asked, **key(OTHER))[0] == 403, condition
        if status is None:
            call(**asked, **key())
        else:
            assert refused(call, **asked, **key())[0] == status, condition


def test_the_refusal_is_the_one_of_any_other_request(own: Sealed, stored: dict[str, Any]) -> None:
    etag = own.client.head_object(**stored, **key())["ETag"]
    for condition in ({"IfNoneMatch": etag}, {"IfMatch": '"0123"'}):
        assert refused(own.client.get_object, **stored, **condition) == (400, "InvalidRequest")
        assert refused(own.client.get_object, **stored, **condition, **key(OTHER)) == (403, "AccessDenied")


def test_copies_compare_their_source_only_for_who_has_its_key(own: Sealed, stored: dict[str, Any]) -> None:
    etag = own.client.head_object(**stored, **key())["ETag"]
    copy = {"Bucket": stored["Bucket"], "Key": "copy", "CopySource": "{Bucket}/{Key}".format(**stored)}
    for condition in ({"CopySourceIfNoneMatch": etag}, {"CopySourceIfMatch": '"0123"'}):
        asked = {**copy, **condition}
        assert refused(own.client.copy_object, **asked) == (400, "InvalidRequest")
        assert refused(own.client.copy_object, **asked, **source_key(OTHER)) == (403, "AccessDenied")
        assert refused(own.client.copy_object, **asked, **source_key()) == (412, "PreconditionFailed")
    assert refused(own.client.head_object, Bucket=stored["Bucket"], Key="copy")[0] == 404


def test_without_the_key_nobody_learns_where_an_object_ends_or_how_many_parts_it_has(
    own: Sealed, stored: dict[str, Any]
) -> None:
    for extra in ({"Range": "bytes=999999999-"}, {"Range": "bytes=-0"}, {"PartNumber": 3}):
        assert refused(own.client.get_object, **stored, **extra) == (400, "InvalidRequest")
        assert refused(own.client.get_object, **stored, **extra, **key(OTHER)) == (403, "AccessDenied")
        assert refused(own.client.get_object, **stored, **extra, **key())[0] == 416


def test_a_key_for_an_object_of_another_kind_is_refused_before_its_conditions(own: Sealed) -> None:
    sealed, mixed = own.bucket("own"), own.bucket("mixedown")
    own.client.put_object(Bucket=sealed, Key="key", Body=b"text")
    own.direct.put_object(Bucket=mixed, Key="key", Body=b"text")
    for bucket in (sealed, mixed):
        etag = own.client.head_object(Bucket=bucket, Key="key")["ETag"]
        asked = {"Bucket": bucket, "Key": "key", "IfNoneMatch": etag}
        assert refused(own.client.get_object, **asked, **key()) == (400, "InvalidRequest")
        assert refused(own.client.get_object, **asked)[0] == 304


def test_only_a_condition_that_does_not_hold_costs_another_look(own: Sealed) -> None:
    bucket = own.bucket("own")
    etag = own.client.put_object(Bucket=bucket, Key="key", Body=b"text")["ETag"]
    before = upstream_requests(own)
    own.client.get_object(Bucket=bucket, Key="key", IfMatch=etag)["Body"].read()
    assert upstream_requests(own) - before == 1
    assert refused(own.client.get_object, Bucket=bucket, Key="key", IfNoneMatch=etag)[0] == 304
    assert upstream_requests(own) - before == 3
    code = refused(own.client.get_object, Bucket=bucket, Key="key", IfMatch='"0123"')
    assert code == (412, "PreconditionFailed")


def test_a_part_of_what_is_not_there_is_refused_with_a_code(own: Sealed) -> None:
    bucket = own.bucket("own")
    asked = {"Bucket": bucket, "Key": "none"}
    assert refused(own.client.get_object, **asked, PartNumber=1) == (404, "NoSuchKey")
    wanted = {**asked, "ObjectAttributes": ["ETag"]}
    assert refused(own.client.get_object_attributes, **wanted) == (404, "NoSuchKey")

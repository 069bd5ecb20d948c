"""Listings of encrypted buckets: sizes of plaintext, marked ETags, reserved names hidden."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from proxy.envelope.sizes import FRAME
from tests.conftest import Store
from tests.journeys.front import Seen
from tests.journeys.scripted import Script, ScriptedStore
from tests.journeys.scripted import answer as scripted_answer
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.test_single import refused

SIZES = {"a": 0, "b/1": 10, "b/2": FRAME, "c d+é&<": 3 * FRAME + 1, "z": 1}


@pytest.fixture
def filled(sealed: Sealed, bucket: str) -> str:
    for key, size in SIZES.items():
        sealed.client.put_object(Bucket=bucket, Key=key, Body=os.urandom(size))
    return bucket


def test_sizes_and_etags_are_those_of_head(sealed: Sealed, filled: str) -> None:
    for listing, rows in (
        (sealed.client.list_objects_v2(Bucket=filled), "Contents"),
        (sealed.client.list_objects(Bucket=filled), "Contents"),
        (sealed.client.list_object_versions(Bucket=filled), "Versions"),
    ):
        assert {row["Key"]: row["Size"] for row in listing[rows]} == SIZES
        for row in listing[rows]:
            assert row["ETag"] == sealed.client.head_object(Bucket=filled, Key=row["Key"])["ETag"]
            assert "ChecksumAlgorithm" not in row


def hide(sealed: Sealed, bucket: str, count: int) -> None:
    for number in range(count):
        sealed.direct.put_object(Bucket=bucket, Key=f".s3w/mpu/{number:04}/ctx", Body=b"{}")


def pages(client: Any, operation: str, rows: str, **arguments: Any) -> list[list[str]]:
    found = client.get_paginator(operation).paginate(**arguments)
    return [[row["Key"] for row in page.get(rows, [])] for page in found]


@pytest.mark.parametrize(
    ("operation", "rows"),
    [("list_objects_v2", "Contents"), ("list_objects", "Contents"), ("list_object_versions", "Versions")],
)
def test_reserved_names_are_hidden_and_pages_stay_full(sealed: Sealed, filled: str, operation: str, rows: str) -> None:
    hide(sealed, filled, 7)
    sealed.client.put_object(Bucket=filled, Key="!before", Body=b"")
    names = ["!before", *SIZES]
    for size in (1, 2, 3, 5, 1000):
        expected = [names[at : at + size] for at in range(0, len(names), size)]
        found = pages(sealed.client, operation, rows, Bucket=filled, PaginationConfig={"PageSize": size})
        assert [page for page in found if page] == expected, size


def test_common_prefixes_of_ours_are_hidden_too(sealed: Sealed, filled: str) -> None:
    hide(sealed, filled, 2)
    listing = sealed.client.list_objects_v2(Bucket=filled, Delimiter="/")
    assert [row["Prefix"] for row in listing["CommonPrefixes"]] == ["b/"]
    assert listing["KeyCount"] == 4
    assert "Contents" not in sealed.client.list_objects_v2(Bucket=filled, Prefix=".s3w/")
    assert refused(sealed.client.get_object, Bucket=filled, Key=".s3w/mpu/0000/ctx") == (403, "AccessDenied")
    assert refused(sealed.client.put_object, Bucket=filled, Key=".s3w/x", Body=b"") == (403, "AccessDenied")


LISTINGS = {"list_objects_v2": "Contents", "list_objects": "Contents", "list_object_versions": "Versions"}
BESIDE = {
    "nothing": [],
    "what sorts before": [".a", ".s3/x"],
    "what sorts behind": [".s3w0", ".t/x"],
    "both": [".", ".s", ".s3w", ".z.z"],
}


def rolled_up(keys: list[str], delimiter: str) -> list[str]:
    """What a listing shows of these keys."""
    return sorted({key if delimiter not in key else key[: key.index(delimiter) + len(delimiter)] for key in keys})


def shown(client: Any, operation: str, rows: str, **arguments: Any) -> list[list[str]]:
    """The names on each page, without those that are empty."""
    names = []
    for page in client.get_paginator(operation).paginate(**arguments):
        prefixes = [row["Prefix"] for row in page.get("CommonPrefixes", [])]
        names.append(sorted([row["Key"] for row in page.get(rows, [])] + prefixes))
        assert page.get("KeyCount", len(names[-1])) == len(names[-1])
    return [page for page in names if page]


def shows_nothing_of_ours(
    proxy: Sealed, bucket: str, keys: list[str], delimiter: str, listings: Any, paged: Any = ("list_objects_v2",)
) -> None:
    """Prove that listings by this delimiter are those of a bucket with nothing but `keys`.

    Page for page for those that are `paged`: in the others, moto has pages of its own with a delimiter.
    """
    names = rolled_up(keys, delimiter)
    for operation, rows in listings.items():
        for size in (1, 2, 1000) if operation in paged else (1000,):
            expected = [names[at : at + size] for at in range(0, len(names), size)]
            asked = {"Bucket": bucket, "Delimiter": delimiter, "PaginationConfig": {"PageSize": size}}
            assert shown(proxy.client, operation, rows, **asked) == expected, (operation, size)


@pytest.mark.parametrize("kind", ["sealed", "plain"])
@pytest.mark.parametrize("beside", BESIDE)
def test_a_delimiter_within_the_reserved_prefix_tells_nothing_of_what_is_there(
    sealed: Sealed, kind: str, beside: str
) -> None:
    bucket, keys = sealed.bucket(kind), ["!", "a.b", "s", *BESIDE[beside]]
    hide(sealed, bucket, 4)
    for key in keys:
        sealed.client.put_object(Bucket=bucket, Key=key, Body=b"")
    for delimiter in (".", "s", "3w", "/"):
        shows_nothing_of_ours(sealed, bucket, keys, delimiter, LISTINGS)


def test_a_reserved_prefix_of_several_folders_is_hidden_with_those_that_are_only_its_own(
    sealed: Sealed, moto_store: Store, tmp_path: Path
) -> None:
    bucket = sealed.bucket()
    for number in range(4):
        sealed.direct.put_object(Bucket=bucket, Key=f"our/state/mpu/{number}/ctx", Body=b"{}")
    with sealed_proxy(tmp_path, moto_store, state="{prefix: our/state/}") as proxy:
        for keys in (["a", "z/1"], ["a", "our/file", "z/1"]):
            for key in keys:
                proxy.client.put_object(Bucket=bucket, Key=key, Body=b"")
            shows_nothing_of_ours(proxy, bucket, keys, "/", LISTINGS)
            listing = proxy.client.list_objects_v2(Bucket=bucket, Prefix="our/", Delimiter="/")
            assert [row["Key"] for row in listing.get("Contents", [])] == [key for key in keys if "our" in key]
            assert "CommonPrefixes" not in listing


def uploads_of(keys: list[str]) -> Script:
    """A store's answers to ListMultipartUploads, as S3 documents them; moto and radosgw know no delimiter there."""

    def script(seen: Seen) -> list[bytes]:
        asked = dict(parse_qsl(seen.target.partition("?")[2], keep_blank_values=True))
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        names = []
        for key in sorted(keys):
            if key.startswith(prefix):
                at = key.find(delimiter, len(prefix)) if delimiter else -1
                names.append(key if at < 0 else key[: at + len(delimiter)])
        left = sorted({name for name in names if name > asked.get("key-marker", "")})
        page = left[: int(asked.get("max-uploads", "1000"))]
        rows = [
            f"<Upload><Key>{name}</Key><UploadId>u</UploadId></Upload>"
            if name in keys
            else f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"
            for name in page
        ]
        ends = f"<IsTruncated>{str(page != left).lower()}</IsTruncated>"
        if page != left:
            ends += f"<NextKeyMarker>{page[-1]}</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>"
        head = "<ListMultipartUploadsResult>"
        return [scripted_answer(200, f"{head}{ends}{''.join(rows)}</ListMultipartUploadsResult>")]

    return script


def test_uploads_are_listed_by_the_same_rules(tmp_path: Path) -> None:
    scripted = ScriptedStore()
    listings = {"list_multipart_uploads": "Uploads"}
    with scripted.running(), sealed_proxy(tmp_path, scripted.store) as proxy:
        for beside in BESIDE.values():
            keys = ["!", "a.b", "s", *beside]
            scripted.script = uploads_of([*keys, ".s3w/mpu/1", ".s3w/mpu/2", ".s3w/x/3"])
            for delimiter in (".", "s", "3w", "/"):
                shows_nothing_of_ours(proxy, "sealed-uploads", keys, delimiter, listings, paged=listings)


def test_a_listing_that_begins_behind_a_clients_key_shows_no_name_for_ours(sealed: Sealed, bucket: str) -> None:
    hide(sealed, bucket, 2)
    sealed.client.put_object(Bucket=bucket, Key=".a", Body=b"")
    asked = {"Bucket": bucket, "Delimiter": "."}
    assert [row["Prefix"] for row in sealed.client.list_objects_v2(**asked)["CommonPrefixes"]] == ["."]
    assert "CommonPrefixes" not in sealed.client.list_objects_v2(**asked, StartAfter=".a")
    assert "CommonPrefixes" not in sealed.client.list_objects(**asked, Marker=".a")


def test_a_mixed_bucket_shows_each_object_as_it_is_read(sealed: Sealed) -> None:
    bucket = sealed.bucket("mixed")
    sealed.client.put_object(Bucket=bucket, Key="sealed", Body=b"x" * 100)
    sealed.direct.put_object(Bucket=bucket, Key="plain", Body=b"x" * 100)
    assert [row["Size"] for row in sealed.client.list_objects_v2(Bucket=bucket)["Contents"]] == [100, 100]


def test_forward_buckets_hide_contexts_as_well(sealed: Sealed, moto_store: Store, tmp_path: Path) -> None:
    bucket = sealed.bucket("plain")
    sealed.direct.put_object(Bucket=bucket, Key="a", Body=b"text")
    hide(sealed, bucket, 3)
    with sealed_proxy(tmp_path, moto_store) as proxy:
        listing = proxy.client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        assert [(row["Key"], row["Size"]) for row in listing["Contents"]] == [("a", 4)]
        assert not listing["IsTruncated"]
        assert not listing["Contents"][0]["ETag"].endswith('-0"')


def test_batch_deletes_translate_etags(sealed: Sealed, filled: str) -> None:
    etag = sealed.client.head_object(Bucket=filled, Key="a")["ETag"]
    entries = [{"Key": "a", "ETag": etag}, {"Key": "z"}]
    deleted = sealed.client.delete_objects(Bucket=filled, Delete={"Objects": entries})
    assert {row["Key"] for row in deleted["Deleted"]} == {"a", "z"}
    sealed.client.delete_object(Bucket=filled, Key="b/1")
    assert [row["Key"] for row in sealed.client.list_objects_v2(Bucket=filled)["Contents"]] == ["b/2", "c d+é&<"]

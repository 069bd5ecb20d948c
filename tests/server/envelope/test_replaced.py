"""Objects that are replaced between the requests that reading one takes, through a running proxy.

A store is one that checks If-Match, or one that ignores it. Whatever takes the place of what: a client gets the one
object or the other, or an error; never bytes of both, never ciphertext, never what its bucket does not serve.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import Store
from tests.server.envelope.conftest import OTHER_KEY, Sealed, s3_client, sealed_proxy
from tests.server.envelope.counting import Counts, counting_store
from tests.server.envelope.lowered import HELD
from tests.server.envelope.test_multipart import upload
from tests.server.envelope.test_unmarked import client_object, message

OURS, THEIRS = ("one", "parts"), ("plain", "message", "large", "client")
READS: dict[str, tuple[dict[str, Any], slice]] = {
    "whole": ({}, slice(None)),
    "range": ({"Range": "bytes=5-40"}, slice(5, 41)),
    "part": ({"PartNumber": 1}, slice(None)),
}
MOST_REQUESTS = 6


@dataclass
class Stage:
    """A proxy, the store behind it, and a client of that store that nothing counts."""

    proxy: Sealed
    counts: Counts
    direct: Any


@dataclass
class Kept:
    """An object as the store has it, to be put back at any time."""

    plaintext: bytes
    stored: bytes
    metadata: dict[str, str]
    in_parts: bool = False

    def put(self, stage: Stage, bucket: str) -> None:
        named = {"Bucket": bucket, "Key": "key"}
        if not self.in_parts:
            stage.direct.put_object(**named, Body=self.stored, Metadata=self.metadata)
            return
        named["UploadId"] = stage.direct.create_multipart_upload(**named, Metadata=self.metadata)["UploadId"]
        etag = stage.direct.upload_part(**named, PartNumber=1, Body=self.stored)["ETag"]
        stage.direct.complete_multipart_upload(**named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})


@pytest.fixture(scope="module")
def stage(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    command = ("-m", "tests.server.envelope.lowered")
    folder = tmp_path_factory.mktemp("replaced")
    with counting_store(moto_store) as counts, sealed_proxy(folder, counts.store, command=command) as proxy:
        direct = s3_client(moto_store.endpoint, moto_store.access_key_id, moto_store.secret_access_key)
        yield Stage(proxy, counts, direct)


def keep(stage: Stage, bucket: str, kind: str) -> Kept:
    """Make an object of a kind under the name that it is to have."""
    body = os.urandom(HELD * 3 // 2 if kind == "large" else 200)
    if kind == "plain":
        return Kept(body, body, {})
    if kind in ("message", "large"):
        return Kept(body, message(body, {"by": "others"}, frame=65_536), {})
    if kind == "client":
        return Kept(body, *client_object(body, OTHER_KEY))
    if kind == "one":
        stage.proxy.client.put_object(Bucket=bucket, Key="key", Body=body)
    else:
        upload(stage.proxy.client, bucket, {1: body})
    found = stage.direct.get_object(Bucket=bucket, Key="key")
    return Kept(body, found["Body"].read(), found["Metadata"], kind == "parts")


def read_while(stage: Stage, bucket: str, extra: dict[str, Any], number: int, act: Callable[[], None]) -> Any:
    """Read the object, and act ahead of the request to the store with this number; a status, or bytes."""
    stage.counts.reset()
    stage.counts.before = lambda current: act() if current == number else None
    try:
        return stage.proxy.client.get_object(Bucket=bucket, Key="key", **extra)["Body"].read()
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    finally:
        stage.counts.before = None


@pytest.mark.parametrize("ignored", [frozenset(), frozenset({"if-match"})], ids=["checks", "ignores"])
@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("old", OURS + THEIRS)
def test_what_is_read_is_one_object_or_the_other(stage: Stage, old: str, read: str, ignored: frozenset[str]) -> None:
    bucket, stage.counts.ignored = stage.proxy.bucket("mixed"), ignored
    (extra, part), raced = READS[read], 0
    before = keep(stage, bucket, old)
    # Only ranges are read of a message that is not opened whole.
    for new in (each for each in OURS + THEIRS if each != "large" or read == "range"):
        after = keep(stage, bucket, new)
        wanted = before.plaintext[part], after.plaintext[part]
        for number in range(2, MOST_REQUESTS):
            before.put(stage, bucket)
            got = read_while(stage, bucket, extra, number, lambda after=after: after.put(stage, bucket))
            if stage.counts.reads < number:
                assert got == wanted[0]
                break
            raced += 1
            # Of one that ignores conditions, what comes may be of another object, and does not verify then.
            assert got in (*wanted, 503, *((500,) if ignored else ())), (new, number)
    assert bool(raced) == (read == "part" or old == "parts" or (read == "range" and old != "one"))


@pytest.mark.parametrize("ignored", [frozenset(), frozenset({"if-match"})], ids=["checks", "ignores"])
@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("old", OURS)
def test_a_bucket_of_encrypted_objects_serves_nothing_that_slips_in(
    stage: Stage, old: str, read: str, ignored: frozenset[str]
) -> None:
    bucket, stage.counts.ignored = stage.proxy.bucket(), ignored
    extra, part = READS[read]
    before = keep(stage, bucket, old)
    for new in THEIRS:
        after = keep(stage, bucket, new)
        for number in range(1, MOST_REQUESTS):
            before.put(stage, bucket)
            got = read_while(stage, bucket, extra, number, lambda after=after: after.put(stage, bucket))
            if stage.counts.reads < number:
                assert got == before.plaintext[part]
                break
            assert got in (before.plaintext[part], 403, 500, 503), (new, number)


@pytest.mark.parametrize("read", ["range", "part"])
def test_an_object_that_is_deleted_meanwhile_is_an_error(stage: Stage, read: str) -> None:
    bucket, stage.counts.ignored = stage.proxy.bucket("mixed"), frozenset()
    extra, part = READS[read]
    for kind in OURS + THEIRS:
        before = keep(stage, bucket, kind)
        for number in range(2, MOST_REQUESTS):
            before.put(stage, bucket)
            got = read_while(stage, bucket, extra, number, lambda: stage.direct.delete_object(Bucket=bucket, Key="key"))
            if stage.counts.reads < number:
                assert got == before.plaintext[part]
                break
            assert got in (404, 503), (kind, number)

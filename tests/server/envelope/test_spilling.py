"""Small parts that wait beside their upload: which attempt is the later one, and damage to what waits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from proxy.envelope.sizes import FRAME, MIN_PART, SEGMENT_HEADER
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.customer_cases import RULES, key
from tests.server.envelope.test_attacks import failures, flip
from tests.server.envelope.test_multipart import LARGE, complete, leftovers, list_parts, send
from tests.server.envelope.test_single import refused


def begin(sealed: Sealed, bucket: str) -> str:
    return str(sealed.client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"])


def listed(sealed: Sealed, bucket: str, upload_id: str) -> dict[int, tuple[int, str]]:
    return {row["PartNumber"]: (row["Size"], row["ETag"]) for row in list_parts(sealed, bucket, upload_id)}


@pytest.mark.parametrize(
    "sizes",
    [[LARGE, 10, LARGE + 1, 11], [10, LARGE, 11, LARGE + 1], [10, 11, LARGE, LARGE + 1, 12], [LARGE, LARGE + 1, 0]],
)
def test_the_later_attempt_is_listed_however_fast_attempts_follow_each_other(
    sealed: Sealed, bucket: str, sizes: list[int]
) -> None:
    upload_id = begin(sealed, bucket)
    send(sealed.client, bucket, upload_id, 1, b"x" * MIN_PART)
    for size in sizes:
        etag = send(sealed.client, bucket, upload_id, 2, b"y" * size)
        shown = listed(sealed, bucket, upload_id)
        assert shown[2] == (size, etag[:-66] + '"')
    complete(sealed.client, bucket, upload_id, {number: shown[number][1] for number in shown})
    got = sealed.client.get_object(Bucket=bucket, Key="key")
    assert got["Body"].read() == b"x" * MIN_PART + b"y" * sizes[-1]


def test_a_copied_part_has_its_place_among_the_attempts_too(sealed: Sealed, bucket: str) -> None:
    client, source = sealed.client, os.urandom(LARGE)
    client.put_object(Bucket=bucket, Key="source", Body=source)
    upload_id = begin(sealed, bucket)
    named = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "PartNumber": 1, "CopySource": f"{bucket}/source"}
    for extent in ("bytes=0-9", f"bytes=0-{LARGE - 1}", "bytes=5-25"):
        client.upload_part_copy(**named, CopySourceRange=extent)
        first, last = map(int, extent[6:].split("-"))
        assert listed(sealed, bucket, upload_id)[1][0] == last - first + 1


def test_more_small_parts_are_listed_than_one_page_of_the_store_holds(sealed: Sealed, bucket: str) -> None:
    upload_id = begin(sealed, bucket)
    send(sealed.client, bucket, upload_id, 1, b"x")
    [name] = [each for each in leftovers(sealed, bucket, 2) if not each.endswith("ctx")]
    body = sealed.direct.get_object(Bucket=bucket, Key=name)["Body"].read()
    for number in range(2, 1004):
        sealed.direct.put_object(Bucket=bucket, Key=name[:-1] + str(number), Body=body)
    pages = sealed.client.get_paginator("list_parts").paginate(Bucket=bucket, Key="key", UploadId=upload_id)
    assert [row["PartNumber"] for page in pages for row in page["Parts"]] == list(range(1, 1004))


def test_a_small_part_for_an_upload_that_another_proxy_aborted_leaves_nothing(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str
) -> None:
    upload_id = begin(sealed, bucket)
    send(sealed.client, bucket, upload_id, 1, b"x")
    with sealed_proxy(tmp_path, moto_store) as other:
        other.client.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=upload_id)
        assert leftovers(sealed, bucket) == []
    part = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "PartNumber": 1, "Body": b"x"}
    assert refused(sealed.client.upload_part, **part) == (404, "NoSuchUpload")
    assert leftovers(sealed, bucket) == []


@pytest.fixture
def dying(moto_store: Store, tmp_path: Path) -> Callable[..., None]:
    """Return what completes an upload by a proxy that dies after its trailer."""
    tries = iter(range(10))

    def die(bucket: str, upload_id: str, etags: dict[int, str]) -> None:
        folder = tmp_path / str(next(tries))
        folder.mkdir()
        command, environment = ("-m", "tests.server.envelope.faulty"), {"S3WARDEN_TEST_STEP": "trailer-sent"}
        with (
            sealed_proxy(folder, moto_store, command=command, environment=environment) as faulty,
            pytest.raises(ConnectionClosedError),
        ):
            complete(faulty.client, bucket, upload_id, etags)

    return die


JUST_SMALL = MIN_PART - SEGMENT_HEADER - 32 * (MIN_PART // FRAME) - 9
"""The largest part that waits: together with a trailer it is as large as a part that does not."""


@pytest.mark.parametrize("first", [100, JUST_SMALL])
@pytest.mark.parametrize("then", [[], [7], [JUST_SMALL], [LARGE], [LARGE, 9], [9, LARGE]])
def test_after_a_trailer_under_its_number_the_latest_attempt_of_a_small_part_is_listed(
    sealed: Sealed, bucket: str, dying: Callable[..., None], first: int, then: list[int]
) -> None:
    upload_id = begin(sealed, bucket)
    etags = {1: send(sealed.client, bucket, upload_id, 1, b"x" * MIN_PART)}
    etags[2] = send(sealed.client, bucket, upload_id, 2, b"y" * first)
    dying(bucket, upload_id, etags)
    stored = sealed.direct.list_parts(Bucket=bucket, Key="key", UploadId=upload_id)["Parts"]
    assert [row["PartNumber"] for row in stored] == [1, 2]
    for size in then:
        send(sealed.client, bucket, upload_id, 2, b"z" * size)
    body = b"z" * then[-1] if then else b"y" * first
    shown = listed(sealed, bucket, upload_id)
    assert {number: size for number, (size, _) in shown.items()} == {1: MIN_PART, 2: len(body)}
    complete(sealed.client, bucket, upload_id, {number: etag for number, (_, etag) in shown.items()})
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x" * MIN_PART + body


def test_trailers_of_attempts_with_other_lists_are_none_of_the_parts(
    sealed: Sealed, bucket: str, dying: Callable[..., None]
) -> None:
    upload_id = begin(sealed, bucket)
    etags = {number: send(sealed.client, bucket, upload_id, number, b"x" * MIN_PART) for number in (1, 3)}
    etags[7] = send(sealed.client, bucket, upload_id, 7, b"y" * JUST_SMALL)
    dying(bucket, upload_id, etags)
    dying(bucket, upload_id, {number: etags[number] for number in (1, 3)})
    dying(bucket, upload_id, {1: etags[1]})
    stored = sealed.direct.list_parts(Bucket=bucket, Key="key", UploadId=upload_id)["Parts"]
    assert [row["PartNumber"] for row in stored] == [1, 2, 3, 4, 7]
    shown = listed(sealed, bucket, upload_id)
    assert {number: size for number, (size, _) in shown.items()} == {1: MIN_PART, 3: MIN_PART, 7: JUST_SMALL}
    complete(sealed.client, bucket, upload_id, etags)
    got = sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read()
    assert got == b"x" * (2 * MIN_PART) + b"y" * JUST_SMALL


def damage(sealed: Sealed, bucket: str, change: Callable[[bytes], bytes]) -> None:
    """Change the one part that waits in a bucket, and nothing that is noted of it."""
    [name] = [each for each in leftovers(sealed, bucket, 2) if not each.endswith("ctx")]
    sealed.rewrite(bucket, name, change(sealed.direct.get_object(Bucket=bucket, Key=name)["Body"].read()))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "in the message id": lambda raw: flip(raw, 10),
    "in the header": lambda raw: flip(raw, 100),
    "in the part number": lambda raw: raw.replace(b"00001", b"00002"),
    "in the first frame": lambda raw: flip(raw, SEGMENT_HEADER + 100),
    "in a frame's head": lambda raw: flip(raw, SEGMENT_HEADER + 3),
    "in the last tag": lambda raw: flip(raw, len(raw) - 1),
    "cut by a byte": lambda raw: raw[:-1],
    "cut at a frame": lambda raw: raw[: -(FRAME + 32)],
    "a frame too many": lambda raw: raw + bytes(FRAME + 32),
    "nothing": lambda raw: b"",
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
def test_a_small_part_that_was_damaged_is_noticed_when_the_upload_is_completed(
    sealed: Sealed, bucket: str, change: Callable[[bytes], bytes]
) -> None:
    upload_id = begin(sealed, bucket)
    body = os.urandom(3 * FRAME + 5)
    send(sealed.client, bucket, upload_id, 1, body)
    damage(sealed, bucket, change)
    bare = {number: etag for number, (_, etag) in listed(sealed, bucket, upload_id).items()}
    before = failures(sealed)
    again = {"client": sealed.client, "bucket": bucket, "upload_id": upload_id}
    assert refused(complete, **again, etags=bare) == (500, "InternalError")
    assert failures(sealed) == before + 1
    assert f"`{bucket}/key` failed verification" in sealed.log()
    assert "Parts" not in sealed.direct.list_parts(Bucket=bucket, Key="key", UploadId=upload_id)
    complete(**again, etags={1: send(sealed.client, bucket, upload_id, 1, body)})
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == body
    assert leftovers(sealed, bucket) == []


def test_a_small_part_of_another_upload_is_none_of_this_one(sealed: Sealed, bucket: str) -> None:
    uploads = [begin(sealed, bucket) for _ in range(2)]
    for upload_id in uploads:
        send(sealed.client, bucket, upload_id, 1, b"text")
    one, other = [each for each in leftovers(sealed, bucket, 4) if not each.endswith("ctx")]
    raw = {name: sealed.direct.get_object(Bucket=bucket, Key=name)["Body"].read() for name in (one, other)}
    sealed.rewrite(bucket, one, raw[other])
    sealed.rewrite(bucket, other, raw[one])
    for upload_id in uploads:
        bare = {number: etag for number, (_, etag) in listed(sealed, bucket, upload_id).items()}
        arguments = {"client": sealed.client, "bucket": bucket, "upload_id": upload_id, "etags": bare}
        assert refused(complete, **arguments) == (500, "InternalError")


@pytest.fixture(scope="module")
def own(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    """A proxy with buckets that take keys of clients."""
    with sealed_proxy(tmp_path_factory.mktemp("own"), moto_store, extra=RULES) as running:
        yield running


class TestUnderKeysOfClients:
    """The completion comes without the key, so what vouches for the part is sealed under the state secret."""

    def waiting(self, own: Sealed, bucket: str, body: bytes) -> Any:
        upload_id = own.client.create_multipart_upload(Bucket=bucket, Key="key", **key())["UploadId"]
        own.client.upload_part(Bucket=bucket, Key="key", UploadId=upload_id, PartNumber=1, Body=body, **key())
        return upload_id

    @pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
    def test_damage_is_noticed_when_the_upload_is_completed(
        self, own: Sealed, change: Callable[[bytes], bytes]
    ) -> None:
        bucket, body = own.bucket("own"), os.urandom(3 * FRAME + 5)
        upload_id = self.waiting(own, bucket, body)
        damage(own, bucket, change)
        bare = {number: etag for number, (_, etag) in listed(own, bucket, upload_id).items()}
        arguments = {"client": own.client, "bucket": bucket, "upload_id": upload_id}
        assert refused(complete, **arguments, etags=bare) == (500, "InternalError")
        part = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "PartNumber": 1, "Body": body, **key()}
        complete(**arguments, etags={1: own.client.upload_part(**part)["ETag"]})
        assert own.client.get_object(Bucket=bucket, Key="key", **key())["Body"].read() == body

    def test_a_part_without_what_vouches_for_it_is_refused(self, own: Sealed) -> None:
        bucket = own.bucket("own")
        upload_id = self.waiting(own, bucket, b"text")
        [name] = [each for each in leftovers(own, bucket, 2) if not each.endswith("ctx")]
        own.rewrite(bucket, name, metadata={})
        bare = {number: etag for number, (_, etag) in listed(own, bucket, upload_id).items()}
        arguments = {"client": own.client, "bucket": bucket, "upload_id": upload_id, "etags": bare}
        assert refused(complete, **arguments) == (500, "InternalError")

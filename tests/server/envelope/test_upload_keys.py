"""What is kept beside an upload belongs to it alone: exchanged or changed, it is refused before anything is stored."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from proxy.envelope.sizes import MIN_PART
from proxy.s3.state import context_key
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.customer_cases import RULES, key
from tests.server.envelope.test_attacks import Parts, failures, read
from tests.server.envelope.test_multipart import LARGE, complete, leftovers, list_parts
from tests.server.envelope.test_single import refused

WRITE_ONLY = '  "drop-*": {encryption: {mode: envelope, key: offline}}\n'
BUCKETS = {"key of the proxy": "sealed", "public key": "drop", "key of the client": "own"}


@dataclass
class Pair:
    """Two proxies with one configuration."""

    first: Sealed
    second: Sealed


@pytest.fixture(scope="module")
def pair(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    public = rsa.generate_private_key(65537, 2048).public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    options = {"extra": RULES + WRITE_ONLY, "keys": '  offline: {type: rsa, public: "${file:public.pem}"}'}
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    for folder in folders:
        (folder / "public.pem").write_bytes(pem)
    with (
        sealed_proxy(folders[0], moto_store, **options) as first,
        sealed_proxy(folders[1], moto_store, **options) as second,
    ):
        yield Pair(first, second)


class Two:
    """Two uploads to one object under one kind of key, whose contexts can be exchanged."""

    def __init__(self, pair: Pair, kind: str) -> None:
        self.pair, self.bucket = pair, pair.first.bucket(kind)
        self.secret: dict[str, Any] = key() if kind == "own" else {}
        made = [pair.first.client.create_multipart_upload(**self.named, **self.secret) for _ in range(2)]
        self.uploads = [each["UploadId"] for each in made]
        self.names = [context_key(self.bucket, "key", upload_id) for upload_id in self.uploads]
        self.contexts = [
            pair.first.direct.get_object(Bucket=self.bucket, Key=name)["Body"].read() for name in self.names
        ]

    @property
    def named(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": "key"}

    def put(self, contexts: list[bytes]) -> None:
        for name, raw in zip(self.names, contexts, strict=True):
            self.pair.first.direct.put_object(Bucket=self.bucket, Key=name, Body=raw)

    def part(self, proxy: Sealed, upload_id: str, body: bytes, number: int = 1) -> str:
        sent = proxy.client.upload_part(**self.named, UploadId=upload_id, PartNumber=number, Body=body, **self.secret)
        return str(sent["ETag"])


@pytest.fixture(params=list(BUCKETS.values()), ids=list(BUCKETS))
def two(pair: Pair, request: pytest.FixtureRequest) -> Two:
    return Two(pair, request.param)


def test_exchanged_contexts_of_one_object_are_refused_wherever_they_are_used(two: Two) -> None:
    second, body, source = two.pair.second, os.urandom(LARGE), two.pair.first.bucket()
    second.client.put_object(Bucket=source, Key="source", Body=b"text")
    etags = [two.part(two.pair.first, upload_id, body) for upload_id in two.uploads]
    two.put(two.contexts[::-1])
    before = failures(second)
    for upload_id, etag in zip(two.uploads, etags, strict=True):
        upload = {**two.named, "UploadId": upload_id}
        for size in (10, LARGE):
            part = {**upload, "PartNumber": 2, "Body": b"x" * size, **two.secret}
            assert refused(second.client.upload_part, **part) == (500, "InternalError")
        copied = {**upload, "PartNumber": 2, "CopySource": f"{source}/source", **two.secret}
        assert refused(second.client.upload_part_copy, **copied) == (500, "InternalError")
        assert refused(second.client.list_parts, **upload) == (500, "InternalError")
        rows = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
        assert refused(second.client.complete_multipart_upload, **upload, **rows) == (500, "InternalError")
        stored = two.pair.first.direct.list_parts(**upload)["Parts"]
        assert [row["PartNumber"] for row in stored] == [1]
    assert failures(second) == before + 10
    assert "the upload context was changed or is that of another upload" in second.log()
    assert len(leftovers(two.pair.first, two.bucket, 2)) >= 2
    two.put(two.contexts)
    last = two.part(second, two.uploads[0], b"end", 2)
    complete(second.client, two.bucket, two.uploads[0], {1: etags[0], 2: last})
    if two.bucket.startswith("drop"):
        return
    got = second.client.get_object(**two.named, **two.secret)
    assert got["Body"].read() == body + b"end"


def changed(raw: bytes, **entries: str | None) -> bytes:
    document = json.loads(raw)
    document["envelope"].update(entries)
    document["envelope"] = {name: text for name, text in document["envelope"].items() if text is not None}
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def judged_otherwise(raw: bytes) -> bytes:
    document = json.loads(raw)
    document["conditions"]["s3:x-amz-server-side-encryption"] = "aws:kms"
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "without its tag": lambda raw: changed(raw, tag=None),
    "with an empty tag": lambda raw: changed(raw, tag=""),
    "with a tag that is no base64": lambda raw: changed(raw, tag="!"),
    "with a trailer noted": lambda raw: changed(raw, trailer="1"),
    "with something that no proxy writes": lambda raw: changed(raw, more="1"),
    "with text that grows": lambda raw: changed(raw, more="")[:-3] + "é".encode() * 20000 + b'"}}',
    "with other conditions": judged_otherwise,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_context_is_refused(two: Two, change: Callable[[bytes], bytes]) -> None:
    second, upload_id = two.pair.second, two.uploads[0]
    two.put([change(two.contexts[0]), two.contexts[1]])
    upload = {**two.named, "UploadId": upload_id}
    part = {**upload, "PartNumber": 1, "Body": b"x", **two.secret}
    assert refused(second.client.upload_part, **part) == (500, "InternalError")
    assert refused(second.client.list_parts, **upload) == (500, "InternalError")
    two.put(two.contexts)
    assert two.part(second, upload_id, b"x")
    assert [row["Size"] for row in list_parts(second, two.bucket, upload_id)] == [1]


def test_a_proxy_that_remembers_an_upload_goes_on_with_what_it_knows(two: Two) -> None:
    first = two.pair.first
    two.put(two.contexts[::-1])
    etag = two.part(first, two.uploads[0], b"x" * MIN_PART)
    arguments = {"client": first.client, "bucket": two.bucket, "upload_id": two.uploads[0], "etags": {1: etag}}
    assert refused(complete, **arguments) == (500, "InternalError")
    two.put(two.contexts)
    complete(**arguments)
    if not two.bucket.startswith("drop"):
        assert first.client.get_object(**two.named, **two.secret)["Body"].read() == b"x" * MIN_PART


@pytest.mark.parametrize("extent", ["", "bytes=0-9", f"bytes={MIN_PART - 1}-{MIN_PART}", "bytes=-5"])
def test_a_capsule_of_another_upload_to_the_same_object_opens_nothing(
    pair: Pair, extent: str, cut: tuple[Parts, dict[str, str]]
) -> None:
    parts, metadata = cut
    parts.store([*parts.segments, parts.trailer], metadata)
    before = failures(pair.first)
    assert read(pair.first, parts.bucket, **({"Range": extent} if extent else {})) is None
    assert failures(pair.first) > before
    parts.store([*parts.segments, parts.trailer])
    assert len(read(pair.first, parts.bucket) or b"") == MIN_PART + 3


@pytest.fixture(scope="module")
def cut(pair: Pair) -> tuple[Parts, dict[str, str]]:
    """An object of two parts, and the metadata of another upload to the same name."""
    two, first = Two(pair, "sealed"), pair.first
    found = []
    for upload_id in two.uploads:
        etags = {1: two.part(first, upload_id, os.urandom(MIN_PART)), 2: two.part(first, upload_id, b"end", 2)}
        complete(first.client, two.bucket, upload_id, etags)
        found.append(first.direct.get_object(**two.named))
        found[-1]["Raw"] = found[-1]["Body"].read()
    raw = found[0]["Raw"]
    parts = Parts(first, two.bucket, found[0]["Metadata"], [raw[:MIN_PART]], raw[MIN_PART:], [], b"")
    return parts, found[1]["Metadata"]

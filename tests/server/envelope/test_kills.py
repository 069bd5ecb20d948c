"""A proxy that dies between any two steps of an upload loses nothing that the store would not lose."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from proxy.envelope.sizes import MIN_PART
from proxy.server.envelope.steps import STEPS
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.test_multipart import complete, leftovers, list_parts, send
from tests.server.envelope.test_single import refused

GONE = (ConnectionClosedError, EndpointConnectionError, ReadTimeoutError, ClientError)
LAYOUTS = {"large last": [MIN_PART, MIN_PART], "small last": [MIN_PART, 77]}


def die(call: Any, **arguments: Any) -> None:
    with pytest.raises(GONE):
        call(**arguments)


@pytest.mark.parametrize("sizes", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("step", [step for step in STEPS if step.startswith(("part", "trailer"))])
def test_the_upload_goes_on_with_another_proxy(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str, step: str, sizes: list[int]
) -> None:
    if step in ("part-placed", "part-spilled") and sizes[-1] == MIN_PART:
        return
    bodies = {number: os.urandom(size) for number, size in enumerate(sizes, 1)}
    upload_id = sealed.client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    dying = sealed_proxy(
        tmp_path, moto_store, command=("-m", "tests.server.envelope.faulty"), environment={"S3WARDEN_TEST_STEP": step}
    )
    with dying as faulty:
        etags = {}
        if step.startswith("part"):
            number = 1 if step == "part-sent" else 2
            die(send, client=faulty.client, bucket=bucket, upload_id=upload_id, number=number, body=bodies[number])
        etags = {number: send(sealed.client, bucket, upload_id, number, body) for number, body in bodies.items()}
        if step.startswith("trailer"):
            die(complete, client=faulty.client, bucket=bucket, upload_id=upload_id, etags=etags)
    listed = list_parts(sealed, bucket, upload_id)
    assert {row["PartNumber"]: row["Size"] for row in listed} == {n: len(body) for n, body in bodies.items()}
    complete(sealed.client, bucket, upload_id, etags)
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"".join(bodies.values())
    assert leftovers(sealed, bucket) == []


def test_a_completed_object_is_there_though_what_was_kept_is_too(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str
) -> None:
    upload_id = sealed.client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    etags = {1: send(sealed.client, bucket, upload_id, 1, b"text")}
    environment = {"S3WARDEN_TEST_STEP": "completed"}
    with (
        sealed_proxy(
            tmp_path, moto_store, command=("-m", "tests.server.envelope.faulty"), environment=environment
        ) as faulty,
        suppress(*GONE),
    ):
        complete(faulty.client, bucket, upload_id, etags)
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"text"
    assert [row["Key"] for row in sealed.client.list_objects_v2(Bucket=bucket)["Contents"]] == ["key"]
    assert refused(complete, client=sealed.client, bucket=bucket, upload_id=upload_id, etags=etags)[1] == "NoSuchUpload"


@pytest.mark.parametrize("step", ["created", "context-written"])
def test_an_upload_whose_id_nobody_heard_of_stores_nothing(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str, step: str
) -> None:
    environment = {"S3WARDEN_TEST_STEP": step}
    with sealed_proxy(
        tmp_path, moto_store, command=("-m", "tests.server.envelope.faulty"), environment=environment
    ) as faulty:
        die(faulty.client.create_multipart_upload, Bucket=bucket, Key="key")
    [row] = sealed.direct.list_multipart_uploads(Bucket=bucket)["Uploads"]
    part = {"Bucket": bucket, "Key": "key", "UploadId": row["UploadId"], "PartNumber": 1, "Body": b"x"}
    if step == "created":
        assert refused(sealed.client.upload_part, **part)[1] == "NoSuchUpload"
    sealed.client.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=row["UploadId"])
    assert leftovers(sealed, bucket) == []


def test_an_abort_that_was_cut_short_can_be_repeated(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str
) -> None:
    upload_id = sealed.client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    send(sealed.client, bucket, upload_id, 1, b"x")
    abort = {"Bucket": bucket, "Key": "key", "UploadId": upload_id}
    environment = {"S3WARDEN_TEST_STEP": "aborted"}
    with sealed_proxy(
        tmp_path, moto_store, command=("-m", "tests.server.envelope.faulty"), environment=environment
    ) as faulty:
        die(faulty.client.abort_multipart_upload, **abort)
    assert refused(sealed.client.abort_multipart_upload, **abort)[1] == "NoSuchUpload"
    assert leftovers(sealed, bucket) == []

"""A proxy that dies between any two steps of an upload loses nothing that the store would not lose."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from proxy.cli.main import main
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


Dying = Callable[[str], AbstractContextManager[Sealed]]


@pytest.fixture
def dying(moto_store: Store, tmp_path: Path) -> Dying:
    """Return what runs a proxy that dies at a step."""
    names = iter(range(100))

    @contextmanager
    def run(step: str) -> Iterator[Sealed]:
        folder = tmp_path / f"dying-{next(names)}"
        folder.mkdir()
        command, environment = ("-m", "tests.server.envelope.faulty"), {"S3WARDEN_TEST_STEP": step}
        with sealed_proxy(folder, moto_store, command=command, environment=environment) as faulty:
            yield faulty

    return run


def begin(sealed: Sealed, bucket: str) -> str:
    return str(sealed.client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"])


def swept(sealed: Sealed, bucket: str) -> list[str]:
    """Return what is left of uploads after the operator's sweep."""
    assert main(["sweep", "--config", str(sealed.folder / "config.yaml"), "--bucket", bucket]) == 0
    return leftovers(sealed, bucket)


@pytest.mark.parametrize(
    ("step", "extent"),
    [("part-sent", f"bytes=0-{MIN_PART}"), ("part-placed", "bytes=1-9"), ("part-spilled", "bytes=1-9")],
)
def test_a_copied_part_can_be_copied_again(sealed: Sealed, bucket: str, dying: Dying, step: str, extent: str) -> None:
    source = os.urandom(MIN_PART + 1)
    sealed.client.put_object(Bucket=bucket, Key="source", Body=source)
    upload_id = begin(sealed, bucket)
    part = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "PartNumber": 1}
    part |= {"CopySource": f"{bucket}/source", "CopySourceRange": extent}
    with dying(step) as faulty:
        die(faulty.client.upload_part_copy, **part)
    etag = sealed.client.upload_part_copy(**part)["CopyPartResult"]["ETag"]
    complete(sealed.client, bucket, upload_id, {1: etag})
    first, last = map(int, extent[6:].split("-"))
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == source[first : last + 1]
    assert leftovers(sealed, bucket) == []


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [
        (MIN_PART, MIN_PART + 1, "part-sent"),
        (20, MIN_PART, "part-sent"),
        (20, 21, "part-placed"),
        (20, 21, "part-spilled"),
        (MIN_PART, 21, "part-placed"),
        (MIN_PART, 21, "part-spilled"),
    ],
)
def test_what_is_listed_after_a_retry_died_is_one_attempt_or_the_other_and_completes(
    sealed: Sealed, bucket: str, dying: Dying, before: int, after: int, step: str
) -> None:
    upload_id = begin(sealed, bucket)
    old, new = b"o" * before, b"n" * after
    etag = send(sealed.client, bucket, upload_id, 1, old)
    with dying(step) as faulty:
        die(send, client=faulty.client, bucket=bucket, upload_id=upload_id, number=1, body=new)
    [row] = list_parts(sealed, bucket, upload_id)
    arrived = step != "part-placed"
    assert row["Size"] == (after if arrived else before)
    if (before, after) == (MIN_PART, MIN_PART + 1):
        # The store has overwritten it, as S3 does.
        arguments = {"client": sealed.client, "bucket": bucket, "upload_id": upload_id}
        assert refused(complete, **arguments, etags={1: etag})[1] == "InvalidPart"
    complete(sealed.client, bucket, upload_id, {1: row["ETag"]})
    got = sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read()
    assert got == (new if arrived else old)
    assert leftovers(sealed, bucket) == []


def test_a_proxy_that_dies_in_the_middle_of_a_part_leaves_the_attempt_before(
    sealed: Sealed, bucket: str, dying: Dying
) -> None:
    upload_id = begin(sealed, bucket)
    etag = send(sealed.client, bucket, upload_id, 1, b"a" * MIN_PART)
    for size in (2 * MIN_PART, 1000):
        with dying("aborted") as victim:
            part = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "PartNumber": 1}
            url = urlsplit(victim.client.generate_presigned_url("upload_part", Params=part))
            head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {size}\r\n\r\n"
            with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as connection:
                connection.sendall(head.encode() + b"b" * (size - 1))
                os.kill(victim.pid, signal.SIGKILL)
                with suppress(ConnectionError):
                    assert connection.recv(1) == b""
        assert [row["Size"] for row in list_parts(sealed, bucket, upload_id)] == [MIN_PART]
    complete(sealed.client, bucket, upload_id, {1: etag})
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"a" * MIN_PART
    assert leftovers(sealed, bucket) == []


@pytest.mark.parametrize("sizes", LAYOUTS.values(), ids=LAYOUTS)
def test_a_completion_that_died_at_every_step_is_repeated_until_it_is_done(
    sealed: Sealed, bucket: str, dying: Dying, sizes: list[int]
) -> None:
    upload_id = begin(sealed, bucket)
    bodies = {number: os.urandom(size) for number, size in enumerate(sizes, 1)}
    etags = {number: send(sealed.client, bucket, upload_id, number, body) for number, body in bodies.items()}
    for step in ("trailer-noted", "trailer-sent", "trailer-sent", "object-made"):
        listed = list_parts(sealed, bucket, upload_id)
        assert {row["PartNumber"]: row["Size"] for row in listed} == {n: len(body) for n, body in bodies.items()}
        with dying(step) as faulty:
            die(complete, client=faulty.client, bucket=bucket, upload_id=upload_id, etags=etags)
    # The client never heard of it: the object is there, and what was kept waits for the operator.
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"".join(bodies.values())
    again = {"client": sealed.client, "bucket": bucket, "upload_id": upload_id, "etags": etags}
    assert refused(complete, **again) == (404, "NoSuchUpload")
    assert [row["Key"] for row in sealed.client.list_objects_v2(Bucket=bucket)["Contents"]] == ["key"]
    assert swept(sealed, bucket) == []
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"".join(bodies.values())


def test_what_was_kept_may_be_deleted_in_part(sealed: Sealed, bucket: str, dying: Dying) -> None:
    for ending in ("complete", "abort"):
        upload_id = begin(sealed, bucket)
        named = {"Bucket": bucket, "Key": "key", "UploadId": upload_id}
        etags = {number: send(sealed.client, bucket, upload_id, number, b"text") for number in (1, 2)}
        with dying("kept-deleted") as faulty, suppress(*GONE):
            if ending == "complete":
                complete(faulty.client, bucket, upload_id, {1: etags[1]})
            else:
                faulty.client.abort_multipart_upload(**named)
        assert len(leftovers(sealed, bucket, 2)) == 2
        part = {**named, "PartNumber": 1, "Body": b"x"}
        assert refused(sealed.client.upload_part, **part) == (404, "NoSuchUpload")
        assert refused(sealed.client.list_parts, **named) == (404, "NoSuchUpload")
        assert refused(sealed.client.abort_multipart_upload, **named) == (404, "NoSuchUpload")
        assert leftovers(sealed, bucket) == []
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"text"


def test_every_step_of_an_upload_is_one_at_which_a_proxy_died() -> None:
    tried = {step for step in STEPS if step.startswith(("part", "trailer"))}
    tried |= {"created", "context-written", "object-made", "completed", "aborted", "kept-deleted"}
    assert {step for step in STEPS if not step.startswith("copy")} == tried

"""Copies above the limit of one request go by parts, and leave nothing behind that is not collected."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.exits import Exit
from proxy.cli.main import main
from proxy.envelope.sizes import FRAME, MAX_PARTS, MIN_PART
from proxy.server.envelope import streamed_parts, sweeping
from proxy.server.envelope.steps import STEPS
from proxy.server.envelope.streamed_parts import part_sizes
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, sealed_proxy
from tests.server.envelope.lowered import LIMIT, PART
from tests.server.envelope.test_kills import GONE
from tests.server.envelope.test_multipart import leftovers, upload

COMMAND = ("-m", "tests.server.envelope.lowered")
BODY = os.urandom(LIMIT + PART + 12_345)
SOURCES = ("plain", "sealed", "mixed")


@pytest.fixture(scope="module")
def lowered(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("lowered"), moto_store, command=COMMAND) as running:
        yield running


def source_of(proxy: Sealed, kind: str, body: bytes = BODY, **options: Any) -> str:
    """Store a long object in one of the forms that objects have; return its bucket."""
    bucket = proxy.bucket(kind)
    if kind == "sealed":
        half = max(MIN_PART, len(body) // 2)
        upload(proxy.client, bucket, {1: body[:half], 2: body[half:]}, **options)
    else:
        proxy.direct.put_object(Bucket=bucket, Key="key", Body=body, **options)
    return bucket


def uploads(proxy: Sealed, bucket: str) -> list[Any]:
    return proxy.direct.list_multipart_uploads(Bucket=bucket).get("Uploads", [])


@pytest.mark.parametrize(("source", "target"), [("plain", "sealed"), ("mixed", "ops"), ("sealed", "plain")])
def test_a_long_copy_between_modes_goes_by_parts(lowered: Sealed, source: str, target: str) -> None:
    here = source_of(lowered, source, Metadata={"own": "x"}, Tagging="k=v", ContentType="a/b")
    there = lowered.bucket(target)
    copied = lowered.client.copy_object(Bucket=there, Key="copy", CopySource=f"{here}/key")
    got = lowered.client.get_object(Bucket=there, Key="copy")
    assert got["Body"].read() == BODY
    assert (got["Metadata"], got["ContentType"]) == ({"own": "x"}, "a/b")
    assert got["ETag"] == copied["CopyObjectResult"]["ETag"]
    # Three parts and, where it is sealed, the trailer.
    assert got["ETag"].strip('"').rpartition("-")[2] == ("3" if target == "plain" else "4")
    [row] = lowered.client.list_objects_v2(Bucket=there)["Contents"]
    assert (row["Size"], row["ETag"]) == (len(BODY), got["ETag"])
    assert lowered.client.get_object_tagging(Bucket=there, Key="copy")["TagSet"] == [{"Key": "k", "Value": "v"}]
    ranged = lowered.client.get_object(Bucket=there, Key="copy", Range=f"bytes={PART - 5}-{PART + 5}")
    assert ranged["Body"].read() == BODY[PART - 5 : PART + 6]
    stored = lowered.direct.get_object(Bucket=there, Key="copy")["Body"].read()
    assert (BODY[:64] in stored) == (target == "plain")
    assert leftovers(lowered, there) == []
    assert uploads(lowered, there) == []


@pytest.mark.parametrize("payload", ["unsigned", "signed-chunks"])
def test_a_long_copy_with_every_framing_towards_the_store(moto_store: Store, tmp_path: Path, payload: str) -> None:
    with sealed_proxy(tmp_path, moto_store, payload=payload, command=COMMAND) as proxy:
        here, sealed, plain = source_of(proxy, "plain"), proxy.bucket(), proxy.bucket("plain")
        proxy.client.copy_object(Bucket=sealed, Key="copy", CopySource=f"{here}/key", ServerSideEncryption="AES256")
        proxy.client.copy_object(Bucket=plain, Key="back", CopySource=f"{sealed}/copy")
        for bucket, key in ((sealed, "copy"), (plain, "back")):
            assert proxy.client.get_object(Bucket=bucket, Key=key)["Body"].read() == BODY


def test_a_long_object_that_is_encrypted_already_is_copied_by_the_store(lowered: Sealed) -> None:
    here, there = source_of(lowered, "sealed"), lowered.bucket("ops")
    lowered.client.copy_object(Bucket=there, Key="copy", CopySource=f"{here}/key")
    assert lowered.client.get_object(Bucket=there, Key="copy")["Body"].read() == BODY
    stored = [lowered.direct.get_object(Bucket=b, Key=k)["Body"].read() for b, k in ((here, "key"), (there, "copy"))]
    assert stored[0] == stored[1]
    assert (leftovers(lowered, there), uploads(lowered, there)) == ([], [])


def test_directives_and_conditions_hold_for_long_copies(lowered: Sealed) -> None:
    here, there = source_of(lowered, "plain", Metadata={"old": "1"}), lowered.bucket()
    copy = {"Bucket": there, "Key": "copy", "CopySource": f"{here}/key"}
    lowered.client.copy_object(
        **copy, MetadataDirective="REPLACE", Metadata={"new": "2"}, TaggingDirective="REPLACE", Tagging="a=b",
        ServerSideEncryption="aws:kms", SSEKMSKeyId="ops",
    )  # fmt: skip
    got = lowered.client.get_object(Bucket=there, Key="copy")
    assert (got["Body"].read(), got["Metadata"]) == (BODY, {"new": "2"})
    assert got["SSEKMSKeyId"].endswith(":key/ops")
    assert lowered.client.get_object_tagging(Bucket=there, Key="copy")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_a_long_source_with_damage_at_its_end_leaves_nothing(lowered: Sealed) -> None:
    here, there = source_of(lowered, "sealed"), lowered.bucket("plain")
    raw = bytearray(lowered.direct.get_object(Bucket=here, Key="key")["Body"].read())
    raw[LIMIT + 2 * FRAME] ^= 1
    found = lowered.direct.head_object(Bucket=here, Key="key")
    made = {"Bucket": here, "Key": "key", "Metadata": found["Metadata"]}
    upload_id = lowered.direct.create_multipart_upload(**made)["UploadId"]
    part = {"Bucket": here, "Key": "key", "UploadId": upload_id}
    count = int(found["ETag"].strip('"').rpartition("-")[2])
    cuts = [*range(0, MIN_PART * count, MIN_PART), len(raw)]
    etags = [
        lowered.direct.upload_part(**part, PartNumber=number, Body=bytes(raw[cuts[number - 1] : cuts[number]]))["ETag"]
        for number in range(1, count)
    ]
    etags.append(lowered.direct.upload_part(**part, PartNumber=count, Body=bytes(raw[cuts[count - 1] :]))["ETag"])
    rows = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    lowered.direct.complete_multipart_upload(**part, MultipartUpload={"Parts": rows})
    # The client was kept awake when it turned out: it learns of it from the document.
    with pytest.raises(lowered.client.exceptions.ClientError) as caught:
        lowered.client.copy_object(Bucket=there, Key="copy", CopySource=f"{here}/key")
    assert caught.value.response["Error"]["Code"] == "InternalError"
    assert lowered.direct.list_objects_v2(Bucket=there)["KeyCount"] == 0
    assert (leftovers(lowered, there), uploads(lowered, there)) == ([], [])
    assert lowered.decisions()[-1]["error"] == "InternalError"


# The store itself copies what is sealed already, and sends no part through the proxy.
DEATHS = [("plain", step) for step in STEPS if step.startswith("copy-")]
DEATHS += [("sealed", step) for _, step in DEATHS if step != "copy-part-sent"]


@pytest.mark.parametrize(("source", "step"), DEATHS)
def test_what_a_copy_leaves_when_its_proxy_dies_is_swept(
    sealed: Sealed,
    moto_store: Store,
    tmp_path: Path,
    source: str,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there, here = sealed.bucket(), source_of(sealed, source)
    with sealed_proxy(tmp_path, moto_store, command=COMMAND, environment={"S3WARDEN_TEST_STEP": step}) as faulty:
        with suppress(*GONE):
            faulty.client.copy_object(Bucket=there, Key="copy", CopySource=f"{here}/key")
        os.waitid(os.P_PID, faulty.pid, os.WEXITED | os.WNOWAIT)
    alive = sealed.client.create_multipart_upload(Bucket=there, Key="alive")["UploadId"]
    sealed.client.upload_part(Bucket=there, Key="alive", UploadId=alive, PartNumber=1, Body=b"goes on")
    sweep = ["sweep", "--config", str(sealed.folder / "config.yaml"), "--bucket", there]
    # moto says of every upload that it began in 2010; parts have the time they came.
    assert main(sweep) == Exit.CLEAN
    if step not in ("copy-completed", "copy-created", "copy-marked"):
        assert len(uploads(sealed, there)) == 2, "a part has just come: the proxy may be alive"
        monkeypatch.setattr(sweeping, "IDLE_SECONDS", -60.0)
        assert main(sweep) == Exit.CLEAN
    assert [row["UploadId"] for row in uploads(sealed, there)] == [alive]
    assert len(leftovers(sealed, there, 2)) == 2, "the context and the part of the upload that goes on"
    keys = [row["Key"] for row in sealed.client.list_objects_v2(Bucket=there).get("Contents", [])]
    assert keys == (["copy"] if step == "copy-completed" else [])
    if keys:
        assert sealed.client.get_object(Bucket=there, Key="copy")["Body"].read() == BODY


def test_parts_are_large_enough_few_enough_and_whole_frames() -> None:
    part = streamed_parts.PART
    for size in (part, part + 1, 2 * part - 1, 2 * part, 100 * part + 7, 5 * 2**40):
        sizes = part_sizes(size)
        assert sum(sizes) == size
        assert len(sizes) < MAX_PARTS
        assert {each % FRAME for each in sizes[:-1]} <= {0}
        assert min(sizes) >= part
        assert max(sizes) < 5 * 2**30

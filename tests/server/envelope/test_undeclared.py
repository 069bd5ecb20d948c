"""Encrypted objects in buckets that are not declared so: never ciphertext with a 200, and a word on what to do."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from proxy.envelope.sizes import FRAME, MIN_PART
from tests.cli.test_keys_changes import until
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, fetch, sealed_proxy
from tests.server.envelope.test_attacks import failures
from tests.server.envelope.test_multipart import LARGE, complete, leftovers, send, upload
from tests.server.envelope.test_single import refused, upstream_requests

DENIED = (403, "AccessDenied")
BODY = os.urandom(FRAME + 17)
EXTRA = '  "raw-*": {encryption: {pass_ciphertext: true}}\n'


@pytest.fixture(scope="module")
def proxy(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("undeclared"), moto_store, extra=EXTRA) as running:
        yield running


def moved(proxy: Sealed, kind: str = "plain", *, parts: bool = False, **options: Any) -> str:
    """Encrypt an object, and move it to a bucket of another kind behind the proxy's back."""
    here, there = proxy.bucket(), proxy.bucket(kind)
    if parts:
        upload(proxy.client, here, {1: os.urandom(MIN_PART), 2: BODY})
    else:
        proxy.client.put_object(Bucket=here, Key="key", Body=BODY, Metadata={"own": "x"})
    proxy.direct.copy_object(Bucket=there, Key="key", CopySource=f"{here}/key", **options)
    return there


def error_of(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value.response["Error"]["Message"])


SELECTION = {
    "Expression": "SELECT * FROM S3Object", "ExpressionType": "SQL",
    "InputSerialization": {"CSV": {}}, "OutputSerialization": {"CSV": {}},
}  # fmt: skip
READS: dict[str, tuple[str, dict[str, Any]]] = {
    "whole": ("get_object", {}),
    "range": ("get_object", {"Range": "bytes=5-9"}),
    "part": ("get_object", {"PartNumber": 1}),
    "another type": ("get_object", {"ResponseContentType": "text/plain"}),
    "head": ("head_object", {}),
    "head of a part": ("head_object", {"PartNumber": 1}),
    "attributes": ("get_object_attributes", {"ObjectAttributes": ["ObjectSize"]}),
    "selection": ("select_object_content", SELECTION),
}


@pytest.mark.parametrize(
    "stored", [{}, {"ServerSideEncryption": "AES256"}, {"parts": True}], ids=["one", "sse", "parts"]
)
def test_no_way_of_reading_gives_ciphertext(proxy: Sealed, stored: dict[str, Any]) -> None:
    bucket = moved(proxy, **stored)
    for name, (call, arguments) in READS.items():
        before = failures(proxy)
        found = refused(getattr(proxy.client, call), Bucket=bucket, Key="key", **arguments)
        assert (found[0], found[1] in ("AccessDenied", "403")) == (403, True), name
        assert failures(proxy) == before + 1, name


def test_the_client_the_operator_and_the_metric_are_told_what_is_wrong(proxy: Sealed) -> None:
    bucket = moved(proxy)
    message = error_of(proxy.client.get_object, Bucket=bucket, Key="key")
    assert "the operator of the proxy has to set the bucket's encryption to mode envelope" in message
    until(lambda: proxy.decisions()[-1]["resources"][0].endswith(f"{bucket}/key"))
    assert f"the bucket `{bucket}` is not declared so" in proxy.decisions()[-1]["detail"]
    line = next(each for each in proxy.log().splitlines() if f"`{bucket}/key`" in each)
    assert "(undeclared)" in line
    assert "encryption: {mode: envelope, key: NAME}" in line
    with fetch(f"http://127.0.0.1:{proxy.admin}/metrics") as answer:
        assert 's3warden_integrity_failures_total{where="undeclared"}' in answer.read().decode()


@pytest.mark.parametrize("target", ["plain", "sealed", "raw"])
def test_no_copy_takes_the_ciphertext(proxy: Sealed, target: str) -> None:
    bucket, there, client = moved(proxy), proxy.bucket(target), proxy.client
    copy: dict[str, Any] = {"Bucket": there, "Key": "copy", "CopySource": f"{bucket}/key"}
    assert refused(client.copy_object, **copy) == DENIED
    assert refused(client.copy_object, **copy, MetadataDirective="REPLACE", Metadata={}) == DENIED
    copy["UploadId"] = client.create_multipart_upload(Bucket=there, Key="copy")["UploadId"]
    for extent in ({}, {"CopySourceRange": "bytes=0-9"}):
        assert refused(client.upload_part_copy, **copy, PartNumber=1, **extent) == DENIED
    client.abort_multipart_upload(Bucket=there, Key="copy", UploadId=copy["UploadId"])
    assert leftovers(proxy, there) == []
    assert "Contents" not in proxy.direct.list_objects_v2(Bucket=there)
    assert f"the source of `{there}/copy`, `{bucket}/key`, failed verification (undeclared)" in proxy.log()


def test_old_versions_are_told_from_new_ones(proxy: Sealed) -> None:
    bucket, client = moved(proxy), proxy.client
    proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket=bucket, Key="key", Body=b"plain")
    new = client.head_object(Bucket=bucket, Key="key")["VersionId"]
    [old] = {
        row["VersionId"] for row in proxy.direct.list_object_versions(Bucket=bucket)["Versions"]
    } - {new}  # fmt: skip
    for version, plain in ((new, True), (old, False)):
        asked = {"Bucket": bucket, "Key": "key", "VersionId": version}
        copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/key?versionId={version}"}
        attributes = {**asked, "ObjectAttributes": ["ObjectSize"]}
        calls = ((client.get_object, asked), (client.copy_object, copy), (client.get_object_attributes, attributes))
        for call, arguments in calls:
            if plain:
                call(**arguments)
            else:
                assert refused(call, **arguments) == DENIED


def test_everything_that_shows_no_content_still_works(proxy: Sealed) -> None:
    bucket, client = moved(proxy), proxy.client
    client.put_object_tagging(Bucket=bucket, Key="key", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    assert client.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    client.delete_object(Bucket=bucket, Key="key")
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_bucket_whose_declaration_was_taken_away_is_readable_again_once_it_is_back(
    moto_store: Store, tmp_path: Path
) -> None:
    declared = '  "moody-*": {encryption: {mode: envelope, key: hr}}\n'
    with sealed_proxy(tmp_path, moto_store, extra=declared) as proxy:
        bucket, config = proxy.bucket("moody"), tmp_path / "config.yaml"
        created = proxy.client.create_multipart_upload(Bucket=bucket, Key="late", ACL="public-read")["UploadId"]
        etags = {1: send(proxy.client, bucket, created, 1, BODY, "late")}
        proxy.client.put_object(Bucket=bucket, Key="key", Body=BODY)
        text = config.read_text()
        for written, readable in ((text.replace(declared, ""), False), (text, True)):
            before = proxy.log().count("reloaded")
            config.write_text(written)
            os.kill(proxy.pid, signal.SIGHUP)
            until(lambda: proxy.log().count("reloaded") > before)  # noqa: B023 - called before the next round
            if not readable:
                # An upload that began encrypted ends so; what it made is not served either.
                complete(proxy.client, bucket, created, etags, "late")
            for key in ("key", "late"):
                asked = {"Bucket": bucket, "Key": key}
                if readable:
                    assert proxy.client.get_object(**asked)["Body"].read() == BODY
                else:
                    assert refused(proxy.client.get_object, **asked) == DENIED


def test_a_bucket_that_passes_ciphertext_gives_and_takes_stored_objects_as_they_are(proxy: Sealed) -> None:
    bucket, there, client = moved(proxy, "raw"), proxy.bucket("raw"), proxy.client
    got, stored = (each.get_object(Bucket=bucket, Key="key") for each in (client, proxy.direct))
    body = got["Body"].read()
    assert (body, got["Metadata"]) == (stored["Body"].read(), stored["Metadata"])
    assert got["Metadata"].keys() >= {"s3w", "own"}
    client.copy_object(Bucket=there, Key="copy", CopySource=f"{bucket}/key")
    assert client.get_object(Bucket=there, Key="copy")["Body"].read() == body
    client.put_object(Bucket=there, Key="restored", Body=body, Metadata=got["Metadata"])
    assert client.head_object(Bucket=there, Key="restored")["Metadata"] == got["Metadata"]
    # Beyond such buckets it stays what it is: nothing that opens, and nothing that is taken for plaintext.
    copy = {"Bucket": proxy.bucket(), "Key": "copy", "CopySource": f"{bucket}/key"}
    assert refused(client.copy_object, **copy) == DENIED


def test_a_backup_taken_as_it_is_stored_can_be_put_back(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="key", Body=BODY)
    raw = proxy.bucket("raw")
    proxy.direct.copy_object(Bucket=raw, Key="key", CopySource=f"{bucket}/key")
    kept = proxy.client.get_object(Bucket=raw, Key="key")
    proxy.client.delete_object(Bucket=bucket, Key="key")
    proxy.direct.put_object(Bucket=bucket, Key="key", Body=kept["Body"].read(), Metadata=kept["Metadata"])
    assert proxy.client.get_object(Bucket=bucket, Key="key")["Body"].read() == BODY


@pytest.mark.parametrize("name", ["s3w", "s3w-ck"])
def test_nobody_can_make_a_plain_object_look_like_an_encrypted_one(proxy: Sealed, name: str) -> None:
    bucket, client = proxy.bucket("plain"), proxy.client
    client.put_object(Bucket=bucket, Key="key", Body=b"text", Metadata={"s3words": "are free"})
    forged = {"Bucket": bucket, "Key": "forged", "Metadata": {name: "forged"}}
    assert refused(client.put_object, **forged, Body=b"text") == (400, "InvalidArgument")
    assert refused(client.create_multipart_upload, **forged) == (400, "InvalidArgument")
    copy = {**forged, "CopySource": f"{bucket}/key", "MetadataDirective": "REPLACE"}
    assert refused(client.copy_object, **copy) == (400, "InvalidArgument")
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert client.get_object(Bucket=bucket, Key="key")["Metadata"] == {"s3words": "are free"}


def test_plain_objects_cost_one_request_and_copies_of_them_one_look_more(proxy: Sealed) -> None:
    bucket, client = proxy.bucket("plain"), proxy.client
    client.put_object(Bucket=bucket, Key="key", Body=os.urandom(LARGE))
    upload_id = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    source = {"Bucket": bucket, "CopySource": f"{bucket}/key"}
    part = {**source, "Key": "parts", "UploadId": upload_id, "PartNumber": 1}
    asked = {"Bucket": bucket, "Key": "key"}
    for call, arguments, cost in (
        (client.get_object, asked, 1),
        (client.head_object, asked, 1),
        (client.copy_object, {**source, "Key": "copy"}, 2),
        (client.upload_part_copy, part, 2),
        (client.get_object, {**asked, "PartNumber": 1}, 2),
        (client.get_object_attributes, {**asked, "ObjectAttributes": ["ObjectSize"]}, 2),
    ):
        call(**arguments)  # what is kept of an upload is asked for once
        before = upstream_requests(proxy)
        call(**arguments)
        assert upstream_requests(proxy) - before == cost, call


def test_what_is_missing_is_said_in_the_stores_words(proxy: Sealed) -> None:
    bucket = proxy.bucket("plain")
    for source, code in ((f"{bucket}/none", "NoSuchKey"), ("plain-there-is-none/key", "NoSuchBucket")):
        for target in ({}, {"CopySourceIfNoneMatch": '"0"'}):
            copy = {"Bucket": bucket, "Key": "copy", "CopySource": source, **target}
            assert refused(proxy.client.copy_object, **copy) == (404, code)

"""`object verify` and `object export` on what clients encrypted: under keys they bring, or with other software."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.chain import records
from proxy.audit.journal import journal_places
from proxy.cli.exits import Exit
from proxy.envelope.context import object_arn
from proxy.envelope.s3ec import MAX_OBJECT
from proxy.envelope.sizes import MIN_PART
from tests.cli.test_stored_objects import run
from tests.conftest import Store
from tests.server.envelope.conftest import KEY, OTHER_KEY, Sealed, sealed_proxy
from tests.server.envelope.test_interop import opened
from tests.server.envelope.test_message_sources import SIZE, SOURCE, flipped, message
from tests.server.envelope.test_messages import PLAIN, SIGNED
from tests.server.envelope.test_multipart import complete
from tests.server.envelope.test_unmarked import client_object
from tests.server.envelope.test_unmarked import message as own_message

pytestmark = pytest.mark.filterwarnings("ignore")

OWN, WRONG = bytes(range(7, 39)), bytes(32)
TEXT = os.urandom(100_000)
EXTRA = """\
  "own-*": {encryption: {mode: envelope, key: hr, sse_c: true, sse_c_over_http: true}}
audit: {path: keys.jsonl}
"""


@pytest.fixture(scope="module")
def sealed(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("foreign"), moto_store, extra=EXTRA) as running:
        yield running


def sse_c(key: bytes) -> dict[str, Any]:
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}


def exported(sealed: Sealed, folder: Path, *words: str) -> bytes:
    """Export an object, and let the official tool open it."""
    output = folder / "message"
    assert run(sealed, "object", "export", *words, "--output", str(output)) == Exit.CLEAN
    return opened(output.read_bytes(), "hr@2", KEY, {"aws:s3:arn": object_arn(*words[:2])})


def uses(sealed: Sealed, bucket: str, key: str) -> list[tuple[Any, ...]]:
    rows = records(journal_places(sealed.folder / "keys.jsonl"))
    found = [row for row in rows if (row.get("bucket"), row.get("object")) == (bucket, key)]
    return [(row["action"], row["key"].rpartition("/")[2], row["outcome"], row["operation"]) for row in found]


@pytest.fixture
def under_own_key(sealed: Sealed) -> tuple[str, bytes]:
    """A bucket with an object of one part and one of several under a client's key."""
    bucket, parts = sealed.bucket("own"), {1: os.urandom(MIN_PART), 2: b"end"}
    sealed.client.put_object(Bucket=bucket, Key="one", Body=TEXT, ChecksumAlgorithm="CRC32", **sse_c(OWN))
    upload: dict[str, Any] = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = sealed.client.create_multipart_upload(**upload, **sse_c(OWN))["UploadId"]
    etags = {
        number: sealed.client.upload_part(**upload, PartNumber=number, Body=body, **sse_c(OWN))["ETag"]
        for number, body in parts.items()
    }
    complete(sealed.client, bucket, upload["UploadId"], etags, "parts")
    return bucket, b"".join(parts.values())


def test_objects_under_a_clients_key_are_verified_and_exported_with_it(
    sealed: Sealed,
    under_own_key: tuple[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bucket, whole = under_own_key
    raw, text = tmp_path / "raw.key", tmp_path / "text.key"
    raw.write_bytes(OWN)
    text.write_text(base64.b64encode(OWN).decode() + "\n")
    monkeypatch.setenv("OWN_KEY", base64.b64encode(OWN).decode())
    for place in (("--sse-c-key-file", str(raw)), ("--sse-c-key-file", str(text)), ("--sse-c-key-env", "OWN_KEY")):
        for key, body in (("one", TEXT), ("parts", whole)):
            assert run(sealed, "object", "verify", bucket, key, *place) == Exit.CLEAN
            assert f"{bucket}/{key}: verified, {len(body)} bytes" in capsys.readouterr().out
            assert exported(sealed, tmp_path, bucket, key, *place) == body
    assert ("kms:Decrypt", "sse-c", "allowed", "object verify") in uses(sealed, bucket, "one")
    assert ("kms:Decrypt", "sse-c", "allowed", "object export") in uses(sealed, bucket, "parts")


def test_a_key_that_is_missing_wrong_or_not_needed_is_told_apart(
    sealed: Sealed,
    under_own_key: tuple[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bucket, _ = under_own_key
    monkeypatch.setenv("WRONG_KEY", base64.b64encode(WRONG).decode())
    wrong = ("--sse-c-key-env", "WRONG_KEY")
    assert run(sealed, "object", "verify", bucket, "one") != Exit.CLEAN
    assert run(sealed, "object", "verify", bucket, "one", *wrong) == Exit.ERROR
    assert "does not open the object" in capsys.readouterr().err
    assert uses(sealed, bucket, "one")[-1] == ("kms:Decrypt", "sse-c", "failed", "object verify")
    sealed.client.put_object(Bucket=bucket, Key="usual", Body=b"text")
    sealed.direct.put_object(Bucket=bucket, Key="plain", Body=b"text")
    for key in ("usual", "plain"):
        assert run(sealed, "object", "verify", bucket, key, *wrong) == Exit.ERROR
        assert "not applicable" in capsys.readouterr().err
    output = tmp_path / "message"
    assert run(sealed, "object", "export", bucket, "one", *wrong, "--output", str(output)) == Exit.ERROR
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_cannot_be_used_is_not_shown(
    sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHORT_KEY", "c2VjcmV0LXRleHQ=")
    short = tmp_path / "short.key"
    short.write_bytes(b"secret-text" * 30)
    for place in (
        ("--sse-c-key-env", "SHORT_KEY"),
        ("--sse-c-key-env", "NO_SUCH_KEY"),
        ("--sse-c-key-file", str(short)),
        ("--sse-c-key-file", str(tmp_path / "none")),
    ):
        assert run(sealed, "object", "verify", "bucket", "key", *place) == Exit.ERROR
        told = capsys.readouterr().err
        assert place[1] in told
        assert "secret" not in told.replace(str(tmp_path), "")
        assert "c2Vj" not in told


@pytest.mark.parametrize("suite", [PLAIN, SIGNED], ids=["plain", "signed"])
def test_messages_of_others_are_verified_and_exported(sealed: Sealed, tmp_path: Path, suite: Any) -> None:
    bucket, raw = sealed.bucket("mixed"), message(suite)
    sealed.direct.put_object(Bucket=bucket, Key="key", Body=raw)
    assert run(sealed, "object", "verify", bucket, "key") == Exit.CLEAN
    assert uses(sealed, bucket, "key") == [("kms:Decrypt", "hr", "allowed", "object verify")]
    assert exported(sealed, tmp_path, bucket, "key") == SOURCE[:SIZE]
    for damaged in (flipped(raw, len(raw) // 2), flipped(raw, len(raw) - 1), raw[:-1], raw + b"x"):
        sealed.direct.put_object(Bucket=bucket, Key="damaged", Body=damaged)
        assert run(sealed, "object", "verify", bucket, "damaged") == Exit.BAD_NEWS
        output = tmp_path / "damaged"
        assert run(sealed, "object", "export", bucket, "damaged", "--output", str(output)) == Exit.BAD_NEWS
        assert sorted(path.name for path in tmp_path.iterdir()) == ["message"]


def test_objects_of_the_s3_encryption_client_are_verified_and_exported(
    sealed: Sealed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = sealed.bucket("mixed")
    body, metadata = client_object(TEXT, OTHER_KEY)
    sealed.direct.put_object(Bucket=bucket, Key="key", Body=body, Metadata=metadata)
    assert run(sealed, "object", "verify", bucket, "key") == Exit.CLEAN
    assert f"{len(TEXT)} bytes" in capsys.readouterr().out
    assert exported(sealed, tmp_path, bucket, "key") == TEXT
    assert ("kms:Decrypt", "hr", "allowed", "object verify") in uses(sealed, bucket, "key")
    sealed.direct.put_object(Bucket=bucket, Key="key", Body=flipped(body, 9), Metadata=metadata)
    assert run(sealed, "object", "verify", bucket, "key") == Exit.BAD_NEWS
    body, metadata = client_object(TEXT, WRONG)
    sealed.direct.put_object(Bucket=bucket, Key="key", Body=body, Metadata=metadata)
    assert run(sealed, "object", "verify", bucket, "key") == Exit.BAD_NEWS
    large = bytes(MAX_OBJECT + 1)
    sealed.direct.put_object(Bucket=bucket, Key="large", Body=large, Metadata=metadata)
    assert run(sealed, "object", "verify", bucket, "large") == Exit.ERROR
    assert f"up to {MAX_OBJECT} stored bytes" in capsys.readouterr().err


def test_a_bucket_that_holds_no_others_vouches_only_for_messages_that_name_the_object(sealed: Sealed) -> None:
    bucket = sealed.bucket()
    body, metadata = client_object(TEXT, OTHER_KEY)
    sealed.direct.put_object(Bucket=bucket, Key="client", Body=body, Metadata=metadata)
    sealed.direct.put_object(Bucket=bucket, Key="none", Body=b"")
    bound = own_message(TEXT, {"aws:s3:arn": object_arn(bucket, "bound")})
    for key in ("bound", "other"):
        sealed.direct.put_object(Bucket=bucket, Key=key, Body=bound)
    assert run(sealed, "object", "verify", bucket, "bound") == Exit.CLEAN
    for key in ("client", "none", "other"):
        assert run(sealed, "object", "verify", bucket, key) == Exit.BAD_NEWS

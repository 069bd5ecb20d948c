"""A scan of a Ceph object gateway: every protection there is on one store, with versions, wherever it is killed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from proxy.cli.main import main
from tests.cli.reports.test_sarif import SCHEMA
from tests.conftest import Store
from tests.real.radosgw import KMS_KEY
from tests.server.envelope.conftest import KEY, Sealed, sealed_proxy
from tests.server.envelope.customer_cases import key as customer_key
from tests.server.envelope.test_multipart import LARGE, upload
from tests.server.envelope.test_unmarked import client_object, message
from tests.server.rotation.test_rotation import rotated

EXTRA = """\
  "kek-*": {encryption: {mode: envelope, key: hr, kek: {use: always}}}
  "all-*": {encryption: {mode: envelope, key: hr, sse_c: true, sse_c_over_http: true}}
"""
POLICY = """\
Version: "2012-10-17"
Statement:
  Sid: KmsOrNothing
  Effect: Deny
  Principal: "*"
  Action: s3:PutObject
  Resource: arn:aws:s3:::plain-*/*
  Condition: {StringNotEquals: {"s3:x-amz-server-side-encryption": "aws:kms"}}
"""
ODD = ["=cmd|' /C calc'!A0", "a b+c%20d", "a+b", "a%20b", "höhe/ü", "a//b/../c", 'quote",x', "tab\tx", "<&>", "😀"]
"""Names that are easily lost between a listing, its encoding, its markers and the table."""


@pytest.fixture(scope="module")
def proxy(radosgw_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    folder = tmp_path_factory.mktemp("scan")
    with sealed_proxy(folder, radosgw_store, payload="unsigned", extra=EXTRA, policy=POLICY) as running:
        yield running


def command(proxy: Sealed, bucket: str, config: Path | None = None) -> list[str]:
    return ["scan", "--config", str(config or proxy.folder / "config.yaml"), "--bucket", bucket]


def scan(proxy: Sealed, bucket: str, *more: str, code: int, config: Path | None = None) -> list[dict[str, Any]]:
    """Scan a bucket; return what is told of each object."""
    file = proxy.folder / "scan.json"
    assert main([*command(proxy, bucket, config), "--output", f"json={file}", *more]) == code
    rows: list[dict[str, Any]] = json.loads(file.read_text())["objects"]
    return rows


def told(rows: list[dict[str, Any]]) -> dict[str, tuple[str, list[str], list[str]]]:
    """Return protection, keys and findings of each object."""
    return {row["key"]: (row["protection"], row["keys"], [each["rule"] for each in row["findings"]]) for row in rows}


def put_sealed(proxy: Sealed, bucket: str) -> None:
    """Write objects through the proxy: under two keys, under one of a client, of one part and of several."""
    proxy.client.put_object(Bucket=bucket, Key="default", Body=b"payroll")
    named = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "ops"}
    proxy.client.put_object(Bucket=bucket, Key="named", Body=b"payroll", **named)
    proxy.client.put_object(Bucket=bucket, Key="customer", Body=b"payroll", **customer_key())
    upload(proxy.client, bucket, {1: os.urandom(LARGE), 2: os.urandom(LARGE), 3: b"end"}, "spilled")
    upload(proxy.client, bucket, {2: os.urandom(LARGE), 5: os.urandom(LARGE)}, "parts")


def put_past_the_proxy(proxy: Sealed, bucket: str) -> None:
    """Write what others write: plain, encrypted by the store, and encrypted before they send it."""
    put = proxy.direct.put_object
    put(Bucket=bucket, Key="none", Body=b"x" * 100)
    upload(proxy.direct, bucket, {1: os.urandom(LARGE), 2: b"end"}, "none-parts")
    put(Bucket=bucket, Key="sse-c", Body=b"x", **customer_key())
    put(Bucket=bucket, Key="sse-kms", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=KMS_KEY)
    body, metadata = client_object(b"secret", KEY)
    put(Bucket=bucket, Key="s3ec", Body=body, Metadata=metadata)
    put(Bucket=bucket, Key="message", Body=message(b"secret", {}))


def test_every_protection_is_told_apart(proxy: Sealed) -> None:
    bucket = proxy.bucket("all")
    put_sealed(proxy, bucket)
    put_past_the_proxy(proxy, bucket)
    assert told(scan(proxy, bucket, "--look-inside", code=1)) == {
        "default": ("envelope", ["hr@2"], []),
        "named": ("envelope", ["ops@1"], []),
        "customer": ("envelope", ["sse-c"], []),
        "parts": ("envelope", ["hr@2"], []),
        "spilled": ("envelope", ["hr@2"], []),
        "none": ("none", [], ["not-enveloped"]),
        "none-parts": ("none", [], ["not-enveloped"]),
        "sse-c": ("sse-c", [], ["not-enveloped"]),
        "sse-kms": ("sse-kms", [KMS_KEY], ["not-enveloped"]),
        "s3ec": ("s3ec-v2", [], ["not-enveloped"]),
        "message": ("esdk", ["hr@2"], ["not-enveloped"]),
    }


def test_the_gate_opens_for_what_the_bucket_wants_and_for_nothing_else(proxy: Sealed) -> None:
    sealed, plain = proxy.bucket("kek"), proxy.bucket("plain")
    proxy.client.put_object(Bucket=sealed, Key="a", Body=b"payroll")
    (row,) = scan(proxy, sealed, code=0)
    assert (row["wrapping"], row["keys"]) == ("bucket-key", ["hr@2"])
    newer = rotated(proxy.folder)
    (row,) = scan(proxy, sealed, "--fail-on", "suggestion", code=1, config=newer)
    assert [each["rule"] for each in row["findings"]] == ["older-key-version"]
    rewrap = ["keys", "rewrap", "--config", str(newer), "--bucket", sealed, "--only", "bucket-keys"]
    assert main(rewrap) == 0
    (row,) = scan(proxy, sealed, "--fail-on", "suggestion", code=0, config=newer)
    assert row["keys"] == ["hr@3"]
    put_past_the_proxy(proxy, plain)
    found = told(scan(proxy, plain, code=1))
    assert {key for key, (_, _, rules) in found.items() if "denied-by-policy" in rules} == set(found) - {"sse-kms"}
    scan(proxy, plain, "--prefix", "sse-kms", code=0)
    scan(proxy, plain, "--prefix", "nothing", code=3)


def test_every_format_tells_of_the_same_objects(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = proxy.bucket("all")
    proxy.client.put_object(Bucket=bucket, Key="good", Body=b"x")
    proxy.direct.put_object(Bucket=bucket, Key="=bare key+%", Body=b"x")
    files = {name: proxy.folder / f"out.{name}" for name in ("json", "csv", "markdown", "sarif")}
    outputs = [word for name, file in files.items() for word in ("--output", f"{name}={file}")]
    assert main([*command(proxy, bucket), *outputs, "--output", "text"]) == 1
    out = capsys.readouterr().out
    assert f"s3://{bucket}/=bare key+%: error not-enveloped " in out
    assert "checked 2 objects: 1 error" in out
    assert {row["key"] for row in json.loads(files["json"].read_text())["objects"]} == {"good", "=bare key+%"}
    table = list(csv.DictReader(files["csv"].read_text().splitlines()))
    assert {(row["key"], row["protection"], row["severity"]) for row in table} == {
        ("good", "envelope", ""), ("'=bare key+%", "none", "error"),
    }  # fmt: skip
    assert "| 1 | envelope (direct) under hr@2 |" in files["markdown"].read_text()
    sarif = json.loads(files["sarif"].read_text())
    jsonschema.Draft4Validator(SCHEMA).validate(sarif)
    (result,) = sarif["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert (result["ruleId"], place) == ("not-enveloped", f"{bucket}/%3Dbare%20key%2B%25")


def put_versions(proxy: Sealed, bucket: str) -> set[tuple[str, str]]:
    """Fill a bucket with versions, each other one plain, and deletions; return what a scan has to tell of."""
    proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    wanted = set()
    for name in ODD:
        for client in (proxy.client, proxy.direct):
            wanted.add((name, client.put_object(Bucket=bucket, Key=name, Body=b"x")["VersionId"]))
        proxy.direct.delete_object(Bucket=bucket, Key=name)
    return wanted


# A page that ends behind every single row, among the versions of a key and behind its deletion.
@pytest.mark.parametrize("page", [1, 2, 3])
def test_no_version_is_missed_or_told_twice_wherever_a_page_ends(
    proxy: Sealed, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxy.server.scan.survey import Survey

    monkeypatch.setattr(Survey.pages, "__defaults__", (None, page))
    bucket = proxy.bucket("all")
    wanted = put_versions(proxy, bucket)
    rows = scan(proxy, bucket, "--versions", code=1)
    assert len(rows) == len(wanted)
    assert {(row["key"], row["version_id"]) for row in rows} == wanted
    assert sorted(row["protection"] for row in rows) == ["envelope"] * len(ODD) + ["none"] * len(ODD)
    scan(proxy, bucket, code=3)  # every one of them is deleted
    usage = ["keys", "usage", "--config", str(proxy.folder / "config.yaml"), "--bucket", bucket]
    assert main(usage) == 0


@pytest.mark.parametrize("versions", [False, True], ids=["objects", "versions"])
def test_a_scan_that_is_killed_goes_on_where_it_was(proxy: Sealed, versions: bool) -> None:
    bucket, more = proxy.bucket("all"), ["--versions"] if versions else []
    if versions:
        wanted = put_versions(proxy, bucket)
    else:
        wanted = {(name, "") for name in ODD}
        for name in ODD:
            proxy.client.put_object(Bucket=bucket, Key=name, Body=b"x")
    state = proxy.folder / f"{bucket}.scan"
    code = "import sys; from proxy.server.scan import survey; survey.Survey.pages.__defaults__ = (None, 2)\n"
    code += "from proxy.cli.main import main; sys.exit(main(sys.argv[1:]))"
    # Slow enough to be caught in the middle.
    slow = [sys.executable, "-c", code, *command(proxy, bucket), *more, "--state", str(state), "--rate", "10"]
    child = subprocess.Popen(slow)
    while not state.exists() or state.read_bytes().count(b'{"page"') < 2:
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = state.read_bytes()
    assert b'{"page":null' not in kept, "it was killed in the middle"
    rows = scan(proxy, bucket, *more, "--state", str(state), code=1 if versions else 0)
    assert len(rows) == len(wanted)
    assert {(row["key"], row["version_id"]) for row in rows} == wanted
    assert state.read_bytes().startswith(kept[: kept.rindex(b'{"page"')]), "what was looked at is not looked at again"

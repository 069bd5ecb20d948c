"""A scan tells how each object is protected and whether its bucket would have it so, wherever it breaks off."""

from __future__ import annotations

import csv
import io
import json
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
from tests.server.envelope.conftest import KEY, Sealed, sealed_proxy
from tests.server.envelope.test_unmarked import client_object, message

EXTRA = """\
  "kek-*": {encryption: {mode: envelope, key: hr, kek: {use: always}}}
  "customer-*": {encryption: {mode: envelope, key: hr, sse_c: true, sse_c_over_http: true}}
  "kms-*": {add_headers: {x-amz-server-side-encryption: "aws:kms"}}
"""
POLICY = """\
Version: "2012-10-17"
Statement:
  - Sid: OnlyTheHrKey
    Effect: Deny
    Principal: "*"
    Action: s3:PutObject
    Resource: arn:aws:s3:::policed*/*
    Condition:
      StringNotEquals:
        s3:x-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:us-east-1:123456789012:key/hr
  - Sid: OnlyFromTheOffice
    Effect: Deny
    Principal: "*"
    Action: s3:PutObject
    Resource: arn:aws:s3:::policed*/office/*
    Condition: {NotIpAddress: {"aws:SourceIp": 10.0.0.0/8}}
  - Sid: Envelopes
    Effect: Deny
    Principal: "*"
    Action: s3:PutObject
    Resource: arn:aws:s3:::sealed*/only-ops/*
    Condition:
      StringNotEquals: {"s3w:EnvelopeKeyId": arn:aws:kms:us-east-1:123456789012:key/ops}
"""


@pytest.fixture(scope="module")
def proxy(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    with sealed_proxy(tmp_path_factory.mktemp("scan"), moto_store, extra=EXTRA, policy=POLICY) as running:
        yield running


def scan(proxy: Sealed, bucket: str, *more: str, code: int | None = None) -> dict[str, dict[str, Any]]:
    """Scan a bucket and return what is told of each object."""
    file = proxy.folder / "scan.json"
    got = main([*command(proxy, bucket), "--output", f"json={file}", *more])
    if code is not None:
        assert got == code
    rows = json.loads(file.read_text())["objects"]
    return {row["key"] + (f"?{row['version_id']}" if row["version_id"] else ""): row for row in rows}


def command(proxy: Sealed, bucket: str) -> list[str]:
    return ["scan", "--config", str(proxy.folder / "config.yaml"), "--bucket", bucket]


def rules_of(row: dict[str, Any]) -> list[str]:
    return [finding["rule"] for finding in row["findings"]]


def test_every_kind_of_protection_is_told_apart(proxy: Sealed) -> None:
    bucket = proxy.bucket("plain")
    put = proxy.direct.put_object
    put(Bucket=bucket, Key="none", Body=b"x" * 100)
    put(Bucket=bucket, Key="sse-s3", Body=b"x", ServerSideEncryption="AES256")
    put(Bucket=bucket, Key="sse-kms", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="hr")
    put(Bucket=bucket, Key="v1", Body=b"x", Metadata={"x-amz-key": "k", "x-amz-iv": "i"})
    put(Bucket=bucket, Key="v3-odd", Body=b"x", Metadata={"x-amz-3": "AAAA"})
    body, metadata = client_object(b"secret", KEY)
    put(Bucket=bucket, Key="v2", Body=body, Metadata=metadata)
    put(Bucket=bucket, Key="message", Body=message(b"secret", {}))
    found = scan(proxy, bucket, "--look-inside")
    assert {key: row["protection"] for key, row in found.items()} == {
        "none": "none", "sse-s3": "sse-s3", "sse-kms": "sse-kms",
        "v1": "s3ec-v1", "v2": "s3ec-v2", "v3-odd": "s3ec-v3", "message": "esdk",
    }  # fmt: skip
    assert found["sse-kms"]["keys"] == ["hr"]
    assert found["message"]["keys"] == ["hr@2"]
    assert rules_of(found["none"]) == ["not-encrypted"]
    assert rules_of(found["v1"]) == ["unauthenticated"]
    assert rules_of(found["v3-odd"]) == ["odd-client-encryption"]
    assert not rules_of(found["sse-kms"])


def test_a_message_is_only_found_by_who_wants_bodies_read(proxy: Sealed) -> None:
    bucket = proxy.bucket("plain")
    proxy.direct.put_object(Bucket=bucket, Key="message", Body=message(b"secret", {}))
    assert scan(proxy, bucket)["message"]["protection"] == "none"


def test_envelopes_are_told_with_their_keys_and_how_those_are_wrapped(proxy: Sealed) -> None:
    direct, through = proxy.bucket("sealed"), proxy.bucket("kek")
    for bucket in (direct, through):
        proxy.client.put_object(Bucket=bucket, Key="a", Body=b"payroll")
    row = scan(proxy, direct, code=0)["a"]
    assert (row["protection"], row["keys"], row["wrapping"]) == ("envelope", ["hr@2"], "direct")
    found = scan(proxy, through, code=0)
    assert list(found) == ["a"], "what the proxy keeps for itself is no object"
    assert (found["a"]["keys"], found["a"]["wrapping"]) == (["hr@2"], "bucket-key")
    listed = proxy.direct.list_objects_v2(Bucket=through, Prefix=".s3w/kek/")["Contents"]
    assert [each["Key"].rpartition("/")[2] for each in listed] == [found["a"]["bucket_key"]]


def test_envelopes_under_keys_of_clients_are_told_as_such(proxy: Sealed) -> None:
    bucket = proxy.bucket("customer")
    proxy.client.put_object(Bucket=bucket, Key="a", Body=b"x", SSECustomerAlgorithm="AES256", SSECustomerKey="c" * 32)
    row = scan(proxy, bucket, code=0)["a"]
    assert (row["protection"], row["keys"], row["wrapping"]) == ("envelope", ["sse-c"], "customer")
    assert rules_of(row) == []


def test_objects_that_nobody_could_read_are_errors(proxy: Sealed) -> None:
    bucket, foreign = proxy.bucket("kek"), proxy.bucket("ops")
    for key in ("lost", "cut", "odd"):
        proxy.client.put_object(Bucket=bucket, Key=key, Body=b"payroll")
    proxy.rewrite(bucket, "cut", body=b"not even a frame")
    proxy.rewrite(bucket, "odd", metadata={"s3w": "AAAA"})
    found = scan(proxy, bucket, code=1)
    assert (found["cut"]["protection"], found["odd"]["protection"]) == ("damaged", "damaged")
    assert rules_of(found["cut"]) == ["damaged-envelope"]
    proxy.direct.delete_object(Bucket=bucket, Key=f".s3w/kek/{found['lost']['bucket_key']}")
    assert rules_of(scan(proxy, bucket, "--prefix", "lost", code=1)["lost"]) == ["unknown-key"]
    proxy.client.put_object(Bucket=foreign, Key="a", Body=b"x")
    config = proxy.folder / "config.yaml"
    other = proxy.folder / "other.yaml"
    other.write_text(
        "\n".join(line for line in config.read_text().splitlines() if not line.startswith(("  ops:", '  "ops-')))
        + '\n  "ops-*": {encryption: {mode: envelope, key: hr}}\n'
    )
    file = proxy.folder / "out.json"
    assert main(["scan", "--config", str(other), "--bucket", foreign, "--output", f"json={file}"]) == 1
    row = json.loads(file.read_text())["objects"][0]
    assert rules_of(row) == ["unknown-key"]
    assert "`ops@1`" in row["findings"][0]["message"]


def test_settings_of_the_bucket_are_held_against_its_objects(proxy: Sealed) -> None:
    sealed, mixed, ruled, plain = (proxy.bucket(kind) for kind in ("sealed", "mixed", "kms", "plain"))
    for bucket in (sealed, mixed):
        proxy.direct.put_object(Bucket=bucket, Key="bare", Body=b"x")
    assert rules_of(scan(proxy, sealed, code=1)["bare"]) == ["not-enveloped"]
    assert rules_of(scan(proxy, mixed, code=0)["bare"]) == ["not-enveloped"], "served, so a suggestion"
    scan(proxy, mixed, "--fail-on", "suggestion", code=1)
    scan(proxy, sealed, "--fail-on", "never", code=0)
    proxy.direct.put_object(Bucket=ruled, Key="old", Body=b"x", ServerSideEncryption="AES256")
    proxy.client.put_object(Bucket=ruled, Key="new", Body=b"x")
    found = scan(proxy, ruled, code=1)
    assert (rules_of(found["old"]), rules_of(found["new"])) == (["not-as-header-rules"], [])
    proxy.client.put_object(Bucket=sealed, Key="moved", Body=b"x")
    proxy.direct.copy_object(Bucket=plain, Key="moved", CopySource={"Bucket": sealed, "Key": "moved"})
    assert rules_of(scan(proxy, plain, code=1)["moved"]) == ["envelope-in-forward-bucket"]


def test_policies_are_asked_whether_an_object_could_be_written_so_today(proxy: Sealed) -> None:
    bucket = proxy.bucket("policed")
    hr = "arn:aws:kms:us-east-1:123456789012:key/hr"
    put = proxy.direct.put_object
    put(Bucket=bucket, Key="hr", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=hr)
    put(Bucket=bucket, Key="by-id", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="hr")
    put(Bucket=bucket, Key="other", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=hr + "2")
    put(Bucket=bucket, Key="aes", Body=b"x", ServerSideEncryption="AES256")
    put(Bucket=bucket, Key="office/hr", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=hr)
    found = scan(proxy, bucket, code=1)
    denied = {key for key, row in found.items() if "denied-by-policy" in rules_of(row)}
    assert denied == {"other", "aes"}
    assert "`OnlyTheHrKey`" in found["aes"]["findings"][0]["message"]
    assert rules_of(found["office/hr"]) == ["not-writable"], "its address is the matter, not its protection"
    assert not rules_of(scan(proxy, bucket, "--source-ip", "10.1.2.3")["office/hr"])
    found = scan(proxy, bucket, "--principal", "anonymous")
    assert rules_of(found["hr"]) == ["not-writable"]
    assert main([*command(proxy, bucket), "--principal", "arn:aws:iam::123456789012:user/nobody"]) == 2


def test_policies_about_envelope_keys_are_asked_about_the_key_in_the_capsule(proxy: Sealed) -> None:
    bucket = proxy.bucket("sealed")
    proxy.client.put_object(Bucket=bucket, Key="free", Body=b"x")
    proxy.client.put_object(
        Bucket=bucket, Key="only-ops/good", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="ops"
    )
    proxy.direct.copy_object(Bucket=bucket, Key="only-ops/bad", CopySource={"Bucket": bucket, "Key": "free"})
    found = scan(proxy, bucket, code=1)
    assert {key: rules_of(row) for key, row in found.items()} == {
        "free": [], "only-ops/good": [], "only-ops/bad": ["denied-by-policy"],
    }  # fmt: skip


def test_versions_are_looked_at_one_by_one(proxy: Sealed) -> None:
    bucket = proxy.bucket("sealed")
    proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    proxy.direct.put_object(Bucket=bucket, Key="a", Body=b"bare")
    proxy.client.put_object(Bucket=bucket, Key="a", Body=b"sealed")
    proxy.client.put_object(Bucket=bucket, Key="gone", Body=b"sealed")
    proxy.direct.delete_object(Bucket=bucket, Key="gone")
    assert [row["protection"] for row in scan(proxy, bucket, code=0).values()] == ["envelope"]
    rows = scan(proxy, bucket, "--versions", code=1).values()
    told = [(row["key"], row["latest"], row["protection"]) for row in rows]
    assert sorted(told) == [("a", False, "none"), ("a", True, "envelope"), ("gone", False, "envelope")]


def test_odd_names_come_out_as_they_are(proxy: Sealed) -> None:
    bucket = proxy.bucket("plain")
    keys = ["=cmd|' /C calc'!A0", "a b+c%20d", "höhe/ü", "a//b/../c", 'quote",x']
    for key in keys:
        proxy.direct.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert sorted(scan(proxy, bucket)) == sorted(keys)
    table = proxy.folder / "scan.csv"
    main([*command(proxy, bucket), "--output", f"csv={table}"])
    written = [row["key"] for row in csv.DictReader(io.StringIO(table.read_text()))]
    assert sorted(written) == sorted(f"'{key}" if key.startswith("=") else key for key in keys)


def test_every_format_tells_the_same(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = proxy.bucket("sealed")
    proxy.client.put_object(Bucket=bucket, Key="good", Body=b"x")
    proxy.direct.put_object(Bucket=bucket, Key="bare key", Body=b"x")
    files = {name: proxy.folder / f"scan.{name}" for name in ("sarif", "markdown", "csv", "junit", "json")}
    outputs = [word for name, file in files.items() for word in ("--output", f"{name}={file}")]
    assert main([*command(proxy, bucket), *outputs, "--output", "text"]) == 1
    told = capsys.readouterr().out
    assert f"s3://{bucket}/bare key: error not-enveloped " in told
    assert "checked 2 objects: 1 error" in told
    sarif = json.loads(files["sarif"].read_text())
    jsonschema.Draft4Validator(SCHEMA).validate(sarif)
    (result,) = sarif["runs"][0]["results"]
    assert result["ruleId"] == "not-enveloped"
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": f"{bucket}/bare%20key", "uriBaseId": "%SRCROOT%"}}
    assert "| 1 | envelope under hr@2 |" in files["markdown"].read_text().replace(" (direct)", "")
    assert len(files["csv"].read_text().splitlines()) == 3
    assert 'failures="1"' in files["junit"].read_text()
    assert json.loads(files["json"].read_text())["findings"] == {"not-enveloped": 1}


def test_a_scan_that_is_killed_goes_on_where_it_was(proxy: Sealed) -> None:
    bucket = proxy.bucket("plain")
    for number in range(30):
        proxy.direct.put_object(Bucket=bucket, Key=f"{number:03}", Body=b"x")
    state = proxy.folder / f"{bucket}.jsonl"
    code = "import sys; from proxy.server.scan import survey; survey.Survey.pages.__defaults__ = (None, 7)\n"
    code += "from proxy.cli.main import main; sys.exit(main(sys.argv[1:]))"
    # Slow enough to be caught in the middle.
    slow = [sys.executable, "-c", code, *command(proxy, bucket), "--state", str(state), "--rate", "20"]
    child = subprocess.Popen(slow)
    while state.exists() is False or state.read_bytes().count(b'{"page"') < 2:
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = state.read_bytes()
    state.write_bytes(kept + b'{"key":"torn')
    assert list(scan(proxy, bucket, "--state", str(state))) == [f"{number:03}" for number in range(30)]
    assert state.read_bytes().startswith(kept), "what was looked at is not looked at again"


def test_a_finished_scan_only_reports(proxy: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = proxy.bucket("plain")
    proxy.direct.put_object(Bucket=bucket, Key="a", Body=b"x")
    state = str(proxy.folder / f"{bucket}.jsonl")
    before = scan(proxy, bucket, "--state", state)
    proxy.direct.delete_object(Bucket=bucket, Key="a")
    assert scan(proxy, bucket, "--state", state) == before
    assert main([*command(proxy, bucket), "--state", state, "--look-inside"]) == 2, "another scan"


def test_nothing_and_no_bucket_are_told_apart(proxy: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(proxy, proxy.bucket("plain"))) == 3
    assert main(command(proxy, "no-such-bucket")) == 2
    assert "NoSuchBucket" in capsys.readouterr().err


def test_findings_do_not_pile_up_in_memory(tmp_path: Path) -> None:
    from proxy.cli.reports.sarif import MAX_RESULTS
    from proxy.cli.scan_report import ScanReport
    from proxy.diagnostics import Severity
    from proxy.server.scan.journal import Journal, Row
    from proxy.server.scan.judging import Finding
    from proxy.server.scan.survey import Marker

    finding = Finding("not-encrypted", Severity.SUGGESTION, "nothing shows that it is encrypted")
    with Journal(tmp_path / "state", {}) as journal:
        for page in range(20):
            rows = (Row(f"{page}/{n}", "", True, 1, "", "none", findings=(finding,)) for n in range(1000))
            journal.add(rows, Marker(f"{page}/999") if page < 19 else None)
        report = ScanReport("b", journal.rows, Severity.ERROR)
        told = report.report()
    assert (report.objects, len(told.problems)) == (20_000, MAX_RESULTS)
    assert told.notes == ("15,000 more findings, all of them in the formats json and csv",)
    assert not report.failed

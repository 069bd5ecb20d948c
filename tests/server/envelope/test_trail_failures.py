"""What fails is on record too, and neither crashes nor full disks lose or forge a record."""

from __future__ import annotations

import base64
import os
import resource
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from proxy.audit.chain import records
from proxy.audit.database import database_places
from proxy.audit.journal import journal_places
from proxy.cli.main import main
from tests.conftest import ACCOUNT, Store
from tests.journeys.front import until
from tests.keys.conftest import public_pem, rsa_key
from tests.keys.transit import TOKEN, Transit
from tests.server.envelope.conftest import Sealed, fetch, sealed_proxy

ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key"
UNCACHED = '  "kek-*": {encryption: {mode: envelope, key: hr, kek: {use: always, cache_seconds: 0}}}\n'
TRAIL = "audit: {path: keys.jsonl, store: keys.db}\n"


def uses(folder: Path, **wanted: str) -> list[dict[str, Any]]:
    """Return the records that have these values."""
    found = records(journal_places(folder / "keys.jsonl"))
    return [record for record in found if all(record.get(name) == value for name, value in wanted.items())]


def fails(use: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as caught:
        use()
    return str(caught.value.response["Error"]["Code"])


def verifies(folder: Path) -> bool:
    return main(["audit", "verify", "--path", str(folder / "keys.jsonl"), "--store", str(folder / "keys.db")]) == 0


def test_bucket_keys_are_on_record_when_they_are_made_and_opened(moto_store: Store, tmp_path: Path) -> None:
    with sealed_proxy(tmp_path, moto_store, extra=UNCACHED + TRAIL) as running:
        bucket = running.bucket("kek")
        put = running.client.put_object(Bucket=bucket, Key="a", Body=b"x")
        running.client.get_object(Bucket=bucket, Key="a")
        made, wrapped = uses(tmp_path, request_id=put["ResponseMetadata"]["RequestId"])
        assert (made["action"], made["key"], made["context"]) == (
            "kms:GenerateDataKey", f"{ARN}/hr", {"aws:s3:arn": f"arn:aws:s3:::{bucket}"},
        )  # fmt: skip
        assert wrapped["context"] == {"aws:s3:arn": f"arn:aws:s3:::{bucket}/a", "s3w": "1s"}
        opened = uses(tmp_path, operation="GetObject")[0]
        assert (opened["action"], opened["kek"], opened["outcome"]) == ("kms:Decrypt", made["kek"], "allowed")


def test_bucket_keys_that_cannot_be_opened_are_on_record(moto_store: Store, tmp_path: Path) -> None:
    with Transit() as transit:
        key = f"  cloud: {{type: vault, address: {transit.address}, token: {TOKEN}, key_name: hr, timeout_seconds: 1}}"
        extra = '  "cloud-*": {encryption: {mode: envelope, key: cloud, kek: {cache_seconds: 0}}}\n'
        with sealed_proxy(tmp_path, moto_store, keys=key, extra=extra + UNCACHED + TRAIL) as running:
            bucket = running.bucket("cloud")

            def put() -> object:
                return running.client.put_object(Bucket=bucket, Key="a", Body=b"x")

            def get() -> object:
                return running.client.get_object(Bucket=bucket, Key="a")

            transit.status = 403
            assert fails(put) == "AccessDenied"
            (refused,) = uses(tmp_path, kek=uses(tmp_path)[0]["kek"])
            assert (refused["action"], refused["outcome"]) == ("kms:GenerateDataKey", "failed")
            transit.status = None
            put()
            transit.status = 503
            assert fails(get) == "ServiceUnavailable"
            down = uses(tmp_path, outcome="failed", operation="GetObject")[-1]
            assert (down["key"], down["error"], down["object"]) == (f"{ARN}/cloud", "ServiceUnavailable", "a")
            assert down["principal"] == f"arn:aws:iam::{ACCOUNT}:user/alice"
            transit.status = None
            document = running.direct.list_objects_v2(Bucket=bucket, Prefix=".s3w/kek/")["Contents"][0]["Key"]
            raw = running.direct.get_object(Bucket=bucket, Key=document)["Body"].read()
            running.direct.put_object(Bucket=bucket, Key=document, Body=raw[:-1] + bytes([raw[-1] ^ 1]))
            fails(get)
            damaged = uses(tmp_path, outcome="failed", operation="GetObject")[-1]
            assert (damaged["key"], damaged["error"]) == (f"{ARN}/cloud", "InternalError")
            running.direct.delete_object(Bucket=bucket, Key=document)
            fails(get)
            gone = uses(tmp_path, outcome="failed", operation="GetObject")[-1]
            assert (gone["key"], gone["kek"]) == ("unknown", document.rpartition("/")[2])
            assert len(uses(tmp_path, outcome="failed", operation="GetObject")) == 3
    for rendering in ("cloudtrail", "ocsf"):
        assert main(["audit", "export", "--path", str(tmp_path / "keys.jsonl"), "--format", rendering]) == 0


def test_a_bucket_key_that_its_recovery_key_does_not_seal_is_on_record_under_that_key(
    moto_store: Store, tmp_path: Path
) -> None:
    (tmp_path / "offline.pem").write_text(public_pem(rsa_key(2048)))
    keys = '  offline: {type: rsa, public: "${file:offline.pem}"}'
    extra = '  "kek-*": {encryption: {mode: envelope, key: hr, kek: {use: always, recovery: offline}}}\n'
    with sealed_proxy(tmp_path, moto_store, keys=keys, extra=extra + TRAIL) as running:
        bucket = running.bucket("kek")
        running.client.put_object(Bucket=bucket, Key="a", Body=b"x")
    config = tmp_path / "config.yaml"
    fresh = f'versions: [{{id: "3", material: {base64.b64encode(b"3" * 32).decode()}}}, '
    config.write_text(config.read_text().replace("versions: [", fresh, 1).replace('.pem}"}', '.pem}", enabled: false}'))
    assert main(["keys", "rewrap", "--config", str(config), "--bucket", bucket, "--only", "bucket-keys"]) != 0
    failed = [(use["key"], use["operation"], use["error"]) for use in uses(tmp_path, outcome="failed")]
    assert failed == [(f"{ARN}/offline", "keys rewrap", "KMS.DisabledException")]
    off = keys.replace('.pem}"}', '.pem}", enabled: false}')
    with sealed_proxy(tmp_path, moto_store, keys=off, extra=extra + TRAIL) as running:
        assert fails(lambda: running.client.put_object(Bucket=bucket, Key="b", Body=b"x")) == "KMS.DisabledException"
    done = [(use["key"], use["outcome"], "kek" in use) for use in uses(tmp_path, object="b")]
    assert done == [
        (f"{ARN}/hr", "allowed", True),
        (f"{ARN}/offline", "failed", True),
        (f"{ARN}/hr", "failed", False),  # what the object was to be wrapped under
    ]


def test_what_an_operator_reads_with_a_key_is_on_record(moto_store: Store, tmp_path: Path) -> None:
    with sealed_proxy(tmp_path, moto_store, extra=TRAIL) as running:
        bucket = running.bucket()
        running.client.put_object(Bucket=bucket, Key="a", Body=b"payroll")
    config = str(tmp_path / "config.yaml")
    assert main(["object", "verify", "--config", config, bucket, "a"]) == 0
    (use,) = uses(tmp_path, operation="object verify")
    assert (use["action"], use["key"], use["bucket"], use["object"]) == ("kms:Decrypt", f"{ARN}/hr", bucket, "a")
    assert main(["object", "export", "--config", config, "--output", str(tmp_path / "message"), bucket, "a"]) == 0
    assert len(uses(tmp_path, operation="object export")) >= 1
    assert verifies(tmp_path)


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


class Traffic:
    """Clients that use keys as fast as they can, and note what they were answered."""

    def __init__(self, running: Sealed, bucket: str) -> None:
        self.running = running
        self.bucket = bucket
        self.answered: set[str] = set()
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(4)]

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                answer = self.running.client.put_object(Bucket=self.bucket, Key=uuid.uuid4().hex, Body=b"x")
                self.answered.add(answer["ResponseMetadata"]["RequestId"])
            except (ClientError, BotoCoreError):
                time.sleep(0.01)

    def __enter__(self) -> Traffic:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()


def test_killing_workers_in_the_middle_of_writing_loses_and_forges_nothing(moto_store: Store, tmp_path: Path) -> None:
    extra = "audit: {path: keys.jsonl, store: keys.db, rotate_bytes: 65536}\n"
    with (
        sealed_proxy(tmp_path, moto_store, extra=extra, workers=2) as running,
        Traffic(running, running.bucket()) as traffic,
    ):
        for _ in range(3):
            seen = len(traffic.answered)
            while len(traffic.answered) < seen + 30:
                time.sleep(0.01)
            os.kill(children(running.pid)[0], signal.SIGKILL)
            while len(children(running.pid)) < 2:
                time.sleep(0.01)
    assert verifies(tmp_path)
    journal = [record["request_id"] for record in records(journal_places(tmp_path / "keys.jsonl"))]
    store = [record["request_id"] for record in records(database_places(tmp_path / "keys.db"))]
    for kept in (journal, store):
        assert traffic.answered <= set(kept), "what was answered is on record"
        assert len(kept) == len(set(kept)), "nothing is there twice"
    assert len(list(tmp_path.glob("keys.jsonl.0*"))) > 0, "files were rotated meanwhile"


@pytest.mark.parametrize(("when_full", "served"), [("block", False), ("drop-and-count", True)])
def test_a_full_disk_refuses_or_is_counted_as_configured(
    moto_store: Store, tmp_path: Path, when_full: str, served: bool
) -> None:
    extra = f"audit: {{path: keys.jsonl, when_full: {when_full}}}\n"
    with sealed_proxy(tmp_path, moto_store, extra=extra) as running:
        bucket = running.bucket()

        def put(key: str) -> str:
            try:
                running.client.put_object(Bucket=bucket, Key=key, Body=b"x")
            except ClientError as error:
                return str(error.response["Error"]["Code"])
            return "stored"

        assert put("before") == "stored"
        _, hard = resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
        # Room for half a record: its first bytes are written, and the disk is full.
        room = (tmp_path / "keys.jsonl").stat().st_size + 200
        (tmp_path / "decisions.jsonl").write_text("")
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (room, hard))
        assert {put(f"full-{number}") for number in range(3)} == {"stored" if served else "ServiceUnavailable"}
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert [put("after"), put("later")] == ["stored"] * 2
    assert main(["audit", "verify", "--path", str(tmp_path / "keys.jsonl")]) == 0
    kept = [record["object"] for record in uses(tmp_path)]
    assert kept == ["before", "after", "later"]
    assert sum(record.get("dropped", 0) for record in uses(tmp_path)) == (3 if served else 0)
    stored = {each["Key"] for each in running.direct.list_objects_v2(Bucket=bucket)["Contents"]}
    assert ("full-0" in stored) is served


def lost(running: Sealed) -> int:
    """Return how many decisions could not be logged."""
    found = fetch(f"http://127.0.0.1:{running.admin}/metrics").read().decode()
    labels = 's3warden_audit_events_total{result="failed",sink="decision_log"} '
    return int(float(found.partition(labels)[2].partition("\n")[0] or 0))


def test_a_full_disk_under_the_decision_log_refuses_everything_when_it_is_to_block(
    moto_store: Store, tmp_path: Path
) -> None:
    with sealed_proxy(tmp_path, moto_store, log_options=", when_full: block") as running:
        bucket = running.bucket()
        running.client.put_object(Bucket=bucket, Key="before", Body=b"x")
        _, hard = resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
        log = tmp_path / "decisions.jsonl"
        # A decision is logged when its answer has been sent: the client may be quicker than the line.
        assert until(lambda: log.read_text().endswith("}\n"))
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (log.stat().st_size + 10, hard))
        # This one was decided before anybody could know.
        running.client.put_object(Bucket=bucket, Key="under-way", Body=b"x")
        for failed in (1, 2):
            assert until(lambda wanted=failed: lost(running) == wanted)
            assert (
                fails(lambda: running.client.put_object(Bucket=bucket, Key="full", Body=b"x")) == "ServiceUnavailable"
            )
        assert until(lambda: lost(running) == 3)
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (hard, hard))
        # The refusal of this one is the first line that gets through again.
        assert fails(lambda: running.client.put_object(Bucket=bucket, Key="full", Body=b"x")) == "ServiceUnavailable"
        assert until(lambda: log.read_text().endswith('"dropped":3}\n'))
        running.client.put_object(Bucket=bucket, Key="after", Body=b"x")
        stored = {each["Key"] for each in running.direct.list_objects_v2(Bucket=bucket)["Contents"]}
        assert stored == {"before", "under-way", "after"}
    lines = [line for line in log.read_text().splitlines() if line.endswith("}")]
    assert '"dropped":3}' in lines[1]

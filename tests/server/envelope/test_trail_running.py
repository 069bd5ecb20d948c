"""A trail as it comes to be: two workers, every kind of key use, a worker killed; then somebody lays hands on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from proxy.audit.chain import records
from proxy.audit.database import database_places
from proxy.audit.journal import journal_files, journal_places
from proxy.cli.main import main
from tests.audit.test_render import API_ACTIVITY
from tests.conftest import ACCOUNT, Store
from tests.server.envelope.conftest import Sealed, s3_client, sealed_proxy
from tests.server.envelope.customer_cases import OTHER
from tests.server.envelope.customer_cases import key as customer_key
from tests.server.envelope.test_trail_failures import children

ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/"
SECRET = "a secret of the chain that nobody else knows"
KEYS = "  hidden: {type: aes, material: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=, policy: hidden.yaml}\n"
KEYS += "  off: {type: aes, material: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=, enabled: false}\n"
EXTRA = f"""\
  "own-*": {{encryption: {{mode: envelope, key: hr, sse_c: true, sse_c_over_http: true}}}}
  "kek-*": {{encryption: {{mode: envelope, key: hr, kek: {{use: always}}}}}}
audit: {{path: keys.jsonl, store: keys.db, rotate_bytes: 65536, secret: ["{SECRET}"]}}
"""
# Alice may write under this key and not read.
HIDDEN = f"""\
Version: "2012-10-17"
Statement:
  Effect: Allow
  Principal: {{AWS: "arn:aws:iam::{ACCOUNT}:user/alice"}}
  Action: "kms:GenerateDataKey"
  Resource: "*"
"""
ALLOWED = ("allowed", "")


@dataclass
class Told:
    """What clients were answered: by the request's id, what has to be on record of it."""

    wanted: dict[str, tuple[str, str, str, str]] = field(default_factory=dict)
    broken: int = 0

    def ask(self, action: str, key: str, outcome: tuple[str, str], call: Callable[..., Any], **given: Any) -> None:
        while True:
            answer, code = None, ""
            try:
                answer = call(**given)
            except ClientError as error:
                answer, code = error.response, error.response["Error"]["Code"]
            except BotoCoreError:
                self.broken += 1  # its worker was killed: nobody knows what became of it
                continue
            assert code == outcome[1], given
            self.wanted[answer["ResponseMetadata"]["RequestId"]] = (action, key, *outcome)
            return


def use_keys(proxy: Sealed, buckets: dict[str, str], told: Told, number: int) -> None:
    """Use keys in every way once."""
    key, made, opened = f"object-{number}", "kms:GenerateDataKey", "kms:Decrypt"
    client = s3_client(proxy.endpoint, "AKIAALICE", "alice-secret")
    put, get = client.put_object, client.get_object
    sealed = {"Bucket": buckets["sealed"], "Key": key}
    told.ask(made, f"{ARN}hr", ALLOWED, put, **sealed, Body=b"payroll", ServerSideEncryption="AES256")
    told.ask(opened, f"{ARN}hr", ALLOWED, get, **sealed)
    named = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "ops"}
    told.ask(made, f"{ARN}ops", ALLOWED, put, **{**sealed, "Key": f"{key}-ops"}, Body=b"payroll", **named)
    hidden = {**sealed, "Key": f"{key}-hidden"}
    told.ask(made, f"{ARN}hidden", ALLOWED, put, **hidden, Body=b"x", **{**named, "SSEKMSKeyId": "hidden"})
    told.ask(opened, f"{ARN}hidden", ("denied", "AccessDenied"), get, **hidden)
    disabled = {**named, "SSEKMSKeyId": "off"}
    told.ask(made, f"{ARN}off", ("failed", "KMS.DisabledException"), put, **sealed, Body=b"x", **disabled)
    kek = {"Bucket": buckets["kek"], "Key": key}
    told.ask(made, f"{ARN}hr", ALLOWED, put, **kek, Body=b"payroll")
    told.ask(opened, f"{ARN}hr", ALLOWED, get, **kek)
    own = {"Bucket": buckets["own"], "Key": key}
    told.ask(made, "sse-c", ALLOWED, put, **own, Body=b"payroll", **customer_key())
    told.ask(opened, "sse-c", ALLOWED, get, **own, **customer_key())
    told.ask(opened, "sse-c", ("failed", "AccessDenied"), get, **own, **customer_key(OTHER))
    client.close()


@dataclass(frozen=True)
class Trail:
    folder: Path
    told: Told

    def copy(self, to: Path) -> Trail:
        """Copy it, to be tampered with."""
        shutil.copytree(self.folder, to)
        return Trail(to, self.told)

    def audit(self, *words: str) -> int:
        return main(["audit", words[0], "--config", str(self.folder / "config.yaml"), *words[1:]])


@pytest.fixture(scope="module")
def trail(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trail]:
    folder, told = tmp_path_factory.mktemp("running"), Told()
    (folder / "hidden.yaml").write_text(HIDDEN)
    with sealed_proxy(folder, moto_store, keys=KEYS, extra=EXTRA, workers=2) as proxy:
        buckets = {kind: proxy.bucket(kind) for kind in ("sealed", "own", "kek")}
        with ThreadPoolExecutor(4) as pool:
            under_way = [pool.submit(use_keys, proxy, buckets, told, number) for number in range(24)]
            while len(told.wanted) < 60:
                time.sleep(0.01)
            os.kill(children(proxy.pid)[0], signal.SIGKILL)
            for each in under_way:
                each.result()
        yield Trail(folder, told)


def kept(trail: Trail) -> dict[str, list[dict[str, Any]]]:
    found = {
        "journal": records(journal_places(trail.folder / "keys.jsonl")),
        "store": records(database_places(trail.folder / "keys.db")),
    }
    return {name: list(each) for name, each in found.items()}


@pytest.mark.parametrize("sink", ["journal", "store"])
def test_what_was_answered_is_on_record_once_and_as_it_was(trail: Trail, sink: str) -> None:
    found = kept(trail)[sink]
    uses = {(each["request_id"], each["action"], each["key"], each["outcome"], each.get("error", "")) for each in found}
    assert {(request, *use) for request, use in trail.told.wanted.items()} <= uses
    unknown = {each["request_id"] for each in found} - set(trail.told.wanted)
    assert len(unknown) <= trail.told.broken, "nothing is there that nobody asked for"
    told = [json.dumps({name: each[name] for name in each if name not in ("seq", "prev", "hash")}) for each in found]
    assert len(set(told)) == len(told), "nothing is there twice"


@pytest.mark.parametrize("more", [[], ["--secret-file"]], ids=["configuration", "secret file"])
def test_it_verifies(trail: Trail, more: list[str]) -> None:
    (trail.folder / "chain-secret").write_text(SECRET)
    assert trail.audit("verify", *more, *([str(trail.folder / "chain-secret")] if more else [])) == 0
    assert len(journal_files(trail.folder / "keys.jsonl")) > 2, "it was rotated"


def test_queries_find_who_was_refused_what(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    for outcome, key, error in (
        ("denied", f"{ARN}hidden", "AccessDenied"),
        ("failed", f"{ARN}off", "KMS.DisabledException"),
        ("failed", "sse-c", "AccessDenied"),
    ):
        wanted = {request for request, use in trail.told.wanted.items() if use[1:] == (key, outcome, error)}
        assert trail.audit("query", "--outcome", outcome, "--key", key) == 0
        lines = capsys.readouterr().out.splitlines()
        assert wanted <= {line.rpartition("(request ")[2].rstrip(")") for line in lines}
        assert len(lines) - len(wanted) <= trail.told.broken
        assert all(f" {outcome} {error} " in line and "user/alice" in line for line in lines)


@pytest.mark.parametrize("kind", ["cloudtrail", "ocsf"])
def test_exports_have_every_record_in_the_form_that_others_expect(
    trail: Trail, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trail.audit("export", "--format", kind) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(events) == len(kept(trail)["store"])
    if kind == "ocsf":
        for event in {json.dumps([event["activity_id"], event["status_id"]]): event for event in events}.values():
            jsonschema.Draft202012Validator(API_ACTIVITY).validate(event)
        return
    refused = {event["requestID"] for event in events if event.get("errorCode") == "KMS.DisabledException"}
    told = {request for request, use in trail.told.wanted.items() if use[3] == "KMS.DisabledException"}
    assert told <= refused
    assert {event["userIdentity"]["arn"] for event in events} == {f"arn:aws:iam::{ACCOUNT}:user/alice"}


def test_no_secret_and_no_content_is_in_it(trail: Trail) -> None:
    for file in trail.folder.glob("keys.*"):
        raw = file.read_bytes()
        for secret in (SECRET.encode(), b"alice-secret", b"payroll", b"AAECAwQF", customer_key()["SSECustomerKey"]):
            assert secret not in raw, file


def lines_of(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True)


def remove_a_line(files: list[Path]) -> None:
    files[1].write_bytes(b"".join(lines_of(files[1])[:3] + lines_of(files[1])[4:]))


def hide_a_refusal(files: list[Path]) -> None:
    files[0].write_bytes(files[0].read_bytes().replace(b'"outcome":"denied"', b'"outcome":"allowed"', 1))


def name_somebody_else(files: list[Path]) -> None:
    files[-1].write_bytes(files[-1].read_bytes().replace(b"user/alice", b"user/mallory", 1))


def reorder(files: list[Path]) -> None:
    first, second, *rest = lines_of(files[1])
    files[1].write_bytes(b"".join([second, first, *rest]))


def truncate_a_line(files: list[Path]) -> None:
    files[-1].write_bytes(files[-1].read_bytes()[:-20])


def truncate_the_end(files: list[Path]) -> None:
    files[-1].write_bytes(b"".join(lines_of(files[-1])[:-1]))


def swap_files(files: list[Path]) -> None:
    one, two = files[0].read_bytes(), files[1].read_bytes()
    files[0].write_bytes(two)
    files[1].write_bytes(one)


def delete_the_first_file(files: list[Path]) -> None:
    files[0].unlink()


def delete_a_rotated_file(files: list[Path]) -> None:
    files[1].unlink()


def delete_the_last_file(files: list[Path]) -> None:
    files[-1].unlink()


def repeat_a_file(files: list[Path]) -> None:
    shutil.copy(files[0], files[0].with_name(files[0].name[:-1] + "9"))


@pytest.mark.parametrize(
    "change",
    [
        remove_a_line, hide_a_refusal, name_somebody_else, reorder, truncate_a_line, truncate_the_end, swap_files,
        delete_the_first_file, delete_a_rotated_file, delete_the_last_file, repeat_a_file,
    ],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_whoever_lays_hands_on_the_journal_is_found_out(
    trail: Trail, change: Callable[[list[Path]], None], tmp_path: Path
) -> None:
    copy = trail.copy(tmp_path / "copy")
    change(journal_files(copy.folder / "keys.jsonl"))
    assert copy.audit("verify") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM events WHERE seq = 5",
        "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)",
        "UPDATE events SET record = replace(record, 'user/alice', 'user/mallory') WHERE seq = 7",
        "UPDATE events SET principal = 'nobody' WHERE seq = 7",
        "UPDATE events SET seq = -1 WHERE seq = 3; UPDATE events SET seq = 3 WHERE seq = 4;"
        " UPDATE events SET seq = 4 WHERE seq = -1",
        "UPDATE events SET record = 'none' WHERE seq = 1",
        "UPDATE events SET record = CAST(record AS BLOB) WHERE seq = 1",
        "UPDATE events SET record = x'FF00' WHERE seq = 1",
        "UPDATE events SET record = replace(record, 'user/alice', CAST(x'FF' AS TEXT)) WHERE seq = 1",
        "DROP TABLE head",
        "UPDATE head SET hash = x'FF'",
        "UPDATE head SET seq = 'many'",
        "DELETE FROM head",
    ],
)
def test_whoever_lays_hands_on_the_store_is_found_out(trail: Trail, statement: str, tmp_path: Path) -> None:
    copy = trail.copy(tmp_path / "copy")
    connection = sqlite3.connect(copy.folder / "keys.db")
    connection.executescript(statement)
    connection.close()
    assert copy.audit("verify") == 1

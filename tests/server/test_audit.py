"""What a line of the decision log holds, what it can never hold, and how it behaves when writing fails."""

import dataclasses
import errno
import json
import logging
import multiprocessing
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.server import audit
from proxy.server.audit import (
    DecidingStatement,
    DecisionLog,
    DecisionRecord,
    HeaderChange,
    ReportedOutcome,
    serialise,
)

RECORD = DecisionRecord(
    time=1795000000.1239,
    request_id="4442587FB7D0A2F9",
    client="192.0.2.7",
    principal="arn:aws:iam::123456789012:user/alice",
    access_key_id="AKIAALICE",
    operation="PutObject",
    actions=("s3:PutObject", "s3:PutObjectTagging"),
    resources=("arn:aws:s3:::hr-data/report.pdf",),
    decision="explicit_deny",
    statements=(DecidingStatement("DenyUnencrypted", "bucket", "policies/hr.yaml:12"),),
    policy_revision="3f2a",
    status=403,
    error="AccessDenied",
    bytes_in=0,
    bytes_out=243,
    duration=0.0012344,
    first_byte=0.001,
    denied_resources=("arn:aws:s3:::hr-data/kept",),
    reported=(ReportedOutcome("implicit_deny", (DecidingStatement("#0", "bucket", "policies/new.yaml:3"),)),),
    header_changes=(HeaderChange("x-amz-server-side-encryption", None, "aws:kms"),),
    upstream_request_id="UP1",
    upstream_id_2="UP2",
    user_agent="aws-cli/1.42",
    detail="the bucket's policy said no",
)
REQUIRED = {
    field.name
    for field in dataclasses.fields(DecisionRecord)
    if field.default is dataclasses.MISSING and field.name != "first_byte"
}


def parsed(**changes: Any) -> dict[str, Any]:
    line = serialise(dataclasses.replace(RECORD, **changes))
    assert line.endswith("}\n")
    assert line[:-1].isprintable()
    assert line.isascii()
    return json.loads(line)


def test_a_line_says_who_asked_what_and_which_statement_decided():
    assert parsed() == {
        "time": "2026-11-18T11:06:40.123Z",
        "request_id": "4442587FB7D0A2F9",
        "client": "192.0.2.7",
        "principal": "arn:aws:iam::123456789012:user/alice",
        "access_key_id": "AKIAALICE",
        "operation": "PutObject",
        "actions": ["s3:PutObject", "s3:PutObjectTagging"],
        "resources": ["arn:aws:s3:::hr-data/report.pdf"],
        "decision": "explicit_deny",
        "statements": [{"sid": "DenyUnencrypted", "policy_kind": "bucket", "at": "policies/hr.yaml:12"}],
        "policy_revision": "3f2a",
        "status": 403,
        "error": "AccessDenied",
        "bytes_in": 0,
        "bytes_out": 243,
        "duration_ms": 1.234,
        "first_byte_ms": 1.0,
        "upstream_request_id": "UP1",
        "upstream_id_2": "UP2",
        "user_agent": "aws-cli/1.42",
        "denied_resources": ["arn:aws:s3:::hr-data/kept"],
        "reported": [
            {
                "decision": "implicit_deny",
                "statements": [{"sid": "#0", "policy_kind": "bucket", "at": "policies/new.yaml:3"}],
            }
        ],
        "header_changes": [{"name": "x-amz-server-side-encryption", "received": None, "sent": "aws:kms"}],
        "detail": "the bucket's policy said no",
    }


def test_what_a_request_does_not_have_is_left_out():
    bare = dict.fromkeys(("first_byte", "user_agent", "upstream_request_id", "upstream_id_2", "detail", "principal"))
    line = parsed(denied_resources=(), reported=(), header_changes=(), actions=(), statements=(), **bare)
    assert set(line) == {name if name != "duration" else "duration_ms" for name in REQUIRED}
    assert line["principal"] is None
    assert line["actions"] == []


@pytest.mark.parametrize("text", ["a\nb", '"}\n{"', "\x1b[31m", "\x7f", "\x85\u2028", "\u202e", "\udc80", "é"])
def test_what_a_client_chose_cannot_break_out_of_its_line_or_steer_a_terminal(text: str):
    line = parsed(
        user_agent=text,
        resources=(text,),
        operation=text,
        client=text,
        access_key_id=text,
        header_changes=(HeaderChange("x-amz-meta-a", text, text),),
    )
    assert line["user_agent"] == line["operation"] == line["resources"][0] == text
    assert line["header_changes"][0]["received"] == text


def test_secret_headers_are_named_without_their_values():
    changes = (
        HeaderChange("x-amz-server-side-encryption-customer-key", "c2VjcmV0", None),
        HeaderChange("authorization", "AWS4-HMAC-SHA256 c2VjcmV0", "c2VjcmV0"),
    )
    assert "c2VjcmV0" not in serialise(dataclasses.replace(RECORD, header_changes=changes))
    assert parsed(header_changes=changes)["header_changes"][0]["received"] == "(hidden)"


def test_no_field_of_a_record_is_made_for_a_secret_or_a_query_string():
    names = " ".join(field.name for field in dataclasses.fields(DecisionRecord))
    for word in ("secret", "token", "signature", "authorization", "query", "url", "target", "path"):
        assert word not in names


def test_a_very_long_user_agent_is_cut():
    assert parsed(user_agent="x" * 70000)["user_agent"] == "x" * 256 + "..."


def test_lines_are_appended_and_the_file_is_not_for_everybody(tmp_path: Path):
    path = tmp_path / "decisions.log"
    path.write_text("before\n")
    path.unlink()
    for request_id in ("first", "second"):
        log = DecisionLog(path)
        log.write(dataclasses.replace(RECORD, request_id=request_id))
        log.close()
    assert [json.loads(line)["request_id"] for line in path.read_text().splitlines()] == ["first", "second"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0


def test_standard_output_is_the_log_where_no_file_is_named(capfd: pytest.CaptureFixture[str]):
    log = DecisionLog(None)
    log.write(RECORD)
    log.reopen()
    log.write(RECORD)
    log.close()
    assert len(capfd.readouterr().out.splitlines()) == 2
    os.fstat(1)


def test_after_rotation_lines_go_to_the_new_file(tmp_path: Path):
    path = tmp_path / "decisions.log"
    log = DecisionLog(path)
    log.write(RECORD)
    path.rename(tmp_path / "decisions.log.1")
    log.write(RECORD)
    log.reopen()
    log.write(RECORD)
    log.close()
    assert len((tmp_path / "decisions.log.1").read_text().splitlines()) == 2
    assert len(path.read_text().splitlines()) == 1


def test_a_reopening_that_fails_keeps_the_old_file(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = tmp_path / "logs"
    folder.mkdir()
    log = DecisionLog(folder / "decisions.log")
    folder.rename(tmp_path / "moved")
    log.reopen()
    log.write(RECORD)
    log.close()
    assert "cannot reopen" in caplog.text
    assert len((tmp_path / "moved" / "decisions.log").read_text().splitlines()) == 1


def test_a_full_disk_breaks_no_request_is_counted_and_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level(logging.WARNING)
    counted: list[bool] = []
    log = DecisionLog(Path("/dev/full"), counted.append)
    for _ in range(3):
        log.write(RECORD)
    assert counted == [False] * 3
    assert caplog.text.count("decisions are not logged: No space left on device") == 1
    monkeypatch.setattr(os, "write", lambda fd, data: len(data))
    log.write(RECORD)
    assert counted[-1] is True
    assert "logged again" in caplog.text
    monkeypatch.undo()
    log.close()


def test_a_line_cut_off_by_a_full_disk_does_not_swallow_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, real = tmp_path / "decisions.log", os.write
    counted: list[bool] = []
    log = DecisionLog(path, counted.append)
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:100]))
    log.write(RECORD)

    def nothing(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", nothing)
    log.write(RECORD)
    monkeypatch.undo()
    log.write(RECORD)
    log.close()
    torn, whole = path.read_text().splitlines()
    assert len(torn) == 100
    assert json.loads(whole)["request_id"] == RECORD.request_id
    assert counted == [False, False, True]


def test_the_next_line_says_how_many_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "decisions.log"
    log = DecisionLog(path)
    with monkeypatch.context() as full:
        full.setattr(os, "write", raising(OSError(errno.ENOSPC, "No space left on device")))
        for _ in range(3):
            log.write(RECORD)
        assert not log.refuses, "by default requests are answered all the same"
    log.write(RECORD)
    log.write(RECORD)
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get("dropped") for line in lines] == [3, None]


def test_blocking_it_refuses_until_a_line_gets_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = DecisionLog(tmp_path / "decisions.log", blocks=True)
    log.write(RECORD)
    assert not log.refuses
    with monkeypatch.context() as full:
        full.setattr(os, "write", raising(OSError(errno.ENOSPC, "No space left on device")))
        log.write(RECORD)
        assert log.refuses
    log.write(RECORD)
    assert not log.refuses
    log.close()


def test_a_pipe_that_nobody_reads_holds_up_nobody(monkeypatch: pytest.MonkeyPatch):
    read, write = os.pipe()
    monkeypatch.setattr(audit, "STDOUT", write)
    counted: list[bool] = []
    log = DecisionLog(None, counted.append)
    while not counted or counted[-1]:
        log.write(RECORD)
    log.write(RECORD)
    whole = counted.count(True)
    kept = b""
    while kept.count(b"\n") < whole:
        kept += os.read(read, 65536)
    log.write(RECORD)
    assert json.loads(os.read(read, 65536))["dropped"] == 2
    assert all(json.loads(line) for line in kept.splitlines()), "no line was cut"
    os.close(read)
    os.close(write)


def raising(error: OSError) -> Callable[..., int]:
    def write(fd: int, data: bytes) -> int:
        raise error

    return write


def _write_many(path: Path, worker: int) -> None:
    log = DecisionLog(path)
    record = dataclasses.replace(RECORD, request_id=str(worker), resources=("arn:aws:s3:::b/" + "k" * 9000,))
    for _ in range(200):
        log.write(record)
    log.close()


def test_lines_of_several_processes_do_not_mix(tmp_path: Path):
    path = tmp_path / "decisions.log"
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=_write_many, args=(path, worker)) for worker in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    ids = [json.loads(line)["request_id"] for line in path.read_text().splitlines()]
    assert {worker: ids.count(worker) for worker in "012"} == {"0": 200, "1": 200, "2": 200}


def test_the_reference_page_explains_every_field_and_says_which_are_always_there():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "decision-log.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (yes|no) \|", page, re.MULTILINE))
    optional = {
        field.name for field in dataclasses.fields(DecisionRecord) if field.default is not dataclasses.MISSING
    } | {"first_byte_ms"}
    assert rows == {name: "no" if name in optional else "yes" for name in parsed()}


def test_the_example_on_the_reference_page_is_a_line_as_it_is_written():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "decision-log.md").read_text()
    example = next(line for line in page.splitlines() if line.startswith('{"time"'))
    record = dataclasses.replace(
        RECORD,
        actions=("s3:PutObject",),
        denied_resources=(),
        reported=(),
        header_changes=(),
        upstream_request_id=None,
        upstream_id_2=None,
        detail=None,
    )
    assert serialise(record) == example + "\n"

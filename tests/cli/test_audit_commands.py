"""The trail of key use is searched, exported and verified by commands, whatever its form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.audit.database import Database
from proxy.audit.journal import Journal, head_path
from proxy.cli.main import main
from tests.audit.conftest import event

SECRET = b"s" * 32


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "keys.jsonl"
    Journal(path).append([event(1), event(2, outcome="denied", error="AccessDenied", object="x\x1b[31m"), event(3)])
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "keys.db"
    Database(path).append([event(1), event(2, outcome="denied", error="AccessDenied"), event(3)])
    return path


def source(path: Path) -> list[str]:
    return ["--store" if path.suffix == ".db" else "--path", str(path)]


@pytest.mark.parametrize("kind", ["journal", "store"])
def test_a_query_shows_what_fits(kind: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    path = request.getfixturevalue(kind)
    assert main(["audit", "query", *source(path), "--outcome", "denied", "--since", "2026-11-18"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "denied AccessDenied kms:Decrypt arn:aws:kms:eu-central-1:123456789012:key/hr by" in line
    assert "for GetObject hr-data/" in line
    assert main(["audit", "query", *source(path), "--principal", "nobody"]) == 3


def test_a_name_of_an_object_does_not_steer_the_terminal(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["audit", "query", *source(journal)])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(("format", "field"), [("native", "seq"), ("cloudtrail", "eventSource"), ("ocsf", "class_uid")])
def test_an_export_has_one_object_a_line(
    journal: Path, capsys: pytest.CaptureFixture[str], format: str, field: str
) -> None:
    assert main(["audit", "export", *source(journal), "--format", format]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 3
    assert all(field in line for line in lines)


@pytest.mark.parametrize("kind", ["journal", "store"])
def test_an_untouched_trail_verifies_and_tells_its_head(
    kind: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    path = request.getfixturevalue(kind)
    assert main(["audit", "verify", *source(path)]) == 0
    told = capsys.readouterr().out
    assert f"{path}: 3 records, head 3:" in told
    head = told.split()[-1]
    assert main(["audit", "verify", *source(path), "--head", head]) == 0


def test_a_changed_removed_or_moved_record_is_bad_news(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = journal.read_text()
    first, second, third = whole.splitlines(keepends=True)
    for tampered in (whole.replace("denied", "allowed"), first + third, first + third + second, first + second):
        journal.write_text(tampered)
        assert main(["audit", "verify", *source(journal)]) == 1
    assert "record 3, known to have been written, is not there" in capsys.readouterr().out


def test_a_head_kept_elsewhere_finds_what_a_removed_head_file_hides(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["audit", "verify", *source(journal)])
    head = capsys.readouterr().out.split()[-1]
    head_path(journal).unlink()
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:2]))
    assert main(["audit", "verify", *source(journal)]) == 0
    assert "there is no head beside it" in capsys.readouterr().err
    assert main(["audit", "verify", *source(journal), "--head", head]) == 1


@pytest.mark.parametrize(
    "forged",
    ['{"seq":9,"principal":"nobody"}', '{"seq":9}', '{"seq":9,"time":7}', "[" * 100_000, '{"seq":' + "9" * 5000 + "}",
     '"\udcff{"'],
    ids=["no arn", "empty", "number", "deep", "large", "bytes"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["native", "cloudtrail", "ocsf"])
def test_what_somebody_else_wrote_stops_no_export_and_no_query(
    journal: Path, kind: str, forged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = journal.read_text().splitlines()[0]
    lines = [forged, forged[:-2] + first[-76:], *journal.read_text().splitlines()]
    journal.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape") + b"\n")
    assert main(["audit", "export", *source(journal), "--format", kind]) in (0, 1)
    assert len(capsys.readouterr().out.splitlines()) >= len(lines) - 2
    assert main(["audit", "query", *source(journal)]) == 0
    assert main(["audit", "verify", *source(journal)]) == 1


def test_columns_that_lie_are_bad_news(store: Path) -> None:
    import sqlite3

    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE events SET principal = 'x' WHERE seq = 2")
    assert main(["audit", "verify", *source(store)]) == 1


def test_a_chain_with_a_secret_verifies_with_that_secret_only(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    Journal(path, (SECRET,)).append([event(1)])
    (tmp_path / "right").write_bytes(SECRET + b"\n")
    (tmp_path / "wrong").write_bytes(b"w" * 32)
    assert main(["audit", "verify", *source(path), "--secret-file", str(tmp_path / "right")]) == 0
    assert main(["audit", "verify", *source(path), "--secret-file", str(tmp_path / "wrong")]) == 1
    assert main(["audit", "verify", *source(path)]) == 1


def test_the_configuration_says_where_the_trail_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    text = (
        'upstream: {endpoint: "http://127.0.0.1:1", credentials: {access_key_id: AKIA, secret_access_key: s}}\n'
        'owner: "123456789012"\n'
    )
    config.write_text(text + f"audit: {{path: k.jsonl, store: k.db, secret: [{SECRET.decode()}]}}\n")
    Journal(tmp_path / "k.jsonl", (SECRET,)).append([event(1)])
    Database(tmp_path / "k.db", (SECRET,)).append([event(1)])
    assert main(["audit", "verify", "--config", str(config)]) == 0
    assert capsys.readouterr().out.count("1 records") == 2
    config.write_text(text)
    assert main(["audit", "verify", "--config", str(config)]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "query"],
        ["audit", "verify", "--path", "gone.jsonl"],
        ["audit", "export", "--store", "gone.db"],
        ["audit", "query", "--path", "gone.jsonl"],
        ["audit", "verify", "--path", "x", "--secret-file", "gone"],
    ],
)
def test_a_trail_that_cannot_be_read_is_an_error(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2


def test_an_empty_trail_is_nothing_checked(tmp_path: Path) -> None:
    (tmp_path / "keys.jsonl").touch()
    assert main(["audit", "verify", "--path", str(tmp_path / "keys.jsonl")]) == 3

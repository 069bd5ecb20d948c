"""The operator's log: what clients and stores name things cannot write entries of its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from proxy.config import Log
from proxy.server.app import configure_logging

FORGED = "key\n2026-01-01 00:00:00,000 INFO s3warden.workers all is well\x1b[2J\u2028\ud800"


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    logger = logging.getLogger()
    before, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:], logger.level = before, level


def test_a_name_cannot_forge_an_entry_nor_command_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Log())
    logging.getLogger("s3warden.integrity").error("`%s` failed verification", FORGED)
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("ERROR s3warden.integrity `key")
    assert second.startswith("    2026-01-01"), "what follows within an entry is indented"
    assert second.endswith("all is well\\x1b[2J\\u2028\\ud800` failed verification")


def test_a_diagnostic_of_several_lines_keeps_its_caret_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Log())
    logging.getLogger("s3warden.reload").error("refused:\n%s", "3 | kéy: x\n  | ^^^")
    assert capsys.readouterr().err.splitlines()[1:] == ["    3 | kéy: x", "      | ^^^"]


def test_entries_in_json_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Log(format="json"))
    try:
        raise ValueError(FORGED)
    except ValueError:
        logging.getLogger("s3warden.pipeline").exception("`%s`", FORGED)
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry["message"] == f"`{FORGED}`"
    assert entry["exception"].startswith("Traceback")

"""The state of a scan is what was written, up to the last whole page."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.diagnostics import Severity
from proxy.errors import ConfigError
from proxy.server.scan.journal import Journal, Row
from proxy.server.scan.judging import Finding
from proxy.server.scan.survey import Marker

WHAT = {"bucket": "b"}
ROW = Row("a", "v", False, 3, "now", "envelope", ("hr@1",), "direct", "", "AES256",
          (Finding("unknown-key", Severity.ERROR, "gone", "look"),))  # fmt: skip


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    with Journal(tmp_path / "s", WHAT) as journal:
        journal.add([ROW], Marker("a", "v"))
        assert list(journal.rows()) == [ROW]
    with Journal(tmp_path / "s", WHAT) as journal:
        assert (list(journal.rows()), journal.marker) == ([ROW], Marker("a", "v"))
        journal.add([ROW], None)
    with Journal(tmp_path / "s", WHAT) as journal:
        assert (list(journal.rows()), journal.marker) == ([ROW, ROW], None)


def test_wherever_it_is_cut_off_only_whole_pages_count(tmp_path: Path) -> None:
    path = tmp_path / "s"
    ends = []
    with Journal(path, WHAT) as journal:
        ends.append(path.stat().st_size)
        for number in range(3):
            journal.add([ROW, ROW], Marker(str(number)))
            ends.append(path.stat().st_size)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with Journal(path, WHAT) as journal:
            pages = max(0, sum(end <= size for end in ends) - 1)
            assert len(list(journal.rows())) == 2 * pages
            assert journal.marker == (Marker(str(pages - 1)) if pages else Marker())
        assert path.stat().st_size == ends[pages]


def test_a_changed_page_and_what_follows_it_are_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with Journal(path, WHAT) as journal:
        for number in range(3):
            journal.add([ROW], Marker(str(number)))
    first, _, rest = path.read_bytes().partition(b'"key":"a"')
    second, _, third = rest.partition(b'"key":"a"')
    path.write_bytes(first + b'"key":"a"' + second + b'"key":"b"' + third)
    with Journal(path, WHAT) as journal:
        assert journal.marker == Marker("0")


def test_it_serves_one_scan_at_a_time_and_no_other_one(tmp_path: Path) -> None:
    with Journal(tmp_path / "s", WHAT), pytest.raises(ConfigError, match="another scan is at work"):
        Journal(tmp_path / "s", WHAT)
    with pytest.raises(ConfigError, match="other settings"):
        Journal(tmp_path / "s", {"bucket": "c"})
    (tmp_path / "notes").write_text("keep me")
    with pytest.raises(ConfigError, match="not the state of a scan"):
        Journal(tmp_path / "notes", WHAT)
    assert (tmp_path / "notes").read_text() == "keep me"
    with pytest.raises(ConfigError, match="cannot open"):
        Journal(tmp_path / "no" / "s", WHAT)

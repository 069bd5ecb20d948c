"""Trouble behind the proxy reaches the operator's log, without a flood."""

from __future__ import annotations

import logging

import pytest

from proxy.clock import FixedClock
from proxy.server.complaints import TELL_SECONDS, Complaints


def test_a_failure_is_told_with_its_reason_and_request(clock: FixedClock, caplog: pytest.LogCaptureFixture) -> None:
    Complaints(clock).tell("R1", 503, "ServiceUnavailable", "cannot connect to the upstream")
    assert caplog.messages == ["request R1 was answered 503 ServiceUnavailable: cannot connect to the upstream"]
    assert caplog.records[0].levelno == logging.ERROR


def test_the_same_kind_is_told_now_and_then_with_a_count(clock: FixedClock, caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(clock)
    for number in range(5):
        complaints.tell(f"R{number}", 503, "ServiceUnavailable", "down")
    assert len(caplog.messages) == 1
    clock.seconds += TELL_SECONDS
    complaints.tell("R9", 503, "ServiceUnavailable", "down")
    assert "R9" in caplog.messages[1]
    assert "4 more" in caplog.messages[1]


def test_another_kind_is_told_at_once(clock: FixedClock, caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(clock)
    complaints.tell("R1", 503, "ServiceUnavailable", "down")
    complaints.tell("R2", 500, "InternalError", "odd")
    assert len(caplog.messages) == 2


def test_a_clock_that_is_set_back_silences_nothing(clock: FixedClock, caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(clock)
    complaints.tell("R1", 503, "ServiceUnavailable", "down")
    clock.seconds -= 3600
    complaints.tell("R2", 503, "ServiceUnavailable", "down")
    assert len(caplog.messages) == 2


def test_a_reason_stays_on_its_line_whatever_is_in_it(clock: FixedClock, caplog: pytest.LogCaptureFixture) -> None:
    Complaints(clock).tell("R1", 503, "ServiceUnavailable", "a read of `k\n2026 INFO all is well\x1b[2J`")
    assert caplog.messages == [
        "request R1 was answered 503 ServiceUnavailable: a read of `k 2026 INFO all is well [2J`"
    ]

"""What never became a request is counted and logged like one."""

from __future__ import annotations

from proxy.access.connection import Connection
from proxy.clock import FixedClock
from proxy.errors import S3Error
from proxy.server.audit import DecisionRecord, serialise
from proxy.server.metrics import Metrics
from proxy.server.refusals import Refusals
from tests.conftest import NOW


class Kept(list[DecisionRecord]):
    def write(self, record: DecisionRecord) -> None:
        self.append(record)


def test_a_refusal_is_written_to_the_decision_log_and_counted() -> None:
    log, metrics = Kept(), Metrics("1.0")
    refusals = Refusals(log, metrics, FixedClock(NOW), lambda: "r1")
    refusals.record(Connection("192.0.2.1", secure=False), "ID", S3Error("BadRequest", detail="no HTTP: why"))
    (record,) = log
    assert (record.client, record.request_id, record.status, record.error) == ("192.0.2.1", "ID", 400, "BadRequest")
    assert (record.operation, record.decision, record.policy_revision) == ("unknown", "none", "r1")
    assert '"detail":"no HTTP: why"' in serialise(record)
    sample = metrics.sample()
    assert sample is not None
    assert metrics._requests == {("unknown", "4xx", "none"): [1.0]}
    assert metrics._in_flight == [0.0]

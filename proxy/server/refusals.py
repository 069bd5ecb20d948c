"""What is refused before it is a request: counted and written to the decision log like everything else."""

from __future__ import annotations

from collections.abc import Callable

from proxy.access.connection import Connection
from proxy.clock import Clock
from proxy.errors import S3Error
from proxy.server.audit import AuditSink, DecisionRecord
from proxy.server.exchange import UNKNOWN
from proxy.server.metrics import Metrics


class Refusals:
    """Records what the listener answered by itself."""

    def __init__(self, log: AuditSink, metrics: Metrics, clock: Clock, revision: Callable[[], str]) -> None:
        self._decisions = log
        self._metrics = metrics
        self._clock = clock
        self._revision = revision

    def record(self, client: Connection, request_id: str, error: S3Error) -> None:
        """Record an error that was answered to `client`."""
        self._metrics.request_started()
        self._metrics.request_finished(UNKNOWN, error.status, "none", 0.0, None, 0, 0)
        self._decisions.write(
            DecisionRecord(
                time=self._clock.now(),
                request_id=request_id,
                client=client.source_ip,
                principal=None,
                access_key_id=None,
                operation=UNKNOWN,
                actions=(),
                resources=(),
                decision="none",
                statements=(),
                policy_revision=self._revision(),
                status=error.status,
                error=error.code,
                bytes_in=0,
                bytes_out=0,
                duration=0.0,
                first_byte=None,
                detail=error.detail,
            )
        )

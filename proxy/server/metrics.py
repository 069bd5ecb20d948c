"""What the proxy counts, and how Prometheus is told.

Counting happens on every request, so it is plain dictionaries of plain floats: prometheus-client's own
counters lock and hash labels on each call. A worker's numbers leave it as a `Sample`, which is data
that can cross a process border; `Totals` adds the samples of all workers up, `render` writes them in
the text format. The table `FAMILIES` is the one place that names a metric.

No label ever holds a key, a principal, a bucket or a request id: their number is not bounded.

Source: https://prometheus.io/docs/practices/naming/ and .../instrumenting/exposition_formats/
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

PREFIX = "s3warden_"

Kind: TypeAlias = Literal["counter", "histogram", "sum gauge", "min gauge", "max gauge"]
"""How the numbers of several workers become one; counters and histograms add up."""

Labels: TypeAlias = tuple[str, ...]
Cells: TypeAlias = dict[Labels, list[float]]
Sample: TypeAlias = dict[str, list[tuple[list[str], list[float]]]]
"""Metric name -> (label values, numbers); one number, or a histogram's buckets and its sum."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name without prefix, what it means, and the labels it has."""

    name: str
    kind: Kind
    help: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()


_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)
_UPSTREAM_SECONDS = _REQUEST_SECONDS[:-1]
_EVALUATION_SECONDS = (5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2)

FAMILIES: tuple[Family, ...] = (
    Family(
        "requests",
        "counter",
        "Requests answered, by S3 operation, class of the status and decision",
        ("operation", "status_class", "decision"),
    ),
    Family(
        "request_duration_seconds",
        "histogram",
        "Time from a request's head to the end of its answer",
        ("operation",),
        _REQUEST_SECONDS,
    ),
    Family(
        "time_to_first_byte_seconds",
        "histogram",
        "Time from a request's head to the first byte of its answer",
        (),
        _REQUEST_SECONDS,
    ),
    Family("requests_in_flight", "sum gauge", "Requests being served now"),
    Family("request_body_bytes", "counter", "Bytes of request bodies received from clients"),
    Family("response_body_bytes", "counter", "Bytes of response bodies sent to clients"),
    Family(
        "policy_decisions",
        "counter",
        "Decisions of the policies, by outcome, the kind of policy that decided, and mode",
        ("decision", "reason", "mode"),
    ),
    Family(
        "policy_evaluation_seconds",
        "histogram",
        "Time it took to decide all questions of a request",
        (),
        _EVALUATION_SECONDS,
    ),
    Family("auth_failures", "counter", "Requests whose signature or credentials were refused", ("code",)),
    Family(
        "upstream_requests",
        "counter",
        "Requests sent to the upstream, by HTTP status, or `error` where none came",
        ("code",),
    ),
    Family(
        "upstream_duration_seconds",
        "histogram",
        "Time from sending a request to the head of the upstream's answer",
        (),
        _UPSTREAM_SECONDS,
    ),
    Family(
        "key_requests",
        "counter",
        "Uses of master keys, by kind of key service, what was asked, and how it ended",
        ("provider", "op", "result"),
    ),
    Family("integrity_failures", "counter", "Stored objects that failed verification, by what failed", ("where",)),
    Family("audit_events", "counter", "Records given to a log of decisions", ("sink", "result")),
    Family("worker_restarts", "counter", "Times a crashed worker process was started again"),
    Family("config_last_reload_successful", "min gauge", "1 if the last reload worked, 0 if an older state serves on"),
    Family("policy_info", "max gauge", "The revision of the policies in force, always 1", ("revision",)),
    Family("build_info", "max gauge", "Versions of the product and of Python, always 1", ("version", "python")),
)
_BY_NAME: Mapping[str, Family] = {family.name: family for family in FAMILIES}
_STATUS_CLASSES = tuple(f"{hundreds}xx" for hundreds in range(10))


class Metrics:
    """The counters of one worker. Every method is one event; none blocks or raises."""

    __slots__ = (
        "_audit",
        "_auth_failures",
        "_body",
        "_cells",
        "_decisions",
        "_durations",
        "_evaluation",
        "_first_byte",
        "_in_flight",
        "_integrity",
        "_keys",
        "_policy_info",
        "_reload",
        "_requests",
        "_sent",
        "_upstream",
        "_upstream_seconds",
    )

    def __init__(self, version: str, generation: int = 0) -> None:
        """Start at zero; `generation` tells how often this worker was started before."""
        self._cells: dict[str, Cells] = {family.name: defaultdict(_zeros(family)) for family in FAMILIES}
        self._requests = self._cells["requests"]
        self._durations = self._cells["request_duration_seconds"]
        self._auth_failures = self._cells["auth_failures"]
        self._decisions = self._cells["policy_decisions"]
        self._upstream = self._cells["upstream_requests"]
        self._audit = self._cells["audit_events"]
        self._integrity = self._cells["integrity_failures"]
        self._keys = self._cells["key_requests"]
        self._policy_info = self._cells["policy_info"]
        self._first_byte = self._single("time_to_first_byte_seconds")
        self._evaluation = self._single("policy_evaluation_seconds")
        self._upstream_seconds = self._single("upstream_duration_seconds")
        self._in_flight = self._single("requests_in_flight")
        self._body = self._single("request_body_bytes")
        self._sent = self._single("response_body_bytes")
        self._reload = self._single("config_last_reload_successful")
        self._reload[0] = 1.0
        self._single("worker_restarts")[0] = float(generation)
        self._cells["build_info"][version, platform.python_version()] = [1.0]

    def request_started(self) -> None:
        """A request's head has arrived."""
        self._in_flight[0] += 1.0

    def request_finished(
        self,
        operation: str,
        status: int,
        decision: str,
        seconds: float,
        first_byte_seconds: float | None,
        bytes_in: int,
        bytes_out: int,
    ) -> None:
        """A request is over, however it ended.

        `operation` and `decision` come from tables (`unknown` and `none` where it never got so far);
        `status` is 0 if nothing was answered.
        """
        self._in_flight[0] -= 1.0
        self._requests[(operation, _STATUS_CLASSES[status // 100], decision)][0] += 1.0
        cell = self._durations[(operation,)]
        cell[bisect_left(_REQUEST_SECONDS, seconds)] += 1.0
        cell[-1] += seconds
        if first_byte_seconds is not None:
            self._first_byte[bisect_left(_REQUEST_SECONDS, first_byte_seconds)] += 1.0
            self._first_byte[-1] += first_byte_seconds
        self._body[0] += bytes_in
        self._sent[0] += bytes_out

    def decided(self, decision: str, reason: str, mode: str = "enforce") -> None:
        """The policies answered: `allow`, `explicit_deny` or `implicit_deny`, decided by a `reason` kind of policy."""
        self._decisions[(decision, reason, mode)][0] += 1.0

    def evaluated(self, seconds: float) -> None:
        """All questions of a request were evaluated in this time."""
        self._evaluation[bisect_left(_EVALUATION_SECONDS, seconds)] += 1.0
        self._evaluation[-1] += seconds

    def auth_failed(self, code: str) -> None:
        """A signature or credential was refused with this S3 error code."""
        self._auth_failures[(code,)][0] += 1.0

    def upstream_answered(self, status: int | None, seconds: float) -> None:
        """The upstream answered with `status`, or did not (None), after this time."""
        self._upstream[("error" if status is None else str(status),)][0] += 1.0
        self._upstream_seconds[bisect_left(_UPSTREAM_SECONDS, seconds)] += 1.0
        self._upstream_seconds[-1] += seconds

    def integrity_failed(self, where: str) -> None:
        """A stored object failed verification; `where` is the label of the `IntegrityError`."""
        self._integrity[(where,)][0] += 1.0

    def key_used(self, provider: str, op: str, result: str) -> None:
        """A master key was asked to `wrap`, `unwrap` or for a `check`: `ok`, `refused`, `unavailable` or `invalid`."""
        self._keys[(provider, op, result)][0] += 1.0

    def audited(self, sink: str, ok: bool) -> None:
        """A record was written to `sink`, or was lost."""
        self._audit[(sink, "ok" if ok else "failed")][0] += 1.0

    def reloaded(self, ok: bool) -> None:
        """A reload worked, or the old state was kept."""
        self._reload[0] = 1.0 if ok else 0.0

    def revision(self, revision: str) -> None:
        """From now on these policies are in force."""
        self._policy_info.clear()
        self._policy_info[(revision,)] = [1.0]

    def sample(self) -> Sample:
        """Copy all numbers out."""
        return {
            name: [(list(labels), list(numbers)) for labels, numbers in cells.items()]
            for name, cells in self._cells.items()
        }

    def _single(self, name: str) -> list[float]:
        return self._cells[name][()]


def _zeros(family: Family) -> Callable[[], list[float]]:
    """Return what makes the numbers of a label set: one, or those of the buckets, of all above them, and the sum."""
    size = len(family.buckets) + 2 if family.buckets else 1
    return lambda: [0.0] * size


class Totals:
    """The numbers of all workers over the life of the proxy.

    # INVARIANT: counters never go down when a worker dies: what a dead worker was last seen to have
    # counted stays in, and its gauges drop out.
    """

    def __init__(self) -> None:
        self._ended: dict[str, Cells] = {}
        self._last: dict[int, tuple[int, Sample]] = {}

    def update(self, worker: int, generation: int, sample: Sample) -> None:
        """Take in what a worker has counted; a new `generation` means that the one before is dead."""
        before = self._last.get(worker)
        if before is not None and before[0] != generation:
            _add(self._ended, _lasting(before[1]))
        self._last[worker] = (generation, sample)

    def absent(self, worker: int) -> None:
        """A worker did not answer: keep what it counted, forget its gauges."""
        if worker in self._last:
            generation, sample = self._last[worker]
            self._last[worker] = (generation, _lasting(sample, keep_restarts=True))

    def sample(self) -> Sample:
        """Return the sum as one sample."""
        total: dict[str, Cells] = {}
        _add(total, {name: [(list(k), v) for k, v in cells.items()] for name, cells in self._ended.items()})
        for _, sample in self._last.values():
            _add(total, sample)
        return {name: [(list(k), v) for k, v in cells.items()] for name, cells in total.items()}


def _lasting(sample: Sample, *, keep_restarts: bool = False) -> Sample:
    """Keep what outlives a worker. The restarts of a slot are counted on by its next worker."""
    return {
        name: rows
        for name, rows in sample.items()
        if not _BY_NAME[name].kind.endswith("gauge") and (keep_restarts or name != "worker_restarts")
    }


def _add(total: dict[str, Cells], sample: Sample) -> None:
    for name, rows in sample.items():
        kind = _BY_NAME[name].kind
        cells = total.setdefault(name, {})
        for labels, numbers in rows:
            key = tuple(labels)
            cell = cells.get(key)
            if cell is None:
                cells[key] = list(numbers)
            elif kind == "min gauge":
                cell[0] = min(cell[0], numbers[0])
            elif kind == "max gauge":
                cell[0] = max(cell[0], numbers[0])
            else:
                cell[:] = [a + b for a, b in zip(cell, numbers, strict=True)]


def render(sample: Sample) -> bytes:
    """Write a sample in Prometheus' text format (version 0.0.4)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_SampleCollector(sample))
    return generate_latest(registry)


class _SampleCollector:
    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            yield _metric(family, self._sample.get(family.name, []))


def _metric(family: Family, rows: Iterable[tuple[list[str], list[float]]]) -> Metric:
    name, meaning = PREFIX + family.name, family.help
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(name, meaning, labels=family.labels)
        bounds = [*(str(bound) for bound in family.buckets), "+Inf"]
        for labels, numbers in rows:
            running, buckets = 0.0, []
            for bound, count in zip(bounds, numbers, strict=False):  # the number after the buckets is the sum
                running += count
                buckets.append((bound, running))
            histogram.add_metric(labels, buckets, numbers[-1])
        return histogram
    value: CounterMetricFamily | GaugeMetricFamily = (
        CounterMetricFamily(name, meaning, labels=family.labels)
        if family.kind == "counter"
        else GaugeMetricFamily(name, meaning, labels=family.labels)
    )
    for labels, numbers in rows:
        value.add_metric(labels, numbers[0])
    return value

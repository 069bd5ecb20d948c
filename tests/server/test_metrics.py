"""What is counted, how the counts of several workers become one, and how they are written."""

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from proxy.server.metrics import FAMILIES, PREFIX, Metrics, Totals, render


def numbers(sample: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Read the text format back as Prometheus would."""
    return {
        (s.name.removeprefix(PREFIX), tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(render(sample).decode())
        for s in family.samples
    }


def one_request(metrics: Metrics, seconds: float = 0.02) -> None:
    metrics.request_started()
    metrics.evaluated(2e-5)
    metrics.decided("allow", "bucket")
    metrics.upstream_answered(200, 0.004)
    metrics.request_finished("GetObject", 200, "allow", seconds, 0.004, 3, 1024)


def test_a_request_is_counted_by_operation_status_class_and_decision():
    metrics = Metrics("1.0")
    one_request(metrics)
    one_request(metrics)
    found = numbers(metrics.sample())
    labels = (("decision", "allow"), ("operation", "GetObject"), ("status_class", "2xx"))
    assert found["requests_total", labels] == 2
    assert found["request_body_bytes_total", ()] == 6
    assert found["response_body_bytes_total", ()] == 2048
    assert found["policy_decisions_total", (("decision", "allow"), ("mode", "enforce"), ("reason", "bucket"))] == 2
    assert found["upstream_requests_total", (("code", "200"),)] == 2


def test_histogram_buckets_are_cumulative_and_a_bound_belongs_to_its_bucket():
    metrics = Metrics("1.0")
    for seconds in (0.001, 0.02, 9999.0):
        one_request(metrics, seconds)
    found = numbers(metrics.sample())

    def bucket(le: str) -> float:
        return found["request_duration_seconds_bucket", (("le", le), ("operation", "GetObject"))]

    assert (bucket("0.001"), bucket("0.01"), bucket("0.025"), bucket("600.0"), bucket("+Inf")) == (1, 1, 2, 2, 3)
    assert found["request_duration_seconds_count", (("operation", "GetObject"),)] == 3
    assert found["request_duration_seconds_sum", (("operation", "GetObject"),)] == 9999.021


def test_a_request_in_flight_is_seen_until_it_is_over():
    metrics = Metrics("1.0")
    metrics.request_started()
    metrics.request_started()
    assert numbers(metrics.sample())["requests_in_flight", ()] == 2
    metrics.request_finished("unknown", 0, "none", 0.1, None, 0, 0)
    found = numbers(metrics.sample())
    assert found["requests_in_flight", ()] == 1
    assert found["time_to_first_byte_seconds_count", ()] == 0


def test_an_upstream_that_never_answered_is_an_error():
    metrics = Metrics("1.0")
    metrics.upstream_answered(None, 5.0)
    assert numbers(metrics.sample())["upstream_requests_total", (("code", "error"),)] == 1


def test_failures_of_authentication_audit_and_reload_are_counted():
    metrics = Metrics("1.0")
    metrics.auth_failed("SignatureDoesNotMatch")
    metrics.audited("decision_log", ok=True)
    metrics.audited("decision_log", ok=False)
    metrics.reloaded(ok=False)
    found = numbers(metrics.sample())
    assert found["auth_failures_total", (("code", "SignatureDoesNotMatch"),)] == 1
    assert found["audit_events_total", (("result", "failed"), ("sink", "decision_log"))] == 1
    assert found["config_last_reload_successful", ()] == 0


def test_every_use_of_a_key_is_counted_by_what_it_was_and_how_it_ended():
    metrics = Metrics("1.0")
    metrics.key_used("vault", "wrap", "unavailable")
    labels = (("op", "wrap"), ("provider", "vault"), ("result", "unavailable"))
    assert numbers(metrics.sample())["key_requests_total", labels] == 1


def test_only_the_revision_in_force_is_shown():
    metrics = Metrics("1.0")
    metrics.revision("old")
    metrics.revision("new")
    found = numbers(metrics.sample())
    assert found["policy_info", (("revision", "new"),)] == 1
    assert ("policy_info", (("revision", "old"),)) not in found


def test_every_family_of_the_table_is_written_with_its_help():
    written = {family.name: family.documentation for family in text_string_to_metric_families(render({}).decode())}
    assert written == {PREFIX + family.name: family.help for family in FAMILIES}


def test_workers_add_up_except_for_what_is_true_of_each():
    first, second, totals = Metrics("1.0"), Metrics("1.0"), Totals()
    one_request(first)
    one_request(second)
    second.reloaded(ok=False)
    first.request_started()
    totals.update(0, 0, first.sample())
    totals.update(1, 0, second.sample())
    found = numbers(totals.sample())
    assert found["request_body_bytes_total", ()] == 6
    assert found["requests_in_flight", ()] == 1
    assert found["config_last_reload_successful", ()] == 0
    assert [value for (name, _), value in found.items() if name == "build_info"] == [1]


def test_counters_never_go_down_when_a_worker_dies_and_its_requests_in_flight_are_forgotten():
    totals, dying = Totals(), Metrics("1.0")
    one_request(dying)
    dying.request_started()
    totals.update(0, 0, dying.sample())
    totals.absent(0)
    while_down = numbers(totals.sample())
    assert while_down["request_body_bytes_total", ()] == 3
    assert ("requests_in_flight", ()) not in while_down
    reborn = Metrics("1.0", generation=1)
    one_request(reborn)
    for _ in range(2):
        totals.update(0, 1, reborn.sample())
    found = numbers(totals.sample())
    assert found["request_body_bytes_total", ()] == 6
    assert found["requests_in_flight", ()] == 0
    assert found["worker_restarts_total", ()] == 1


def test_a_sample_survives_json_since_that_is_how_it_leaves_a_worker():
    metrics, totals = Metrics("1.0"), Totals()
    one_request(metrics)
    totals.update(0, 0, json.loads(json.dumps(metrics.sample())))
    assert numbers(totals.sample()) == numbers(metrics.sample())


def test_a_sample_is_a_copy():
    metrics = Metrics("1.0")
    before = metrics.sample()
    one_request(metrics)
    assert numbers(before)["request_body_bytes_total", ()] == 0


def test_the_reference_page_names_every_metric_as_the_table_does():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith(f"| `{PREFIX}")]
    wanted = []
    for family in FAMILIES:
        name = PREFIX + family.name + ("_total" if family.kind == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in family.labels)
        wanted.append(f"| `{name}` | {family.kind.split()[-1]} | {labels} | {family.help} |")
    assert rows == wanted


def test_every_metric_that_dashboard_and_alerts_ask_for_exists():
    deploy = Path(__file__).parents[2] / "deploy"
    asked = set()
    for path in (deploy / "grafana" / "s3warden.json", deploy / "prometheus" / "alerts.yaml"):
        found = set(re.findall(rf"{PREFIX}\w+", path.read_text()))
        assert found
        asked |= found
    metrics = Metrics("1.0")
    one_request(metrics)
    metrics.auth_failed("AccessDenied")
    metrics.audited("decision_log", ok=True)
    metrics.revision("r1")
    assert asked <= {PREFIX + name for name, _ in numbers(metrics.sample())}

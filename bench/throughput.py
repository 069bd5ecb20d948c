"""What this proxy costs, beside nginx and a bare aiohttp proxy, in one run.

Absolute figures belong to the machine and the minute; the ratios within one run are what counts.
Writes `docs/benchmarks/throughput.json` and the table in `docs/benchmarks/throughput.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evaluation
from load import first_byte_ms, run_wrk
from stage import BUCKET, ROOT, Running, stage

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of load."""

    name: str
    method: str
    prefix: str
    size: int
    connections: int


KINDS = (
    Kind("GET 1 KiB", "GET", "small", KIB, 32),
    Kind("PUT 1 KiB", "PUT", "put", KIB, 32),
    Kind("GET 64 MiB", "GET", "large", 64 * MIB, 4),
    Kind("PUT 8 MiB", "PUT", "upload", 8 * MIB, 4),
)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each load")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is repeated; medians are shown")
    parser.add_argument("--only", default="", help="comma-separated names of targets")
    parser.add_argument("--write", action="store_true", help="write the files in docs/benchmarks")
    arguments = parser.parse_args()
    with stage() as made:
        data = made.folder / "data" / BUCKET
        data.mkdir(parents=True)
        data.chmod(0o777)
        for number in range(16):
            (data / f"small{number}").write_bytes(b"x" * KIB)
        for number in range(4):
            (data / f"large{number}").write_bytes(b"x" * 64 * MIB)
        store = made.nginx_store()
        targets = {
            "nginx store": store,
            "nginx proxy": made.nginx_proxy(store),
            "bare aiohttp": made.passthrough(store),
            "s3warden": made.s3warden(store, 1),
            "s3warden, 2 workers": made.s3warden(store, 2),
        }
        only = [name for name in arguments.only.split(",") if name]
        targets = {name: target for name, target in targets.items() if not only or name in only}
        report = measure(targets, made.folder, arguments.seconds, arguments.rounds)
    report["evaluation"] = {str(count): evaluation.measure(count) for count in evaluation.SIZES}
    table = render(report)
    print(table)
    if arguments.write:
        folder = ROOT / "docs/benchmarks"
        folder.mkdir(exist_ok=True)
        (folder / "throughput.json").write_text(json.dumps(report, indent=1) + "\n")
        (folder / "throughput.md").write_text(table)


def measure(targets: dict[str, Running], folder: Path, seconds: float, rounds: int) -> dict[str, object]:
    """Run every load on every target in turn, several rounds; return medians."""
    rows: dict[str, dict[str, dict[str, float]]] = {name: {} for name in targets}
    for kind in KINDS:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in targets}
        for _ in range(rounds):
            for name, target in targets.items():
                result = run_wrk(
                    target, folder, kind.method, kind.prefix, kind.size,
                    connections=kind.connections, seconds=seconds,
                )  # fmt: skip
                moved = result.requests * kind.size
                found[name].append(
                    {
                        "requests_per_second": result.per_second,
                        "mb_per_second": moved / result.seconds / 1e6,
                        "p50_ms": result.p50_ms,
                        "p99_ms": result.p99_ms,
                        "errors": result.errors,
                        "cpu_per_10000_requests": result.cpu_seconds / max(result.requests, 1) * 10_000,
                        "cpu_per_gib": result.cpu_seconds / max(moved, 1) * (1 << 30),
                    }
                )
        for name, runs in found.items():
            rows[name][kind.name] = {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}
    for name, target in targets.items():
        rows[name]["all"] = {
            "first_byte_ms": first_byte_ms(target, "small0"),
            "peak_rss_mib": target.peak_rss() / MIB,
        }
        run = run_wrk(target, folder, "GET", "large", 64 * MIB, connections=64, seconds=seconds)
        rows[name]["64 transfers"] = {"errors": run.errors, "peak_rss_mib": target.peak_rss() / MIB}
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()}
    return {"machine": machine, "seconds": seconds, "rounds": rounds, "targets": rows}


def render(report: dict[str, Any]) -> str:
    """Write the table and the ratios that are aimed at."""
    rows: dict[str, dict[str, dict[str, float]]] = report["targets"]
    lines = [
        "# What the proxy costs",
        "",
        "Medians of one run of `make bench` with nginx as the store, wrk as the load and really signed requests.",
        "`s3warden` checks signatures, decides by a policy of 10 statements, logs every decision and signs anew.",
        f"Machine: {report['machine']}. Ratios within one run mean something, absolute figures do not.",
        "",
        "| | GET 1 KiB /s | PUT 1 KiB /s | GET 64 MiB MB/s | PUT 8 MiB MB/s | first byte ms | CPU s / 10,000 GET "
        "| CPU s / GiB GET | peak RSS MiB | RSS, 64 transfers |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['GET 1 KiB']['requests_per_second']:,.0f} "
            f"| {row['PUT 1 KiB']['requests_per_second']:,.0f} "
            f"| {row['GET 64 MiB']['mb_per_second']:,.0f} | {row['PUT 8 MiB']['mb_per_second']:,.0f} "
            f"| {row['all']['first_byte_ms']:.2f} | {row['GET 1 KiB']['cpu_per_10000_requests']:.2f} "
            f"| {row['GET 64 MiB']['cpu_per_gib']:.2f} | {row['all']['peak_rss_mib']:.0f} "
            f"| {row['64 transfers']['peak_rss_mib']:.0f} |"
        )
    if "s3warden" in rows and "bare aiohttp" in rows:
        lines += ["", "| s3warden / bare aiohttp | ratio |", "|---|---|"]
        for kind in KINDS:
            ours, bare = (rows[name][kind.name]["requests_per_second"] for name in ("s3warden", "bare aiohttp"))
            lines.append(f"| {kind.name} | {ours / bare:.2f} |")
    decisions: dict[str, dict[str, float]] = report["evaluation"]
    lines += ["", "| Evaluation alone | allowed us | denied us | unrelated us |", "|---|---|---|---|"]
    lines += [
        f"| {count} statements | {row['allowed_us']} | {row['denied_us']} | {row['unrelated_us']} |"
        for count, row in decisions.items()
    ]
    errors = sum(row[kind.name]["errors"] for row in rows.values() for kind in KINDS)
    lines += ["", f"Failed requests: {errors:.0f}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

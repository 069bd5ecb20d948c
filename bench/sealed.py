"""What encryption costs: the same loads through this proxy, on a bucket it encrypts and on one it does not.

The store is nginx, which keeps no metadata: for reading, it is told to answer with that of objects that
were sealed beforehand. The two take turns within each round, so that what else the machine does meets
both; the ratios of one run are what counts. Writes `docs/benchmarks/sealed.json` and `sealed.md`.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from load import first_byte_ms, run_wrk
from stage import _STORE, BUCKET, ROOT, Running, Stage, stage

from proxy.envelope.capsule import Kind, ObjectKeys, draft_capsule
from proxy.envelope.context import object_arn
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.frames import FrameSealer
from proxy.envelope.keyring import AesKeyring
from proxy.envelope.single import envelope_value, seal_body_header

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
KEY = bytes(range(32))
SIDES = ("plain", "encrypted")


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of load; the prefixes are those of the names on the plain and on the encrypted bucket."""

    name: str
    method: str
    prefixes: tuple[str, str]
    size: int
    connections: int


LOADS = (
    Load("GET 64 MiB", "GET", ("large", "sealed"), 64 * MIB, 4),
    Load("PUT 8 MiB", "PUT", ("upload", "upload"), 8 * MIB, 4),
    Load("GET 1 KiB", "GET", ("small", "tiny"), KIB, 32),
    Load("PUT 1 KiB", "PUT", ("put", "put"), KIB, 32),
)
MANY = (
    Load("64 GET of 64 MiB", "GET", ("large", "sealed"), 64 * MIB, 64),
    Load("64 PUT of 64 MiB", "PUT", ("upload", "upload"), 64 * MIB, 64),
)


def seal(path: Path, key: str, plaintext: bytes) -> str:
    """Write a sealed object; return its metadata value."""
    entropy = SystemEntropy()
    keys = ObjectKeys.fresh(entropy)
    draft = draft_capsule(Kind.SINGLE, object_arn(BUCKET, key), keys, entropy)
    capsule = draft.seal([AesKeyring("s3w", "hr@1", KEY, entropy).wrap(draft.data_key, draft.context)])
    header, sealing = seal_body_header(keys, entropy)
    sealer = FrameSealer(sealing)
    path.write_bytes(bytes(sealer.feed(plaintext)) + bytes(sealer.finish()))
    return envelope_value(capsule, header)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="length of each load")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is repeated; medians are shown")
    parser.add_argument("--write", action="store_true", help="write the files in docs/benchmarks")
    arguments = parser.parse_args()
    with stage() as made:
        report = measure(made, targets(made), arguments.seconds, arguments.rounds)
    page = render(report)
    print(page)
    if arguments.write:
        folder = ROOT / "docs/benchmarks"
        (folder / "sealed.json").write_text(json.dumps(report, indent=1) + "\n")
        (folder / "sealed.md").write_text(page)


def targets(made: Stage) -> tuple[Running, Running]:
    """Start the store and, before it, the proxy without and with encryption."""
    data = made.folder / "data" / BUCKET
    data.mkdir(parents=True)
    data.chmod(0o777)
    locations = [_STORE]
    for load in LOADS:
        if load.method != "GET":
            continue
        plain, sealed = load.prefixes
        for number in range(16 if load.size < MIB else 4):
            content = bytes(load.size)
            (data / f"{plain}{number}").write_bytes(content)
            name = f"{sealed}{number}"
            value = seal(data / name, name, content)
            locations.append(f'location = /{BUCKET}/{name} {{ add_header x-amz-meta-s3w "{value}"; }}')
    store = made._nginx("store", "", " ".join(locations))
    material = base64.b64encode(KEY).decode()
    extra = f"keys: {{hr: {{type: aes, material: {material}}}}}\nbuckets: {{{BUCKET}: {{encryption: "
    return made.s3warden(store, 1), made.s3warden(store, 1, extra + "{mode: envelope, key: hr}}}\n")


def measure(made: Stage, running: tuple[Running, Running], seconds: int, rounds: int) -> dict[str, object]:
    """Run every load on both sides in turn; return medians, and the ratios of plain to encrypted."""
    loads: dict[str, dict[str, dict[str, float]]] = {}
    for load in LOADS:
        runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for turn in range(rounds):
            order = (0, 1) if turn % 2 == 0 else (1, 0)
            for index in order:
                runs[SIDES[index]].append(_run(made, running[index], load, index, seconds))
        medians = {
            side: {figure: statistics.median(run[figure] for run in found) for figure in found[0]}
            for side, found in runs.items()
        }
        pairs = list(zip(runs["plain"], runs["encrypted"], strict=True))
        for side in SIDES:
            medians[side]["errors"] = sum(run["errors"] for run in runs[side])
        medians["ratio"] = {
            "throughput": statistics.median(
                sealed["mb_per_second"] / plain["mb_per_second"] for plain, sealed in pairs
            ),
            "cpu": statistics.median(plain["cpu_per_gib"] / sealed["cpu_per_gib"] for plain, sealed in pairs),
        }
        loads[load.name] = medians
    first_bytes = {side: first_byte_ms(running[at], f"{LOADS[2].prefixes[at]}0") for at, side in enumerate(SIDES)}
    many: dict[str, dict[str, float]] = {}
    for load in MANY:
        many[load.name] = {}
        for index, side in enumerate(SIDES):
            failed = _run(made, running[index], load, index, seconds)["errors"]
            many[load.name] |= {f"{side}_errors": failed, f"{side}_peak_rss_mib": running[index].peak_rss() / MIB}
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()}
    return {
        "machine": machine, "seconds": seconds, "rounds": rounds, "loads": loads, "first_byte_ms": first_bytes,
        "transfers": many,
    }  # fmt: skip


def _run(made: Stage, target: Running, load: Load, index: int, seconds: int) -> dict[str, float]:
    found = run_wrk(
        target, made.folder, load.method, load.prefixes[index], load.size,
        connections=load.connections, seconds=seconds,
    )  # fmt: skip
    done = max(found.requests, 1)
    # Of large answers a few are always cut off by the end of a run: what was sent of them was work, too.
    moved = found.received if load.method == "GET" and load.size >= MIB else done * load.size
    return {
        "requests_per_second": done / found.seconds,
        "mb_per_second": moved / found.seconds / 1e6,
        "cpu_per_request": found.cpu_seconds / done,
        "cpu_per_gib": found.cpu_seconds / moved * GIB,
        "p50_ms": found.p50_ms,
        "p99_ms": found.p99_ms,
        "errors": found.errors,
    }


def render(report: dict[str, Any]) -> str:
    """Write the page."""
    loads: dict[str, dict[str, dict[str, float]]] = report["loads"]
    lines = [
        "# What encryption costs",
        "",
        f"Medians of {report['rounds']} rounds of {report['seconds']} s, from `make bench`: one worker with a bucket",
        "that it encrypts (a local AES key) beside one with a bucket that it does not, in turns; nginx is the store,",
        "wrk the load. Ratios within one run mean something, absolute figures do not; the ratio of throughput suffers",
        "from whatever else the machine does, that of processor time less.",
        f"Machine: {report['machine']}.",
        "",
        "| | plain | encrypted | throughput, encrypted / plain | CPU plain | CPU encrypted | CPU, plain / encrypted |",
        "|---|---|---|---|---|---|---|",
    ]
    for load in LOADS:
        plain, sealed, ratio = (loads[load.name][side] for side in (*SIDES, "ratio"))
        if load.size >= MIB:
            rates = [f"{side['mb_per_second']:,.0f} MB/s" for side in (plain, sealed)]
            costs = [f"{side['cpu_per_gib']:.2f} s/GiB" for side in (plain, sealed)]
        else:
            rates = [f"{side['requests_per_second']:,.0f} /s" for side in (plain, sealed)]
            costs = [f"{side['cpu_per_request'] * 1e6:,.0f} us" for side in (plain, sealed)]
        lines.append(
            f"| {load.name} | {rates[0]} | {rates[1]} | {ratio['throughput']:.2f} "
            f"| {costs[0]} | {costs[1]} | {ratio['cpu']:.2f} |"
        )
    first: dict[str, float] = report["first_byte_ms"]
    shown = [f"{first[side]:.2f} ms {side}" for side in SIDES]
    lines += ["", f"First byte of a GET of 1 KiB: {', '.join(shown)}."]
    many: dict[str, dict[str, float]] = report["transfers"]
    lines += ["", "| Transfers at a time | peak RSS plain | peak RSS encrypted |", "|---|---|---|"]
    lines += [
        f"| {name} | {row['plain_peak_rss_mib']:.0f} MiB | {row['encrypted_peak_rss_mib']:.0f} MiB |"
        for name, row in many.items()
    ]
    errors = sum(loads[load.name][side]["errors"] for load in LOADS for side in SIDES)
    errors += sum(row[f"{side}_errors"] for row in many.values() for side in SIDES)
    lines += ["", f"Failed requests: {errors:.0f}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

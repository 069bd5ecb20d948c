"""What key policies and the trail of key use cost on an encrypted bucket, by request of 1 KiB.

Each round loads all proxies one after the other, and a proxy is compared with the plain one of its own
round: what the machine does meanwhile meets all of them. Writes the table in `docs/benchmarks/keys.md`.
"""

from __future__ import annotations

import argparse
import base64
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from load import Result, run_wrk
from sealed import KEY, seal
from stage import _STORE, BUCKET, ROOT, Running, Stage, stage

SIZE, CONNECTIONS = 1024, 32
LOADS = (("GET 1 KiB", "GET", "tiny"), ("PUT 1 KiB", "PUT", "put"))
# Ten statements, the last of which allows: as many as the bucket's policy has.
_POLICY = """\
Version: "2012-10-17"
Statement:
{denied}
  - Sid: Allow
    Effect: Allow
    Principal: {{AWS: "arn:aws:iam::123456789012:user/bench"}}
    Action: ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource: "*"
    Condition: {{StringLike: {{"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::{bucket}/*"}}}}
"""
_DENIED = """\
  - Sid: Deny{number}
    Effect: Deny
    Principal: "*"
    Action: "kms:*"
    Resource: "*"
    Condition: {{StringLike: {{"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::other{number}/*"}}}}
"""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to set up the keys."""

    name: str
    policy: bool = False
    audit: str = ""


VARIANTS = (
    Variant("no policy, no trail"),
    Variant("key policy of 10 statements", policy=True),
    Variant("trail in JSON lines", audit="path: {folder}/keys.jsonl"),
    Variant("trail in SQLite", audit="store: {folder}/keys.db"),
    Variant("policy and both", policy=True, audit="path: {folder}/both.jsonl, store: {folder}/both.db"),
)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each load")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is repeated; medians are shown")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/keys.md")
    arguments = parser.parse_args()
    with stage() as made:
        targets = prepare(made)
        lines = []
        for name, method, prefix in LOADS:
            found: dict[str, list[Result]] = {each: [] for each in targets}
            for number in range(arguments.rounds):
                # Now this way round, now that: neither is always the one after the other.
                for each in list(targets) if number % 2 == 0 else reversed(list(targets)):
                    found[each].append(
                        run_wrk(
                            targets[each], made.folder, method, prefix, SIZE,
                            connections=CONNECTIONS, seconds=arguments.seconds,
                        )
                    )  # fmt: skip
            lines += [render(name, each, runs, found[VARIANTS[0].name]) for each, runs in found.items()]
    table = "\n".join([_HEAD.format(cpus=os.cpu_count(), rounds=arguments.rounds), *lines, ""])
    print(table)
    if arguments.write:
        (ROOT / "docs/benchmarks/keys.md").write_text(table)


_HEAD = """\
# What key policies and the trail of key use cost

Medians of {rounds} rounds of `python bench/keys.py` on {cpus} CPUs, one worker: signed requests of 1 KiB to an
encrypted bucket, local AES key, nginx as the store. CPU is that of the proxy by request; the overhead is the median
over rounds, each compared with the first line in its own round. Ratios within one run mean something, absolute figures
do not.

Records are written by a thread of their own. Where the CPUs are busy with other work it waits for its turn, and the
trail costs more: up to 30 % of a GET was seen.

| | | CPU us a request | requests/s | overhead in CPU | overhead in time | failed |
|---|---|---|---|---|---|---|"""


def prepare(made: Stage) -> dict[str, Running]:
    """Start the store with sealed objects in it, and a proxy for each variant."""
    data = made.folder / "data" / BUCKET
    data.mkdir(parents=True)
    data.chmod(0o777)
    locations = [_STORE]
    for number in range(16):
        name = f"tiny{number}"
        value = seal(data / name, name, bytes(SIZE))
        locations.append(f'location = /{BUCKET}/{name} {{ add_header x-amz-meta-s3w "{value}"; }}')
    store = made._nginx("store", "", " ".join(locations))
    denied = "".join(_DENIED.format(number=number) for number in range(9)).rstrip()
    (made.folder / "key-policy.yaml").write_text(_POLICY.format(denied=denied, bucket=BUCKET))
    material = base64.b64encode(KEY).decode()
    targets = {}
    for variant in VARIANTS:
        policy = f", policy: {made.folder}/key-policy.yaml" if variant.policy else ""
        extra = f"keys: {{hr: {{type: aes, material: {material}{policy}}}}}\n"
        extra += f"buckets: {{{BUCKET}: {{encryption: {{mode: envelope, key: hr}}}}}}\n"
        extra += f"audit: {{{variant.audit.format(folder=made.folder)}}}\n" if variant.audit else ""
        targets[variant.name] = made.s3warden(store, 1, extra)
    return targets


def render(load: str, name: str, runs: list[Result], plain: list[Result]) -> str:
    """Write one row."""
    costs = [run.cpu_seconds / max(run.requests, 1) * 1e6 for run in runs]
    bases = [run.cpu_seconds / max(run.requests, 1) * 1e6 for run in plain]
    cpu = statistics.median(cost / base for cost, base in zip(costs, bases, strict=True)) - 1
    slower = statistics.median(b.per_second / a.per_second for a, b in zip(runs, plain, strict=True)) - 1
    rate = statistics.median(run.per_second for run in runs)
    failed = sum(run.errors for run in runs)
    return f"| {load} | {name} | {statistics.median(costs):.0f} | {rate:,.0f} | {cpu:+.1%} | {slower:+.1%} | {failed} |"


if __name__ == "__main__":
    main()

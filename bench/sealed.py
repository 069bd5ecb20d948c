"""What encryption costs: the same loads through this proxy, on a bucket it encrypts and on one it does not.

The store is nginx, which keeps no metadata: for reading, it is told to answer with that of objects that
were sealed beforehand. Absolute figures belong to the machine and the minute; the ratio is what counts.
"""

from __future__ import annotations

import argparse
import base64
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from load import run_wrk
from stage import _STORE, BUCKET, stage

from proxy.envelope.capsule import Kind, ObjectKeys, draft_capsule
from proxy.envelope.context import object_arn
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.frames import FrameSealer
from proxy.envelope.keyring import AesKeyring
from proxy.envelope.single import envelope_value, seal_body_header

MIB = 1 << 20
KEY = bytes(range(32))
# name, method, prefix on the plain bucket, prefix on the encrypted one, bytes, connections
LOADS = (
    ("GET 64 MiB", "GET", "large", "sealed", 64 * MIB, 4),
    ("PUT 8 MiB", "PUT", "upload", "upload", 8 * MIB, 4),
    ("GET 1 KiB", "GET", "small", "tiny", 1024, 32),
    ("PUT 1 KiB", "PUT", "put", "put", 1024, 32),
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
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each load")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is repeated; medians are shown")
    arguments = parser.parse_args()
    with stage() as made:
        data = made.folder / "data" / BUCKET
        data.mkdir(parents=True)
        data.chmod(0o777)
        locations = [_STORE]
        for prefix, size, count, sealed in (
            ("small", 1024, 16, False), ("large", 64 * MIB, 4, False),
            ("tiny", 1024, 16, True), ("sealed", 64 * MIB, 4, True),
        ):  # fmt: skip
            for number in range(count):
                name = f"{prefix}{number}"
                if not sealed:
                    (data / name).write_bytes(bytes(size))
                    continue
                value = seal(data / name, name, bytes(size))
                locations.append(f'location = /{BUCKET}/{name} {{ add_header x-amz-meta-s3w "{value}"; }}')
        store = made._nginx("store", "", " ".join(locations))
        material = base64.b64encode(KEY).decode()
        extra = f"keys: {{hr: {{type: aes, material: {material}}}}}\nbuckets: {{{BUCKET}: {{encryption: "
        plain, sealed_proxy = made.s3warden(store, 1), made.s3warden(store, 1, extra + "{mode: envelope, key: hr}}}\n")
        print(f"{'':12} {'plain':>14} {'encrypted':>14} {'ratio':>7} {'ratio of CPU':>13} {'peak RSS MiB':>14}")
        for name, method, prefix, sealed_prefix, size, connections in LOADS:
            rates: dict[str, list[float]] = {"plain": [], "sealed": []}
            costs: dict[str, list[float]] = {"plain": [], "sealed": []}
            for _ in range(arguments.rounds):
                for kind, target, names in (("plain", plain, prefix), ("sealed", sealed_proxy, sealed_prefix)):
                    found = run_wrk(
                        target, made.folder, method, names, size, connections=connections, seconds=arguments.seconds
                    )
                    if found.errors:
                        print(f"{name}: {found.errors} errors on the {kind} bucket", file=sys.stderr)
                    rates[kind].append(found.per_second)
                    costs[kind].append(found.cpu_seconds / max(found.requests, 1))
            one, two = (statistics.median(rates[kind]) for kind in ("plain", "sealed"))
            shown = [f"{rate * size / 1e6:,.0f} MB/s" if size >= MIB else f"{rate:,.0f} /s" for rate in (one, two)]
            cost = statistics.median(costs["plain"]) / statistics.median(costs["sealed"])
            peak = sealed_proxy.peak_rss() / MIB
            print(f"{name:12} {shown[0]:>14} {shown[1]:>14} {two / one:7.2f} {cost:13.2f} {peak:14.0f}")
        many = run_wrk(sealed_proxy, made.folder, "GET", "sealed", 64 * MIB, connections=64, seconds=arguments.seconds)
        print(
            f"64 encrypted transfers of 64 MiB: {many.errors} errors, peak RSS {sealed_proxy.peak_rss() / MIB:.0f} MiB"
        )
        print(f"cpus: {os.cpu_count()}")


if __name__ == "__main__":
    main()

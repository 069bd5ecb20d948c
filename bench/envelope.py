"""How fast sealing and opening is, without any network: `python bench/envelope.py`.

MB are 10^6 bytes; the best of several runs is shown, on one core.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from proxy.envelope.buffers import Buffers
from proxy.envelope.capsule import Kind, ObjectKeys, draft_capsule
from proxy.envelope.context import object_arn
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.frames import Allocate, FrameOpener, FrameSealer
from proxy.envelope.keyring import AesKeyring, unwrap_any
from proxy.envelope.single import envelope_value, open_body_header, parse_envelope, seal_body_header

ENTROPY = SystemEntropy()
KEYS = ObjectKeys.fresh(ENTROPY)
MASTER = AesKeyring("s3w", "bench@1", bytes(32), ENTROPY)
ARN = object_arn("bucket", "key")
SIZE = 64 * 2**20
PLAINTEXT = os.urandom(SIZE)


def best(run: Callable[[], object], repeat: int = 5) -> float:
    """Return the seconds of the fastest run."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def seal(chunk: int, allocate: Allocate) -> None:
    _, key = seal_body_header(KEYS, ENTROPY)
    sealer = FrameSealer(key, allocate=allocate)
    view = memoryview(PLAINTEXT)
    for start in range(0, SIZE, chunk):
        sealer.feed(view[start : start + chunk])
    sealer.finish()


def sealed() -> tuple[bytes, bytes]:
    header, key = seal_body_header(KEYS, ENTROPY)
    sealer = FrameSealer(key, allocate=bytearray)
    return header, bytes(sealer.feed(PLAINTEXT)) + bytes(sealer.finish())


def unseal(header: bytes, stored: bytes, chunk: int, allocate: Allocate) -> None:
    opener = FrameOpener(open_body_header(header, KEYS), SIZE, allocate=allocate)
    view = memoryview(stored)
    for start in range(0, len(stored), chunk):
        opener.feed(view[start : start + chunk])
    opener.finish()


def write_metadata() -> str:
    draft = draft_capsule(Kind.SINGLE, ARN, KEYS, ENTROPY)
    capsule = draft.seal([MASTER.wrap(draft.data_key, draft.context)])
    header, _ = seal_body_header(KEYS, ENTROPY)
    return envelope_value(capsule, header)


def read_metadata(value: str) -> None:
    envelope = parse_envelope(value)
    capsule = envelope.capsule
    keys = capsule.open(unwrap_any(capsule.edks, [MASTER], capsule.context(ARN)), ARN)
    open_body_header(envelope.body_header, keys)


def main() -> None:
    header, stored = sealed()
    value = write_metadata()
    for chunk in (16 * 1024, 64 * 1024, 100_000, 256 * 1024, 2**20):
        for name, allocate in (("shared buffers", Buffers()), ("own memory", bytearray)):
            up = SIZE / best(lambda c=chunk, a=allocate: seal(c, a)) / 1e6
            down = SIZE / best(lambda c=chunk, a=allocate: unseal(header, stored, c, a)) / 1e6
            print(f"chunks of {chunk:>9,} B, {name:<14}: seal {up:7,.0f} MB/s  open {down:7,.0f} MB/s")
    count = 2000
    write = best(lambda: [write_metadata() for _ in range(count)]) / count * 1e6
    read = best(lambda: [read_metadata(value) for _ in range(count)]) / count * 1e6
    print(f"metadata of a single-part object: write {write:.1f} us, read {read:.1f} us")


if __name__ == "__main__":
    main()

"""What it takes to rotate a key: by the documents of bucket keys, and by the capsules of objects one by one.

The store is moto in a process of its own, which is slow and the same for both; what counts are requests an
object, and the ratio. Bodies are empty: nothing reads them. Writes `docs/benchmarks/rotation.json` and
`rotation.md` with `--write`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from proxy.cli.main import main
from proxy.config import load_config
from proxy.envelope.capsule import Kind, ObjectKeys, draft_capsule
from proxy.envelope.context import object_arn
from proxy.envelope.single import envelope_value, seal_body_header
from proxy.keys.rules import KeyChoice
from proxy.server.rotation.session import session
from proxy.server.upstream import PooledUpstream
from tests.conftest import free_port, running

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
DOCUMENTS = 8
"""Bucket keys: as many as processes wrote."""
CONFIG = """\
upstream: {{endpoint: "http://127.0.0.1:{port}", credentials: {{access_key_id: AKIAMOTO, secret_access_key: s}}}}
owner: "123456789012"
keys:
  hr: {{type: aes, material: "${{file:hr-1.key}}"}}
buckets:
  by-capsules: {{encryption: {{mode: envelope, key: hr}}}}
  by-bucket-keys: {{encryption: {{mode: envelope, key: hr, kek: {{use: always}}}}}}
"""


async def fill(config: Path, bucket: str, keys: range) -> None:
    """Store objects as a proxy would, but for their bodies."""
    loaded = load_config(config)
    async with session(loaded) as opened:
        encryption, master = loaded.bucket(bucket).encryption, opened.ring.find("hr")
        choice = KeyChoice(master, is_kms=False, uses_kek=bucket == "by-bucket-keys")
        await opened.depot.ask("PUT", bucket, None)
        places = asyncio.Semaphore(8)

        async def one(number: int) -> None:
            arn = object_arn(bucket, f"object-{number:06}")
            objects = ObjectKeys.fresh(opened.entropy)
            draft = draft_capsule(Kind.SINGLE, arn, objects, opened.entropy)
            edk = await opened.custody.wrap(choice, bucket, encryption, draft.data_key, draft.context)
            header, _ = seal_body_header(objects, opened.entropy)
            fields = {"x-amz-meta-s3w": envelope_value(draft.seal([edk]), header)}
            async with places:
                await opened.depot.ask("PUT", bucket, f"object-{number:06}", (), fields)

        await asyncio.gather(*(one(number) for number in keys))


def measured(counter: Counter[str], *words: str) -> dict[str, Any]:
    """Run a command and return seconds, requests and what it said."""
    counter.clear()
    told = io.StringIO()
    start = time.perf_counter()
    with contextlib.redirect_stdout(told):
        code = main(["keys", "rewrap", "--alone", "--output", "json", *words])
    seconds = time.perf_counter() - start
    if code:
        raise SystemExit(told.getvalue())
    counts = json.loads(told.getvalue())["counts"]
    return {"seconds": seconds, "requests": dict(counter), "counts": counts}


def bench(objects: int, parallel: int) -> dict[str, Any]:
    """Fill two buckets, rotate, and measure both ways."""
    counter: Counter[str] = Counter()
    real = PooledUpstream.send

    async def send(pool: PooledUpstream, request: Any) -> Any:
        counter[request.method] += 1
        return await real(pool, request)

    PooledUpstream.send = send  # type: ignore[method-assign]  # counts what every command asks
    port = free_port()
    store = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with tempfile.TemporaryDirectory() as folder, running(store, port):
        config = Path(folder) / "config.yaml"
        config.write_text(CONFIG.format(port=port))
        (Path(folder) / "hr-1.key").write_text("A" * 43 + "=")
        asyncio.run(fill(config, "by-capsules", range(objects)))
        for each in range(DOCUMENTS):
            asyncio.run(fill(config, "by-bucket-keys", range(each, objects, DOCUMENTS)))
        with contextlib.redirect_stdout(io.StringIO()):
            main(["keys", "rotate", "hr", "--config", str(config)])
        common = ("--config", str(config), "--parallel", str(parallel))
        documents = measured(counter, *common, "--bucket", "by-bucket-keys", "--only", "bucket-keys")
        capsules = measured(counter, *common, "--bucket", "by-capsules")
        again = measured(counter, *common, "--bucket", "by-capsules")
    return {
        "objects": objects,
        "parallel": parallel,
        "documents": DOCUMENTS,
        "bucket keys": documents,
        "capsules": capsules,
        "capsules, a second run": again,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def page(found: dict[str, Any]) -> str:
    """Render the figures."""
    lines = [
        "# Rotating a key",
        "",
        f"{found['objects']:,} objects, {found['parallel']} at once, {found['documents']} bucket keys. The store is",
        f"moto in a process of its own. {found['machine']}. Written by `bench/rotation.py --write`.",
        "",
        "| Way | Seconds | Objects a second | Requests | Requests an object |",
        "| --- | --- | --- | --- | --- |",
    ]
    for way in ("bucket keys", "capsules", "capsules, a second run"):
        row, objects = found[way], found["objects"]
        requests = sum(row["requests"].values())
        pace = f"{objects / row['seconds']:,.0f}"
        lines.append(f"| {way} | {row['seconds']:.2f} | {pace} | {requests:,} | {requests / objects:.3f} |")
    lines += [
        "",
        "By bucket keys the time does not depend on the number of objects: no object is asked about. By capsules an",
        "object takes a HEAD, its ACL, its tags, a copy onto itself and a HEAD to look at the result; most of the time",
        "is moto's, and a store that answers faster gives it back. A second run asks one HEAD for each object.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--write", action="store_true", help="keep the figures in docs/benchmarks")
    arguments = parser.parse_args()
    figures = bench(arguments.objects, arguments.parallel)
    text = page(figures)
    print(text)
    if arguments.write:
        (FOLDER / "rotation.json").write_text(json.dumps(figures, indent=2) + "\n")
        (FOLDER / "rotation.md").write_text(text)

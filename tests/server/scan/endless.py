"""Runs a command against a store whose bucket has as many objects as is asked for, made up as they are listed.

    python -m tests.server.scan.endless 1000000 /tmp/told.json scan --config config.yaml --bucket b ...

Writes the memory that it took and how often the store was asked, as JSON, to the second argument. Each object
is another one: in its protection, its key, and what is found of it.
"""

from __future__ import annotations

import json
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from proxy.cli.main import main
from proxy.s3.headers import Headers
from proxy.server.rotation.depot import Depot

PAGE = 1000
ASKED: Counter[str] = Counter()


def name(number: int) -> str:
    return f"folder {number // 1000:05}/object+{number:09}"


def listing(count: int, after: str) -> bytes:
    first = int(after[-9:]) + 1 if after else 0
    rows = "".join(
        f"<Contents><Key>{quote(name(number))}</Key><LastModified>2026-11-23T00:00:00Z</LastModified>"
        f"<ETag>&quot;{number:032x}&quot;</ETag><Size>{number}</Size></Contents>"
        for number in range(first, min(first + PAGE, count))
    )
    more = "true" if first + PAGE < count else "false"
    ends = f"<EncodingType>url</EncodingType><IsTruncated>{more}</IsTruncated>"
    return f"<ListBucketResult>{ends}{rows}</ListBucketResult>".encode()


def head(key: str) -> Headers:
    number = int(key[-9:])
    fields = [("content-length", str(number)), ("etag", f'"{number:032x}"')]
    if number % 2:
        sse = "x-amz-server-side-encryption"
        fields += [(sse, "aws:kms"), (f"{sse}-aws-kms-key-id", f"arn:aws:kms:eu-central-1:123456789012:key/{number}")]
    return Headers.of(fields)


def script(count: int) -> None:
    """Let every depot answer for a bucket of `count` objects."""

    async def ask(
        depot: Depot, method: str, bucket: str, key: str | None = None, query: Any = (), fields: Any = ()
    ) -> tuple[int, Headers, bytes]:
        ASKED[method] += 1
        if method == "HEAD" and key is not None:
            return 200, head(key), b""
        return 200, Headers(), listing(count, dict(query).get("start-after", ""))

    Depot.ask = ask  # type: ignore[assignment,method-assign]  # that is what this module is for


if __name__ == "__main__":
    script(int(sys.argv[1]))
    code = main(sys.argv[3:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Path(sys.argv[2]).write_text(json.dumps({"code": code, "peak_kib": peak, "asked": dict(ASKED)}))

"""The clients: who they are, what they do specially, and how they are started.

`docs/reference/clients.md` and the tests are made from this table.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ENVIRONMENTS = ROOT / ".venv-clients"


@dataclass(frozen=True, slots=True)
class Client:
    """One client.

    `driver` is the file under tests/ that walks it. `environment` is whose packages it has: a folder of
    .venv-clients, `npm`, or `system` for what Debian has.
    """

    name: str
    driver: str
    environment: str
    special: str
    """What it does that others do not, and that a proxy can get wrong."""
    resolver: str = "python"
    """Who looks up names for it: `python`, `own` or the `system`; `none` when it knows path style only."""
    leaves: bool = False
    """Whether objects are left when its journey ends."""

    @property
    def slug(self) -> str:
        """Its name in the names of files and buckets."""
        return Path(self.driver).stem.removesuffix("_client")

    @property
    def command(self) -> list[str]:
        """Return the command that takes its journey; a client that is not installed is an error."""
        driver = str(ROOT / "tests" / self.driver)
        if self.environment == "npm":
            return ["node", driver]
        if self.environment == "system":
            return [sys.executable, driver]
        python = ENVIRONMENTS / self.environment / "bin" / "python"
        assert python.exists(), f"{self.name} is not installed: make .venv-clients"
        return [str(python), driver]


CLIENTS = (
    Client(
        "boto3",
        "journeys/clients/boto3_client.py",
        "tools",
        "Sends a CRC32 with every upload: as a header over http, as a trailer of an aws-chunked body over https. "
        "Waits for 100 Continue. Signs presigned URLs with Version 2 in old regions.",
    ),
    Client(
        "aiobotocore (s3fs)",
        "journeys/clients/s3fs_client.py",
        "s3fs",
        "Like boto3, on asyncio; borders of HTTP chunks fall inside aws-chunked framing.",
    ),
    Client(
        "AWS CLI 1",
        "journeys/clients/awscli_client.py",
        "tools",
        "Large objects in parts at the same time; pins every range of a download to an ETag with If-Match.",
    ),
    Client(
        "s3cmd",
        "journeys/clients/s3cmd_client.py",
        "tools",
        "Compares the MD5 of uploads, parts and downloads with the ETag; no spaces in its Authorization header; "
        "Content-MD5 on batch deletes; asks for a bucket's location first.",
    ),
    Client(
        "minio-py",
        "journeys/clients/minio_client.py",
        "tools",
        "Signs UNSIGNED-PAYLOAD for everything over https; signs Content-Length; Content-MD5 on batch deletes.",
    ),
    Client(
        "pyarrow (AWS SDK for C++)",
        "journeys/clients/pyarrow_client.py",
        "tools",
        "Trailers over plain http too; CRC64NVME; signs Content-Type on GET; `x-amz-checksum-mode: enabled`.",
        resolver="system",
    ),
    Client(
        "obstore (Rust object_store)",
        "journeys/clients/obstore_client.py",
        "tools",
        "Refuses an answer to a range that is not 206 with Content-Range.",
        resolver="system",
    ),
    Client(
        "s5cmd (AWS SDK for Go 1)",
        "journeys/clients/s5cmd_client.py",
        "tools",
        "Up to 256 requests at a time; signs Content-Length and Content-MD5; path style only.",
        resolver="none",
    ),
    Client(
        "rclone (AWS SDK for Go 2)",
        "journeys/clients/rclone_client.py",
        "tools",
        "Compares ETag and MD5 after an upload and deletes what differs; `x-amz-meta-md5chksum` on objects in parts; "
        "`x-id` in queries; signs Accept-Encoding.",
        resolver="system",
    ),
)

REAL_CLIENTS = (
    Client(
        "AWS SDK for JavaScript 3",
        "real/js/journey.mjs",
        "npm",
        "Trailers over plain http for streams, each piece of the framing a chunk of its own; `/bucket/?list-type=2`; "
        "`x-id` in queries; the checksum of an empty body in the query of presigned uploads.",
        resolver="own",
    ),
    Client(
        "restic",
        "real/restic_client.py",
        "system",
        "Compares the sizes of a listing with its index; reads ranges of packs; minio-go underneath.",
        resolver="system",
        leaves=True,
    ),
    Client(
        "Chromium",
        "real/browser_client.py",
        "system",
        "Preflights; streams a form whose fields come before the file; follows the redirect of its answer.",
        resolver="own",
        leaves=True,
    ),
)
"""Clients of `make test-real`."""


def environment_of(style: str) -> dict[str, str]:
    """Return the variables that a driver needs to import the journey, and to resolve bucket.localhost."""
    folders = [str(ROOT)] + ([str(HERE / "resolver")] if style == "virtual" else [])
    return {"PYTHONPATH": os.pathsep.join(folders)}

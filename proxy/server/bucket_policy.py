"""The bucket policy that the upstream itself holds, fetched once for a command.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicy.html
"""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

from proxy.config import Config
from proxy.forward import Forwarder, Route
from proxy.server.credentials import UpstreamCredentials
from proxy.server.store import read_answer
from proxy.server.tls import client_context
from proxy.server.upstream import Endpoint, PooledUpstream, UpstreamError

MAX_BYTES = 1 << 16
"""S3 takes 20 KiB."""


class NoBucketPolicyError(Exception):
    """The upstream has none, or does not give it."""


def fetch_bucket_policy(config: Config, bucket: str) -> bytes:
    """Return the JSON of a bucket's policy; raises `NoBucketPolicyError` saying why there is none."""
    try:
        status, body = asyncio.run(_fetch(config, bucket))
    except UpstreamError as error:
        raise NoBucketPolicyError(f"the upstream cannot be asked: {error}") from error
    if status == 200:
        return body
    code = body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode("ascii", "replace")
    raise NoBucketPolicyError(f"the upstream answers {status}" + (f" {code}" if code else ""))


async def _fetch(config: Config, bucket: str) -> tuple[int, bytes]:
    settings = config.upstream
    parts = urlsplit(settings.endpoint)
    secure = parts.scheme == "https"
    endpoint = Endpoint(
        parts.hostname or "",
        parts.port or (443 if secure else 80),
        client_context(settings.tls) if secure else None,
        settings.connect_seconds,
        settings.idle_seconds,
        connections=1,
    )
    upstream = PooledUpstream(endpoint)
    try:
        route = Route(parts.netloc, settings.region, settings.addressing == "virtual")
        forwarder = Forwarder(route, UpstreamCredentials(config).current)
        answer = await upstream.send(forwarder.prepare_own("GET", bucket, "", time.time(), [("policy", "")]))
        return answer.status, await read_answer(answer, MAX_BYTES)
    finally:
        upstream.retire()

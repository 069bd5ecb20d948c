"""Lets pages of another origin read the errors that the proxy itself answers, where the bucket allows the origin.

Without these fields a browser hides the whole answer from the page, and a refusal looks like a broken network.
S3 sends them with errors as it does with objects. Which origins are allowed the store knows: it is asked with
the preflight that the browser would send, and what it does not allow stays hidden.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html
"""

from __future__ import annotations

import asyncio

from proxy.errors import S3Error
from proxy.s3.address import parse_address
from proxy.server.exchange import Exchange
from proxy.server.intake import receive
from proxy.server.store import Store
from proxy.server.upstream import UpstreamError

PATIENCE_SECONDS = 2.0
"""A refusal does not wait longer for the store than this."""

_SHOWN = frozenset(
    {"access-control-allow-credentials", "access-control-allow-origin", "access-control-expose-headers", "vary"}
)


async def cross_origin_fields(exchange: Exchange, error: S3Error, store: Store) -> tuple[tuple[str, str], ...]:
    """Return the header fields with which a browser shows an error to the page that asked; most often none."""
    origin = exchange.http.headers.get("Origin")
    if origin is None or error.status >= 500 or exchange.http.method == "OPTIONS":
        return ()
    exchange.failed(error)  # for the log, should the client leave meanwhile
    try:
        address = parse_address(receive(exchange.http, exchange.rules), exchange.rules.domains)
        if address.bucket is None:
            return ()
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await store.preflight(address.bucket, address.key, origin, exchange.http.method)
    except (S3Error, UpstreamError, TimeoutError):
        return ()
    if answer.status != 200 or "access-control-allow-origin" not in answer.headers:
        return ()
    return tuple((name, value) for name, value in answer.headers if name in _SHOWN)

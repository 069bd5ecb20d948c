"""What rotation works with, put together from a configuration: the store, the keys, the trail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from proxy.clock import SystemClock
from proxy.config import Config
from proxy.envelope.entropy import Entropy, SystemEntropy
from proxy.forward import Forwarder, Route
from proxy.keys.custody import Custody
from proxy.keys.kek import BucketKeks
from proxy.keys.registry import build_ring
from proxy.keys.ring import KeyRing
from proxy.server.audit_trail import KeyTrail, NoTrail, open_trail
from proxy.server.credentials import UpstreamCredentials
from proxy.server.rotation.depot import Depot
from proxy.server.tls import client_context
from proxy.server.upstream import Endpoint, PooledUpstream


@dataclass(frozen=True, slots=True)
class Session:
    """Everything that is open while a command runs."""

    config: Config
    depot: Depot
    ring: KeyRing
    custody: Custody
    trail: KeyTrail
    entropy: Entropy


@asynccontextmanager
async def session(config: Config) -> AsyncIterator[Session]:
    """Connect to the store and the key services; raises `ConfigError`."""
    upstream = config.upstream
    parts = urlsplit(upstream.endpoint)
    secure = parts.scheme == "https"
    endpoint = Endpoint(
        parts.hostname or "",
        parts.port or (443 if secure else 80),
        client_context(upstream.tls) if secure else None,
        upstream.connect_seconds,
        upstream.idle_seconds,
        connections=upstream.connections,
    )
    pool, clock, entropy = PooledUpstream(endpoint), SystemClock(), SystemEntropy()
    route = Route(parts.netloc, upstream.region, upstream.addressing == "virtual")
    depot = Depot(pool, Forwarder(route, UpstreamCredentials(config).current), clock)
    ring, trail = build_ring(config), open_trail(config)
    keks = BucketKeks(lambda: ring, depot, lambda: upstream.state, entropy, clock)
    try:
        yield Session(config, depot, ring, Custody(lambda: ring, keks), trail or NoTrail(), entropy)
    finally:
        pool.retire()
        await ring.close()
        if trail is not None:
            await trail.close()

"""How many sockets the kernel lets this process have, and how many clients that is enough for."""

from __future__ import annotations

import logging
import resource

from proxy.config import Config

SPARE = 64
"""Descriptors for logs, listeners, the operator's connections and files being read."""

_log = logging.getLogger("s3warden.descriptors")


def reserve(config: Config) -> None:
    """Raise the limit of open files as far as the configuration needs and the system permits.

    Linux starts programs with a soft limit of 1024, which is there for programs that use select().
    Source: https://0pointer.net/blog/file-descriptor-limits.html
    """
    needed = config.limits.connections + config.upstream.connections + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = _number(soft)
    allowed = min(_number(hard), max(soft, needed))
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        _log.warning(
            "only %d files may be open, where limits.connections and upstream.connections need %d: "
            "%d clients are let in (raise LimitNOFILE, or ulimit -n)",
            allowed,
            needed,
            clients(config),
        )


def clients(config: Config) -> int:
    """Return how many client connections may be held: what is configured, or what there are sockets for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(config.limits.connections, _number(soft) - config.upstream.connections - SPARE))


def _number(limit: int) -> int:
    return 1 << 30 if limit == resource.RLIM_INFINITY else limit

"""The operator's listener: health, metrics, version, reload. The data port speaks S3 and nothing else.

On loopback it is open, but not to web pages: a browser on the same machine may be made to ask it, so
that without a token the Host must be a loopback name, and a request from another origin is refused.
Elsewhere a bearer token is needed. `/livez` and `/readyz` answer without one, with the bare verdict:
probes of Kubernetes cannot keep a secret, and the verdict is none.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import platform
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from urllib.parse import urlsplit

from aiohttp import web

from proxy.config import Secret
from proxy.server.control import Fleet
from proxy.server.health import Readiness

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})

_log = logging.getLogger("s3warden.admin")


class AdminListener:
    """Serves the operator on one socket, from `start` to `stop`."""

    def __init__(self, fleet: Fleet, token: Secret | None, version: str) -> None:
        self._fleet = fleet
        self._token = token
        self._version = version
        self._runner: web.AppRunner | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve on `listener`; raises ValueError if others could reach it and no token guards it."""
        host = listener.getsockname()[0]
        if self._token is None and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the admin listener on `{host}` needs a token")
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._guarded(self._metrics))
        app.router.add_get("/version", self._guarded(self._tell_version))
        app.router.add_post("/-/reload", self._guarded(self._reload))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Close the listener and its connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _guarded(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def guarded(request: web.Request) -> web.Response:
            if self._token is not None and not self._has_token(request):
                return web.json_response(
                    {"error": "a bearer token is needed"}, status=401, headers={"WWW-Authenticate": "Bearer"}
                )
            if not self._is_trusted_origin(request):
                return web.json_response({"error": "not from a web page of another origin"}, status=403)
            return await handler(request)

        return guarded

    def _has_token(self, request: web.Request) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        wanted = self._token.reveal() if self._token is not None else ""
        # Bytes, because compare_digest refuses text that is not ASCII; surrogates are what aiohttp makes of it.
        same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), wanted.encode())
        return same and scheme.lower() == "bearer"

    def _is_trusted_origin(self, request: web.Request) -> bool:
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            return False
        return self._token is not None or _names_loopback(request.host)

    async def _livez(self, request: web.Request) -> web.Response:
        alive = await self._fleet.alive()
        return web.json_response({"live": alive}, status=200 if alive else 503)

    async def _readyz(self, request: web.Request) -> web.Response:
        ready, workers = await self._fleet.readiness()
        body: dict[str, object] = {"ready": ready}
        if self._token is None or self._has_token(request):
            body["workers"] = [_checks(readiness) for readiness in workers]
        return web.json_response(body, status=200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=await self._fleet.metrics(), headers={"Content-Type": _CONTENT_TYPE})

    async def _tell_version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": self._version, "python": platform.python_version()})

    async def _reload(self, request: web.Request) -> web.Response:
        outcome = await self._fleet.reload()
        _log.info("reload asked for by %s: %s", request.remote, "done" if outcome.ok else "refused")
        return web.json_response(asdict(outcome), status=200 if outcome.ok else 422)


def _checks(readiness: Readiness) -> dict[str, str]:
    return {check.name: check.problem or "ok" for check in readiness.checks}


def _names_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False

"""The composition root: the only place that knows all the parts and puts them together."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from socket import socket
from urllib.parse import urlsplit

from proxy import __version__
from proxy.auth.credential import forget_signing_keys
from proxy.clock import SystemClock
from proxy.config import Config, Log
from proxy.diagnostics import render
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.state import MIN_SECRET, StateSeal
from proxy.errors import ConfigError
from proxy.forward import Forwarder, Route
from proxy.keys.custody import Custody
from proxy.keys.kek import BucketKeks
from proxy.keys.registry import build_ring
from proxy.server import descriptors
from proxy.server.audit import AuditSink, DecisionLog, DecisionRecord
from proxy.server.audit_trail import AuditTrail, NoTrail
from proxy.server.checks import check_policies
from proxy.server.control import Control
from proxy.server.credentials import LOOK_SECONDS, UpstreamCredentials
from proxy.server.envelope.keys import Capsules
from proxy.server.health import Health, kept, reachable
from proxy.server.listener import HANDSHAKE_SECONDS, S3Listener
from proxy.server.metrics import Metrics
from proxy.server.pipeline import Pipeline
from proxy.server.refusals import Refusals
from proxy.server.reload import Reloader
from proxy.server.rules import Rules, load_rules
from proxy.server.store import Store
from proxy.server.tls import client_context, load_certificate, server_context
from proxy.server.uploads import Uploads
from proxy.server.upstream import Endpoint, PooledUpstream
from proxy.server.worker import Slot
from proxy.server.workers import serve

EXIT_CONFIG = 2
DRAIN_LOOK_SECONDS = 0.05

_log = logging.getLogger("s3warden.app")


def run(path: Path) -> int:
    """Run the proxy until it is told to stop; return the exit code."""
    try:
        rules = load_rules(path)
        configure_logging(rules.config.log)
        for warning in rules.config.warnings:
            _log.warning("%s", render(warning))
        descriptors.reserve(rules.config)

        # Before the workers are forked: what one of them seals, the others must open.
        made = os.urandom(MIN_SECRET)
        if rules.config.keys and not rules.config.state_secret:
            _log.warning(
                "`state_secret` is not set: another instance cannot continue uploads under write-only keys, nor "
                "complete those under keys of clients (SSE-C)"
            )

        async def make_worker(slot: Slot) -> S3Worker:
            return S3Worker(path, slot, made)

        return serve(rules.config, make_worker, __version__)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - before there is a log
        return EXIT_CONFIG


class S3Worker:
    """One serving process, from its rules on disk to its listening sockets."""

    def __init__(self, path: Path, slot: Slot, made_secret: bytes) -> None:
        """Load and connect everything; raises `ConfigError`.

        `made_secret` seals state where the configuration has no secret for it.
        """
        self._path = path
        self._made_secret = made_secret
        self._metrics = Metrics(__version__, slot.generation)
        rules = load_rules(path)
        self._clock = SystemClock()
        self._upstream, forwarder, self._credentials = self._connect(rules.config)
        self._store = Store(self._upstream, forwarder, self._metrics, self._clock)
        self._tls = _server_tls(rules.config)
        self._log = self._open_log(rules.config)
        self._reloader = Reloader(
            lambda: load_rules(path), rules, self._metrics, checks=[check_policies], steps=[self._adopt]
        )
        self._seal = self._state_seal(rules.config)
        self._ring = build_ring(rules.config, self._metrics.key_used)
        self._trail = self._open_trail(rules.config)
        self._keks = BucketKeks(
            lambda: self._ring,
            self._store,
            lambda: self._reloader.current.config.upstream.state,
            SystemEntropy(),
            self._clock,
        )
        self._pipeline = Pipeline(
            lambda: self._reloader.current,
            self._store,
            Uploads(self._store, lambda: self._reloader.current.config.upstream.state),
            Capsules(
                lambda: self._ring, Custody(lambda: self._ring, self._keks), SystemEntropy(), self._trail or NoTrail()
            ),
            lambda: self._seal,
            self._log or _NO_LOG,
            self._metrics,
            self._clock,
        )
        refusals = Refusals(self._log or _NO_LOG, self._metrics, self._clock, lambda: self._reloader.current.revision)
        self._listener = S3Listener(self._pipeline.handle, rules.config.limits, refusals.record)
        self._listener.adopt(rules.config.limits, descriptors.clients(rules.config))
        self._closing: asyncio.Future[None] | None = None
        self._servers: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.control = Control(
            self._metrics,
            self._health(rules.config),
            self._reloader.reload,
            self._log.reopen if self._log is not None else lambda: None,
            slot.generation,
        )

    async def start(self, listeners: Sequence[socket]) -> None:
        """Listen and serve."""
        loop = asyncio.get_running_loop()
        backlog = self._reloader.current.config.listen.backlog
        patience = HANDSHAKE_SECONDS if self._tls is not None else None
        for each in listeners:
            made = loop.create_server(
                self._listener, sock=each, ssl=self._tls, backlog=backlog, ssl_handshake_timeout=patience
            )
            self._servers.append(await made)
        self._tasks = [loop.create_task(self._reloader.watch()), loop.create_task(self._renew_credentials())]

    async def drain(self, seconds: float) -> None:
        """Take no new connections, let idle ones go, and wait for requests to end."""
        self._pipeline.draining = True
        for server in self._servers:
            server.close()
        self._listener.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._pipeline.in_flight:
                    await asyncio.sleep(DRAIN_LOOK_SECONDS)

    async def close(self) -> None:
        """Break off what is left and let everything go."""
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.shutdown(0.1)
        self._upstream.retire()
        await self._ring.close()
        if self._trail is not None:
            await self._trail.close()
        if self._log is not None:
            self._log.close()

    async def _renew_credentials(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._credentials.renew()

    def _adopt(self, rules: Rules) -> None:
        """Put into force what lives outside of the rules: certificate, upstream, keys."""
        old, new = self._reloader.current.config, rules.config
        if self._tls is not None and new.listen.tls is not None:
            load_certificate(self._tls, new.listen.tls)
        if new.limits != old.limits:
            descriptors.reserve(new)
            self._listener.adopt(new.limits, descriptors.clients(new))
        if new.upstream != old.upstream:
            former = self._upstream
            self._upstream, forwarder, self._credentials = self._connect(new)
            self._store.switch(self._upstream, forwarder)
            former.retire()
        self._seal = self._state_seal(new)
        if new.keys != old.keys:
            former_ring, self._ring = self._ring, build_ring(new, self._metrics.key_used)
            self._keks.forget()
            self._closing = asyncio.ensure_future(former_ring.close())
        forget_signing_keys()

    def _state_seal(self, config: Config) -> StateSeal:
        secrets = [secret.reveal().encode() for secret in config.state_secret] or [self._made_secret]
        return StateSeal(secrets, SystemEntropy())

    def _connect(self, config: Config) -> tuple[PooledUpstream, Forwarder, UpstreamCredentials]:
        upstream = config.upstream
        credentials = UpstreamCredentials(config)
        authority = urlsplit(upstream.endpoint).netloc
        route = Route(authority, upstream.region, upstream.addressing == "virtual")
        host, port, secure = _address(upstream.endpoint)
        endpoint = Endpoint(
            host,
            port,
            client_context(upstream.tls) if secure else None,
            upstream.connect_seconds,
            upstream.idle_seconds,
            connections=upstream.connections,
        )
        return PooledUpstream(endpoint), Forwarder(route, credentials.current), credentials

    def _open_log(self, config: Config) -> DecisionLog | None:
        if config.decision_log is None:
            return None
        try:
            return DecisionLog(
                config.decision_log.path,
                lambda ok: self._metrics.audited("decision_log", ok),
                blocks=config.decision_log.when_full == "block",
            )
        except OSError as error:
            message = f"cannot open the decision log: {error.strerror}"
            raise ConfigError([config.source.diagnostic(("decision_log", "path"), message)]) from error

    async def _check_keys(self) -> str | None:
        return await self._ring.check()

    def _open_trail(self, config: Config) -> AuditTrail | None:
        if config.audit is None:
            return None
        try:
            return AuditTrail(config.audit, self._metrics.audited)
        except OSError as error:
            message = f"cannot open the trail of key use: {error.strerror or error}"
            raise ConfigError([config.source.diagnostic(("audit",), message)]) from error

    def _health(self, config: Config) -> Health:
        health = Health()
        host, port, _ = _address(config.upstream.endpoint)
        health.register("upstream", kept(reachable(host, port)))
        health.register("keys", kept(self._check_keys))
        return health


class _NoLog:
    """Where decisions go when the configuration wants no log."""

    refuses = False

    def write(self, record: DecisionRecord) -> None:
        return None


_NO_LOG: AuditSink = _NoLog()


def _address(endpoint: str) -> tuple[str, int, bool]:
    parts = urlsplit(endpoint)
    secure = parts.scheme == "https"
    return parts.hostname or "", parts.port or (443 if secure else 80), secure


def _server_tls(config: Config) -> ssl.SSLContext | None:
    return None if config.listen.tls is None else server_context(config.listen.tls)


def configure_logging(settings: Log) -> None:
    """Send the operator's log to standard error, as text or as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if settings.format == "json" else _PlainFormatter(_PlainFormatter.LINE))
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)


class _PlainFormatter(logging.Formatter):
    """Writes text in which no name of an object can pass for an entry of the log, or command a terminal."""

    LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).split("\n")
        # An entry of several lines has the others indented: one that was forged in the middle begins with spaces.
        return "\n    ".join("".join(map(_escaped, line)) if not line.isprintable() else line for line in lines)


def _escaped(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": self.formatTime(record), "level": record.levelname.lower(), "logger": record.name}
        line["message"] = record.getMessage()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)

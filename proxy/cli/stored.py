"""What the commands share that work on stored objects."""

from __future__ import annotations

from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError, IntegrityError, S3Error
from proxy.server.rotation.session import Session


async def sealed_buckets(session: Session) -> list[str]:
    """Return the store's buckets that are in envelope mode."""
    buckets = await session.depot.buckets()
    return [name for name in buckets if session.config.bucket(name).encryption.mode == "envelope"]


def failed(error: S3Error | IntegrityError) -> ConfigError:
    """Say that the store or a key could not be used."""
    text = f"{error.code}: {error.detail or error.message}" if isinstance(error, S3Error) else str(error)
    return ConfigError([Diagnostic(Severity.ERROR, "failed", text, Span("upstream"))])

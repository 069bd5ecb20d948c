"""What the commands share that work on stored objects."""

from __future__ import annotations

from proxy.config import AwsKms, Config
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError, IntegrityError, S3Error
from proxy.server.rotation.session import Session


async def sealed_buckets(session: Session) -> list[str]:
    """Return the store's buckets that are in envelope mode."""
    buckets = await session.depot.buckets()
    return [name for name in buckets if session.config.bucket(name).encryption.mode == "envelope"]


def labels_of(config: Config, name: str) -> tuple[str, ...]:
    """Return what stored things call a key (`hr`) or a version of one (`hr@1`): keys of KMS go by their ARN there."""
    key = config.keys.get(name)
    if key is not None and isinstance(key.backend, AwsKms):
        return (key.backend.key_arn,)
    return (name,)


def failed(error: S3Error | IntegrityError) -> ConfigError:
    """Say that the store or a key could not be used."""
    text = f"{error.code}: {error.detail or error.message}" if isinstance(error, S3Error) else str(error)
    return ConfigError([Diagnostic(Severity.ERROR, "failed", text, Span("upstream"))])

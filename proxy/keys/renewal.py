"""A new version of a key that lives elsewhere: what its own service does when it is told to rotate.

Asked once and never again: a second try, after an answer that was lost, could rotate twice.
"""

from __future__ import annotations

import asyncio

from proxy.config import KeySettings
from proxy.envelope.entropy import SystemEntropy
from proxy.errors import S3Error
from proxy.keys.registry import remote_service
from proxy.keys.service import KeyUnavailableError


async def rotate_at_service(settings: KeySettings, label: str = "") -> None:
    """Have the service of a key make a new version; a token labels it `label`.

    Raises `S3Error` with what the service refused, ServiceUnavailable when it may or may not have done it;
    `ImportError` where its library is not installed.
    """
    service = remote_service(settings, SystemEntropy())
    try:
        async with asyncio.timeout(settings.timeout_seconds):
            await service.renew(label)
    except (KeyUnavailableError, TimeoutError) as error:
        reason = str(error) or f"did not answer in {settings.timeout_seconds:g} seconds"
        detail = f"the service of the key `{settings.name}` {reason}: look there whether it made a new version"
        raise S3Error("ServiceUnavailable", detail=detail) from error
    finally:
        await service.close()

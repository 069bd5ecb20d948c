"""What is told to whoever keeps uses of master keys on record, and how.

A use is told as it happened, also when it came to nothing, and before anything comes of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from proxy.envelope.context import Context
from proxy.errors import IntegrityError, S3Error

UNKNOWN = "unknown"
"""Stands for the master key of a bucket key whose document does not tell, or is gone."""


MasterAction: TypeAlias = Literal["kms:GenerateDataKey", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"]


@dataclass(frozen=True, slots=True)
class MasterUse:
    """What a master key was asked to do, mostly for a bucket key; also told when it comes to nothing."""

    action: MasterAction
    key: str
    """The master key's ARN, or `UNKNOWN`."""
    kek: str | None
    """None where nothing names a key at all."""
    context: Context
    error: S3Error | IntegrityError | None = None


Witness: TypeAlias = Callable[[MasterUse], Awaitable[None]]
"""Keeps uses on record: what it raises keeps the bucket key from being used."""


async def unwitnessed(use: MasterUse) -> None:
    """Forget it, where no trail is kept."""

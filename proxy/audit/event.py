"""One use of a key, allowed or not. It has no field that could carry a secret."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Literal, TypeAlias

Outcome: TypeAlias = Literal["allowed", "denied", "failed"]
"""`denied`: a policy said no; `failed`: the key, its service or the data did."""

MAX_TEXT = 1024


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Who used a key, for what, and how it ended. `time` is in seconds since the epoch."""

    time: float
    request_id: str
    action: str
    """`kms:Decrypt`, `kms:GenerateDataKey`, `kms:ReEncryptFrom`, `kms:ReEncryptTo`."""
    key: str
    """The key's ARN; `sse-c` for whatever key a client brought."""
    outcome: Outcome
    operation: str
    """The S3 operation, or the command, on whose behalf."""
    bucket: str | None = None
    object: str | None = None
    principal: str | None = None
    """ARN; None is an anonymous caller."""
    access_key_id: str | None = None
    client: str | None = None
    """The caller's address."""
    user_agent: str | None = None
    error: str | None = None
    """The S3 error code, where it was not allowed or failed."""
    kek: str | None = None
    """Id of the bucket key that stood in between."""
    context: Mapping[str, str] = field(default_factory=dict)
    """The encryption context."""


_OPTIONAL = ("bucket", "object", "principal", "access_key_id", "client", "user_agent", "error", "kek")


def to_fields(event: KeyUse) -> dict[str, object]:
    """Return what is written about `event`: absent values are left out, long ones are cut."""
    written: dict[str, object] = {
        "time": timestamp(event.time),
        "request_id": _cut(event.request_id),
        "action": event.action,
        "key": _cut(event.key),
        "outcome": event.outcome,
        "operation": _cut(event.operation),
    }
    for name in _OPTIONAL:
        value = getattr(event, name)
        if value is not None:
            written[name] = value if len(value) <= MAX_TEXT else _cut(value)
    if event.context:
        written["context"] = {_cut(name): _cut(value) for name, value in event.context.items()}
    return written


def timestamp(seconds: float) -> str:
    """Write a time as ISO 8601 in UTC with milliseconds."""
    whole = int(seconds)
    return f"{_to_the_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "..."


FIELDS = tuple(each.name for each in fields(KeyUse))

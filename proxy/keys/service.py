"""What a master key can do, and how it fails.

A key service turns its own library's errors into these three: `KeyUnavailableError` when asking again may
help, `S3Error` when the service answered no, `IntegrityError` edk when what should open does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

from proxy.envelope.context import Context
from proxy.envelope.keyring import Edk

Provider: TypeAlias = Literal["local", "aws-kms", "vault", "pkcs11"]
KeyOp: TypeAlias = Literal["wrap", "unwrap", "check"]
KeyResult: TypeAlias = Literal["ok", "refused", "unavailable", "invalid"]
"""`refused`: the service answered no; `invalid`: what was to be unwrapped does not open."""

Observer: TypeAlias = Callable[[Provider, KeyOp, KeyResult], None]
"""Is told of every use of a key; what `key_requests_total` counts."""


class KeyUnavailableError(Exception):
    """The service did not answer, or answered that it cannot at the moment."""


class KeyService(Protocol):
    """One master key, all versions of it."""

    @property
    def provider(self) -> Provider:
        """What kind of service this is; fit for a metric."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether the key is asked over something that can fail or be slow."""
        ...

    @property
    def can_unwrap(self) -> bool:
        """False for a public key alone."""
        ...

    def names(self, edk: Edk) -> bool:
        """Tell whether `edk` says that this key wrapped it."""
        ...

    async def wrap(self, data_key: bytes, context: Context) -> Edk:
        """Wrap `data_key` with the newest version, bound to `context` where the key can."""
        ...

    async def unwrap(self, edk: Edk, context: Context) -> bytes | None:
        """Return the data key; None when the EDK names another key, or this one cannot unwrap."""
        ...

    async def check(self) -> str | None:
        """Return None when the key can be used, or what is wrong, for the operator."""
        ...

    async def close(self) -> None:
        """Let go of connections, sessions and threads."""
        ...

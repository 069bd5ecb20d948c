"""All keys that are configured: found by name, ARN or alias, and by what an EDK says.

A disabled key refuses every use. The ring does not know who may use a key: callers ask `owners` first,
put the question, and unwrap then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from proxy.config import AwsKms, KeySettings
from proxy.envelope.context import Context
from proxy.envelope.keyring import Edk
from proxy.errors import IntegrityError, S3Error
from proxy.keys.service import KeyService, Observer


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A configured key: what it is called, and the service that has it."""

    name: str
    arn: str
    aliases: tuple[str, ...]
    enabled: bool
    policy: Path | None
    wants_kek: bool
    """Whether a bucket key should stand between it and the objects."""
    service: KeyService
    observe: Observer

    async def wrap(self, data_key: bytes, context: Context) -> Edk:
        """Wrap a data key; raises `S3Error` KMS.DisabledException or ServiceUnavailable."""
        self.refuse_disabled()
        edk = await self.service.wrap(data_key, context)
        if not self.service.is_remote:
            self.observe(self.service.provider, "wrap", "ok")
        return edk

    async def unwrap(self, edk: Edk, context: Context) -> bytes | None:
        """Unwrap a data key; None when `edk` names another key, or this is a public key alone.

        Raises `S3Error` KMS.DisabledException or ServiceUnavailable, `IntegrityError` edk.
        """
        if not self.service.names(edk):
            return None
        self.refuse_disabled()
        try:
            data_key = await self.service.unwrap(edk, context)
        except IntegrityError:
            if not self.service.is_remote:
                self.observe(self.service.provider, "unwrap", "invalid")
            raise
        if not self.service.is_remote:
            self.observe(self.service.provider, "unwrap", "ok" if data_key is not None else "refused")
        return data_key

    def names(self, edk: Edk) -> bool:
        """Tell whether `edk` says that this key wrapped it."""
        return self.service.names(edk)

    def refuse_disabled(self) -> None:
        """Raise `S3Error` KMS.DisabledException for a disabled key."""
        if not self.enabled:
            raise S3Error("KMS.DisabledException", f"{self.arn} is disabled.")


Failed: TypeAlias = Callable[[MasterKey, S3Error | IntegrityError], Awaitable[None]]
"""Is told that a key did not open what names it."""


class KeyRing:
    """The keys of one configuration."""

    def __init__(self, keys: Iterable[MasterKey], settings: Mapping[str, KeySettings]) -> None:
        self._keys = {key.name: key for key in keys}
        self._by_identifier: dict[str, MasterKey] = {}
        for key in self._keys.values():
            stem = key.arn.removesuffix(f"key/{key.name}")
            known = [key.name, f"key/{key.name}", key.arn, *key.aliases, *(stem + alias for alias in key.aliases)]
            backend = settings[key.name].backend
            if isinstance(backend, AwsKms):
                known.append(backend.key_arn)
            self._by_identifier.update(dict.fromkeys(known, key))

    def __iter__(self) -> Iterator[MasterKey]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)

    def named(self, name: str) -> MasterKey | None:
        """Return the key that the configuration calls `name`."""
        return self._keys.get(name)

    def find(self, identifier: str) -> MasterKey:
        """Return the key that a client names by id, ARN, alias or alias ARN.

        Raises `S3Error` KMS.NotFoundException.
        """
        found = self._by_identifier.get(identifier)
        if found is None:
            raise S3Error("KMS.NotFoundException", f"Key '{identifier}' does not exist")
        return found

    def owner(self, edk: Edk) -> MasterKey | None:
        """Return the key that `edk` names, None when it is none of these."""
        return next((key for key in self._keys.values() if key.names(edk)), None)

    def owners(self, edks: Iterable[Edk]) -> tuple[tuple[Edk, MasterKey], ...]:
        """Return those of `edks` that name keys here, each with its key, in their order."""
        return tuple((edk, key) for edk in edks if (key := self.owner(edk)) is not None)

    async def unwrap(
        self, edks: Iterable[Edk], context: Context, failed: Failed | None = None
    ) -> tuple[bytes, MasterKey]:
        """Return the data key from the first EDK that opens, and the key that opened it.

        `failed` is told of each key that was asked and did not open its EDK, whether or not another one does.
        When none opens: raises what the first key that was asked said (`S3Error`, or `IntegrityError` edk),
        or `IntegrityError` key when no EDK names a key here that can unwrap.
        """
        failure: S3Error | IntegrityError | None = None
        for edk, key in self.owners(edks):
            try:
                data_key = await key.unwrap(edk, context)
            except (S3Error, IntegrityError) as error:
                failure = failure or error
                if failed is not None:
                    await failed(key, error)
                continue
            if data_key is not None:
                return data_key, key
        raise failure or IntegrityError("key", "none of the configured keys can open this message")

    async def check(self) -> str | None:
        """Ask every service at once; return what is wrong with which keys, None when all is well.

        Disabled keys are left alone: nobody uses them.
        """
        keys = [key for key in self._keys.values() if key.enabled and key.service.is_remote]
        found = await asyncio.gather(*(key.service.check() for key in keys))
        problems = [f"key `{key.name}`: {problem}" for key, problem in zip(keys, found, strict=True) if problem]
        return "; ".join(problems) or None

    async def close(self) -> None:
        """Let go of every service."""
        for key in self._keys.values():
            await key.service.close()

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

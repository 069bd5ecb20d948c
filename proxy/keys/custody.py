"""The keys of capsules: wrapped under a master key or a bucket key, and found again by what they name.

Reading takes two steps, so that the question who may use the key comes between them: `holders` says
which keys a capsule names, `unwrap` uses one. The key asked about is the one the capsule names, never
one that a request names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxy.config import BucketEncryption
from proxy.envelope.context import EMPTY, Context
from proxy.envelope.customer_key import customer_edk
from proxy.envelope.keyring import Edk
from proxy.errors import IntegrityError, S3Error
from proxy.keys.kek import BucketKeks, Kek, kek_id
from proxy.keys.ring import KeyRing, MasterKey
from proxy.keys.rules import KeyChoice
from proxy.keys.witness import UNKNOWN, MasterUse, Witness, unwitnessed


@dataclass(frozen=True, slots=True)
class Holder:
    """A key that can open a capsule, by what one of its EDKs says."""

    key: MasterKey
    """The master key whose policy decides."""
    edk: Edk
    kek: Kek | None = None


class Custody:
    """Wraps and unwraps the data keys of capsules."""

    def __init__(self, ring: Callable[[], KeyRing], keks: BucketKeks) -> None:
        self._ring = ring
        self._keks = keks

    async def wrap(
        self,
        choice: KeyChoice,
        bucket: str,
        encryption: BucketEncryption,
        data_key: bytes,
        context: Context,
        witness: Witness = unwitnessed,
    ) -> Edk:
        """Wrap the data key of a capsule for an object bound to `bucket`.

        `witness` is told when a bucket key is made or opened for it. Raises `S3Error` KMS.DisabledException,
        ServiceUnavailable.
        """
        if choice.uses_kek:
            return await self._keks.wrap(bucket, choice.key, encryption.kek, data_key, context, witness)
        return await choice.key.wrap(data_key, context)

    async def holders(
        self, bucket: str, encryption: BucketEncryption, edks: Sequence[Edk], witness: Witness = unwitnessed
    ) -> tuple[Holder, ...]:
        """Return the keys here that `edks` name, in their order; at least one.

        `witness` is told when a bucket key is opened for it, or cannot be, and when no key here is named.
        Raises `S3Error` when a bucket key's service is down or its key disabled, and for what only its client
        can open; `IntegrityError` key when no key here is named, kek when the bucket key is gone or does not open.
        """
        if customer_edk(edks) is not None:
            message = "The object is encrypted with a key of its client (SSE-C), which is not kept here."
            raise S3Error("InvalidRequest", message)
        ring = self._ring()
        found = []
        for edk in edks:
            name = kek_id(edk)
            if name is not None:
                kek = await self._keks.find(bucket, name, encryption.kek, witness)
                found.append(Holder(kek.key, edk, kek))
            elif (key := ring.owner(edk)) is not None:
                found.append(Holder(key, edk))
        if not found:
            error = IntegrityError("key", "none of the configured keys is named by this object")
            await witness(MasterUse("kms:Decrypt", UNKNOWN, None, EMPTY, error))
            raise error
        return tuple(found)

    async def unwrap(self, holder: Holder, context: Context) -> bytes:
        """Return the data key; raises `S3Error`, `IntegrityError` edk, or key for a public key alone."""
        if holder.kek is not None:
            data_key = holder.kek.keyring.unwrap(holder.edk, context)
        else:
            data_key = await holder.key.unwrap(holder.edk, context)
        if data_key is None:
            raise IntegrityError("key", f"the key `{holder.key.name}` cannot open what it wrapped here")
        return data_key

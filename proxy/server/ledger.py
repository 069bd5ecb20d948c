"""What commands do with keys, kept on record as what requests do with them is.

A command has no caller whom a policy could be asked about: whoever runs it holds the configuration, and with
it the keys. So its records name the command and what it worked on.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import TypeVar

from proxy.audit.event import KeyUse
from proxy.clock import SystemClock
from proxy.config import BucketEncryption
from proxy.envelope.context import Context
from proxy.envelope.entropy import Entropy
from proxy.errors import IntegrityError, S3Error
from proxy.keys.custody import Custody, Holder
from proxy.keys.ring import KeyRing
from proxy.keys.rules import KeyChoice, choose_key
from proxy.keys.witness import UNKNOWN, MasterAction, MasterUse, Witness
from proxy.s3.headers import Headers
from proxy.server.audit_trail import KeyTrail, master_event

_NO_HEADERS = Headers()
_T = TypeVar("_T")


class Ledger:
    """Records uses of keys on behalf of one command."""

    def __init__(self, trail: KeyTrail, entropy: Entropy, operation: str) -> None:
        """`operation` is what the trail is told."""
        self._trail = trail
        self._entropy = entropy
        self._operation = operation
        self._clock = SystemClock()

    def witness(self, bucket: str, name: str | None) -> Witness:
        """Return what records uses for one object, None for the bucket as a whole, under an id of their own."""
        request_id, operation = self._entropy.random(8).hex().upper(), self._operation

        async def record(use: MasterUse) -> None:
            event = KeyUse(self._clock.now(), request_id, use.action, use.key, "allowed", operation, bucket, name)
            await self._trail.record(master_event(use, event))

        return record


async def recorded(witness: Witness, use: MasterUse, work: Coroutine[None, None, _T]) -> _T:
    """Do the work and record how it went: nothing comes out of a key that is not on record."""
    try:
        result = await work
    except (S3Error, IntegrityError) as error:
        await witness(replace(use, error=error))
        raise
    await witness(use)
    return result


async def choose_default(
    witness: Witness, action: MasterAction, ring: KeyRing, encryption: BucketEncryption, context: Context
) -> KeyChoice:
    """Return the key of a bucket, whose refusal is a use, too; raises `S3Error` as `choose_key` does."""
    try:
        return choose_key(ring, encryption, _NO_HEADERS)
    except S3Error as error:
        key = None if encryption.key is None else ring.named(encryption.key)
        await witness(MasterUse(action, UNKNOWN if key is None else key.arn, None, context, error))
        raise


async def unwrap_recorded(
    custody: Custody,
    holders: Sequence[Holder],
    context: Context,
    witness: Witness,
    action: MasterAction = "kms:ReEncryptFrom",
) -> tuple[Holder, bytes]:
    """Return the first of `holders` that opens, and the data key; raises what the first one said."""
    failure: S3Error | IntegrityError | None = None
    for holder in holders:
        use = MasterUse(action, holder.key.arn, holder.kek.id if holder.kek is not None else None, context)
        try:
            return holder, await recorded(witness, use, custody.unwrap(holder, context))
        except (S3Error, IntegrityError) as error:
            failure = failure or error
    raise failure or IntegrityError("key", "none of the configured keys is named by this object")

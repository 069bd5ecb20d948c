"""Wrapping anew: bucket keys under the master keys of today, capsules under a target key.

Every step leaves the object readable: a document is replaced by one that holds the same bucket key, an
object by itself with a fresh capsule of the same keys, and only if nobody wrote it meanwhile. What is done
already is left alone, so a run that was broken off is simply started again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from proxy.audit.event import KeyUse
from proxy.clock import SystemClock
from proxy.envelope.capsule import redraft_capsule
from proxy.envelope.context import object_arn
from proxy.envelope.keyring import KEY_SIZE
from proxy.envelope.single import envelope_value
from proxy.errors import IntegrityError, S3Error
from proxy.keys.custody import Holder
from proxy.keys.kek import KekDocument, kek_location, seal_kek
from proxy.keys.ring import MasterKey
from proxy.keys.rules import KeyChoice, uses_kek
from proxy.server.rotation.replacing import replace_capsule
from proxy.server.rotation.session import Session
from proxy.server.rotation.usage import edk_name, envelope_of

OPERATION = "keys rewrap"
"""What the trail names as the operation."""

Outcome: TypeAlias = Literal["rewrapped", "current", "plain", "changed", "gone"]
"""`changed`: somebody wrote the object meanwhile; the next run sees to it."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one object or document."""

    key: str
    outcome: Outcome | Literal["failed"]
    problem: str = ""


class Rewrapper:
    """Wraps anew what one bucket holds. `target` None keeps each object under its own key, newest version."""

    def __init__(self, session: Session, *, target: MasterKey | None = None, dry_run: bool = False) -> None:
        self._config = session.config
        self._depot = session.depot
        self._ring = session.ring
        self._custody = session.custody
        self._entropy = session.entropy
        self._trail = session.trail
        self._target = target
        self._dry_run = dry_run
        self._newest: dict[str, str] = {}
        self._clock = SystemClock()

    async def document(self, bucket: str, id: str, document: KekDocument) -> Result:
        """Write a bucket key anew under its key, or the target, and the recovery key of its bucket."""
        try:
            return Result(f"kek/{id}", await self._document(bucket, id, document))
        except (S3Error, IntegrityError) as error:
            return Result(f"kek/{id}", "failed", _words(error))

    async def object(self, bucket: str, key: str) -> Result:
        """Give an object a fresh capsule, if its present one is not under the right key."""
        try:
            return Result(key, await self._object(bucket, key))
        except S3Error as error:
            if error.code == "PreconditionFailed":
                return Result(key, "changed")
            return Result(key, "failed", _words(error))
        except IntegrityError as error:
            return Result(key, "failed", _words(error))

    async def _document(self, bucket: str, id: str, document: KekDocument) -> Outcome:
        bound = self._config.bucket(bucket).encryption.bind_as or bucket
        owners = self._ring.owners(document.edks)
        if not owners:
            raise IntegrityError("key", "none of the configured keys is named by this document")
        masters = [self._target or owners[0][1]]
        recovery = self._config.bucket(bucket).encryption.kek.recovery
        if recovery is not None and (found := self._ring.named(recovery)) is not None:
            masters.append(found)
        wanted = [await self._name_of(master) for master in masters]
        if [edk_name(edk) for edk in document.edks] == wanted:
            return "current"
        if document.id != id:
            raise IntegrityError("kek", "another bucket key stands in its place")
        data_key, _ = await self._ring.unwrap(document.edks, document.context(bound))
        secret = document.open(data_key, bound)
        if self._dry_run:
            return "rewrapped"
        await self._record("kms:ReEncryptFrom", owners[0][1], bucket, f"kek/{id}")
        await self._record("kms:ReEncryptTo", masters[0], bucket, f"kek/{id}")
        fresh = await seal_kek(id, secret, document.created, bound, masters, self._entropy)
        place, key = kek_location(self._config.upstream.state, bound, id)
        await self._depot.put(place, key, fresh)
        if await self._depot.get(place, key) != fresh:
            return "changed"
        # Older versions of the document are still wrapped by the old key.
        for version, latest in await self._depot.versions(place, key):
            if not latest and version not in ("", "null"):
                await self._depot.delete(place, key, version)
        return "rewrapped"

    async def _object(self, bucket: str, key: str) -> Outcome:
        stored = await self._depot.head(bucket, key)
        if stored is None:
            return "gone"
        envelope = envelope_of(stored)
        if envelope is None:
            return "plain"
        encryption = self._config.bucket(bucket).encryption
        bound = encryption.bind_as or bucket
        holders = await self._custody.holders(bound, encryption, envelope.capsule.edks)
        target = self._target or holders[0].key
        if len(holders) == len(envelope.capsule.edks) == 1 and await self._is_current(holders[0], target):
            return "current"
        arn = object_arn(bound, key)
        keys = None
        failure: S3Error | IntegrityError | None = None
        for holder in holders:
            try:
                keys = envelope.capsule.open(await self._custody.unwrap(holder, envelope.capsule.context(arn)), arn)
                break
            except (S3Error, IntegrityError) as error:
                failure = failure or error
        if keys is None:
            raise failure or IntegrityError("key", "the capsule names no key here")
        if self._dry_run:
            return "rewrapped"
        await self._record("kms:ReEncryptFrom", holders[0].key, bucket, key)
        await self._record("kms:ReEncryptTo", target, bucket, key)
        draft = redraft_capsule(envelope.capsule, arn, keys, self._entropy)
        choice = KeyChoice(target, is_kms=True, uses_kek=uses_kek(target, encryption, None))
        edk = await self._custody.wrap(choice, bound, encryption, draft.data_key, draft.context)
        value = envelope_value(draft.seal([edk]), envelope.body_header)
        written = await replace_capsule(self._depot, stored, envelope, keys, value)
        return "rewrapped" if written else "changed"

    async def _record(self, action: str, key: MasterKey, bucket: str, name: str) -> None:
        """Keep on record what is about to be done, by whoever runs the command."""
        now, request_id = self._clock.now(), self._entropy.random(8).hex().upper()
        await self._trail.record(KeyUse(now, request_id, action, key.arn, "allowed", OPERATION, bucket, name))

    async def _is_current(self, holder: Holder, target: MasterKey) -> bool:
        if holder.key.name != target.name:
            return False
        return holder.kek is not None or edk_name(holder.edk) == await self._name_of(target)

    async def _name_of(self, master: MasterKey) -> str:
        """Return how EDKs of a key's newest version name it; a service may keep versions to itself."""
        known = self._newest.get(master.name)
        if known is None:
            edk = await master.wrap(self._entropy.random(KEY_SIZE), {"s3w": "probe"})
            known = self._newest[master.name] = edk_name(edk)
        return known


def _words(error: S3Error | IntegrityError) -> str:
    if isinstance(error, IntegrityError):
        return str(error)
    return f"{error.code}: {error.detail or error.message}"

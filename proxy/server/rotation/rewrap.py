"""Wrapping anew: bucket keys under the master keys of today, capsules under a target key.

Every step leaves the object readable: a document is replaced by one that holds the same bucket key, an
object by itself with a fresh capsule of the same keys, and only if nobody wrote it meanwhile. What is done
already is left alone, so a run that was broken off is simply started again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from proxy.envelope.capsule import redraft_capsule
from proxy.envelope.context import object_arn
from proxy.envelope.customer_key import customer_edk
from proxy.envelope.keyring import KEY_SIZE
from proxy.envelope.single import Envelope, envelope_value
from proxy.errors import IntegrityError, S3Error
from proxy.keys.custody import Holder
from proxy.keys.kek import KekDocument, kek_location, open_kek, seal_kek
from proxy.keys.ring import MasterKey
from proxy.keys.rules import KeyChoice, uses_kek
from proxy.keys.witness import MasterUse, Witness
from proxy.server.ledger import Ledger, recorded, unwrap_recorded
from proxy.server.rotation import steps
from proxy.server.rotation.depot import USUAL, Guard, Stored
from proxy.server.rotation.replacing import NULL_VERSION, replace_capsule
from proxy.server.rotation.session import Session
from proxy.server.rotation.usage import edk_name, envelope_of

OPERATION = "keys rewrap"
"""What the trail names as the operation."""

Outcome: TypeAlias = Literal[
    "rewrapped", "current", "plain", "customer", "changed", "gone", "older", "archived", "failed"
]  # fmt: skip
"""`changed`: somebody wrote the object meanwhile; the next run sees to it. `customer`: its key is its client's.
`older`: a version that stays under an older key. `archived`: in a class that has to be restored first."""
_OVERTAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "NoSuchVersion"})
"""What a store answers to a copy of an object that was written or deleted meanwhile."""
_PROBE = {"s3w": "probe"}
"""The context of a data key that is wrapped for nothing but to see what the newest version is called."""
_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one object or document."""

    key: str
    outcome: Outcome
    problem: str = ""
    version: str = ""
    """The id of an older version."""


class Rewrapper:
    """Wraps anew what one bucket holds. `target` None keeps each object under its own key, newest version."""

    def __init__(
        self,
        session: Session,
        *,
        target: MasterKey | None = None,
        dry_run: bool = False,
        guard: Guard = USUAL,
        suspended: bool = False,
    ) -> None:
        """`guard` is what the store checks; `suspended` says that the bucket's versioning is."""
        self._config = session.config
        self._depot = session.depot
        self._ring = session.ring
        self._custody = session.custody
        self._entropy = session.entropy
        self._ledger = Ledger(session.trail, session.entropy, OPERATION)
        self._target = target
        self._dry_run = dry_run
        self._guard = guard
        self._suspended = suspended
        self._newest: dict[str, str] = {}

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
            if error.code in _OVERTAKEN:
                return Result(key, "changed")
            return Result(key, "failed", _words(error))
        except IntegrityError as error:
            return Result(key, "failed", _words(error))

    async def older(self, bucket: str, key: str, version: str) -> Result:
        """Tell whether an older version is under the right key; nothing can put it there but a new version."""
        try:
            stored = await self._depot.head(bucket, key, version)
            envelope = envelope_of(stored) if stored is not None else None
            if envelope is None:
                return Result(key, "plain" if stored is not None else "gone", version=version)
            if customer_edk(envelope.capsule.edks) is not None:
                return Result(key, "customer", version=version)
            encryption = self._config.bucket(bucket).encryption
            bound, witness = encryption.bind_as or bucket, self._ledger.witness(bucket, key)
            holders = await self._custody.holders(bound, encryption, envelope.capsule.edks, witness)
            current = await self._are_current(envelope, holders, witness)
            return Result(key, "current" if current else "older", version=version)
        except (S3Error, IntegrityError) as error:
            return Result(key, "failed", _words(error), version)

    async def _document(self, bucket: str, id: str, document: KekDocument) -> Outcome:
        bound = self._config.bucket(bucket).encryption.bind_as or bucket
        owners = self._ring.owners(document.edks)
        if not owners:
            raise IntegrityError("key", "none of the configured keys is named by this document")
        masters = [self._target or owners[0][1]]
        recovery = self._config.bucket(bucket).encryption.kek.recovery
        if recovery is not None and (found := self._ring.named(recovery)) is not None:
            masters.append(found)
        witness = self._ledger.witness(bucket, f"kek/{id}")
        wanted = [await self._name_of(master, witness) for master in masters]
        place, key = kek_location(self._config.upstream.state, bound, id)
        if [edk_name(edk) for edk in document.edks] == wanted:
            # A run that was broken off may have left older versions behind.
            return "rewrapped" if await self._prune(place, key) else "current"
        if document.id != id:
            raise IntegrityError("kek", "another bucket key stands in its place")
        secret = await open_kek(document, bound, self._ring, "kms:ReEncryptFrom", witness)
        if self._dry_run:
            return "rewrapped"
        fresh = await seal_kek(
            document.id, secret, document.created, bound, masters, self._entropy, "kms:ReEncryptTo", witness
        )
        await self._depot.put(place, key, fresh)
        steps.reached("document-written")
        if await self._depot.get(place, key) != fresh:
            return "changed"
        await self._prune(place, key)
        steps.reached("document-pruned")
        return "rewrapped"

    async def _prune(self, bucket: str, key: str) -> bool:
        """Delete the older versions of a document, which an older key opens; tell whether there were any."""
        if not await self._depot.versioning(bucket):
            return False
        older = [version for version in await self._depot.versions(bucket, key) if not version.latest]
        for version in older if not self._dry_run else ():
            await self._depot.delete(bucket, key, version.id)
        return bool(older)

    async def _object(self, bucket: str, key: str) -> Outcome:
        stored = await self._depot.head(bucket, key)
        if stored is None:
            return "gone"
        envelope = envelope_of(stored)
        if envelope is None:
            return "plain"
        if customer_edk(envelope.capsule.edks) is not None:
            return "customer"
        encryption = self._config.bucket(bucket).encryption
        bound = encryption.bind_as or bucket
        witness = self._ledger.witness(bucket, key)
        holders = await self._custody.holders(bound, encryption, envelope.capsule.edks, witness)
        target = self._target or holders[0].key
        if await self._are_current(envelope, holders, witness):
            return "current"
        if _is_archived(stored):
            return "archived"
        await self._refuse_to_replace_history(stored)
        arn = object_arn(bound, key)
        _, data_key = await unwrap_recorded(self._custody, holders, envelope.capsule.context(arn), witness)
        keys = envelope.capsule.open(data_key, arn)
        if self._dry_run:
            return "rewrapped"
        draft = redraft_capsule(envelope.capsule, arn, keys, self._entropy)
        choice = KeyChoice(target, is_kms=True, uses_kek=uses_kek(target, encryption, None))
        wrapping = self._custody.wrap(choice, bound, encryption, draft.data_key, draft.context, witness)
        edk = await recorded(witness, MasterUse("kms:ReEncryptTo", target.arn, None, draft.context), wrapping)
        value = envelope_value(draft.seal([edk]), envelope.body_header)
        state = self._config.upstream.state
        written = await replace_capsule(self._depot, stored, envelope, keys, value, guard=self._guard, state=state)
        return "rewrapped" if written else "changed"

    async def _refuse_to_replace_history(self, stored: Stored) -> None:
        """Refuse a copy that would take the place of an older version: where versioning is suspended, `null`'s."""
        if not self._suspended or stored.headers.joined("x-amz-version-id") in (None, "", NULL_VERSION):
            return
        if any(version.id == NULL_VERSION for version in await self._depot.versions(stored.bucket, stored.key)):
            detail = "versioning is suspended, so a new version would replace the older one called null"
            raise S3Error("InvalidRequest", detail=detail)

    async def _are_current(self, envelope: Envelope, holders: tuple[Holder, ...], witness: Witness) -> bool:
        target = self._target or holders[0].key
        return len(holders) == len(envelope.capsule.edks) == 1 and await self._is_current(holders[0], target, witness)

    async def _is_current(self, holder: Holder, target: MasterKey, witness: Witness) -> bool:
        if holder.key.name != target.name:
            return False
        return holder.kek is not None or edk_name(holder.edk) == await self._name_of(target, witness)

    async def _name_of(self, master: MasterKey, witness: Witness) -> str:
        """Return how EDKs of a key's newest version name it; a service may keep versions to itself."""
        known = self._newest.get(master.name)
        if known is None:
            wrapping = master.wrap(self._entropy.random(KEY_SIZE), _PROBE)
            edk = await recorded(witness, MasterUse("kms:GenerateDataKey", master.arn, None, _PROBE), wrapping)
            known = self._newest[master.name] = edk_name(edk)
        return known


def _is_archived(stored: Stored) -> bool:
    """Tell whether the content has to be restored before it can be copied."""
    restored = 'ongoing-request="false"' in (stored.headers.joined("x-amz-restore") or "")
    archived = stored.headers.joined("x-amz-archive-status") is not None
    return (archived or stored.headers.joined("x-amz-storage-class") in _ARCHIVED) and not restored


def _words(error: S3Error | IntegrityError) -> str:
    if isinstance(error, IntegrityError):
        return str(error)
    return f"{error.code}: {error.detail or error.message}"

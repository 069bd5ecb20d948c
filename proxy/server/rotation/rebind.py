"""Binding an object to the name it was given behind the proxy: a fresh capsule round the same stored bytes.

Whoever renamed it may also have changed the number of its stored parts, which is part of an object's
form: the copy that carries the new capsule goes along the boundaries that its trailer names.
"""

from __future__ import annotations

from proxy.audit.event import KeyUse
from proxy.clock import SystemClock
from proxy.envelope.capsule import redraft_capsule
from proxy.envelope.context import Context, object_arn
from proxy.envelope.single import envelope_value
from proxy.errors import IntegrityError, S3Error
from proxy.keys.custody import Holder
from proxy.keys.ring import MasterKey
from proxy.keys.rules import choose_key
from proxy.s3.headers import Headers
from proxy.server.rotation.replacing import replace_capsule
from proxy.server.rotation.session import Session
from proxy.server.rotation.usage import envelope_of

OPERATION = "object rebind"
"""What the trail names as the operation."""

_NO_HEADERS = Headers()


async def rebind(session: Session, bucket: str, key: str, version: str, origin: tuple[str, str]) -> None:
    """Bind an object that is bound to `origin`, bucket and key, to its own name, under its bucket's key.

    Of an old version this makes a new one. Raises `S3Error` NoSuchKey, PreconditionFailed for an object that
    is written meanwhile; `IntegrityError` for one that is not encrypted or not bound to `origin`.
    """
    stored = await session.depot.head(bucket, key, version)
    if stored is None:
        raise S3Error("NoSuchKey")
    envelope = envelope_of(stored)
    if envelope is None:
        raise IntegrityError("unmarked", "the object is not encrypted")
    encryption = session.config.bucket(bucket).encryption
    arn = object_arn(*origin)
    holders = await session.custody.holders(origin[0], encryption, envelope.capsule.edks)
    holder, data_key = await _unwrap(session, holders, envelope.capsule.context(arn))
    keys = envelope.capsule.open(data_key, arn)
    home = encryption.bind_as or bucket
    draft = redraft_capsule(envelope.capsule, object_arn(home, key), keys, session.entropy)
    choice = choose_key(session.ring, encryption, _NO_HEADERS)
    await _record(session, "kms:ReEncryptFrom", holder.key, bucket, key, envelope.capsule.context(arn))
    await _record(session, "kms:ReEncryptTo", choice.key, bucket, key, draft.context)
    edk = await session.custody.wrap(choice, home, encryption, draft.data_key, draft.context)
    value = envelope_value(draft.seal([edk]), envelope.body_header)
    state = session.config.upstream.state
    if not await replace_capsule(session.depot, stored, envelope, keys, value, recount=True, state=state):
        raise S3Error("PreconditionFailed", detail="somebody wrote the object meanwhile")


async def _unwrap(session: Session, holders: tuple[Holder, ...], context: Context) -> tuple[Holder, bytes]:
    failure: S3Error | IntegrityError | None = None
    for holder in holders:
        try:
            return holder, await session.custody.unwrap(holder, context)
        except (S3Error, IntegrityError) as error:
            failure = failure or error
    raise failure or IntegrityError("key", "none of the configured keys is named by this object")


async def _record(session: Session, action: str, key: MasterKey, bucket: str, name: str, context: Context) -> None:
    """Keep on record what is about to be done, by whoever runs the command."""
    now, request_id = SystemClock().now(), session.entropy.random(8).hex().upper()
    use = KeyUse(now, request_id, action, key.arn, "allowed", OPERATION, bucket, name, context=context)
    await session.trail.record(use)

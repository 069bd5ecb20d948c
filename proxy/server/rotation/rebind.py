"""Binding an object to the name it was given behind the proxy: a fresh capsule round the same stored bytes.

Whoever renamed it may also have changed the number of its stored parts, which is part of an object's
form: the copy that carries the new capsule goes along the boundaries that its trailer names.
"""

from __future__ import annotations

from proxy.envelope.capsule import redraft_capsule
from proxy.envelope.context import object_arn
from proxy.envelope.single import envelope_value
from proxy.errors import IntegrityError, S3Error
from proxy.keys.witness import MasterUse
from proxy.server.ledger import Ledger, choose_default, recorded, unwrap_recorded
from proxy.server.rotation.replacing import replace_capsule
from proxy.server.rotation.session import Session
from proxy.server.rotation.usage import envelope_of

OPERATION = "object rebind"
"""What the trail names as the operation."""


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
    witness = Ledger(session.trail, session.entropy, OPERATION).witness(bucket, key)
    holders = await session.custody.holders(origin[0], encryption, envelope.capsule.edks, witness)
    _, data_key = await unwrap_recorded(session.custody, holders, envelope.capsule.context(arn), witness)
    keys = envelope.capsule.open(data_key, arn)
    home = encryption.bind_as or bucket
    draft = redraft_capsule(envelope.capsule, object_arn(home, key), keys, session.entropy)
    choice = await choose_default(witness, "kms:ReEncryptTo", session.ring, encryption, draft.context)
    wrapping = session.custody.wrap(choice, home, encryption, draft.data_key, draft.context, witness)
    edk = await recorded(witness, MasterUse("kms:ReEncryptTo", choice.key.arn, None, draft.context), wrapping)
    value = envelope_value(draft.seal([edk]), envelope.body_header)
    state = session.config.upstream.state
    if not await replace_capsule(session.depot, stored, envelope, keys, value, recount=True, state=state):
        raise S3Error("PreconditionFailed", detail="somebody wrote the object meanwhile")

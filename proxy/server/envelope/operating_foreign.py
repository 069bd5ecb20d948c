"""What other software encrypted, in the operator's hands: its data keys, and its plaintext once it is verified.

The same is opened as clients are served, and no more: a message that names the object, or anything where the bucket
holds such objects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from proxy.config import AwsKms, Config
from proxy.envelope.context import ARN_NAME, object_arn
from proxy.envelope.foreign import ForeignHeader, ForeignOpener, looks_foreign, parse_foreign_header
from proxy.envelope.frames import Buffer
from proxy.envelope.s3ec import (
    KMS_WRAP,
    ClientObject,
    ClientObjectOpener,
    is_client_encrypted,
    kms_edk,
    need_client_object,
)
from proxy.errors import IntegrityError, S3Error
from proxy.keys.custody import Custody
from proxy.keys.ring import KeyRing, MasterKey
from proxy.keys.witness import MasterUse, Witness
from proxy.server.envelope.concealed import Found
from proxy.server.envelope.holding import refuse_large_object
from proxy.server.envelope.keys import unwrap_with_version
from proxy.server.envelope.messages import refuse_unframed
from proxy.server.envelope.passage import opened
from proxy.server.ledger import recorded, unwrap_recorded
from proxy.server.upstream import UpstreamAnswer


@dataclass(frozen=True, slots=True)
class ForeignMessage:
    """A whole Encryption SDK message, and its data key."""

    header: ForeignHeader
    data_key: bytes = field(repr=False)

    async def read(self, answer: UpstreamAnswer, size: int) -> AsyncIterator[Buffer]:
        """Yield the plaintext of all `size` stored bytes in an answer; raises `IntegrityError`."""
        start = len(self.header.raw)
        opener = ForeignOpener(self.header, self.data_key)
        async for piece in opened(answer, opener, start, size - start):
            yield piece


@dataclass(frozen=True, slots=True)
class ForeignObject:
    """An object of the S3 Encryption Client, and its data key."""

    described: ClientObject
    data_key: bytes = field(repr=False)

    async def read(self, answer: UpstreamAnswer, size: int) -> AsyncIterator[Buffer]:
        """Yield the plaintext in one piece, verified; raises `IntegrityError`."""
        opener = ClientObjectOpener(self.described, self.data_key)
        while data := await answer.read():
            opener.feed(data)
        yield opener.finish()


class ForeignContents:
    """Finds out what an object without the proxy's mark is, and opens its key on record."""

    def __init__(self, config: Config, ring: KeyRing, custody: Custody) -> None:
        self._config = config
        self._ring = ring
        self._custody = custody

    async def find(
        self, bucket: str, key: str, found: Found, start: bytes, witness: Witness
    ) -> ForeignMessage | ForeignObject:
        """Return what the object that begins with `start` holds.

        Raises `IntegrityError` unmarked for plain objects, and for what its bucket does not serve; `S3Error` for keys
        that cannot be used, NotImplemented for what is too large to be verified.
        """
        encryption = self._config.bucket(bucket).encryption
        serves_all = encryption.mode != "envelope" or encryption.read_plaintext
        home = encryption.bind_as or bucket
        if is_client_encrypted(found.metadata) and serves_all:
            refuse_large_object(found.size)
            described = need_client_object(found.metadata)
            return ForeignObject(described, await self._key_of_object(described, witness))
        if is_client_encrypted(found.metadata) or not looks_foreign(start[:4]):
            raise IntegrityError("unmarked", "the object is not encrypted")
        header = parse_foreign_header(start)
        if header.context.get(ARN_NAME) != object_arn(home, key) and not serves_all:
            raise IntegrityError("unmarked", "the message does not name the object, as its bucket demands")
        refuse_unframed(header, found.size)
        holders = await self._custody.holders(home, encryption, header.edks, witness)
        data_key = (await unwrap_recorded(self._custody, holders, header.context, witness, "kms:Decrypt"))[1]
        return ForeignMessage(header, data_key)

    async def _key_of_object(self, described: ClientObject, witness: Witness) -> bytes:
        """Try every key that could be the one: such an object does not say whose key wrapped its own."""
        failure: S3Error | None = None
        for key in self._ring:
            use = MasterUse("kms:Decrypt", key.arn, None, described.context)
            try:
                data_key = await self._try(key, described, use, witness)
            except IntegrityError:
                continue
            except S3Error as error:
                failure = failure or error
            else:
                if data_key is not None:
                    return data_key
        raise failure or IntegrityError("s3ec", "no key opens the object of the S3 Encryption Client")

    async def _try(self, key: MasterKey, described: ClientObject, use: MasterUse, witness: Witness) -> bytes | None:
        settings = self._config.keys[key.name]
        if described.wrap == KMS_WRAP:
            if not isinstance(settings.backend, AwsKms):
                return None
            edk = kms_edk(described, settings.backend.key_arn)
            return await recorded(witness, use, key.unwrap(edk, described.context))
        for version in settings.versions:
            try:
                data_key = unwrap_with_version(described, version)
            except IntegrityError:
                continue
            if data_key is not None:
                return await recorded(witness, use, _enabled(key, data_key))
        return None


async def _enabled(key: MasterKey, data_key: bytes) -> bytes:
    """Return what a key opened, unless it is disabled."""
    key.refuse_disabled()
    return data_key

"""Bucket keys (KEKs): one key of a bucket's own, wrapped by the master key, that wraps many objects.

A KEK is stored as an ordinary complete Encryption SDK message whose plaintext is the 32-byte key, bound
to the bucket's name, with one EDK for its master key and one for an optional offline recovery key. So
the master key is asked once per KEK rather than once per object, and rotating it rewrites one small
document. Each process makes KEKs of its own, so that it alone counts what they wrap.

Who may use a KEK is who may use its master key: ask about `Kek.key`, cached or not.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html (the same idea at AWS)
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol
from weakref import WeakValueDictionary

from proxy.clock import Clock
from proxy.config import KekSettings, State
from proxy.envelope.context import ARN_NAME, Context
from proxy.envelope.entropy import Entropy
from proxy.envelope.frames import open_whole, seal_whole
from proxy.envelope.keyring import KEY_SIZE, NONCE_SIZE, PROVIDER, AesKeyring, Edk, aes_info_prefix
from proxy.envelope.message import DataKey, Header, open_header, parse_header
from proxy.envelope.sizes import FRAME
from proxy.errors import IntegrityError, S3Error
from proxy.keys.ring import KeyRing, MasterKey
from proxy.keys.witness import UNKNOWN, MasterAction, MasterUse, Witness, unwitnessed

ID_BYTES = 16
MAX_CACHED = 1024
_KIND = "1k"
_KIND_NAME, _ID_NAME, _CREATED_NAME, _BUCKET_NAME = "s3w", "s3w-kek", "s3w-created", "s3w-bucket"
_EDK_PREFIX = b"kek/"
_INFO_END = aes_info_prefix("")
_ID_SIZE = ID_BYTES * 2
_INFO_SIZE = len(_EDK_PREFIX) + _ID_SIZE + len(_INFO_END) + NONCE_SIZE


class KekStore(Protocol):
    """Where KEK documents are kept: small objects of the proxy's own on the backend."""

    async def get(self, bucket: str, key: str) -> bytes | None:
        """Return an object, None if there is none; raises `S3Error` ServiceUnavailable."""
        ...

    async def put(self, bucket: str, key: str, body: bytes) -> object:
        """Write an object; raises `S3Error` ServiceUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class KekDocument:
    """A KEK as stored. Nothing in it is authenticated until it was opened."""

    id: str
    bucket: str
    """The bucket it is for; several keep theirs in one place where there is a state bucket."""
    created: float
    edks: tuple[Edk, ...]
    raw: bytes = field(repr=False)
    _header: Header = field(repr=False)

    def context(self, bucket: str) -> Context:
        """Return the context that its data key is wrapped under."""
        return {**self._header.context, ARN_NAME: bucket_arn(bucket)}

    def open(self, data_key: bytes, bucket: str) -> bytes:
        """Verify everything and return the KEK; raises `IntegrityError`."""
        key = open_header(self._header, data_key, {ARN_NAME: bucket_arn(bucket)})
        secret = open_whole(key, self.raw[self._header.size :])
        if len(secret) != KEY_SIZE:
            raise IntegrityError("kek", "a bucket key has another length")
        return secret


class _WipedKeyring(AesKeyring):
    """A keyring whose key is overwritten as soon as nobody can use it any more.

    cryptography's cipher keeps the very buffer that it was made with, for as long as it lives. What the key
    was read from is freed at once, and not overwritten: Python's bytes cannot be.
    """

    __slots__ = ("_secret",)

    def __init__(self, name: str, secret: bytes, entropy: Entropy) -> None:
        # INVARIANT: nobody else holds the buffer, and it changes only when the cipher is out of reach, too.
        self._secret = bytearray(secret)
        super().__init__(PROVIDER, name, self._secret, entropy)

    def __del__(self) -> None:
        self._secret[:] = bytes(KEY_SIZE)


@dataclass(slots=True)
class Kek:
    """A bucket key in memory; its keyring has the only lasting copy of its secret."""

    id: str
    key: MasterKey
    """Its master key: whoever may use that may use this."""
    created: float
    keyring: AesKeyring
    fetched: float
    expires: float
    """When it is dropped from memory at the latest, if nobody opened it again."""
    used: int = 0


class _GoneError(IntegrityError):
    """There is no document of a KEK any more."""


@dataclass(frozen=True, slots=True)
class _Resting:
    """What is left of a writing KEK that nobody used for a while: which one to open again, and what it took."""

    id: str
    created: float
    used: int


def kek_location(state: State, bucket: str, kek_id: str) -> tuple[str, str]:
    """Return bucket and key of a KEK's document."""
    return state.bucket or bucket, f"{state.prefix}kek/{kek_id}"


def bucket_arn(bucket: str) -> str:
    """Name a bucket as S3 Bucket Keys do in their encryption context."""
    return f"arn:aws:s3:::{bucket}"


def kek_id(edk: Edk) -> str | None:
    """Return the id of the KEK that wrapped a data key, None when it was no KEK."""
    info = edk.key_info
    if edk.provider_id != PROVIDER or not info.startswith(_EDK_PREFIX) or len(info) != _INFO_SIZE:
        return None
    name = info[len(_EDK_PREFIX) : len(_EDK_PREFIX) + _ID_SIZE]
    is_hex = all(byte in b"0123456789abcdef" for byte in name)
    return name.decode() if is_hex and info[len(_EDK_PREFIX) + _ID_SIZE :].startswith(_INFO_END) else None


def parse_kek(raw: bytes) -> KekDocument:
    """Read a KEK document; raises `IntegrityError`."""
    header = parse_header(raw, FRAME)
    context = header.context
    created = context.get(_CREATED_NAME, "")
    if context.get(_KIND_NAME) != _KIND or not (created.isascii() and created.isdigit()):
        raise IntegrityError("kek", "the document is no bucket key")
    name, bucket = context.get(_ID_NAME, ""), context.get(_BUCKET_NAME, "")
    return KekDocument(name, bucket, float(created), header.edks, raw, header)


async def seal_kek(
    id: str,
    secret: bytes,
    created: float,
    bucket: str,
    masters: Sequence[MasterKey],
    entropy: Entropy,
    action: MasterAction,
    witness: Witness,
) -> bytes:
    """Write a fresh document for a KEK under each of `masters`; raises as `MasterKey.wrap` does.

    `witness` is told of each key as it was used, and of the one that failed.
    """
    data_key = DataKey(entropy)
    stored = {_KIND_NAME: _KIND, _ID_NAME: id, _CREATED_NAME: str(int(created)), _BUCKET_NAME: bucket}
    required = {ARN_NAME: bucket_arn(bucket)}
    edks = []
    for master in masters:
        use = MasterUse(action, master.arn, id, required)
        try:
            edks.append(await master.wrap(data_key.plaintext, {**stored, **required}))
        except (S3Error, IntegrityError) as error:
            await witness(replace(use, error=error))
            raise
        await witness(use)
    header, sealing = data_key.seal_header(MappingProxyType(stored), edks, FRAME, required)
    return header + seal_whole(sealing, secret)


async def open_kek(document: KekDocument, bucket: str, ring: KeyRing, action: MasterAction, witness: Witness) -> bytes:
    """Return the KEK that a document holds; `witness` is told of every key that was asked for it.

    Raises `S3Error`, `IntegrityError`.
    """
    about = {ARN_NAME: bucket_arn(bucket)}
    told = False

    async def failed(key: MasterKey, error: S3Error | IntegrityError) -> None:
        nonlocal told
        told = True
        await witness(MasterUse(action, key.arn, document.id, about, error))

    try:
        data_key, opener = await ring.unwrap(document.edks, document.context(bucket), failed)
    except (S3Error, IntegrityError) as error:
        if not told:
            named = ring.owners(document.edks)
            await witness(MasterUse(action, named[0][1].arn if named else UNKNOWN, document.id, about, error))
        raise
    try:
        secret = document.open(data_key, bucket)
    except IntegrityError as error:
        await failed(opener, error)
        raise
    await witness(MasterUse(action, opener.arn, document.id, about))
    return secret


class BucketKeks:
    """The KEKs that this process wrote or read, kept for a bounded time and a bounded number of uses."""

    def __init__(
        self,
        ring: Callable[[], KeyRing],
        store: KekStore,
        state: Callable[[], State],
        entropy: Entropy,
        clock: Clock,
    ) -> None:
        self._ring = ring
        self._store = store
        self._state = state
        self._entropy = entropy
        self._clock = clock
        self._writing: dict[tuple[str, str, str | None], Kek] = {}
        self._resting: dict[tuple[str, str, str | None], _Resting] = {}
        self._known: OrderedDict[tuple[str, str], Kek] = OrderedDict()
        self._locks: WeakValueDictionary[object, asyncio.Lock] = WeakValueDictionary()

    async def wrap(
        self,
        bucket: str,
        master: MasterKey,
        settings: KekSettings,
        data_key: bytes,
        context: Context,
        witness: Witness = unwitnessed,
    ) -> Edk:
        """Wrap a data key under the bucket's current KEK of `master`, making one where needed.

        `bucket` is the name that objects are bound to, which is where the KEK is kept. Raises `S3Error`.
        """
        kek = await self._current(bucket, master, settings, witness)
        kek.used += 1
        return kek.keyring.wrap(data_key, context)

    async def find(self, bucket: str, id: str, settings: KekSettings, witness: Witness = unwitnessed) -> Kek:
        """Return the KEK called `id`; raises `S3Error`, or `IntegrityError` when it is gone or does not open.

        The key service is asked when it is not in memory, or has been for too long.
        """
        place = (bucket, id)
        known = self._known.get(place)
        if known is None or self._is_stale(known, settings):
            async with self._lock(place):
                known = self._known.get(place)
                if known is None or self._is_stale(known, settings):
                    known = await self._fetch(bucket, id, settings, witness, known.used if known is not None else 0)
        known.key = await self._in_force(known.key, "kms:Decrypt", bucket, id, witness)
        self._known.move_to_end(place)
        return known

    def forget(self) -> None:
        """Drop every KEK from memory; the next use asks the key services again."""
        self._writing.clear()
        self._resting.clear()
        self._known.clear()

    async def _current(self, bucket: str, master: MasterKey, settings: KekSettings, witness: Witness) -> Kek:
        place = (bucket, master.name, settings.recovery)
        kek = self._writing.get(place)
        if kek is None or not self._serves(kek, settings) or self._is_stale(kek, settings):
            async with self._lock(place):
                kek, resting = self._writing.get(place), self._resting.get(place)
                last = kek or resting
                if last is None or not self._serves(last, settings):
                    kek = await self._make(bucket, master, settings, witness)
                elif kek is None or (master.service.can_unwrap and self._is_stale(kek, settings)):
                    # Opened again, so that a key that was revoked at its service stops writing as it stops reading.
                    try:
                        kek = await self._fetch(bucket, last.id, settings, witness, last.used)
                    except _GoneError:
                        # With its document went what it wrapped. New objects must not go the same way, nor wait.
                        kek = await self._make(bucket, master, settings, witness)
                self._writing[place] = kek
                self._resting.pop(place, None)
        await self._in_force(master, "kms:GenerateDataKey", bucket, kek.id, witness)
        return kek

    def _serves(self, kek: Kek | _Resting, settings: KekSettings) -> bool:
        """Tell whether a KEK may take another object."""
        return kek.used < settings.max_objects and self._clock.now() - kek.created < settings.max_age_hours * 3600

    def _is_stale(self, kek: Kek, settings: KekSettings) -> bool:
        return self._clock.now() - kek.fetched >= settings.cache_seconds

    async def _in_force(
        self, key: MasterKey, action: MasterAction, bucket: str, id: str, witness: Witness
    ) -> MasterKey:
        """Return the key as it is configured now; raises `S3Error` when it is gone or disabled."""
        current = self._ring().named(key.name)
        try:
            if current is None:
                raise S3Error("KMS.NotFoundException", f"Key '{key.arn}' does not exist")
            current.refuse_disabled()
        except S3Error as error:
            await witness(MasterUse(action, key.arn, id, {ARN_NAME: bucket_arn(bucket)}, error))
            raise
        return current

    async def _make(self, bucket: str, master: MasterKey, settings: KekSettings, witness: Witness) -> Kek:
        name = self._entropy.random(ID_BYTES).hex()
        secret = self._entropy.random(KEY_SIZE)
        now = self._clock.now()
        masters = [master]
        if settings.recovery is not None:
            recovery = self._ring().named(settings.recovery)
            if recovery is None:
                raise S3Error("InternalError", detail=f"there is no key `{settings.recovery}`")
            masters.append(recovery)
        action: MasterAction = "kms:GenerateDataKey"
        document = await seal_kek(name, secret, now, bucket, masters, self._entropy, action, witness)
        # Stored before anything is wrapped under it: an object must never outlive its only key.
        await self._store.put(*kek_location(self._state(), bucket, name), document)
        kek = Kek(name, master, float(int(now)), self._keyring(name, secret), now, now + settings.cache_seconds)
        # What a public key alone wrote must not be read here, not even while its bucket key is in memory.
        return self._remember(bucket, kek) if master.service.can_unwrap else kek

    async def _fetch(self, bucket: str, id: str, settings: KekSettings, witness: Witness, used: int) -> Kek:
        try:
            document = await self._document(bucket, id)
        except (S3Error, IntegrityError) as error:
            await witness(MasterUse("kms:Decrypt", UNKNOWN, id, {ARN_NAME: bucket_arn(bucket)}, error))
            raise
        secret = await open_kek(document, bucket, self._ring(), "kms:Decrypt", witness)
        # INVARIANT: the key that is asked about is the first one named, not the one that opened the document.
        # Otherwise an outage of the first would let the recovery key's policy decide.
        key = self._ring().owners(document.edks)[0][1]
        now = self._clock.now()
        kek = Kek(id, key, document.created, self._keyring(id, secret), now, now + settings.cache_seconds, used)
        return self._remember(bucket, kek)

    async def _document(self, bucket: str, id: str) -> KekDocument:
        raw = await self._store.get(*kek_location(self._state(), bucket, id))
        if raw is None:
            raise _GoneError("kek", f"the bucket key `{id}` is gone")
        document = parse_kek(raw)
        if document.id != id:
            raise IntegrityError("kek", "another bucket key stands in its place")
        return document

    def _keyring(self, id: str, secret: bytes) -> AesKeyring:
        return _WipedKeyring((_EDK_PREFIX + id.encode()).decode(), secret, self._entropy)

    def _remember(self, bucket: str, kek: Kek) -> Kek:
        self._drop_expired(self._clock.now())
        self._known[bucket, kek.id] = kek
        if len(self._known) > MAX_CACHED:
            self._known.popitem(last=False)
        return kek

    def _drop_expired(self, now: float) -> None:
        for place in [place for place, each in self._known.items() if each.expires <= now]:
            del self._known[place]
        for writing, each in list(self._writing.items()):
            # What a public key alone wrote cannot be opened again: it writes until it has served.
            if each.expires <= now and each.key.service.can_unwrap:
                self._resting[writing] = _Resting(each.id, each.created, each.used)
                del self._writing[writing]

    def _lock(self, place: object) -> asyncio.Lock:
        return self._locks.setdefault(place, asyncio.Lock())

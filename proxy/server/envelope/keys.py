"""The keys of objects, as operations need them: a capsule sealed for a new object, an object's keys from one.

Everything asynchronous about keys happens here, before a body is planned. Which key a request means is
read from its encryption headers; which key an object needs, from its capsule and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from proxy.envelope.capsule import Capsule, Kind, ObjectKeys, draft_capsule, redraft_capsule
from proxy.envelope.context import Context, object_arn
from proxy.envelope.entropy import Entropy
from proxy.envelope.keyring import Edk
from proxy.s3.headers import Headers
from proxy.server.exchange import Exchange

Fields: TypeAlias = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Place:
    """An object, and the name it is bound to: a replica keeps the name of its original."""

    bucket: str
    key: str
    bound_bucket: str

    @property
    def arn(self) -> str:
        """The object's name in its capsule."""
        return object_arn(self.bound_bucket, self.key)


@dataclass(frozen=True, slots=True)
class Wish:
    """How a new object is to be encrypted, as its request and its bucket say."""

    key: str
    """Name of the key."""
    context: Context
    """The client's own encryption context."""
    answer: Fields = field(default_factory=list)
    """The fields with which S3 confirms it."""
    customer_key: bytes | None = field(default=None, repr=False)
    """The client's own key (SSE-C)."""


class KeyDesk(Protocol):
    """Where keys are asked for. `exchange` says who asks, and under which rules."""

    def wish(self, exchange: Exchange, place: Place, headers: Headers) -> Wish:
        """Read how a new object is to be encrypted; raises `S3Error` for what cannot be done."""
        ...

    async def wrap(
        self, exchange: Exchange, place: Place, wish: Wish, data_key: bytes, context: Context
    ) -> Sequence[Edk]:
        """Wrap a data key; raises `S3Error` when the key may not or cannot be used."""
        ...

    async def unwrap(self, exchange: Exchange, place: Place, capsule: Capsule, headers: Headers) -> bytes:
        """Return the data key of a capsule; raises `S3Error`, or `IntegrityError` edk or key.

        `headers` carry the client's own key where the object needs one.
        """
        ...

    def describe(self, exchange: Exchange, place: Place, capsule: Capsule) -> Fields:
        """Return the fields that tell how a stored object is encrypted."""
        ...

    def can_open(self, exchange: Exchange, wish: Wish) -> bool:
        """Tell whether what is wrapped so can be unwrapped again without the client's help."""
        ...


class Capsules:
    """Seals and opens capsules with the keys of a desk."""

    def __init__(self, desk: KeyDesk, entropy: Entropy) -> None:
        self.entropy = entropy
        self._desk = desk

    def place(self, exchange: Exchange, bucket: str, key: str) -> Place:
        """Return where an object is and what it is bound to."""
        settings = exchange.rules.config.bucket(bucket).encryption
        return Place(bucket, key, settings.bind_as or bucket)

    def wish(self, exchange: Exchange, place: Place, headers: Headers) -> Wish:
        """Read how a new object is to be encrypted; raises `S3Error`."""
        return self._desk.wish(exchange, place, headers)

    async def seal(self, exchange: Exchange, place: Place, wish: Wish, kind: Kind, keys: ObjectKeys) -> bytes:
        """Make the capsule of a new object."""
        draft = draft_capsule(kind, place.arn, keys, self.entropy, client_context=wish.context)
        return draft.seal(await self._desk.wrap(exchange, place, wish, draft.data_key, draft.context))

    async def reseal(self, exchange: Exchange, place: Place, wish: Wish, old: Capsule, keys: ObjectKeys) -> bytes:
        """Make the capsule of a copy: the same keys under another name."""
        draft = redraft_capsule(old, place.arn, keys, self.entropy)
        return draft.seal(await self._desk.wrap(exchange, place, wish, draft.data_key, draft.context))

    async def open(self, exchange: Exchange, place: Place, capsule: Capsule, headers: Headers) -> ObjectKeys:
        """Return the keys of an object; raises `S3Error`, or `IntegrityError`."""
        return capsule.open(await self._desk.unwrap(exchange, place, capsule, headers), place.arn)

    def describe(self, exchange: Exchange, place: Place, capsule: Capsule) -> Fields:
        """Return the fields that tell how a stored object is encrypted."""
        return self._desk.describe(exchange, place, capsule)

    def can_open(self, exchange: Exchange, wish: Wish) -> bool:
        """Tell whether a capsule made so can be opened again without the client's help."""
        return self._desk.can_open(exchange, wish)

"""The keys of objects, as operations need them: a capsule sealed for a new object, an object's keys from one.

Everything asynchronous about keys happens here, before a body is planned. Which key a write means is read
from its encryption headers; which key an object needs, from its capsule and nowhere else. Whether the
caller may use it is asked every time, whatever is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from proxy.access.key_questions import KeyAction, decide_key, key_question
from proxy.access.questions import Question
from proxy.access.verdict import Answered, Denied
from proxy.audit.event import MAX_TEXT, KeyUse, Outcome
from proxy.config import AwsKms
from proxy.config.keys import KeyVersion, aes_material, rsa_private
from proxy.envelope.buffers import Buffers
from proxy.envelope.capsule import Capsule, Kind, ObjectKeys, draft_capsule, redraft_capsule
from proxy.envelope.context import ARN_NAME, Context, object_arn
from proxy.envelope.customer_key import NAME, customer_edk
from proxy.envelope.entropy import Entropy
from proxy.envelope.keyring import Edk
from proxy.envelope.s3ec import KMS_WRAP, ClientObject, kms_edk, unwrap_with_aes, unwrap_with_rsa
from proxy.errors import IntegrityError, S3Error
from proxy.keys.custody import Custody, Holder
from proxy.keys.ring import KeyRing, MasterKey
from proxy.keys.rules import ALGORITHM, BUCKET_KEY, KEY_ID, KeyChoice, choose_key
from proxy.keys.witness import UNKNOWN, MasterUse, Witness
from proxy.s3.headers import Headers
from proxy.server.audit_trail import KeyTrail, master_event
from proxy.server.envelope.customer_keys import (
    OF_READING,
    CustomerWish,
    Words,
    confirmed,
    key_of,
    refuse_idle_key,
    required_key,
    unwrap_with,
)
from proxy.server.exchange import Exchange

Fields: TypeAlias = list[tuple[str, str]]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Place:
    """An object, and the name it is bound to: a replica keeps the name of its original."""

    bucket: str
    key: str
    bound_bucket: str
    is_source: bool = False
    """It is the source of a copy, whose key (SSE-C) a request brings in fields of their own."""

    @property
    def arn(self) -> str:
        """The object's name in its capsule."""
        return object_arn(self.bound_bucket, self.key)


@dataclass(frozen=True, slots=True)
class Wish:
    """How a new object is to be encrypted, as its request and its bucket say."""

    choice: KeyChoice

    @property
    def answer(self) -> Fields:
        """The fields with which S3 confirms it."""
        return list(self.choice.answer_headers.items())


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a key, to be asked about and recorded."""

    action: KeyAction
    key: MasterKey | None
    """None is a key of the client's own, which no policy here is about."""
    place: Place
    context: Context
    kek: str | None = None

    def event(self, exchange: Exchange, outcome: Outcome, error: str | None = None) -> KeyUse:
        """Return what the trail says about it."""
        identity, claim = exchange.caller.identity, exchange.claim
        return KeyUse(
            exchange.time,
            exchange.request_id,
            self.action,
            self.key.arn if self.key is not None else NAME,
            outcome,
            exchange.operation,
            self.place.bucket,
            self.place.key,
            identity.arn if identity is not None else None,
            claim.access_key_id if claim is not None else None,
            exchange.connection.source_ip,
            exchange.http.headers.get("User-Agent"),
            error,
            self.kek,
            dict(self.context),
        )


class Capsules:
    """Seals and opens capsules."""

    def __init__(self, ring: Callable[[], KeyRing], custody: Custody, entropy: Entropy, trail: KeyTrail) -> None:
        self.entropy = entropy
        self.buffers = Buffers()
        """Memory that all streams of the worker share."""
        self._trail = trail
        self._ring = ring
        self._custody = custody

    @property
    def ring(self) -> KeyRing:
        """The keys in force."""
        return self._ring()

    def place(self, exchange: Exchange, bucket: str, key: str, *, is_source: bool = False) -> Place:
        """Return where an object is and what it is bound to."""
        settings = exchange.rules.config.bucket(bucket).encryption
        return Place(bucket, key, settings.bind_as or bucket, is_source)

    async def wish(self, exchange: Exchange, place: Place, headers: Headers) -> Wish | CustomerWish:
        """Read how a new object is to be encrypted; raises `S3Error` for what cannot be done."""
        own = key_of(headers, source=False)
        if own is not None:
            return CustomerWish(own)
        try:
            return Wish(choose_key(self._ring(), exchange.rules.config.bucket(place.bucket).encryption, headers))
        except S3Error as error:
            await self.refused(exchange, place, "kms:GenerateDataKey", headers.get(KEY_ID), error)
            raise

    async def refused(
        self, exchange: Exchange, place: Place, action: KeyAction, named: str | None, error: S3Error
    ) -> None:
        """Keep on record that a key was asked for which is disabled or does not exist, `named` as by the client."""
        if not error.code.startswith("KMS."):
            return
        default = self._ring().named(self._default(exchange, place) or "")
        arn = UNKNOWN if default is None else default.arn
        if named is not None:
            try:
                arn = self._ring().find(named).arn
            except S3Error:
                arn = UNKNOWN if len(named) > MAX_TEXT else _asked_for(exchange, named)
        event = Use(action, None, place, {ARN_NAME: place.arn}).event(exchange, "failed", error.code)
        await self._trail.record(replace(event, key=arn))

    async def seal(
        self, exchange: Exchange, place: Place, wish: Wish | CustomerWish, kind: Kind, keys: ObjectKeys
    ) -> bytes:
        """Make the capsule of a new object; raises `S3Error`."""
        if isinstance(wish, CustomerWish):
            own = draft_capsule(kind, place.arn, keys, self.entropy)
            await self._used(exchange, Use("kms:GenerateDataKey", None, place, own.context), _nothing())
            return own.seal([wish.key.wrap(own.data_key, own.context, self.entropy)])
        choice = wish.choice
        marks_kms = choice.is_kms and choice.key.name == self._default(exchange, place)
        draft = draft_capsule(kind, place.arn, keys, self.entropy, client_context=choice.context, marks_kms=marks_kms)
        return draft.seal(await self._wrap(exchange, place, wish, draft.data_key, draft.context))

    async def open(
        self, exchange: Exchange, place: Place, capsule: Capsule, headers: Headers, words: Words = OF_READING
    ) -> ObjectKeys:
        """Return the keys of an object; raises `S3Error` for a key that may not be used, or `IntegrityError`.

        `headers` are those of the request: an object under a client's key opens with the key that they bring.
        """
        context, edk = capsule.context(place.arn), customer_edk(capsule.edks)
        if edk is None:
            refuse_idle_key(headers, source=place.is_source, words=words)
            data_key = await self.unwrap(exchange, place, capsule.edks, context)
        else:
            key = required_key(headers, source=place.is_source, words=words)
            work = unwrap_with(key, edk, context, self.entropy, words)
            data_key = await self._used(exchange, Use("kms:Decrypt", None, place, context), work)
        return capsule.open(data_key, place.arn)

    async def prove(
        self, exchange: Exchange, place: Place, capsule: Capsule, headers: Headers, words: Words = OF_READING
    ) -> ObjectKeys | None:
        """Check the key that a client sent for an object of which nothing is read.

        Returns the object's keys where its own key was needed to tell; None for an object under another kind of
        key. Raises `S3Error`, `IntegrityError` as `open`.
        """
        if customer_edk(capsule.edks) is None:
            refuse_idle_key(headers, source=place.is_source, words=words)
            return None
        return await self.open(exchange, place, capsule, headers, words)

    async def rewrap(
        self, exchange: Exchange, place: Place, capsule: Capsule, choice: KeyChoice
    ) -> tuple[bytes, ObjectKeys]:
        """Make the next capsule of an object that stays where it is; return it with the object's keys.

        Raises `S3Error` for a key that may not be used, `IntegrityError` as `open`.
        """
        context = capsule.context(place.arn)
        data_key = await self.unwrap(exchange, place, capsule.edks, context, action="kms:ReEncryptFrom")
        keys = capsule.open(data_key, place.arn)
        marks_kms = choice.key.name == self._default(exchange, place)
        draft = redraft_capsule(capsule, place.arn, keys, self.entropy, marks_kms=marks_kms)
        encryption = exchange.rules.config.bucket(place.bucket).encryption
        witness = self._witness(exchange, place)
        wrapping = self._custody.wrap(choice, place.bound_bucket, encryption, draft.data_key, draft.context, witness)
        edk = await self._used(exchange, Use("kms:ReEncryptTo", choice.key, place, draft.context), wrapping)
        return draft.seal([edk]), keys

    async def unwrap(
        self,
        exchange: Exchange,
        place: Place,
        edks: Sequence[Edk],
        context: Context,
        *,
        action: KeyAction = "kms:Decrypt",
    ) -> bytes:
        """Return the data key of any message; raises `S3Error` for a key that may not be used, or `IntegrityError`."""
        encryption = exchange.rules.config.bucket(place.bucket).encryption
        failure: S3Error | IntegrityError | None = None
        witness = self._witness(exchange, place)
        for holder in await self._custody.holders(place.bound_bucket, encryption, edks, witness):
            use = Use(action, holder.key, place, context, holder.kek.id if holder.kek is not None else None)
            try:
                return await self._used(exchange, use, self._custody.unwrap(holder, context))
            except (S3Error, IntegrityError) as error:
                failure = failure or error
        raise failure or IntegrityError("key", "none of the configured keys is named by this object")

    async def unwrap_client_object(self, exchange: Exchange, place: Place, client_object: ClientObject) -> bytes:
        """Return the data key of an object of the S3 Encryption Client, which does not say whose key wrapped it.

        Every key that could be it is tried; raises `S3Error`, or `IntegrityError` s3ec when none opens it.
        """
        if client_object.wrap == KMS_WRAP:
            return await self._unwrap_with_kms(exchange, place, client_object)
        for key in self._ring():
            for version in exchange.rules.config.keys[key.name].versions:
                try:
                    data_key = unwrap_with_version(client_object, version)
                except IntegrityError:
                    continue
                if data_key is not None:
                    use = Use("kms:Decrypt", key, place, client_object.context)
                    await self._used(exchange, use, _enabled(key))
                    return data_key
        raise IntegrityError("s3ec", "no local key opens the object of the S3 Encryption Client")

    async def _unwrap_with_kms(self, exchange: Exchange, place: Place, client_object: ClientObject) -> bytes:
        """Ask each key of KMS in turn: KMS tells nobody whose a wrapped key is, but refuses those of other keys."""
        failure: S3Error | None = None
        for key in self._ring():
            backend = exchange.rules.config.keys[key.name].backend
            if not isinstance(backend, AwsKms):
                continue
            use = Use("kms:Decrypt", key, place, client_object.context)
            edk = kms_edk(client_object, backend.key_arn)
            try:
                data_key = await self._used(exchange, use, key.unwrap(edk, client_object.context))
            except S3Error as error:
                failure = failure or error
            except IntegrityError:
                continue
            else:
                if data_key is not None:
                    return data_key
        # It may have been the one that could not be asked.
        raise failure or IntegrityError("s3ec", "no key of KMS opens the object of the S3 Encryption Client")

    async def permit(self, exchange: Exchange, place: Place, capsule: Capsule, edk_key: MasterKey) -> None:
        """Ask again whether a key may be used whose secrets are still in memory; raises `S3Error`."""
        await self._used(exchange, Use("kms:Decrypt", edk_key, place, capsule.context(place.arn)), _enabled(edk_key))

    async def holder(self, exchange: Exchange, place: Place, capsule: Capsule) -> MasterKey:
        """Return the master key that a capsule names; raises `S3Error`, `IntegrityError`."""
        return (await self._holder(exchange, place, capsule)).key

    async def describe(self, exchange: Exchange, place: Place, capsule: Capsule) -> Fields:
        """Return the fields that tell how a stored object is encrypted; none when its key is not known here.

        They say what the capsule says, so they are as true as it is: callers that need more open it first.
        """
        if customer_edk(capsule.edks) is not None:
            return confirmed(exchange)
        try:
            holder = await self._holder(exchange, place, capsule)
        except (S3Error, IntegrityError):
            return []
        if not capsule.asked_for_kms(default=holder.key.name == self._default(exchange, place)):
            return [(ALGORITHM, "AES256")]
        bucket_key = [(BUCKET_KEY, "true")] if holder.kek is not None else []
        return [(ALGORITHM, "aws:kms"), (KEY_ID, holder.key.arn), *bucket_key]

    def can_open(self, wish: Wish | CustomerWish) -> bool:
        """Tell whether a capsule made so can be opened again by this proxy, without its client."""
        return isinstance(wish, Wish) and wish.choice.key.service.can_unwrap

    async def _holder(self, exchange: Exchange, place: Place, capsule: Capsule) -> Holder:
        encryption = exchange.rules.config.bucket(place.bucket).encryption
        witness = self._witness(exchange, place)
        return (await self._custody.holders(place.bound_bucket, encryption, capsule.edks, witness))[0]

    def _default(self, exchange: Exchange, place: Place) -> str | None:
        return exchange.rules.config.bucket(place.bucket).encryption.key

    async def _wrap(
        self, exchange: Exchange, place: Place, wish: Wish, data_key: bytes, context: Context
    ) -> Sequence[Edk]:
        encryption = exchange.rules.config.bucket(place.bucket).encryption
        witness = self._witness(exchange, place)
        wrapping = self._custody.wrap(wish.choice, place.bound_bucket, encryption, data_key, context, witness)
        return [await self._used(exchange, Use("kms:GenerateDataKey", wish.choice.key, place, context), wrapping)]

    async def _used(self, exchange: Exchange, use: Use, work: Coroutine[None, None, _T]) -> _T:
        """Ask, do the work, and record how it went: nothing comes out of a key that is not on record."""
        try:
            self._ask(exchange, use)
        except S3Error as error:
            work.close()
            await self._trail.record(use.event(exchange, "denied", error.code))
            raise
        try:
            result = await work
        except (S3Error, IntegrityError) as error:
            code = error.code if isinstance(error, S3Error) else "InternalError"
            await self._trail.record(use.event(exchange, "failed", code))
            raise
        await self._trail.record(use.event(exchange, "allowed"))
        return result

    def _witness(self, exchange: Exchange, place: Place) -> Witness:
        """Return what keeps on record that a master key opened, or could not open, a bucket key for a request."""

        async def record(use: MasterUse) -> None:
            event = Use(use.action, None, place, use.context, use.kek).event(exchange, "allowed")
            await self._trail.record(master_event(use, event))

        return record

    def _ask(self, exchange: Exchange, use: Use) -> None:
        """Ask the key's policy and the caller's own; raises `S3Error` AccessDenied."""
        if use.key is None:
            return
        rules, caller = exchange.rules, exchange.caller
        identity = caller.identity
        asked = _question_about(exchange, use.place)
        account = identity.account if identity is not None else None
        question = key_question(use.action, use.key.arn, asked, use.context, account)
        decision = decide_key(question, caller.principal, rules.key_policies.get(use.key.name), caller.policies)
        answered = Answered(question, decision)
        exchange.answers = (*exchange.answers, answered)
        if not answered.allowed:
            raise Denied(exchange.answers, answered).error(identity)


def _asked_for(exchange: Exchange, named: str) -> str:
    """Return the ARN that policies were asked about for a key that does not exist here, or that of an alias."""
    return exchange.rules.access.kms.arn_as_written(named)


async def _nothing() -> None:
    """Use a key whose work was done before."""


async def _enabled(key: MasterKey) -> None:
    """Use a key whose work was done before, unless it was disabled meanwhile."""
    key.refuse_disabled()


def _question_about(exchange: Exchange, place: Place) -> Question:
    """Return what was asked about an object, or else the request's first question."""
    asked = [answer.question for answer in exchange.answers if answer.question.bucket is not None]
    about = (each for each in asked if each.target is not None and each.target.key == place.key)
    return next((each for each in about if each.bucket == place.bucket), asked[0])


def unwrap_with_version(client_object: ClientObject, version: KeyVersion) -> bytes | None:
    """Return the data key, None where the key is of another kind; raises `IntegrityError` where it does not open."""
    if version.material is not None and client_object.wrap == "AES/GCM":
        return unwrap_with_aes(client_object, aes_material(version.material.reveal()))
    if version.private is not None and client_object.wrap == "RSA-OAEP-SHA1":
        return unwrap_with_rsa(client_object, rsa_private(version.private.reveal()))
    return None

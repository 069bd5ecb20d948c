"""UpdateObjectEncryption: another key for one object, and not a byte of it read.

The object keeps its keys and gets a fresh capsule under the key that is asked for, as in a rotation: the
store copies it onto itself. So it is a new version where the bucket keeps versions, and an old version
cannot be changed: it would become the current one.

A store that copies whatever the condition says could, in a bucket without versions, put an old capsule on
an object that was written a moment ago, which nobody could read then. So stores are tried once.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_UpdateObjectEncryption.html
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from aiohttp import web

from proxy.clock import SystemClock
from proxy.envelope.customer_key import customer_edk
from proxy.envelope.single import Envelope, envelope_value
from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest
from proxy.keys.rules import KeyChoice, uses_kek
from proxy.s3.headers import Headers
from proxy.s3.xml import parse_xml
from proxy.server.envelope.keys import Capsules, Place
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked
from proxy.server.relay import reply_document
from proxy.server.rotation.conditions import find_guard
from proxy.server.rotation.depot import Depot, Guard, Stored
from proxy.server.rotation.replacing import NULL_VERSION, replace_capsule
from proxy.server.rotation.usage import envelope_of
from proxy.server.store import Store

ATTEMPTS = 3
_LOCKED = (
    "The encryption type for the specified object can't be updated because that object is protected by S3 Object Lock. "
    "If the object has a governance-mode retention period or a legal hold, you must first remove the Object Lock "
    "status on the object before you issue your UpdateObjectEncryption request. You can't use the "
    "UpdateObjectEncryption operation with objects that have an Object Lock compliance mode retention period applied "
    "to them."
)
_OPERATION = "The UpdateObjectEncryption operation doesn't support"
_ONLY = "Only source objects encrypted with SSE-S3 or SSE-KMS are supported."
_AGAIN = "and then try again."


class Updater:
    """Answers UpdateObjectEncryption."""

    def __init__(self, store: Store, capsules: Capsules) -> None:
        self._store = store
        self._capsules = capsules
        self._guards: dict[str, Guard] = {}
        """By endpoint: a reload may bring another store."""

    async def update(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Put one object under the key that is named."""
        request, capsules = authorized.request, self._capsules
        place = capsules.place(exchange, request.bucket or "", request.key or "")
        choice = await self._wanted(exchange, place, asked.content)
        depot, guard = self._depot(authorized), await self._guard(exchange, place)
        own = authorized.identity is not None and authorized.identity.upstream is not None
        # What the proxy keeps for itself is written under its own credential, or not at all.
        state = None if own else exchange.rules.config.upstream.state
        for _ in range(ATTEMPTS):
            stored = await self._look(depot, place, request.version_id)
            envelope = _updatable(stored, exchange.time)
            _refuse_careless(exchange, stored, guard)
            capsule, keys = await capsules.rewrap(exchange, place, envelope.capsule, choice)
            value = envelope_value(capsule, envelope.body_header)
            try:
                done = await replace_capsule(depot, stored, envelope, keys, value, guard=guard, state=state)
            except S3Error as error:
                if error.code not in ("PreconditionFailed", "NoSuchKey"):
                    raise
                continue  # somebody wrote or deleted it meanwhile: look again
            if done:
                return await self._answer(exchange, depot, stored)
        raise S3Error("SlowDown", headers={"Retry-After": "1"}, detail="the object is written all the time")

    async def _wanted(self, exchange: Exchange, place: Place, document: bytes) -> KeyChoice:
        """Read which key is asked for; raises `S3Error` InvalidRequest, KMS.NotFoundException or -DisabledException."""
        asked = parse_xml(document).child("SSE-KMS")
        if asked is None:
            message = (
                "Requests that modify an object encryption configuration require a valid new encryption type. Valid"
            )
            raise S3Error("InvalidRequest", f"{message} values are SSEKMS. Modify the request to specify SSE-KMS for "
                          f"the updated encryption type, {_AGAIN}")  # fmt: skip
        flag = asked.value("BucketKeyEnabled")
        if flag not in (None, "true", "false"):
            message = "The BucketKeyEnabled value isn't valid. Valid values are true or false. Modify the request to"
            raise S3Error("InvalidRequest", f"{message} specify a valid value, {_AGAIN}")
        named = asked.value("KMSKeyArn") or ""
        try:
            key = self._capsules.ring.find(named)
            if key.arn != named:
                # Policies were asked about the name that stands there, so it has to be the one that they know.
                raise S3Error("KMS.NotFoundException", f"Key '{named}' does not exist")
            key.refuse_disabled()
        except S3Error as error:
            await self._capsules.refused(exchange, place, "kms:ReEncryptTo", named, error)
            raise
        encryption = exchange.rules.config.bucket(place.bucket).encryption
        # Where the flag is missing, S3 takes it for false.
        return KeyChoice(key, is_kms=True, uses_kek=uses_kek(key, encryption, flag or "false"))

    def _depot(self, authorized: AuthorizedRequest) -> Depot:
        """Return the store as rotation uses it, under the credential that the caller's requests go under."""
        forwarder = self._store.forwarder
        own = authorized.identity.upstream if authorized.identity is not None else None
        if own is not None:
            forwarder = replace(forwarder, credential=lambda: own)
        return Depot(self._store, forwarder, SystemClock())

    async def _guard(self, exchange: Exchange, place: Place) -> Guard:
        """Return what the store checks, found out once; raises `S3Error` where objects are not to be changed."""
        config = exchange.rules.config
        if config.bucket(place.bucket).encryption.object_api == "refuse":
            raise S3Error("AccessDenied", "The encryption of objects is not changed through this proxy.")
        guard = self._guards.get(config.upstream.endpoint)
        if guard is None:
            probe = f"{config.upstream.state.prefix}probe-{self._capsules.entropy.random(8).hex()}"
            depot = Depot(self._store, self._store.forwarder, SystemClock())
            guard = await find_guard(depot, config.upstream.state.bucket or place.bucket, probe)
            self._guards[config.upstream.endpoint] = guard
        return guard

    async def _look(self, depot: Depot, place: Place, version: str | None) -> Stored:
        """Return the current object; raises `S3Error` NoSuchKey, or NotImplemented for an old version of it."""
        stored = await depot.head(place.bucket, place.key)
        current = _version_of(stored) if stored is not None else None
        if version is not None and version != (current or NULL_VERSION):
            status, _, _ = await depot.ask("HEAD", place.bucket, place.key, [("versionId", version)])
            if status == 200:
                raise S3Error("NotImplemented", "Only the current version of an object can be put under another key.")
            raise S3Error("MethodNotAllowed" if status == 405 else "NoSuchKey")
        if stored is None:
            raise S3Error("NoSuchKey")
        return stored

    async def _answer(self, exchange: Exchange, depot: Depot, stored: Stored) -> web.StreamResponse:
        fields = []
        if _version_of(stored) and (now := await depot.head(stored.bucket, stored.key)) is not None:
            fields = [("x-amz-version-id", _version_of(now))]
        return await reply_document(exchange, 200, b"", fields)


def _refuse_careless(exchange: Exchange, stored: Stored, guard: Guard) -> None:
    """Refuse to copy an object where a write at the same moment could be lost, unless the bucket lets it."""
    allowed = exchange.rules.config.bucket(stored.bucket).encryption.object_api
    if allowed != "always" and guard.source is None and not _version_of(stored):
        raise S3Error(
            "NotImplemented",
            "The store behind this proxy checks no conditions of copies, without which an object that has no versions "
            "cannot be changed safely.",
            detail="the store does not check x-amz-copy-source-if-match; see encryption.object_api",
        )


def _version_of(stored: Stored) -> str:
    """Return the version id, empty for an object without versions."""
    version = stored.headers.joined("x-amz-version-id") or ""
    return "" if version == NULL_VERSION else version


def _updatable(stored: Stored, now: float) -> Envelope:
    """Return the envelope of an object that may be changed; raises `S3Error` InvalidRequest, AccessDenied."""
    envelope = envelope_of(stored)
    if envelope is None:
        raise S3Error("InvalidRequest", f"{_OPERATION} unencrypted source objects. {_ONLY}")
    if customer_edk(envelope.capsule.edks) is not None:
        raise S3Error(
            "InvalidRequest", f"{_OPERATION} source objects with the encryption type DSSE-KMS or SSE-C. {_ONLY}"
        )
    if _is_locked(stored.headers, now):
        raise S3Error("AccessDenied", _LOCKED)
    return envelope


def _is_locked(headers: Headers, now: float) -> bool:
    if (headers.joined("x-amz-object-lock-legal-hold") or "").upper() == "ON":
        return True
    until = headers.joined("x-amz-object-lock-retain-until-date")
    if until is None:
        return False
    try:
        moment = datetime.fromisoformat(until)
    except ValueError:
        return True
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() > now

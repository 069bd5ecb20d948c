"""What an encrypted upload leaves in its context, and the keys that its parts get from it."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from proxy.access.upload_context import UploadContext
from proxy.envelope.capsule import Capsule, ObjectKeys
from proxy.envelope.customer_key import customer_edk
from proxy.envelope.keyring import KEY_SIZE
from proxy.envelope.metadata import decode_value, encode_value
from proxy.envelope.single import parse_envelope
from proxy.envelope.state import StateSeal, check_upload_tag, upload_tag
from proxy.errors import IntegrityError, S3Error
from proxy.forward import AuthorizedRequest
from proxy.s3.request import S3Request
from proxy.s3.state import upload_directory
from proxy.server.envelope.customer_keys import OF_UPLOAD, CustomerWish, key_of, refuse_idle_key
from proxy.server.envelope.keys import Capsules, Place, Wish
from proxy.server.exchange import Exchange
from proxy.server.uploads import Uploads

VALUE, KEYS, TAIL, TRAILER, TAG = "value", "keys", "tail", "trailer", "tag"
MAX_REMEMBERED = 1024
MAX_NOTED = 100
"""Numbers of trailers in a context: each but the last is that of an attempt that failed with another list of parts."""
_NUMBERS = re.compile(r"([1-9][0-9]{0,4}(,[1-9][0-9]{0,4})*)?")
_NEEDS_NO_KEY = frozenset({"CompleteMultipartUpload", "ListParts"})


@dataclass(frozen=True, slots=True)
class Upload:
    """An encrypted upload under way, and the keys of the object that it will be."""

    place: Place
    id: str
    context: UploadContext
    capsule: Capsule
    keys: ObjectKeys = field(repr=False)

    @property
    def trailers(self) -> Sequence[int]:
        """The part numbers that trailers of attempts to complete took, the latest last."""
        text = self.context.envelope.get(TRAILER, "")
        if not _NUMBERS.fullmatch(text):
            raise IntegrityError("upload-context", "the upload context notes trailers under what are no part numbers")
        return [int(number) for number in text.split(",") if number]


class UploadKeys:
    """Opens the contexts of uploads, and remembers the keys of those it has seen."""

    def __init__(self, uploads: Uploads, capsules: Capsules, seal: Callable[[], StateSeal]) -> None:
        self._uploads = uploads
        self._capsules = capsules
        self._seal = seal
        self._known: OrderedDict[str, tuple[str, ObjectKeys]] = OrderedDict()

    def context(
        self,
        conditions: UploadContext,
        value: str,
        keys: ObjectKeys,
        place: Place,
        upload_id: str,
        wish: Wish | CustomerWish,
    ) -> UploadContext:
        """Return the context of a new upload.

        Where the proxy cannot open the capsule by itself, keys of the object travel in it: all of them under a
        public key alone; under a client's key only the one that the completion needs, which comes without it.
        """
        entries = {VALUE: value}
        if isinstance(wish, CustomerWish):
            entries[TAIL] = encode_value(self._seal().seal(keys.trailer, place.arn))
        elif not self._capsules.can_open(wish):
            packed = self._seal().seal(keys.wrap + keys.trailer + keys.checksum, place.arn)
            entries[KEYS] = encode_value(packed)
        return _tagged(replace(conditions, envelope=entries), keys, place, upload_id)

    def noting_trailer(self, upload: Upload, number: int) -> UploadContext:
        """Return the context that says of one more number that a trailer took it; only so many are kept."""
        others = [each for each in upload.trailers if each != number]
        noted = ",".join(map(str, [*others[1 - MAX_NOTED :], number]))
        context = replace(upload.context, envelope={**upload.context.envelope, TRAILER: noted})
        return _tagged(context, upload.keys, upload.place, upload.id)

    async def find(self, exchange: Exchange, authorized: AuthorizedRequest, *, fresh: bool = False) -> Upload:
        """Return the upload that a request continues.

        Raises `S3Error` NoSuchUpload where there is no context: never is a part stored as it came. Raises
        `IntegrityError` for a context that is another upload's, or is not as it was written.
        """
        request = authorized.request
        place = self._capsules.place(exchange, request.bucket or "", request.key or "")
        upload_id = request.parameters["uploadId"]
        context = exchange.upload
        if context is None or fresh:
            context = await self._uploads.find(place.bucket, place.key, upload_id, fresh=fresh)
        if context is None or VALUE not in context.envelope:
            raise S3Error("NoSuchUpload")
        try:
            upload = await self._open_context(exchange, place, upload_id, context, request)
            tag = decode_value(context.envelope.get(TAG, ""))
            check_upload_tag(tag, upload.keys, _name(place, upload_id), _document(context))
        except (IntegrityError, S3Error):
            self._uploads.forget(place.bucket, place.key, upload_id)
            raise
        return upload

    async def _open_context(
        self, exchange: Exchange, place: Place, upload_id: str, context: UploadContext, request: S3Request
    ) -> Upload:
        value = context.envelope[VALUE]
        capsule = parse_envelope(value).capsule
        if customer_edk(capsule.edks) is not None:
            keys = await self._of_customer(exchange, place, capsule, context, request)
            return Upload(place, upload_id, context, capsule, keys)
        refuse_idle_key(request.headers, words=OF_UPLOAD)
        name = self._uploads.name(place.bucket, place.key, upload_id)
        known = self._known.get(name)
        if known is not None and known[0] == value:
            self._known.move_to_end(name)
            if KEYS not in context.envelope:
                master = await self._capsules.holder(exchange, place, capsule)
                await self._capsules.permit(exchange, place, capsule, master)
            return Upload(place, upload_id, context, capsule, known[1])
        if KEYS in context.envelope:
            packed = self._open(context.envelope[KEYS], place, 3 * KEY_SIZE)
            keys = ObjectKeys(packed[:KEY_SIZE], packed[KEY_SIZE : 2 * KEY_SIZE], packed[2 * KEY_SIZE :])
        else:
            keys = await self._capsules.open(exchange, place, capsule, request.headers)
        self._known[name] = value, keys
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return Upload(place, upload_id, context, capsule, keys)

    async def _of_customer(
        self, exchange: Exchange, place: Place, capsule: Capsule, context: UploadContext, request: S3Request
    ) -> ObjectKeys:
        """Return the keys of an object under a client's key, who proves with every part to have it.

        What lists parts or ends the upload may come without the key, and gets what it takes to write the trailer,
        and to tell that the context is this upload's.
        """
        if request.operation.name in _NEEDS_NO_KEY and key_of(request.headers, source=False) is None:
            return ObjectKeys(b"", self._open(context.envelope.get(TAIL, ""), place, KEY_SIZE), b"")
        return await self._capsules.open(exchange, place, capsule, request.headers, OF_UPLOAD)

    def seal_state(self, plaintext: bytes, name: str) -> bytes:
        """Seal what an upload keeps on the store and no key of its object protects."""
        return self._seal().seal(plaintext, name)

    def open_state(self, sealed: bytes, name: str) -> bytes:
        """Open what `seal_state` made for the same name; raises `IntegrityError` state."""
        return self._seal().open(sealed, name)

    def _open(self, sealed: str, place: Place, size: int) -> bytes:
        packed = self._seal().open(decode_value(sealed), place.arn)
        if len(packed) != size:
            raise IntegrityError("state", "the sealed upload state holds something else")
        return packed


def _name(place: Place, upload_id: str) -> str:
    """Name an upload as no other is named, wherever its state lies."""
    return upload_directory(place.bucket, place.key, upload_id, "")


def _untagged(context: UploadContext) -> UploadContext:
    return replace(context, envelope={name: text for name, text in context.envelope.items() if name != TAG})


def _document(context: UploadContext) -> bytes:
    """Return what the tag of a context is over; raises `IntegrityError` for one that no proxy can have written."""
    try:
        return _untagged(context).serialise()
    except ValueError:
        raise IntegrityError("upload-context", "the upload context is too large") from None


def _tagged(context: UploadContext, keys: ObjectKeys, place: Place, upload_id: str) -> UploadContext:
    """Return a context with the tag that ties all it says to one upload."""
    plain = _untagged(context)
    tag = encode_value(upload_tag(keys, _name(place, upload_id), plain.serialise()))
    return replace(plain, envelope={**plain.envelope, TAG: tag})

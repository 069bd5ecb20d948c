"""What an encrypted upload leaves in its context, and the keys that its parts get from it."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from proxy.access.upload_context import UploadContext
from proxy.envelope.capsule import Capsule, ObjectKeys
from proxy.envelope.customer_key import customer_edk
from proxy.envelope.keyring import KEY_SIZE
from proxy.envelope.metadata import decode_value, encode_value
from proxy.envelope.single import parse_envelope
from proxy.envelope.state import StateSeal
from proxy.errors import IntegrityError, S3Error
from proxy.forward import AuthorizedRequest
from proxy.s3.request import S3Request
from proxy.server.envelope.customer_keys import OF_UPLOAD, CustomerWish, key_of, refuse_idle_key
from proxy.server.envelope.keys import Capsules, Place, Wish
from proxy.server.exchange import Exchange
from proxy.server.uploads import Uploads

VALUE, KEYS, TAIL, TRAILER = "value", "keys", "tail", "trailer"
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

    def noting_trailer(self, number: int) -> UploadContext:
        """Return the context that says so of one more number; only so many are kept."""
        others = [each for each in self.trailers if each != number]
        noted = ",".join(map(str, [*others[1 - MAX_NOTED :], number]))
        return replace(self.context, envelope=MappingProxyType({**self.context.envelope, TRAILER: noted}))


class UploadKeys:
    """Opens the contexts of uploads, and remembers the keys of those it has seen."""

    def __init__(self, uploads: Uploads, capsules: Capsules, seal: Callable[[], StateSeal]) -> None:
        self._uploads = uploads
        self._capsules = capsules
        self._seal = seal
        self._known: OrderedDict[str, tuple[str, ObjectKeys]] = OrderedDict()

    def entries(self, value: str, keys: ObjectKeys, place: Place, wish: Wish | CustomerWish) -> Mapping[str, str]:
        """Return what a new upload's context says.

        Where the proxy cannot open the capsule by itself, keys of the object travel in it: all of them under a
        public key alone; under a client's key only the one that the completion needs, which comes without it.
        """
        if isinstance(wish, CustomerWish):
            return {VALUE: value, TAIL: encode_value(self._seal().seal(keys.trailer, place.arn))}
        if self._capsules.can_open(wish):
            return {VALUE: value}
        packed = self._seal().seal(keys.wrap + keys.trailer + keys.checksum, place.arn)
        return {VALUE: value, KEYS: encode_value(packed)}

    async def find(self, exchange: Exchange, authorized: AuthorizedRequest, *, fresh: bool = False) -> Upload:
        """Return the upload that a request continues.

        Raises `S3Error` NoSuchUpload where there is no context: never is a part stored as it came.
        """
        request = authorized.request
        place = self._capsules.place(exchange, request.bucket or "", request.key or "")
        upload_id = request.parameters["uploadId"]
        context = exchange.upload
        if context is None or fresh:
            context = await self._uploads.find(place.bucket, place.key, upload_id, fresh=fresh)
        if context is None or VALUE not in context.envelope:
            raise S3Error("NoSuchUpload")
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

        What lists parts or ends the upload may come without the key, and gets what it takes to write the trailer.
        """
        name = request.operation.name
        if name in _NEEDS_NO_KEY and key_of(request.headers, source=False) is None:
            writes_trailer = name == "CompleteMultipartUpload"
            tail = self._open(context.envelope.get(TAIL, ""), place, KEY_SIZE) if writes_trailer else b""
            return ObjectKeys(b"", tail, b"")
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

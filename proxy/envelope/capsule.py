"""The capsule: the small message that master keys wrap, one for every stored object.

A capsule carries the three keys of an object and is bound to the object's name. It is made fresh at
every write, copy and rewrap, with a new data key and message id, and never edited; the three keys
inside are made once and carried along, so that what they protect need not be touched.

Making one takes two steps, because master keys may live behind a network: `draft_capsule` gives the
data key and the context to wrap it under, `CapsuleDraft.seal` takes the resulting EDKs. Opening mirrors
that: `parse_capsule` gives the EDKs and the context, `Capsule.open` takes the unwrapped data key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from proxy.envelope.context import ARN_NAME, EMPTY, Context, check_client_context
from proxy.envelope.entropy import Entropy
from proxy.envelope.frames import open_whole, seal_whole
from proxy.envelope.keyring import KEY_SIZE, Edk
from proxy.envelope.message import DataKey, Header, open_header, parse_header
from proxy.envelope.sizes import FINAL_OVERHEAD, FRAME, FRAME_OVERHEAD
from proxy.errors import IntegrityError

KIND_NAME = "s3w"
SSE_NAME = "s3w-sse"
"""The pair that tells an object whose client asked for SSE-KMS where neither key nor context would tell."""
SSE_KMS = "aws:kms"
_KEYS_SIZE = 3 * KEY_SIZE
_BODY_SIZE = _KEYS_SIZE + FRAME_OVERHEAD + FINAL_OVERHEAD


class Kind(Enum):
    """How the body of an object is laid out; the stored value is part of the authenticated context."""

    SINGLE = "1s"
    MULTIPART = "1m"


@dataclass(frozen=True, slots=True)
class ObjectKeys:
    """The three keys of one object, the same in every capsule it ever has."""

    wrap: bytes = field(repr=False)
    """Wraps the data keys of the content."""
    trailer: bytes = field(repr=False)
    """Wraps the data key of the trailer of a multipart object."""
    checksum: bytes = field(repr=False)
    """Seals the checksum that the client sent."""

    @classmethod
    def fresh(cls, entropy: Entropy) -> ObjectKeys:
        """Make the keys of a new object."""
        return cls(entropy.random(KEY_SIZE), entropy.random(KEY_SIZE), entropy.random(KEY_SIZE))


class CapsuleDraft:
    """A capsule whose data key is still to be wrapped. Serves for one capsule."""

    __slots__ = ("_data_key", "_keys", "_required", "_stored")

    def __init__(self, data_key: DataKey, keys: ObjectKeys, stored: Context, required: Context) -> None:
        self._data_key = data_key
        self._keys = keys
        self._stored = stored
        self._required = required

    @property
    def data_key(self) -> bytes:
        """What the master keys wrap."""
        return self._data_key.plaintext

    @property
    def context(self) -> Context:
        """The context to wrap it under: stored and required pairs."""
        return {**self._stored, **self._required}

    def seal(self, edks: Sequence[Edk]) -> bytes:
        """Write the capsule. Raises `KeyReuseError` the second time."""
        header, key = self._data_key.seal_header(self._stored, edks, FRAME, self._required)
        return header + seal_whole(key, self._keys.wrap + self._keys.trailer + self._keys.checksum)


@dataclass(frozen=True, slots=True)
class Capsule:
    """A capsule as found. Nothing in it is authenticated until `open` returned."""

    kind: Kind
    client_context: Context
    """The client's SSE-KMS context pairs."""
    marks_kms: bool
    """It has the pair `SSE_NAME`."""
    edks: tuple[Edk, ...]
    raw: bytes = field(repr=False)
    _header: Header = field(repr=False)

    def asked_for_kms(self, *, default: bool) -> bool:
        """Tell whether the client asked for SSE-KMS; `default` says that the key is the one of the bucket."""
        return self.marks_kms or bool(self.client_context) or not default

    def context(self, arn: str) -> Context:
        """Return the context that the data key is wrapped under, for an object of this name."""
        return {**self._header.context, ARN_NAME: arn}

    def open(self, data_key: bytes, arn: str) -> ObjectKeys:
        """Verify everything and return the object's keys.

        Raises `IntegrityError`: header for a wrong key, a changed header or an object of another name,
        frame for a changed body.
        """
        key = open_header(self._header, data_key, {ARN_NAME: arn})
        plaintext = open_whole(key, self.raw[self._header.size :])
        return ObjectKeys(
            plaintext[:KEY_SIZE], plaintext[KEY_SIZE : 2 * KEY_SIZE], plaintext[2 * KEY_SIZE : _KEYS_SIZE]
        )


def draft_capsule(
    kind: Kind,
    arn: str,
    keys: ObjectKeys,
    entropy: Entropy,
    *,
    client_context: Context = EMPTY,
    marks_kms: bool = False,
    data_key: bytes | None = None,
) -> CapsuleDraft:
    """Start a capsule for the object named `arn`.

    `marks_kms` notes that the client asked for SSE-KMS; its context pairs say so by themselves. `data_key` is for
    key services that generate data keys themselves. Raises `S3Error` InvalidArgument for client context pairs that
    cannot be stored.
    """
    if client_context:
        check_client_context(client_context)
    marked = {SSE_NAME: SSE_KMS} if marks_kms and not client_context else {}
    stored = MappingProxyType({**client_context, **marked, KIND_NAME: kind.value})
    return CapsuleDraft(DataKey(entropy, data_key), keys, stored, MappingProxyType({ARN_NAME: arn}))


def redraft_capsule(
    old: Capsule,
    arn: str,
    keys: ObjectKeys,
    entropy: Entropy,
    *,
    marks_kms: bool = False,
    data_key: bytes | None = None,
) -> CapsuleDraft:
    """Start the next capsule of an object, for a rewrap, or for a copy named `arn`; `keys` are what `old` held.

    What `old` says of the client's wish is said again; `marks_kms` adds that it asked for SSE-KMS.
    """
    return draft_capsule(
        old.kind,
        arn,
        keys,
        entropy,
        client_context=old.client_context,
        marks_kms=marks_kms or old.marks_kms,
        data_key=data_key,
    )


def parse_capsule(raw: bytes) -> tuple[Capsule, bytes]:
    """Read the capsule at the start of `raw`; returns it and what follows it.

    Raises `IntegrityError` header or capsule.
    """
    header = parse_header(raw, FRAME)
    end = header.size + _BODY_SIZE
    if len(raw) < end:
        raise IntegrityError("capsule", "the capsule is cut off")
    client_context = dict(header.context)
    try:
        kind = Kind(client_context.pop(KIND_NAME, ""))
    except ValueError:
        raise IntegrityError("capsule", "the capsule is of no known kind") from None
    marks_kms = SSE_NAME in client_context
    if marks_kms and (client_context.pop(SSE_NAME) != SSE_KMS or client_context):
        raise IntegrityError("capsule", "the capsule says in no known way how its client wanted it encrypted")
    return Capsule(kind, MappingProxyType(client_context), marks_kms, header.edks, raw[:end], header), raw[end:]

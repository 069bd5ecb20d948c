"""Single-part objects: metadata holds capsule and body header, the body is frames and nothing else.

Keeping the header out of the body makes the length of the body a function of the plaintext's alone, and
lets one ranged GET of the backend bring everything a ranged read needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.envelope.capsule import Capsule, Kind, ObjectKeys, parse_capsule
from proxy.envelope.entropy import Entropy
from proxy.envelope.inner import inner_form
from proxy.envelope.message import OpeningKey, SealingKey
from proxy.envelope.metadata import decode_value, encode_value
from proxy.envelope.sizes import BODY_HEADER, FRAME, single_plain_size
from proxy.errors import IntegrityError

_BODY = inner_form("body", "body", FRAME)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the metadata value of a stored object says."""

    capsule: Capsule
    body_header: bytes = field(repr=False)
    """188 bytes for a single-part object, empty for a multipart one."""

    @property
    def kind(self) -> Kind:
        """How the body is laid out."""
        return self.capsule.kind


def parse_envelope(value: str) -> Envelope:
    """Read the metadata value of a stored object; raises `IntegrityError` metadata, header or capsule."""
    capsule, rest = parse_capsule(decode_value(value))
    if len(rest) != (BODY_HEADER if capsule.kind is Kind.SINGLE else 0):
        raise IntegrityError("metadata", "the stored metadata has another length than its kind")
    return Envelope(capsule, rest)


def envelope_value(capsule: bytes, body_header: bytes = b"") -> str:
    """Write the metadata value of an object; the body header is there exactly for single-part ones."""
    return encode_value(capsule + body_header)


def plain_size_of_body(stored_size: int) -> int:
    """Return the plaintext length of a single-part object's body; raises `IntegrityError` size."""
    size = single_plain_size(stored_size)
    if size is None:
        raise IntegrityError("size", "no plaintext has a stored form of this length")
    return size


def seal_body_header(keys: ObjectKeys, entropy: Entropy) -> tuple[bytes, SealingKey]:
    """Make the header of a single-part object's content, and the key that seals its frames."""
    return _BODY.seal(keys.wrap, entropy)


def open_body_header(body_header: bytes, keys: ObjectKeys) -> OpeningKey:
    """Verify the header of a single-part object's content; raises `IntegrityError` header or edk."""
    return _BODY.open(body_header, keys.wrap)

"""Checksums of bodies: which ones S3 knows, what a request declares, and whether the body agrees.

Everything here is incremental and synchronous; hashing big pieces may be moved to threads by the
caller. A declaration that cannot be checked is refused, never passed over: a name that S3 invents
tomorrow must not become an upload that nobody verified. Checksums in a presigned *query* are not
declarations (SDKs put the checksum of an empty body there), so only header fields are read.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Protocol

from awscrt import checksums as crt

from proxy.errors import S3Error
from proxy.s3.headers import Headers

Buffer = bytes | bytearray | memoryview

PREFIX = "x-amz-checksum-"
NOT_CHECKSUMS = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"})
"""Fields under the prefix that talk about checksums without being one."""

EMPTY_SHA256 = hashlib.sha256().hexdigest()


class Hasher(Protocol):
    """A running hash; hashlib's objects are hashers."""

    def update(self, data: Buffer, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """Return the hash of all bytes taken so far; nothing may be added afterwards."""


class _Crc:
    __slots__ = ("_compute", "_size", "_value")

    def __init__(self, compute: Callable[[Buffer, int], int], size: int) -> None:
        self._compute = compute
        self._size = size
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = self._compute(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class _XxState(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def finalize(self) -> bytes: ...


class _XxHash:
    __slots__ = ("_digest", "_state")

    def __init__(self, start: Callable[[], _XxState]) -> None:
        self._state = start()
        self._digest = b""

    def update(self, data: Buffer, /) -> None:
        # The binding takes bytes only, unlike those of the CRCs; the copy is cheaper than a hash.
        self._state.update(data if isinstance(data, bytes) else bytes(data))

    def digest(self) -> bytes:
        if not self._digest:
            self._digest = self._state.finalize()
        return self._digest


@dataclass(frozen=True, slots=True, eq=False)
class Algorithm:
    """One of S3's checksum algorithms; there is one instance of each. `size` is that of the raw digest in bytes.

    `combine(first, second, length of second)` joins two values into that of the joined bytes; only CRCs
    have it, and only they can describe a multipart object as a whole.
    """

    name: str
    size: int
    start: Callable[[], Hasher]
    combine: Callable[[int, int, int], int] | None = None
    header: str = field(init=False)
    """The header or trailer field, lower-case."""
    element: str = field(init=False)
    """The XML element in requests and answers."""
    text_size: int = field(init=False)
    """Length of the value in base64."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "header", PREFIX + self.name.lower())
        object.__setattr__(self, "element", "Checksum" + self.name)
        object.__setattr__(self, "text_size", (self.size + 2) // 3 * 4)


def _crc(
    name: str, size: int, compute: Callable[[Buffer, int], int], combine: Callable[[int, int, int], int]
) -> Algorithm:
    return Algorithm(name, size, partial(_Crc, compute, size), combine)


def _digest(name: str, size: int) -> Algorithm:
    return Algorithm(name, size, partial(getattr(hashlib, name.lower()), usedforsecurity=False))


def _xxhash(name: str, size: int, start: Callable[[], _XxState]) -> Algorithm:
    return Algorithm(name, size, partial(_XxHash, start))


ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType(
    {
        algorithm.name: algorithm
        for algorithm in (
            _crc("CRC32", 4, zlib.crc32, crt.combine_crc32),
            _crc("CRC32C", 4, crt.crc32c, crt.combine_crc32c),
            _crc("CRC64NVME", 8, crt.crc64nvme, crt.combine_crc64nvme),
            _digest("MD5", 16),
            _digest("SHA1", 20),
            _digest("SHA256", 32),
            _digest("SHA512", 64),
            _xxhash("XXHASH3", 8, crt.XXHash.new_xxhash3_64),
            _xxhash("XXHASH64", 8, crt.XXHash.new_xxhash64),
            _xxhash("XXHASH128", 16, crt.XXHash.new_xxhash3_128),
        )
    }
)
BY_FIELD: Mapping[str, Algorithm] = MappingProxyType({a.header: a for a in ALGORITHMS.values()})


class Kind(Enum):
    """Where a declared hash came from; each fails with its own error."""

    CHECKSUM = "x-amz-checksum"
    CONTENT_MD5 = "content-md5"
    CONTENT_SHA256 = "x-amz-content-sha256"


@dataclass(frozen=True, slots=True)
class Check:
    """A hash whose expected value is known before the body."""

    kind: Kind
    algorithm: Algorithm
    expected: bytes


@dataclass(frozen=True, slots=True)
class Declared:
    """All a request says its body hashes to: values known now, and values promised as trailers."""

    checks: tuple[Check, ...] = ()
    trailers: tuple[Algorithm, ...] = ()

    @property
    def guards_body(self) -> bool:
        """Tell whether S3 would count this as the checksum that some requests must have."""
        return bool(self.trailers) or any(check.kind is not Kind.CONTENT_SHA256 for check in self.checks)


def parse_declared(
    headers: Headers, content_sha256: str | None = None, *, of_object: bool = False, trailing: bool = False
) -> Declared:
    """Read what a request declares about its body.

    `content_sha256` is the hash in hex that the signature covers, if it covers one. `of_object` says that
    checksum fields describe the finished object and not this body (CompleteMultipartUpload): their names
    are checked, their values are not ours to check. `trailing` says that the body ends in trailers.
    Raises `S3Error` InvalidRequest or InvalidDigest for a declaration that is malformed or unknown.
    """
    checks = [] if content_sha256 is None else [_sha256_check(content_sha256)]
    md5 = headers.get("content-md5")
    if md5 is not None:
        checks.append(Check(Kind.CONTENT_MD5, ALGORITHMS["MD5"], _decode_md5(md5)))
    named = [name for name in headers.names() if name.startswith(PREFIX) and name not in NOT_CHECKSUMS]
    algorithms = [_algorithm_of(name) for name in named]
    if not of_object:
        for algorithm in algorithms:
            expected = decode_value(algorithm, headers.get(algorithm.header) or "", "header")
            checks.append(Check(Kind.CHECKSUM, algorithm, expected))
    trailers = parse_trailer_names(headers) if trailing else ()
    if not trailing and "x-amz-trailer" in headers:
        raise S3Error("InvalidRequest", "The x-amz-trailer header needs a body that is sent with trailers.")
    if len(algorithms) + len(trailers) > 1:
        raise S3Error(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    sdk = headers.get("x-amz-sdk-checksum-algorithm")
    if sdk is not None:
        _check_sdk_algorithm(sdk, (*algorithms, *trailers))
    return Declared(tuple(checks), trailers)


def parse_trailer_names(headers: Headers) -> tuple[Algorithm, ...]:
    """Read `x-amz-trailer`: the checksums that the end of the body will carry."""
    value = headers.joined("x-amz-trailer")
    if value is None:
        return ()
    names = [name.strip().lower() for name in value.split(",")]
    unknown = [name for name in names if name not in BY_FIELD]
    if unknown or len(set(names)) != len(names):
        raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported.")
    return tuple(BY_FIELD[name] for name in names)


def decode_value(algorithm: Algorithm, text: str, where: str) -> bytes:
    """Decode a checksum's base64 (`where`: header, trailing header, ...); `S3Error` InvalidRequest if malformed."""
    raw = _decode_base64(text)
    if raw is None or len(raw) != algorithm.size:
        raise S3Error("InvalidRequest", f"Value for {algorithm.header} {where} is invalid.")
    return raw


def encode_value(raw: bytes) -> str:
    """Encode a raw digest the way S3 writes it: standard base64, most significant byte first."""
    return base64.b64encode(raw).decode("ascii")


def _algorithm_of(field: str) -> Algorithm:
    algorithm = BY_FIELD.get(field)
    if algorithm is None:
        raise S3Error(
            "InvalidRequest",
            "The algorithm type you specified in x-amz-checksum- header is invalid.",
            detail=f"unknown checksum field `{field}`",
        )
    return algorithm


def _check_sdk_algorithm(value: str, present: tuple[Algorithm, ...]) -> None:
    algorithm = ALGORITHMS.get(value.strip().upper())
    if algorithm is None or (present and algorithm not in present):
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    if not present:
        raise S3Error(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
            "headers were found.",
        )


def _sha256_check(text: str) -> Check:
    try:
        raw = binascii.unhexlify(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise S3Error(
            "InvalidArgument",
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-..., or a valid sha256 value.",
            {"ArgumentName": "x-amz-content-sha256", "ArgumentValue": text},
        )
    return Check(Kind.CONTENT_SHA256, ALGORITHMS["SHA256"], raw)


def _decode_md5(text: str) -> bytes:
    raw = _decode_base64(text)
    if raw is None or len(raw) != 16:
        raise S3Error("InvalidDigest", extras={"Content-MD5": text})
    return raw


def _decode_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except ValueError:
        return None


class Verifier:
    """Hashes a body once per algorithm and compares at its end with all that was declared."""

    __slots__ = ("_declared", "_hashers", "_updates")

    def __init__(self, declared: Declared, extra: Iterable[Algorithm] = ()) -> None:
        """`extra` are algorithms whose digest is wanted though nothing was declared."""
        self._declared = declared
        self._hashers: dict[str, Hasher] = {}
        for algorithm in (*[check.algorithm for check in declared.checks], *declared.trailers, *extra):
            if algorithm.name not in self._hashers:
                self._hashers[algorithm.name] = algorithm.start()
        self._updates = [hasher.update for hasher in self._hashers.values()]

    def update(self, piece: Buffer) -> None:
        """Take the next bytes of the body."""
        for update in self._updates:
            update(piece)

    def digest(self, algorithm: Algorithm) -> bytes:
        """Return the digest of all bytes taken; the algorithm must be one declared or extra."""
        return self._hashers[algorithm.name].digest()

    def verify(self, trailers: Mapping[str, str]) -> None:
        """Compare; `trailers` are those that came with the body, by lower-case name.

        Raises `S3Error` BadDigest, XAmzContentSHA256Mismatch, InvalidRequest or MalformedTrailerError.
        """
        for check in self._declared.checks:
            computed = self.digest(check.algorithm)
            if computed != check.expected:
                raise _mismatch(check, computed)
        if not trailers and not self._declared.trailers:
            return
        if trailers.keys() != {algorithm.header for algorithm in self._declared.trailers}:
            raise S3Error("MalformedTrailerError", detail="trailers differ from those x-amz-trailer announced")
        for algorithm in self._declared.trailers:
            expected = decode_value(algorithm, trailers[algorithm.header], "trailing header")
            computed = self.digest(algorithm)
            if computed != expected:
                raise _mismatch(Check(Kind.CHECKSUM, algorithm, expected), computed)


def verify_body(declared: Declared, body: Buffer, trailers: Mapping[str, str] = MappingProxyType({})) -> None:
    """Verify a body that is held as a whole; errors as `Verifier.verify`."""
    verifier = Verifier(declared)
    verifier.update(body)
    verifier.verify(trailers)


def _mismatch(check: Check, computed: bytes) -> S3Error:
    if check.kind is Kind.CONTENT_SHA256:
        return S3Error(
            "XAmzContentSHA256Mismatch",
            extras={
                "ClientComputedContentSHA256": check.expected.hex(),
                "S3ComputedContentSHA256": computed.hex(),
            },
        )
    extras = {"CalculatedDigest": encode_value(computed), "ExpectedDigest": encode_value(check.expected)}
    if check.kind is Kind.CONTENT_MD5:
        return S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.", extras)
    name = check.algorithm.name
    return S3Error("BadDigest", f"The {name} you specified did not match the calculated checksum.", extras)


def combine_full_object(algorithm: Algorithm, parts: Iterable[tuple[bytes, int]]) -> bytes:
    """Join the CRCs of parts, given as (digest, length in bytes), into that of the whole object.

    Raises `ValueError` for an algorithm that has no full-object form over parts.
    """
    if algorithm.combine is None:
        raise ValueError(f"{algorithm.name} of an object cannot be computed from its parts")
    value = 0
    for digest, length in parts:
        value = algorithm.combine(value, int.from_bytes(digest, "big"), length)
    return value.to_bytes(algorithm.size, "big")


def combine_composite(algorithm: Algorithm, digests: Iterable[bytes]) -> str:
    """Return S3's composite checksum of parts: the hash of their raw digests, then `-` and their number."""
    hasher = algorithm.start()
    count = 0
    for digest in digests:
        hasher.update(digest)
        count += 1
    return f"{encode_value(hasher.digest())}-{count}"

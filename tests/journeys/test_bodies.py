"""What a body is said to be is checked before it counts: a wrong one is refused, and leaves nothing behind.

Small bodies are held back whole; of large ones the store gets the beginning and never the end. Either way
there must be no new object, and an old one must stay as it was.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import xxhash

from tests.journeys.front import Front, until
from tests.journeys.signing import (
    SIGNED_CHUNKS,
    SIGNED_TRAILER,
    UNSIGNED,
    UNSIGNED_TRAILER,
    chunked,
    presign_v4,
    sign_v2,
    sign_v4,
)
from tests.journeys.walking import ALICE, Walk
from tests.journeys.wire import Wire

SMALL = b"content"
LARGE = bytes(range(256)) * 2000  # 512 KB
SIZES = pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])

Digest = Callable[[bytes], bytes]
Make = Callable[[Walk, Wire, bytes], Wire]


def crc(polynomial: int, bits: int) -> Digest:
    """Return a reflected CRC with all bits inverted before and after, computed bit by bit from its definition."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)  # noqa: PLW2901 - the remainder so far
        table.append(value)

    def digest(body: bytes) -> bytes:
        value = (1 << bits) - 1
        for byte in body:
            value = (value >> 8) ^ table[(value ^ byte) & 0xFF]
        return (value ^ ((1 << bits) - 1)).to_bytes(bits // 8, "big")

    return digest


ALGORITHMS: dict[str, Digest] = {
    "crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "crc32c": crc(0x82F63B78, 32),
    "crc64nvme": crc(0x9A6C9329AC4BC9B5, 64),
    "sha1": lambda body: hashlib.sha1(body).digest(),
    "sha256": lambda body: hashlib.sha256(body).digest(),
    "sha512": lambda body: hashlib.sha512(body).digest(),
    "md5": lambda body: hashlib.md5(body).digest(),
    "xxhash64": lambda body: xxhash.xxh64(body).digest(),
    "xxhash3": lambda body: xxhash.xxh3_64(body).digest(),
    "xxhash128": lambda body: xxhash.xxh3_128(body).digest(),
}


def encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def pieces(body: bytes) -> list[bytes]:
    """Chunks as SDKs make them: all but the last of the same size, and not too small."""
    return [body[at : at + 65536] for at in range(0, len(body), 65536)]


def wrong(digest: bytes) -> str:
    return encoded(bytes([digest[0] ^ 1]) + digest[1:])


def in_header(name: str, value: Callable[[bytes], str]) -> Make:
    return lambda walk, wire, body: sign_v4(
        wire.with_(body=body).with_header(name, value(body)), ALICE, walk.host, UNSIGNED
    )


def in_trailer(mode: str, name: str, value: Callable[[bytes], str], spoil: str = "") -> Make:
    return lambda walk, wire, body: chunked(
        wire, ALICE, walk.host, mode, pieces(body), {name: value(body)}, spoil=spoil
    )


def wrong_hash(walk: Walk, wire: Wire, body: bytes) -> Wire:
    return sign_v4(wire.with_(body=body), ALICE, walk.host, hashlib.sha256(b"other").hexdigest())


def other_body(walk: Walk, wire: Wire, body: bytes) -> Wire:
    return sign_v4(wire.with_(body=body), ALICE, walk.host).with_(body=body[:-1] + b"X")


def signed_chunks(spoil: str) -> Make:
    return lambda walk, wire, body: chunked(wire, ALICE, walk.host, SIGNED_CHUNKS, pieces(body), spoil=spoil)


def version_2(name: str, value: Callable[[bytes], str]) -> Make:
    return lambda walk, wire, body: sign_v2(wire.with_(body=body).with_header(name, value(body)), ALICE)


def reframed(change: Callable[[Wire], Wire], mode: str = UNSIGNED_TRAILER) -> Make:
    def make(walk: Walk, wire: Wire, body: bytes) -> Wire:
        trailers = {"x-amz-checksum-crc32": encoded(ALGORITHMS["crc32"](body))} if mode != SIGNED_CHUNKS else None
        return change(chunked(wire, ALICE, walk.host, mode, pieces(body), trailers))

    return make


def cut(wire: Wire) -> Wire:
    """End before the last chunk."""
    return wire.with_(body=wire.body[: wire.body.rindex(b"\r\n0")] + b"\r\n")


def without_trailer(wire: Wire) -> Wire:
    return wire.with_(body=wire.body[: wire.body.index(b"x-amz-checksum")] + b"\r\n")


def other_trailer(wire: Wire) -> Wire:
    return wire.with_(body=wire.body.replace(b"x-amz-checksum-crc32:", b"x-amz-checksum-crc64:"))


def announced(length: Callable[[int], int]) -> Make:
    """Announce another length than what comes, and sign that."""

    def make(walk: Walk, wire: Wire, body: bytes) -> Wire:
        framed = chunked(wire, ALICE, walk.host, UNSIGNED_TRAILER, pieces(body), {"x-amz-checksum-crc32": "AAAAAA=="})
        again = framed.with_header("x-amz-decoded-content-length", str(length(len(body)))).without_header(
            "Authorization"
        )
        return sign_v4(again, ALICE, walk.host, UNSIGNED_TRAILER)

    return make


MISMATCH = (403, "SignatureDoesNotMatch")
BAD_DIGEST = (400, "BadDigest")
INCOMPLETE = (400, "IncompleteBody")
CASES: dict[str, tuple[Make, tuple[int, str]]] = {
    "another body than was signed": (other_body, (400, "XAmzContentSHA256Mismatch")),
    "another body hash than the body's": (wrong_hash, (400, "XAmzContentSHA256Mismatch")),
    "another chunk than was signed": (signed_chunks("chunk 0"), MISMATCH),
    "a wrong signature of a chunk": (signed_chunks("signature 0"), MISMATCH),
    "a wrong signature of the last chunk": (
        lambda walk, wire, body: signed_chunks(f"signature {len(pieces(body))}")(walk, wire, body),
        MISMATCH,
    ),
    "a wrong signature of the trailer": (
        in_trailer(
            SIGNED_TRAILER,
            "x-amz-checksum-crc32",
            lambda body: encoded(ALGORITHMS["crc32"](body)),
            "trailer signature",
        ),
        MISMATCH,
    ),
    "another MD5": (in_header("Content-MD5", lambda body: wrong(hashlib.md5(body).digest())), BAD_DIGEST),
    "an MD5 that is none": (in_header("Content-MD5", lambda body: "none"), (400, "InvalidDigest")),
    "another MD5, version 2": (version_2("Content-MD5", lambda body: wrong(hashlib.md5(body).digest())), BAD_DIGEST),
    "another checksum, version 2": (version_2("x-amz-checksum-crc32", lambda body: "AAAAAA=="), BAD_DIGEST),
    "a checksum that is none": (in_header("x-amz-checksum-crc32", lambda body: "none"), (400, "InvalidRequest")),
    "a checksum of tomorrow": (in_header("x-amz-checksum-future", lambda body: "AAAAAA=="), (400, "InvalidRequest")),
    "a trailer of tomorrow": (
        in_trailer(UNSIGNED_TRAILER, "x-amz-checksum-future", lambda body: "AAAAAA=="),
        (400, "InvalidRequest"),
    ),
    "no trailer": (reframed(without_trailer), (400, "MalformedTrailerError")),
    "another trailer": (reframed(other_trailer), (400, "MalformedTrailerError")),
    "no end": (reframed(cut), INCOMPLETE),
    "no end, signed": (reframed(cut, SIGNED_CHUNKS), INCOMPLETE),
    "more than announced": (announced(lambda length: length - 1), INCOMPLETE),
    "less than announced": (announced(lambda length: length + 1), INCOMPLETE),
}
for _name, _digest in ALGORITHMS.items():
    _field = f"x-amz-checksum-{_name}"
    _value = lambda body, digest=_digest: wrong(digest(body))  # noqa: E731 - one for each
    CASES[f"another {_name}"] = (in_header(_field, _value), BAD_DIGEST)
    CASES[f"another {_name} in a signed trailer"] = (in_trailer(SIGNED_TRAILER, _field, _value), BAD_DIGEST)
    CASES[f"another {_name} in a trailer"] = (in_trailer(UNSIGNED_TRAILER, _field, _value), BAD_DIGEST)


@pytest.fixture(scope="module", autouse=True)
def existing(direct: Any, walk: Walk) -> None:
    direct.put_object(Bucket="private", Key="existing", Body=b"stored before")


@SIZES
@pytest.mark.parametrize(("make", "expected"), [pytest.param(*case, id=name) for name, case in CASES.items()])
def test_a_body_that_is_not_what_it_is_said_to_be_leaves_nothing_behind(
    walk: Walk, front: Front, direct: Any, make: Make, expected: tuple[int, str], body: bytes
) -> None:
    for key in ("fresh", "existing"):
        with front.watched() as seen:
            answer = walk.send(make(walk, Wire("PUT", f"/private/{key}"), body))
        assert (answer.status, answer.code) == expected, answer.body
        assert walk.decision(answer)["error"] == expected[1]
        assert not any(each.whole for each in seen)
    assert direct.get_object(Bucket="private", Key="existing")["Body"].read() == b"stored before"
    assert "fresh" not in [each["Key"] for each in direct.list_objects_v2(Bucket="private")["Contents"]]


@SIZES
@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("mode", ["header", SIGNED_TRAILER, UNSIGNED_TRAILER])
def test_a_right_checksum_is_accepted_and_passed_on(
    walk: Walk, front: Front, direct: Any, name: str, mode: str, body: bytes
) -> None:
    field, value = f"x-amz-checksum-{name}", encoded(ALGORITHMS[name](body))
    wire = Wire("PUT", f"/private/checked-{name}")
    made = in_header(field, lambda _: value) if mode == "header" else in_trailer(mode, field, lambda _: value)
    with front.watched() as seen:
        answer = walk.send(made(walk, wire, body))
    [sent] = seen
    assert sent.whole
    if mode == "header":
        assert sent.headers[field] == value
    else:
        assert sent.headers["x-amz-trailer"] == field
        assert sent.body.endswith(f"0\r\n{field}:{value}\r\n\r\n".encode())
    if answer.status != 200:
        # rclone takes no checksums but the oldest ones; it was asked, and the client hears what it said.
        assert front.name == "rclone"
        return
    assert direct.get_object(Bucket="private", Key=f"checked-{name}")["Body"].read() == body


def test_a_checksum_in_a_presigned_url_is_of_nothing_and_not_checked(walk: Walk, direct: Any) -> None:
    # As the AWS SDK for JavaScript makes them.
    query = (("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "CRC32"), ("x-id", "PutObject"))
    wire = presign_v4(Wire("PUT", "/private/linked", query), ALICE, walk.host)
    assert walk.send(wire.with_(body=SMALL)).status == 200
    assert direct.get_object(Bucket="private", Key="linked")["Body"].read() == SMALL


@pytest.mark.parametrize("header", ["Content-MD5", "x-amz-checksum-crc32", "x-amz-checksum-sha256"])
def test_a_document_that_is_not_what_it_is_said_to_be_has_no_effect(walk: Walk, front: Front, header: str) -> None:
    body = b"<Delete><Object><Key>existing</Key></Object></Delete>"
    value = {"Content-MD5": 16, "x-amz-checksum-crc32": 4, "x-amz-checksum-sha256": 32}[header] * b"x"
    wire = Wire("POST", "/private", (("delete", ""),), ((header, encoded(value)),), body)
    with front.watched() as seen:
        answer = walk.send(sign_v4(wire, ALICE, walk.host))
        other = walk.send(sign_v4(wire.without_header(header), ALICE, walk.host).with_(body=body.replace(b"ex", b"fr")))
    assert (answer.status, answer.code) == BAD_DIGEST
    assert (other.status, other.code) == (400, "XAmzContentSHA256Mismatch")
    assert seen == []


def test_an_upload_without_a_length_is_refused(walk: Walk, front: Front) -> None:
    wire = sign_v4(Wire("PUT", "/private/fresh"), ALICE, walk.host, UNSIGNED).with_header(
        "Transfer-Encoding", "chunked"
    )
    with front.watched() as seen:
        answer = walk.send(wire.with_(body=b"5\r\nhello\r\n0\r\n\r\n"))
    assert (answer.status, answer.code, seen) == (411, "MissingContentLength", [])


def test_a_client_that_leaves_half_way_leaves_nothing_behind(walk: Walk, front: Front, direct: Any) -> None:
    wire = sign_v4(Wire("PUT", "/private/existing"), ALICE, walk.host, UNSIGNED)
    head = f"PUT {wire.target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in wire.headers)
    parts = urlsplit(walk.endpoint)
    with front.watched() as seen:
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(f"{head}Content-Length: {len(LARGE)}\r\n\r\n".encode() + LARGE[: len(LARGE) // 2])
            assert until(lambda: any(each.path == "/private/existing" for each in front.seen[-2:]))
            time.sleep(0.1)
        assert until(lambda: walk.last("PutObject")["error"] == "IncompleteBody")
    assert not any(each.whole for each in seen)
    assert direct.get_object(Bucket="private", Key="existing")["Body"].read() == b"stored before"

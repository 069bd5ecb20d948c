"""The end of a body is not let go before everything that was declared about it has proved true."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import S3Error
from proxy.s3.checksums import ALGORITHMS, Declared, Verifier, parse_declared
from proxy.s3.chunked import ChunkedDecoder, PlainEncoder, UnsignedEncoder
from proxy.s3.headers import Headers
from proxy.s3.holdback import HOLD_BACK, VerifiedBody

CRC = "x-amz-checksum-crc32"


def crc(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def plain(data_length: int, declared: Declared | None = None) -> VerifiedBody:
    return VerifiedBody(data_length, None, Verifier(declared or Declared()), PlainEncoder(data_length))


def declare(value: str) -> Declared:
    return parse_declared(Headers.of([(CRC, value)]))


def push(body: VerifiedBody, data: bytes, step: int = 10_000) -> bytes:
    return b"".join(bytes(out) for at in range(0, len(data), step) for out in body.feed(data[at : at + step]))


@pytest.mark.parametrize("length", [0, 1, HOLD_BACK - 1, HOLD_BACK, HOLD_BACK + 1, 3 * HOLD_BACK + 7])
@pytest.mark.parametrize("step", [999, HOLD_BACK, 10**6])
def test_exactly_the_last_bytes_wait_for_the_checks(length: int, step: int) -> None:
    data = bytes(range(251)) * (length // 251 + 1)
    data = data[:length]
    body = plain(length, declare(crc(data)))
    sent = push(body, data, step)
    assert sent == data[: max(0, length - HOLD_BACK)]
    assert sent + b"".join(bytes(piece) for piece in body.finish()) == data


def test_a_failed_check_lets_nothing_more_go() -> None:
    data = bytes(2 * HOLD_BACK)
    body = plain(len(data), declare(crc(data + b"x")))
    assert len(push(body, data)) == HOLD_BACK
    with pytest.raises(S3Error, match="BadDigest"):
        body.finish()


@given(length=st.integers(0, 3 * HOLD_BACK), lie=st.integers(-5, 5).filter(bool))
def test_a_body_of_another_length_is_never_completed(length: int, lie: int) -> None:
    announced = max(0, length + lie)
    if announced == length:
        return
    body = plain(announced)
    sent: list[int] = []

    def pass_through() -> None:
        for at in range(0, length, 50_000):
            sent.extend(len(out) for out in body.feed(bytes(min(50_000, length - at))))
        body.finish()

    with pytest.raises(S3Error, match="IncompleteBody"):
        pass_through()
    assert sum(sent) <= max(0, announced - HOLD_BACK)


def test_views_are_passed_on_without_copying() -> None:
    data = bytes(HOLD_BACK)
    body = plain(2 * HOLD_BACK)
    [piece] = body.feed(data)
    assert isinstance(piece, memoryview)
    assert piece.obj is data


def test_a_trailer_is_verified_on_the_way_in_and_written_anew_on_the_way_out() -> None:
    data = hashlib.sha256(b"").digest() * 10_000
    algorithm = ALGORITHMS["CRC32"]
    declared = Declared(trailers=(algorithm,))

    def run(value: str) -> bytes:
        wire = b"%x\r\n%s\r\n0\r\n%s:%s\r\n\r\n" % (len(data), data, CRC.encode(), value.encode())
        decoder = ChunkedDecoder(len(data), trailers=True)
        encoder = UnsignedEncoder(len(data), {CRC: algorithm.text_size})
        body = VerifiedBody(len(data), decoder, Verifier(declared), encoder, (algorithm,))
        out = push(body, wire) + b"".join(bytes(piece) for piece in body.finish())
        assert len(out) == encoder.content_length
        assert out == wire
        return out

    run(crc(data))
    with pytest.raises(S3Error, match="BadDigest"):
        run(crc(b""))
